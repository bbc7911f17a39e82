//! What must live until the program of a step has ended.

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;

use taru_stdx::{Context, Result};

use super::agent::Relay;
use crate::scratch::Scratch;

/// Gone when dropped: copies of trees, handles on what is mounted, and whatever else a mount needs.
#[derive(Default)]
pub(super) struct Kept {
    scratch: Vec<Scratch>,
    handles: Vec<OwnedFd>,
    /// Relays of agents, by their number.
    pub agents: Vec<Relay>,
}

impl Kept {
    /// Keeps a directory.
    pub(super) fn directory(&mut self, directory: Scratch) {
        self.scratch.push(directory);
    }

    /// A path to what `handle` is open on, good for whoever may look at this process. No ordinary user's container may, since
    /// it is in a user namespace below: it is given the name, which nothing that a container writes to may be part of.
    pub(super) fn path(&mut self, handle: OwnedFd) -> Result<PathBuf> {
        let mut path = PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), handle.as_raw_fd()));
        if taru_sys::user::geteuid() != 0 {
            path = std::fs::read_link(&path).context(|| "find what is mounted")?;
        }
        self.handles.push(handle);
        Ok(path)
    }
}
