//! Directories that are being made, or removed. Their owner holds a lock on them (flock(2)), which the kernel takes away
//! with the process: what nobody has locked is garbage.

use std::fs::{self, File};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use taru_stdx::{Context, Result};
use taru_sys::flock;

use crate::layout::ensure;
use crate::worker::Workers;

/// A directory of ours in `staging/`; removed when dropped.
pub(crate) struct Staging {
    pub(crate) path: PathBuf,
    workers: Workers,
    is_kept: bool,
    _lock: File,
}

impl Staging {
    /// An empty one.
    pub(crate) fn new(parent: &Path, workers: &Workers) -> Result<Staging> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = parent.join(format!("{}.{number}", std::process::id()));
            let what = || format!("make `{}`", path.display());
            if path.symlink_metadata().is_ok() {
                continue;
            }
            ensure(&path, 0o700)?;
            if let Some(lock) = own(&path).context(what)? {
                return Ok(Staging { path, workers: workers.clone(), is_kept: false, _lock: lock });
            }
        }
    }

    /// It has its final name now, and stays.
    pub(crate) fn keep(mut self) {
        self.is_kept = true;
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if !self.is_kept {
            // What cannot be removed now is garbage of the next start.
            let _ = self.workers.remove(&self.path);
        }
    }
}

/// Locks the directory `path`; `None` where it is gone or somebody else's.
fn own(path: &Path) -> Result<Option<File>> {
    let what = || format!("lock `{}`", path.display());
    let Ok(dir) = File::open(path) else { return Ok(None) };
    if !flock::try_lock(dir.as_fd()).context(what)? {
        return Ok(None);
    }
    // Between making and locking, a collection may have taken it for garbage.
    let is_same =
        fs::metadata(path).is_ok_and(|now| dir.metadata().is_ok_and(|ours| ours.ino() == now.ino()));
    Ok(is_same.then_some(dir))
}

/// Removes what dead owners left in `parent`.
pub(crate) fn collect(parent: &Path, workers: &Workers) -> Result<()> {
    let what = || format!("list `{}`", parent.display());
    for entry in fs::read_dir(parent).context(what)? {
        let path = entry.context(what)?.path();
        if path.is_dir() {
            if let Some(_lock) = own(&path)? {
                workers.remove(&path)?;
            }
        } else {
            fs::remove_file(&path).context(|| format!("remove `{}`", path.display()))?;
        }
    }
    Ok(())
}
