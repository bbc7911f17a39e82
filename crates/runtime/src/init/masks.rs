//! Paths of /proc and /sys that read as empty or cannot be written.
//!
//! A file is covered by the host's /dev/null, a directory by a tmpfs that holds nothing and takes
//! nothing. Both are made by the runtime; nothing of the container's is trusted to be them. All
//! directories share one tmpfs: a superblock each would cost time and memory.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use taru_mount::{Attr, Mount};
use taru_rootdir::RootDir;
use taru_stdx::{Context, Kind, Result};

use super::rootfs::is_dir;
use crate::plan::Plan;

/// Covers the masked paths and makes the read-only ones so. Runs before pivot_root(2), while `null` is still
/// on a mount of this namespace and so can be bound.
pub(crate) fn apply(plan: &Plan, root: &RootDir, null: BorrowedFd<'_>) -> Result<()> {
    for path in &plan.readonly_paths {
        make_read_only(root, path).context(|| format!("make `{}` read-only", path.display()))?;
    }
    let mut empty = None;
    for path in &plan.masked_paths {
        mask(root, path, null, &mut empty).context(|| format!("mask `{}`", path.display()))?;
    }
    Ok(())
}

fn make_read_only(root: &RootDir, path: &Path) -> Result<()> {
    let Some(target) = find(root, path)? else { return Ok(()) };
    let mount = Mount::bind(target.as_fd(), true)?;
    mount.attributes(Attr::RDONLY, Attr::default(), true)?;
    mount.attach(target).map(drop)
}

fn mask(root: &RootDir, path: &Path, null: BorrowedFd<'_>, empty: &mut Option<OwnedFd>) -> Result<()> {
    let Some(target) = find(root, path)? else { return Ok(()) };
    if !is_dir(&target)? {
        return Mount::bind(null, false)?.attach(target).map(drop);
    }
    match empty {
        // From the first that was attached: a detached mount cannot be bound before 6.15.
        Some(first) => Mount::bind(first.as_fd(), false)?.attach(target).map(drop),
        None => {
            *empty = Some(empty_directory()?.attach(target)?);
            Ok(())
        }
    }
}

fn empty_directory() -> Result<Mount> {
    let set = Attr::RDONLY | Attr::NOSUID | Attr::NODEV | Attr::NOEXEC;
    Mount::fs(
        "tmpfs",
        Some("tmpfs"),
        &[("ro", None), ("nr_blocks", Some("1")), ("nr_inodes", Some("1"))],
        set,
    )
}

/// The path, or `None` if this kernel does not have it.
fn find(root: &RootDir, path: &Path) -> Result<Option<OwnedFd>> {
    match root.resolve(path) {
        Ok(fd) => Ok(Some(fd)),
        Err(e) if e.kind() == Kind::NotFound || is_not_a_directory(&e) => Ok(None),
        Err(e) => Err(e),
    }
}

fn is_not_a_directory(e: &taru_stdx::Error) -> bool {
    let mut next = std::error::Error::source(e);
    while let Some(cause) = next {
        if cause.downcast_ref::<taru_sys::Errno>() == Some(&taru_sys::errno::NOTDIR) {
            return true;
        }
        next = cause.source();
    }
    false
}
