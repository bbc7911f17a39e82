//! Plain directories: a layer holds all that the layers below it hold, a container is a copy of its topmost layer. For
//! file systems that overlay does not stack. Where the file system shares content between files, a copy costs only names.

use std::path::{Path, PathBuf};

use taru_stdx::Result;

use super::whole::Copies;
use crate::layout::{TREE, ensure};
use crate::worker::{Job, Root, Workers};

/// The driver.
pub(crate) struct Directory;

impl Copies for Directory {
    fn copy(&self, dir: &Path, layers: &[PathBuf], workers: &Workers) -> Result<()> {
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
}
