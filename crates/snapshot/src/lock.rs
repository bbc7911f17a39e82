//! One process unpacks a layer; the others wait and find it done.

use std::fs::{self, File};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use taru_stdx::{Context, Result};
use taru_sys::flock;

/// A lock by name. The file is removed with it.
pub(crate) struct Lock {
    path: PathBuf,
    _file: File,
}

impl Lock {
    /// Waits for the lock `name` in `dir`.
    pub(crate) fn take(dir: &Path, name: &str) -> Result<Lock> {
        let path = dir.join(name);
        let what = || format!("lock `{}`", path.display());
        loop {
            let file = File::options()
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .open(&path)
                .context(what)?;
            flock::lock(file.as_fd()).context(what)?;
            // Whoever had it before removed the file; then the lock on it means nothing.
            let is_same = fs::metadata(&path)
                .is_ok_and(|now| file.metadata().is_ok_and(|ours| ours.ino() == now.ino()));
            if is_same {
                return Ok(Lock { path, _file: file });
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Removed while it is still held: nobody can have locked another file of this name.
        let _ = fs::remove_file(&self.path);
    }
}
