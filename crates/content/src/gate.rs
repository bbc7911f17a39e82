//! The locks of the store: bytes of one file, each held by an open file description (see [`taru_sys::lock`]).
//!
//! ```text
//! byte 0    shared: a blob is being named; exclusive: gc marks and removes
//! byte N    exclusive for as long as lease N lives
//! ```

use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use taru_stdx::{Context, Result};
use taru_sys::lock::{self, Mode};

/// The file. Each lock is of a descriptor of its own, so that threads exclude each other like processes.
#[derive(Debug)]
pub(crate) struct Gate {
    path: PathBuf,
}

/// A lock; given up when dropped.
#[derive(Debug)]
pub(crate) struct Held(#[expect(dead_code, reason = "dropping it is all it is for")] File);

impl Gate {
    pub(crate) fn new(dir: &Path) -> Gate {
        Gate { path: dir.join("lock") }
    }

    fn file(&self) -> Result<File> {
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        options.open(&self.path).context(|| format!("open `{}`", self.path.display()))
    }

    /// Nothing is collected while this is held.
    pub(crate) fn naming(&self) -> Result<Held> {
        self.take(Mode::Shared)
    }

    /// Nobody names a blob or collects while this is held.
    pub(crate) fn alone(&self) -> Result<Held> {
        self.take(Mode::Exclusive)
    }

    fn take(&self, mode: Mode) -> Result<Held> {
        let file = self.file()?;
        lock::lock(file.as_fd(), 0, 1, mode).context(|| format!("lock `{}`", self.path.display()))?;
        Ok(Held(file))
    }

    /// The life of lease `id`, unless somebody has it.
    pub(crate) fn try_lease(&self, id: u64) -> Result<Option<Held>> {
        let file = self.file()?;
        let what = || format!("lock `{}`", self.path.display());
        Ok(lock::try_lock(file.as_fd(), id, 1, Mode::Exclusive).context(what)?.then_some(Held(file)))
    }

    /// Whether lease `id` is alive.
    pub(crate) fn is_alive(&self, id: u64) -> Result<bool> {
        lock::is_locked(self.file()?.as_fd(), id, 1).context(|| format!("look at `{}`", self.path.display()))
    }
}

impl Gate {
    /// Whether any lease is alive.
    pub(crate) fn is_any_alive(&self) -> Result<bool> {
        lock::is_locked(self.file()?.as_fd(), 1, 0).context(|| format!("look at `{}`", self.path.display()))
    }
}
