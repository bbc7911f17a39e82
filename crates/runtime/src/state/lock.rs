//! One command at a time on one container.

use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use taru_stdx::{Context, Error, Kind, Result};
use taru_sys::flock;

/// How long a command waits for another one on the same container.
const PATIENCE: Duration = Duration::from_secs(10);

/// The lock of one container, given up when dropped.
#[derive(Debug)]
pub struct Lock {
    dir: File,
    path: PathBuf,
}

impl Lock {
    /// Locks the directory `path` if its lock is free.
    pub(super) fn attempt(path: &Path) -> Result<Option<Lock>> {
        let what = || format!("lock `{}`", path.display());
        let dir = File::open(path).context(what)?;
        let taken = flock::try_lock(dir.as_fd()).context(what)?;
        Ok(taken.then(|| Lock { dir, path: path.to_owned() }))
    }

    /// Opens the directory `path` of the container `id`, for [`Lock::wait`].
    pub(super) fn open(path: &Path, id: &str) -> Result<File> {
        match File::open(path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Err(gone(id)),
            other => other.context(|| format!("lock `{}`", path.display())),
        }
    }

    /// Locks `dir`, which is at `path` and the container `id`'s, waiting for whoever has the lock. What has the path after `dir`
    /// was removed is another container.
    pub(super) fn wait(dir: File, path: &Path, id: &str) -> Result<Lock> {
        let until = Instant::now() + PATIENCE;
        while !flock::try_lock(dir.as_fd()).context(|| format!("lock `{}`", path.display()))? {
            if Instant::now() >= until {
                let problem = format!("lock container `{id}`: another command holds it for 10 s");
                return Err(Error::new(Kind::Busy, problem));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let lock = Lock { dir, path: path.to_owned() };
        if lock.is_removed() { Err(gone(id)) } else { Ok(lock) }
    }

    /// The directory, to be held on to beyond the lock.
    pub(super) fn directory(&self) -> Result<File> {
        self.dir.try_clone().context(|| format!("keep `{}` open", self.path.display()))
    }

    /// The user id that the directory belongs to.
    pub(super) fn owner(&self) -> Result<u32> {
        Ok(self.dir.metadata().context(|| format!("look at `{}`", self.path.display()))?.uid())
    }

    /// Whether the directory was removed, or replaced, before we had its lock.
    pub(super) fn is_removed(&self) -> bool {
        match (self.dir.metadata(), self.path.symlink_metadata()) {
            (Ok(ours), Ok(named)) => (ours.dev(), ours.ino()) != (named.dev(), named.ino()),
            _ => true,
        }
    }
}

/// The error of a container that was removed.
pub(super) fn gone(id: &str) -> Error {
    Error::new(Kind::NotFound, format!("container `{id}` does not exist"))
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Not left to close(2): a child that we forked may still have the descriptor.
        let _ = flock::unlock(self.dir.as_fd());
    }
}
