//! Drivers: how layers become the root of a container.
//!
//! A driver knows nothing of chains, locks or durability: it is given directories. Those of a layer or a container are
//! its own inside; [`crate::Snapshots`] makes, renames and removes them as a whole.

mod overlay;

use std::path::{Path, PathBuf};

use taru_stdx::Result;

pub(crate) use overlay::Overlay;

/// Which driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DriverKind {
    /// Layers are stacked by the kernel's overlay file system.
    Overlay,
}

impl DriverKind {
    /// Its name on the command line and on disk.
    pub fn name(self) -> &'static str {
        match self {
            DriverKind::Overlay => "overlay",
        }
    }

    /// The driver.
    pub(crate) fn driver(self) -> Box<dyn Driver> {
        match self {
            DriverKind::Overlay => Box::new(Overlay),
        }
    }
}

/// What a container's root is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rootfs {
    /// An overlay.
    Overlay {
        /// The layers, the topmost first.
        lower: Vec<PathBuf>,
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
    /// Makes a writable tree in the empty directory `dir` over `layers` (directories of layers, topmost first).
    ///
    /// # Errors
    /// Any error of the file system.
    fn prepare(&self, dir: &Path, layers: &[PathBuf]) -> Result<()>;

    /// What is to be mounted as the root of the container in `dir`.
    fn mounts(&self, dir: &Path, layers: &[PathBuf]) -> Rootfs;

    /// Where the container in `dir` keeps what it changed.
    fn tree(&self, dir: &Path) -> Tree;

    /// Whether a layer holds all that the layers below it hold.
    fn is_cumulative(&self) -> bool;
}

/// The files of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tree {
    /// Overlay's upper directory: what was changed, and marks of what is gone.
    Upper(PathBuf),
    /// All there is.
    Whole(PathBuf),
}
