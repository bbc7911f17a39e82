//! Mount points that the image lacks: a layer of their own between the image's and the container's.
//!
//! What the step changes is what it differs in from that, so none of them gets into the image, and none is ever removed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use taru_engine::Engine;
use taru_engine::step::{Extra, ExtraSource, Extras};
use taru_oci::Digest;
use taru_stdx::{Context, Result};

use super::Around;
use crate::assembly::{Assembly, Content, Entry};
use crate::root;

/// What every container has mounted; and whether it is a directory.
const ALWAYS: &[(&str, bool)] = &[
    ("/proc", true),
    ("/sys", true),
    ("/dev", true),
    ("/etc/hosts", false),
    ("/etc/hostname", false),
    ("/etc/resolv.conf", false),
];

/// Stores the layer, and gives its chain id; `None` if the image has all mount points.
///
/// # Errors
/// Any error of reading the image's files and of writing.
pub(super) fn make(engine: &Engine, extras: &Extras, around: &Around<'_>) -> Result<Option<Digest>> {
    let mut assembly = Assembly::new(around.below.clone());
    let always = ALWAYS.iter().map(|(path, is_dir)| (PathBuf::from(path), *is_dir));
    for (target, is_dir) in always.chain(extras.mounts.iter().filter_map(place)) {
        add(&mut assembly, &target, is_dir)?;
    }
    if assembly.is_empty() {
        return Ok(None);
    }
    let (snapshots, tmp) = (&engine.images()?.snapshots, around.cache.tmp());
    root::unpack(assembly, around.parent, None, snapshots, around.lease, &tmp)
        .context(|| "make mount points")
        .map(Some)
}

/// Where a mount goes, and whether that is a directory. What is below /dev is on the container's own.
fn place(extra: &Extra) -> Option<(PathBuf, bool)> {
    let is_dir = match &extra.source {
        ExtraSource::Tmpfs(_) => true,
        ExtraSource::File { .. } | ExtraSource::Own { .. } => false,
        ExtraSource::Layer { path, .. } => path.is_dir(),
    };
    (!extra.target.starts_with("/dev")).then(|| (extra.target.clone(), is_dir))
}

/// Adds a mount point where there is none, with the directories above it as they are in the image.
fn add(assembly: &mut Assembly, target: &Path, is_dir: bool) -> Result<()> {
    let real = assembly.resolve(target)?;
    if assembly.is_dir(&real)?.is_some() {
        return Ok(());
    }
    let directory = Entry::directory(0o755, (0, 0), 0);
    assembly.make_dirs(real.parent().unwrap_or(Path::new("")), &directory)?;
    let entry = match is_dir {
        true => directory,
        false => Entry { content: Content::Bytes(Arc::from(&b""[..])), mode: 0o644, ..directory },
    };
    assembly.put(real, entry)
}
