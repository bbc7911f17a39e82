//! btrfs: a layer is a subvolume that holds all that the layers below it hold, a container a snapshot of one. Both are made
//! and removed at once, whatever their size.

use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use taru_stdx::{Context, Error, Kind, Result};
use taru_sys::errno;
use taru_sys::fs::btrfs;

use super::whole::Copies;
use crate::layout::TREE;
use crate::worker::Workers;

/// The driver.
pub(crate) struct Btrfs;

impl Copies for Btrfs {
    fn copy(&self, dir: &Path, layers: &[PathBuf], _: &Workers) -> Result<()> {
        let what = || format!("make a subvolume in `{}`", dir.display());
        let open = |path: &Path| File::open(path).context(what);
        let parent = open(dir)?;
        let made = match layers.first() {
            None => btrfs::create_subvolume(parent.as_fd(), TREE.as_ref()),
            Some(top) => btrfs::snapshot(open(&top.join(TREE))?.as_fd(), parent.as_fd(), TREE.as_ref()),
        };
        match made {
            Err(e) if e.errno() == errno::NOTTY => {
                Err(Error::new(Kind::Unsupported, what()).because(e).hint("this is no btrfs"))
            }
            done => done.context(what),
        }
    }
}

/// Removes the subvolume that `path` is, if it is one; `false` where it is to be removed as a directory.
pub(crate) fn remove(path: &Path) -> bool {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return false };
    // Another file system may have this number, too: there the call fails.
    path.symlink_metadata().is_ok_and(|stat| stat.is_dir() && stat.ino() == btrfs::ROOT_INODE)
        && File::open(parent).is_ok_and(|parent| btrfs::destroy_subvolume(parent.as_fd(), name).is_ok())
}
