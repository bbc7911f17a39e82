//! RUN: its mounts made, its program executed as an ordinary container, its changes read as a layer.
//!
//! ```text
//! key       what goes into its key        and the trees that it mounts, read for that:
//! bound     such a tree, and its layer on disk
//! caches    cache mounts: their directories, locked
//! secret    --mount=type=secret
//! ssh       --mount=type=ssh; agent: the socket that leads to one
//! places    mount points that the image lacks
//! container the container that executes it
//! kept      what must live until it has ended
//! ```
//! **Nothing of a mount is a path that a container could change under us.** A cache is a directory below `STATE/build`
//! that nobody else can enter; a path in it, in the context or in a stage is resolved inside it, and what is bound is the
//! handle that this gave (`/proc/PID/fd/N`). Mount points that the image lacks lie in a layer of their own, on which the step's
//! container stands and which is in no image: nothing has to be removed afterwards.

mod agent;
mod bound;
mod caches;
mod container;
mod kept;
mod key;
mod places;
mod secret;
mod ssh;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use taru_content::Lease;
use taru_engine::Engine;
use taru_engine::step::{self, Extra, ExtraSource, Extras};
use taru_oci::Digest;
use taru_snapshot::Diff;
use taru_stdx::{Error, Kind, Result};

use crate::cache::{Cache, Layer};
use crate::dockerfile::MountKind;
use crate::options::Options;
use crate::root;
use crate::stage::{Mount, RunStep};
use crate::tree::Tree;
use bound::Bound;
use caches::Caches;
pub(crate) use caches::empty;
use kept::Kept;

pub(crate) use key::{Prepared, prepare};

/// What surrounds a RUN.
pub(crate) struct Around<'a> {
    /// The build.
    pub options: &'a Options,
    /// Records and cache mounts.
    pub cache: &'a Cache,
    /// Keeps what is made.
    pub lease: &'a Lease,
    /// `SOURCE_DATE_EPOCH`.
    pub epoch: Option<i64>,
    /// The layers below.
    pub parent: Option<&'a Digest>,
    /// Their files.
    pub below: Arc<Tree>,
    /// The image that the step is part of, for its record.
    pub name: &'a str,
}

/// Executes a RUN and stores what it changed.
///
/// # Errors
/// [`Kind::State`] if the program fails; a secret that is missing; anything that fails before it runs.
pub(crate) fn run(
    engine: &mut Engine,
    step: &RunStep,
    prepared: Prepared,
    around: &Around<'_>,
    output: &mut dyn FnMut(&str),
) -> Result<Layer> {
    check_allowed(step, around.options)?;
    let caches = Caches::lock(&step.mounts, &around.cache.mounts())?;
    let mut kept = Kept::default();
    let mut extras = Extras { env: step.proxies.clone(), ..Extras::default() };
    for (mount, bound) in step.mounts.iter().zip(prepared.binds) {
        add_mount(engine, mount, bound, around, &caches, &mut kept, &mut extras)?;
    }
    extras.mounts.extend(step.script.as_ref().map(script));
    let places = places::make(engine, &extras, around)?;
    let config = container::config(step, around, places.as_ref().or(around.parent));
    let (status, made) = step::run(engine, config, extras, output, |engine, key, maps| {
        let images = engine.images()?;
        let how = Diff { maps, epoch: around.epoch };
        root::store_tar(around.parent, images, around.lease, |to| images.snapshots.diff(key, &how, to))
    })?;
    drop((kept, caches));
    made.ok_or_else(|| Error::new(Kind::State, format!("its exit status is {status}")))
}

fn check_allowed(step: &RunStep, options: &Options) -> Result<()> {
    if step.insecure && !options.allow_insecure {
        return Err(Error::new(Kind::Permission, "RUN --security=insecure: it was not allowed")
            .hint("--allow security.insecure"));
    }
    Ok(())
}

/// A here-document with its own interpreter.
fn script((name, text): &(String, String)) -> Extra {
    Extra {
        target: Path::new("/dev/pipes").join(name),
        source: ExtraSource::File { content: text.as_bytes().to_vec(), mode: 0o755, owner: (0, 0) },
    }
}

/// Makes what `mount` mounts, and adds it to what the container gets.
fn add_mount(
    engine: &Engine,
    mount: &Mount,
    bound: Bound,
    around: &Around<'_>,
    caches: &Caches,
    kept: &mut Kept,
    extras: &mut Extras,
) -> Result<()> {
    let source = match mount.kind {
        MountKind::Secret => return secret::add(engine, mount, around, extras),
        MountKind::Ssh => return ssh::add(mount, around, kept, extras),
        MountKind::Tmpfs => ExtraSource::Tmpfs(mount.size),
        MountKind::Bind => {
            let path = bound.unpack(engine, mount.writable, around, kept)?;
            ExtraSource::Layer { path, writable: mount.writable }
        }
        MountKind::Cache => {
            let path = caches.open(engine, mount, bound, around, kept)?;
            ExtraSource::Layer { path, writable: mount.writable }
        }
    };
    extras.mounts.push(Extra { target: PathBuf::from(&mount.target), source });
    Ok(())
}
