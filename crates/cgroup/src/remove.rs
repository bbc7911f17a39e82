//! Removing a group, with the groups that were made inside it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use taru_stdx::{Context, Error, Kind, Result};
use taru_sys::errno;
use taru_sys::fs::CWD;

use crate::Cgroup;
use crate::dir::{Dir, remove_made};
use crate::tree::{remove_below, rmdir};

/// How long dying processes may take to leave. The kernel frees a group only after the last has exited.
const PATIENCE: Duration = Duration::from_secs(5);

impl Cgroup {
    /// Removes the group that `paths` names ([`Cgroup::paths`]), if there is no process and no group in it. `false` if
    /// something is left, for whatever reason: then [`Cgroup::remove`] tells.
    pub fn remove_empty(paths: &BTreeMap<String, PathBuf>) -> bool {
        // Controllers that are mounted together have one directory.
        let dirs: BTreeSet<&PathBuf> = paths.values().collect();
        let is_gone = |dir: &PathBuf| match rmdir(CWD, dir) {
            Ok(()) => true,
            Err(e) => e.errno() == errno::NOENT,
        };
        // Each of them, past one that is busy.
        dirs.into_iter().filter(|dir| !is_gone(dir)).count() == 0
    }

    /// Removes the group in all hierarchies, and before it the groups that the container made below it. Parents
    /// stay. What is gone already is no error.
    ///
    /// Processes that are dying are waited for, five seconds at most; none is killed here.
    ///
    /// # Errors
    /// [`Kind::Busy`] with the number of processes left. The other hierarchies are removed nevertheless.
    pub fn remove(&self) -> Result<()> {
        self.not_the_top("remove")?;
        let deadline = Instant::now() + PATIENCE;
        let mut left: Vec<PathBuf> = self.dirs().map(|d| d.path().to_owned()).collect();
        let mut pause = Duration::from_micros(200);
        loop {
            let mut errors = Vec::new();
            left.retain(|path| match remove_tree(path, deadline) {
                Ok(()) => false,
                Err(e) => {
                    errors.push(e);
                    true
                }
            });
            let Some(error) = errors.pop() else { return Ok(()) };
            let busy = error.errno() == errno::BUSY;
            if !busy || Instant::now() >= deadline {
                return self.not_removed(error, busy);
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(50));
        }
    }

    /// As [`Cgroup::remove`], of a group that this handle made, in part at least; and the parents that it made go with it,
    /// unless somebody has come to use them.
    ///
    /// # Errors
    /// As [`Cgroup::remove`]'s.
    pub fn take_back(&self) -> Result<()> {
        if self.is_new() {
            self.remove()?;
        }
        remove_made(&self.made);
        Ok(())
    }

    fn not_removed(&self, e: taru_sys::Error, busy: bool) -> Result<()> {
        let processes = self.pids_recursive().map_or(0, |p| p.len());
        if busy {
            let what = format!("remove the group: {processes} processes are still in it");
            return Err(Error::new(Kind::Busy, what)
                .because(e)
                .hint("a process in an uninterruptible sleep dies when what it waits for returns"));
        }
        Err(e).context(|| "remove the group")
    }
}

/// Removes the directory `path`, and if it is busy the ones below it first.
fn remove_tree(path: &Path, deadline: Instant) -> taru_sys::Result<()> {
    match rmdir(CWD, path) {
        Err(e) if e.errno() == errno::BUSY => {
            match Dir::open(path.to_owned()) {
                Ok(dir) => remove_below(&dir, deadline)?,
                Err(e) if e.errno() == errno::NOENT => return Ok(()),
                Err(e) => return Err(e),
            }
            rmdir(CWD, path)
        }
        other => other,
    }
}
