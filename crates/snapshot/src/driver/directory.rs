//! Plain directories: a layer holds all that the layers below it hold, a container is a copy of its topmost layer. For
//! file systems that overlay does not stack. Where the file system shares content between files, a copy costs only names.

use std::path::{Path, PathBuf};

use taru_stdx::Result;

use super::{CHANGES, Driver, Rootfs, Tree};
use crate::layout::{TREE, ensure};
use crate::worker::{Job, Root, Workers};

/// The driver.
pub(crate) struct Directory;

impl Driver for Directory {
    fn begin(&self, dir: &Path, layers: &[PathBuf], workers: &Workers) -> Result<PathBuf> {
        copy(dir, layers, workers)?;
        let changes = dir.join(TREE).join(CHANGES);
        ensure(&changes, 0o755)?;
        Ok(changes)
    }

    fn end(&self, dir: &Path, workers: &Workers) -> Result<()> {
        workers.run(Root::plain(&dir.join(TREE)), Job::Merge { changes: CHANGES.to_owned() }, &[])
    }

    fn prepare(&self, dir: &Path, layers: &[PathBuf], _: (u32, u32), workers: &Workers) -> Result<()> {
        copy(dir, layers, workers)
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

/// Makes `tree` in `dir` a copy of the topmost layer's.
fn copy(dir: &Path, layers: &[PathBuf], workers: &Workers) -> Result<()> {
    use std::os::unix::ffi::OsStrExt;
    let tree = dir.join(TREE);
    ensure(&tree, 0o755)?;
    match layers.first() {
        None => Ok(()),
        Some(top) => {
            let source = top.join(TREE).as_os_str().as_bytes().to_vec();
            workers.run(Root::plain(&tree), Job::Copy { source }, &[])
        }
    }
}
