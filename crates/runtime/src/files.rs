//! Room for open files: until they are mounted, the layers of a root and the sources of mounts take a descriptor each, in
//! the host process and in init. Images have up to 500 layers, and shells often allow 1024 descriptors, some 256.
//!
//! The program of the container is to have the limit that the caller has: the soft one is raised no longer than needed.

use taru_stdx::{Context, Result};
use taru_sys::process::Pid;
use taru_sys::sched::{Limit, Resource, prlimit};

use crate::plan::Plan;

/// Descriptors for everything else.
const OTHERS: usize = 64;

/// The caller's soft limit while it is raised; it comes back when this value goes.
#[derive(Debug)]
pub(crate) struct Room {
    /// None where it suffices.
    before: Option<u64>,
}

impl Room {
    /// Allows this process, and what it clones, as many descriptors as the hard limit does, if the plan needs more than
    /// it may have. Where that is not enough either, the call that finds none left says so.
    pub(crate) fn make(plan: &Plan) -> Result<Room> {
        let wanted = plan.mounts.len() + plan.root.layers() + OTHERS;
        let what = || "allow more open files";
        let now = prlimit(Pid(0), Resource::NOFILE, None).context(what)?;
        if wanted as u64 <= now.soft {
            return Ok(Room { before: None });
        }
        prlimit(Pid(0), Resource::NOFILE, Some(Limit { soft: now.hard, ..now })).context(what)?;
        Ok(Room { before: Some(now.soft) })
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let Some(soft) = self.before else { return };
        // The hard one may be another by now: the host process gives init what the document asks for. Lowering takes no
        // right.
        if let Ok(now) = prlimit(Pid(0), Resource::NOFILE, None) {
            let _ = prlimit(Pid(0), Resource::NOFILE, Some(Limit { soft: soft.min(now.hard), ..now }));
        }
    }
}
