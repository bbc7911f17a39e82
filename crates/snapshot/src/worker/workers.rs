//! How disposable children are made for a store.

use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use taru_rootdir::RootDir;
use taru_stdx::{Context, Result};

use super::launch::{Root, Worker, WorkerIds};
use super::wire::Job;

/// The program and the ids of a store's children.
#[derive(Debug, Clone)]
pub struct Workers {
    /// Which program; none: this very one.
    pub(crate) program: Option<PathBuf>,
    pub(crate) ids: WorkerIds,
    /// Removes what a directory cannot be removed as.
    pub(crate) special: fn(&Path) -> bool,
}

impl Workers {
    pub(crate) fn start(&self, root: Root<'_>, job: Job, fds: &[BorrowedFd<'_>]) -> Result<Worker> {
        Worker::start(self.program.as_deref(), &self.ids, root, job, fds)
    }

    /// Has a child do `job`.
    pub(crate) fn run(&self, root: Root<'_>, job: Job, fds: &[BorrowedFd<'_>]) -> Result<()> {
        self.start(root, job, fds)?.finish()
    }

    /// Whether files have the ids that images say.
    pub(crate) fn is_host(&self) -> bool {
        matches!(self.ids, WorkerIds::Host)
    }

    /// Removes the directory `path` and all in it: this process does, or a child that has the ids of its files.
    pub(crate) fn remove(&self, path: &Path) -> Result<()> {
        let what = || format!("remove `{}`", path.display());
        for subvolume in ["tree", "removed/tree"] {
            (self.special)(&path.join(subvolume));
        }
        if !self.is_host() && path.is_dir() {
            self.run(Root::plain(path), Job::Empty, &[]).context(what)?;
        }
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(()) };
        RootDir::open(parent)?.remove_all(Path::new(name)).context(what)
    }
}
