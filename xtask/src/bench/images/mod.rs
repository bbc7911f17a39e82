//! `xtask bench images`: taru beside podman, containerd and buildah, on the same images.
//!
//! Every store is on the real disk, below target/bench; the registry is on the sandbox's own loopback, where nobody else
//! sends anything. What taru acknowledges is durable, the peers sync nothing of what they unpack: so each of their figures
//! stands there twice, as it is and followed by `sync -f`.

mod archives;
mod containers;
mod disk;
mod engines;
mod pull;
mod registry;
mod same;
mod setting;
mod trees;

use std::path::PathBuf;

use taru_stdx::{Context, Error, Result};

use super::INSIDE;
use super::measure::Measure;
use crate::{dist, workspace};
use engines::Engines;
use registry::Registry;
use setting::Bench;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Rounds of each measurement of time
    #[arg(long, default_value_t = 5)]
    runs: u32,
    /// Measure this alone; as often as wanted
    #[arg(long, value_enum)]
    only: Vec<Part>,
}

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// Pull and unpack each image into an empty store
    Pull,
    /// Pull an image that shares layers with one that is there
    Shared,
    /// Unpack layers, beside the decompressor alone
    Unpack,
    /// Save an image to a file
    Save,
    /// Load it from the file into an empty store
    Load,
    /// Make an image of a container
    Commit,
    /// Run `true` in an image
    Run,
    /// Build a Dockerfile of ten steps
    Build,
}

/// Measures a part and prints its rows.
type Rows = fn(&Bench) -> Result<()>;

/// Builds what is measured, and makes the images while the network is there.
pub(super) fn programs(_: &Arguments) -> Result<Vec<PathBuf>> {
    trees::ensure()?;
    Ok(dist::run()?.into())
}

/// Measures, in the sandbox.
pub(super) fn run(arguments: &Arguments, programs: &[PathBuf]) -> Result<()> {
    let [taru, runtime] = programs else {
        return Err(Error::invalid(format!("variable `{INSIDE}` names no two programs")));
    };
    let dir = workspace::target().join("bench/images");
    let stores = disk::Stores::make(&dir)?;
    let bench = Bench {
        measure: Measure::compile(stores.path(), arguments.runs)?,
        registry: Registry::start(&dir)?,
        engines: Engines { taru: taru.clone(), lasting: stores.lasting(), cold: stores.cold() },
        runtime: runtime.clone(),
        dir,
    };
    println!("| | taru | podman | containerd | buildah |\n|---|---|---|---|---|");
    let parts: [(Part, Rows); 8] = [
        (Part::Pull, pull::pull),
        (Part::Shared, pull::shared),
        (Part::Unpack, pull::unpack),
        (Part::Save, archives::save),
        (Part::Load, archives::load),
        (Part::Commit, archives::commit),
        (Part::Run, containers::run),
        (Part::Build, containers::build),
    ];
    let mut failed = Vec::new();
    for (part, measure) in parts {
        if arguments.only.is_empty() || arguments.only.contains(&part) {
            // One that a peer fails in says so; the others are measured all the same.
            failed.extend(measure(&bench).context(|| format!("measure `{part:?}`")).err());
        }
    }
    Error::all(failed).map_or(Ok(()), Err)
}
