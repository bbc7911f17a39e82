//! Drivers: how layers become the root of a container.
//!
//! A driver knows nothing of chains, locks or durability: it is given directories. Those of a layer or a container are
//! its own inside; [`crate::Snapshots`] makes, renames and removes them as a whole.

mod btrfs;
mod directory;
mod erofs;
mod overlay;
mod whole;

use std::path::{Path, PathBuf};

use taru_stdx::Result;

use btrfs::Btrfs;
use directory::Directory;
use erofs::Erofs;
use overlay::Overlay;

use crate::lower::Lower;
use crate::worker::Workers;

/// Where a layer's changes are unpacked in a tree that holds what is below, too.
const CHANGES: &str = ".taru-changes";

/// Which driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DriverKind {
    /// Layers are stacked by the kernel's overlay file system.
    Overlay,
    /// As that, but a layer is one file, an image of erofs; for root, on Linux 6.12 or later.
    Erofs,
    /// Layers and containers are whole copies; content is shared where the file system can.
    Directory,
    /// Layers and containers are subvolumes of btrfs.
    Btrfs,
}

impl DriverKind {
    /// Its name on the command line and on disk.
    pub fn name(self) -> &'static str {
        match self {
            DriverKind::Overlay => "overlay",
            DriverKind::Erofs => "erofs",
            DriverKind::Directory => "dir",
            DriverKind::Btrfs => "btrfs",
        }
    }

    /// The driver.
    pub(crate) fn driver(self) -> Box<dyn Driver> {
        match self {
            DriverKind::Overlay => Box::new(Overlay),
            DriverKind::Erofs => Box::new(Erofs),
            DriverKind::Directory => Box::new(Directory),
            DriverKind::Btrfs => Box::new(Btrfs),
        }
    }

    /// Of this name.
    pub fn named(name: &str) -> Option<DriverKind> {
        [DriverKind::Overlay, DriverKind::Erofs, DriverKind::Directory, DriverKind::Btrfs]
            .into_iter()
            .find(|kind| kind.name() == name)
    }

    /// That of the store in `dir`; `None` where there is no store.
    ///
    /// # Errors
    /// [`taru_stdx::Kind::Unsupported`] for one that is not known here; any error of the file system.
    pub fn of_store(dir: &Path) -> Result<Option<DriverKind>> {
        let name = match taru_stdx::fs::read_bounded(&dir.join(crate::layout::DRIVER), 100) {
            Err(e) if e.kind() == taru_stdx::Kind::NotFound => return Ok(None),
            other => String::from_utf8_lossy(&other?).trim().to_owned(),
        };
        let unknown = || {
            let text = format!("open `{}`: kept by the driver `{}`", dir.display(), name.escape_debug());
            taru_stdx::Error::new(taru_stdx::Kind::Unsupported, text)
        };
        DriverKind::named(&name).map(Some).ok_or_else(unknown)
    }

    /// Whether a store of it can be made in `dir`, which need not be there yet; one whose files have the host's ids, or a user's.
    ///
    /// # Errors
    /// [`taru_stdx::Kind::Unsupported`] where the kernel or the file system cannot; [`taru_stdx::Kind::Permission`] where this
    /// user cannot.
    pub(crate) fn require(self, dir: &Path, is_host: bool) -> Result<()> {
        match self {
            DriverKind::Erofs => erofs::require(dir, is_host),
            DriverKind::Overlay | DriverKind::Directory | DriverKind::Btrfs => Ok(()),
        }
    }

    /// Removes what is no plain directory of it; `false` for what is.
    pub(crate) fn special(self) -> fn(&Path) -> bool {
        match self {
            DriverKind::Btrfs => btrfs::remove,
            DriverKind::Overlay | DriverKind::Erofs | DriverKind::Directory => |_| false,
        }
    }
}

/// What a container's root is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rootfs {
    /// An overlay, to be mounted with `userxattr`: that is how layers are marked, and how what a container changed is read.
    Overlay {
        /// The layers, the topmost first.
        lower: Vec<Lower>,
        /// What the container changes.
        upper: PathBuf,
        /// Overlay's own directory beside it.
        work: PathBuf,
    },
    /// A directory that is the root as it is.
    Directory {
        /// Where.
        path: PathBuf,
    },
}

/// Layers and root file systems in one way of keeping them.
pub trait Driver: Send + Sync {
    /// Makes a layer's `tree` in the empty directory `dir` over `layers` (directories of layers, topmost first), and gives the
    /// directory that the layer's tar is unpacked in, as overlay would stack it.
    ///
    /// # Errors
    /// Any error of the file system.
    fn begin(&self, dir: &Path, layers: &[PathBuf], workers: &Workers) -> Result<PathBuf>;

    /// Makes `tree` what the layer is, now that its tar is unpacked.
    ///
    /// # Errors
    /// Any error of the file system.
    fn end(&self, dir: &Path, workers: &Workers) -> Result<()>;

    /// Makes a container's writable tree in the empty directory `dir` over `layers`. `owner`: who root is in the container.
    ///
    /// # Errors
    /// Any error of the file system.
    fn prepare(&self, dir: &Path, layers: &[PathBuf], owner: (u32, u32), workers: &Workers) -> Result<()>;

    /// What is to be mounted as the root of the container in `dir`.
    fn mounts(&self, dir: &Path, layers: &[PathBuf]) -> Rootfs;

    /// Where the container in `dir` keeps what it changed.
    fn tree(&self, dir: &Path) -> Tree;

    /// Which layers are images.
    fn images(&self) -> Images {
        Images::None
    }

    /// Whether a layer holds all that the layers below it hold.
    fn is_cumulative(&self) -> bool;
}

/// Which layers are images; of those too large for one none is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Images {
    /// None of them.
    None,
    /// Large ones that begin as a crowd of small files, where this host can mount images: to make the files would take
    /// several times as long as all else, and each would take an inode and a block.
    Crowds,
    /// All.
    All,
}

/// The files of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tree {
    /// Overlay's upper directory: what was changed, and marks of what is gone.
    Upper(PathBuf),
    /// All there is.
    Whole(PathBuf),
}
