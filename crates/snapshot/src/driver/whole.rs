//! Drivers of which each layer holds all that the layers below it hold: a layer begins as a copy of the topmost one, and so
//! does a container's root. What differs is only how such a copy is made.

use std::path::{Path, PathBuf};

use taru_stdx::Result;

use super::{CHANGES, Driver, Rootfs, Tree};
use crate::layout::{TREE, ensure};
use crate::worker::{Job, Root, Workers};

/// How `tree` in a directory becomes a copy of the topmost layer's.
pub(super) trait Copies: Send + Sync {
    /// Makes it; empty where there is no layer.
    ///
    /// # Errors
    /// Any error of the file system.
    fn copy(&self, dir: &Path, layers: &[PathBuf], workers: &Workers) -> Result<()>;
}

impl<T: Copies> Driver for T {
    fn begin(&self, dir: &Path, layers: &[PathBuf], workers: &Workers) -> Result<PathBuf> {
        self.copy(dir, layers, workers)?;
        let changes = dir.join(TREE).join(CHANGES);
        ensure(&changes, 0o755)?;
        Ok(changes)
    }

    fn end(&self, dir: &Path, workers: &Workers) -> Result<()> {
        workers.run(Root::plain(&dir.join(TREE)), Job::Merge { changes: CHANGES.to_owned() }, &[])
    }

    fn prepare(&self, dir: &Path, layers: &[PathBuf], _: (u32, u32), workers: &Workers) -> Result<()> {
        self.copy(dir, layers, workers)
    }

    fn mounts(&self, dir: &Path, _: &[PathBuf]) -> Rootfs {
        Rootfs::Directory { path: dir.join(TREE) }
    }

    fn tree(&self, dir: &Path) -> Tree {
        Tree::Whole(dir.join(TREE))
    }

    fn is_cumulative(&self) -> bool {
        true
    }
}
