//! Images of erofs: a layer is one file that is written in order and never taken apart, instead of an inode for each of its
//! files. The kernel's overlay stacks their mounts; of containers, and of layers too large for an image, all is as
//! [`Overlay`] has it.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};

use taru_mount::{Attr, Mount};
use taru_stdx::{Context, Error, Kind, Result};
use taru_sys::errno;
use taru_sys::fs::{CWD, OpenFlags, openat};

use super::overlay::Overlay;
use super::{Driver, Images, Rootfs, Tree};
use crate::worker::Workers;

/// The driver.
pub(crate) struct Erofs;

impl Driver for Erofs {
    fn begin(&self, dir: &Path, layers: &[PathBuf], workers: &Workers) -> Result<PathBuf> {
        Overlay.begin(dir, layers, workers)
    }

    fn end(&self, dir: &Path, workers: &Workers) -> Result<()> {
        Overlay.end(dir, workers)
    }

    fn prepare(&self, dir: &Path, layers: &[PathBuf], owner: (u32, u32), workers: &Workers) -> Result<()> {
        Overlay.prepare(dir, layers, owner, workers)
    }

    fn mounts(&self, dir: &Path, layers: &[PathBuf]) -> Rootfs {
        Overlay.mounts(dir, layers)
    }

    fn tree(&self, dir: &Path) -> Tree {
        Overlay.tree(dir)
    }

    fn images(&self) -> Images {
        Images::All
    }

    fn is_cumulative(&self) -> bool {
        false
    }
}

/// Whether images can be mounted from files in `dir`, by the host's root: an empty one is, for a moment and unseen.
pub(super) fn require(dir: &Path, is_host: bool) -> Result<()> {
    const OTHER: &str = "the driver `overlay` needs nothing of this";
    let what = "use the driver `erofs`";
    if !is_host {
        let text = format!("{what}: only root can mount images");
        return Err(Error::new(Kind::Permission, text).hint("the driver `overlay` serves every user"));
    }
    let refused = |e: Error| {
        let text = format!("{what}: erofs cannot be mounted from a file in `{}`", dir.display());
        let error = Error::new(Kind::Unsupported, text).because(e);
        error.hint("the store must lie on a disk's file system, no tmpfs and no overlay").hint(OTHER)
    };
    let file = match nameless(dir) {
        Err(e) if e.kind() == Kind::Unsupported => return Err(refused(e)),
        file => file.context(|| what)?,
    };
    let written = file.try_clone().context(|| "keep a file open").and_then(|file| {
        // Of nothing but its root.
        taru_erofs::Image::new(file, 1 << 16).finish(&[0; 16])
    });
    written.context(|| format!("{what}: write an image"))?;
    let path = PathBuf::from(format!("/proc/self/fd/{}", file.as_fd().as_raw_fd()));
    match Mount::image(&path, Attr::RDONLY) {
        Ok(_) => Ok(()),
        // The image is a good one. Kernels have no word of their own for what cannot be mounted from.
        Err(e) if matches!(e.kind(), Kind::Unsupported | Kind::Invalid) => Err(refused(e)),
        Err(e) => Err(e).context(|| what).map_err(|e| e.hint(OTHER)),
    }
}

/// A file without a name where `dir` is, or is to be.
fn nameless(dir: &Path) -> Result<File> {
    let there = dir.ancestors().find(|dir| dir.is_dir()).unwrap_or(Path::new("/"));
    let what = || format!("make a file in `{}`", there.display());
    match openat(CWD, there, OpenFlags::RDWR | OpenFlags::TMPFILE, 0o600) {
        // No disk's file system lacks it that matters here; overlay does before 6.3.
        Err(e) if e.errno() == errno::NOTSUP => Err(e).context_as(Kind::Unsupported, what),
        made => made.map(File::from).context(what),
    }
}
