//! Groups that others may work in: given to a user, opened to single threads.

use std::path::Path;

use taru_stdx::{Context, Result};
use taru_sys::errno;
use taru_sys::fs::{AtFlags, fchownat};

use crate::Cgroup;
use crate::dir::Dir;
use crate::subtree::THREADED;

impl Cgroup {
    /// Makes the v2 group a threaded one, so that threads of one process may be in it, in its siblings and
    /// in its parent. Only threaded controllers (cpu, cpuset, perf_event, pids) work there; the others are disabled
    /// for all children of the parent. v1 groups always are so.
    ///
    /// # Errors
    /// EOPNOTSUPP when groups of the parent are in use otherwise.
    pub fn make_threaded(&self) -> Result<()> {
        let Some(v2) = self.v2.as_ref().filter(|h| !h.hybrid) else { return Ok(()) };
        if let Some(parent) = v2.dir.path().parent() {
            let parent = Dir::open(parent.to_owned()).context(|| "open the parent group")?;
            let enabled = parent.read_if_there("cgroup.subtree_control")?.unwrap_or_default();
            for domain in enabled.split_whitespace().filter(|c| !THREADED.contains(c)) {
                parent.write("cgroup.subtree_control", &format!("-{domain}"))?;
            }
        }
        v2.dir.write("cgroup.type", "threaded")
    }

    /// Gives the group to a user, so that a container can make groups of its own below it: the directory, and the
    /// files that a delegatee needs to write. Limits stay with the owner.
    ///
    /// # Errors
    /// When an owner cannot be changed. A file that this kernel lacks is left out.
    pub fn delegate(&self, uid: u32, gid: u32) -> Result<()> {
        const V1_FILES: [&str; 2] = ["tasks", "cgroup.procs"];
        for h in &self.v1 {
            chown(&h.dir, V1_FILES, uid, gid)?;
        }
        let Some(v2) = &self.v2 else { return Ok(()) };
        // The kernel's own list (Linux 4.15); the older ones have these.
        let listed = std::fs::read_to_string("/sys/kernel/cgroup/delegate");
        let listed =
            listed.unwrap_or_else(|_| "cgroup.procs\ncgroup.subtree_control\ncgroup.threads\n".to_owned());
        chown(&v2.dir, listed.lines(), uid, gid)
    }
}

/// Changes the owner of the directory and of those of `files` that are in it.
fn chown<'a>(dir: &Dir, files: impl IntoIterator<Item = &'a str>, uid: u32, gid: u32) -> Result<()> {
    for file in std::iter::once(".").chain(files) {
        match fchownat(dir.as_fd(), Path::new(file), Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW) {
            Err(e) if e.errno() == errno::NOENT => {}
            other => other.context(|| format!("delegate the group `{}`", dir.path().display()))?,
        }
    }
    Ok(())
}
