//! `taru image verify`: whether an image is what it says.

use std::path::PathBuf;
use std::process::ExitCode;

use serde::Serialize;
use taru_engine::image::verify::{self, Report, Signature};
use taru_oci::Platform;
use taru_stdx::Result;

use crate::commands::open;
use crate::options::{Format, Global};
use crate::output;

/// Verify an image: its signature, its blobs and its unpacked files
///
/// The signature is looked for beside the image in its registry, as the host's policy.json wants it, or with --key by one
/// of these keys: one of cosign, for the image's repository. Every blob is read and compared with its digest, every
/// unpacked file with what was noted when it was unpacked. The status is 1 if anything is wrong.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  taru image verify debian
  taru image verify --key cosign.pub quay.io/team/app:1
  taru image verify --format json debian | jq .faults")]
pub(super) struct Args {
    /// Want a signature by one of these public keys, whatever the policy says
    #[arg(long, value_name = "FILE")]
    key: Vec<PathBuf>,
    /// Of an image for several platforms, verify this one
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    platform: Option<Platform>,
    /// Print for people or as JSON
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Name, id or beginning of an id
    #[arg(value_name = "IMAGE")]
    image: String,
}

#[derive(Serialize)]
struct Document<'a> {
    image: &'a str,
    id: String,
    well: bool,
    signature: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    blobs: u64,
    layers: u64,
    packed_layers: u64,
    faults: &'a [String],
}

pub(super) fn run(args: &Args, global: &Global) -> Result<ExitCode> {
    let engine = open(global)?;
    let report = verify::verify(&engine, &args.image, args.platform.as_ref(), &args.key)?;
    match args.format {
        Format::Json => output::json(&document(&args.image, &report))?,
        Format::Table => print(&report)?,
    }
    Ok(if report.is_well() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn document<'a>(image: &'a str, report: &'a Report) -> Document<'a> {
    let (signature, why) = match &report.signature {
        Signature::Good => ("good", None),
        Signature::NotWanted => ("not wanted", None),
        Signature::Bad(e) => ("bad", Some(e.chain().to_string())),
    };
    Document {
        image,
        id: report.found.target.digest.to_string(),
        well: report.is_well(),
        signature,
        why,
        blobs: report.blobs,
        layers: report.layers,
        packed_layers: report.packed,
        faults: &report.faults,
    }
}

fn print(report: &Report) -> Result<()> {
    let signature = match &report.signature {
        Signature::Good => "good".to_owned(),
        Signature::NotWanted => "the policy wants none".to_owned(),
        Signature::Bad(_) => "BAD".to_owned(),
    };
    output::line(&format!("signature: {signature}"))?;
    output::line(&format!("blobs: {} read", report.blobs))?;
    let packed = match report.packed {
        0 => String::new(),
        some => format!(", {some} not unpacked"),
    };
    output::line(&format!("layers: {} compared file by file{packed}", report.layers))?;
    for fault in &report.faults {
        output::line(&format!("BROKEN {fault}"))?;
    }
    if let Signature::Bad(e) = &report.signature {
        output::report(e);
    }
    if !report.faults.is_empty() {
        output::line(&format!(
            "`taru store check --repair`, then `taru pull {}`, brings back what is broken",
            report.found.name
        ))?;
    }
    Ok(())
}
