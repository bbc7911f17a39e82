//! Stopping all processes of a group at once, and letting them go on.
//!
//! v1 freezes with the `freezer` controller; there a frozen process does not even die of SIGKILL until it is
//! thawed. v2 freezes any group (`cgroup.freeze`), and its frozen processes can be killed. In a hybrid
//! layout the v1 controller is used where it is mounted, since that is where the other tools look.

use std::time::{Duration, Instant};

use taru_stdx::{Context, Error, Kind, Result};
use taru_sys::poll::{events, poll};

use crate::dir::Dir;
use crate::group::Place;
use crate::{Cgroup, Controller};

/// How long the processes may take to stop. One in an uninterruptible sleep (a dead NFS server) never does.
const PATIENCE: Duration = Duration::from_secs(5);

impl Cgroup {
    /// Stops all processes of the group and of those below it; returns when they are stopped.
    ///
    /// # Errors
    /// [`Kind::Limit`] if some do not stop within five seconds: the group is then thawed again.
    /// [`Kind::Unsupported`] if there is neither the v1 freezer nor a v2 group.
    pub fn freeze(&self) -> Result<()> {
        self.not_the_top("freeze")?;
        let frozen = match self.place(Controller::Freezer) {
            Place::V1(dir) => freeze_v1(dir)?,
            Place::V2(dir) => freeze_v2(dir)?,
            Place::Nowhere => return Err(unavailable("freeze")),
        };
        if frozen {
            return Ok(());
        }
        self.thaw()?;
        Err(Error::new(
            Kind::Limit,
            format!("freeze the group: not all processes stopped within {} s", PATIENCE.as_secs()),
        )
        .hint("a process in an uninterruptible sleep cannot be frozen"))
    }

    /// Lets the processes go on.
    ///
    /// # Errors
    /// Any refusal of the kernel.
    pub fn thaw(&self) -> Result<()> {
        match self.place(Controller::Freezer) {
            Place::V1(dir) => dir.write("freezer.state", "THAWED"),
            Place::V2(dir) => {
                dir.write("cgroup.freeze", "0")?;
                wait_v2(dir, false).map(drop)
            }
            Place::Nowhere => Err(unavailable("thaw")),
        }
    }

    /// Whether the group is frozen or being frozen, by itself or with one above it.
    ///
    /// # Errors
    /// When the state cannot be read. A group without a freezer is not frozen.
    pub fn is_frozen(&self) -> Result<bool> {
        match self.place(Controller::Freezer) {
            Place::V1(dir) => Ok(dir.read_if_there("freezer.state")?.is_some_and(|s| s.trim() != "THAWED")),
            Place::V2(dir) => {
                let asked = dir.read_if_there("cgroup.freeze")?.is_some_and(|s| s.trim() == "1");
                Ok(asked || is_frozen_v2(dir)?)
            }
            Place::Nowhere => Ok(false),
        }
    }
}

fn unavailable(verb: &str) -> Error {
    Error::new(
        Kind::Unsupported,
        format!("{verb} the group: neither the v1 freezer nor cgroup v2 is available"),
    )
}

/// Returns whether all were stopped in time.
fn freeze_v1(dir: &Dir) -> Result<bool> {
    let deadline = Instant::now() + PATIENCE;
    let mut pause = Duration::from_micros(50);
    loop {
        // Written again each time: tasks that were being forked during the last write are caught by the next.
        dir.write("freezer.state", "FROZEN")?;
        if dir.read("freezer.state")?.trim() == "FROZEN" {
            return Ok(true);
        }
        if Instant::now() >= deadline {
            return Ok(false);
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

fn freeze_v2(dir: &Dir) -> Result<bool> {
    dir.write("cgroup.freeze", "1")?;
    wait_v2(dir, true)
}

/// Waits until the group is `frozen` or not; returns whether it came to that in time.
fn wait_v2(dir: &Dir, frozen: bool) -> Result<bool> {
    let deadline = Instant::now() + PATIENCE;
    // Opened before the first look, so that no change falls between look and wait.
    let events = dir.open_read("cgroup.events").context(|| "open `cgroup.events`")?;
    loop {
        if is_frozen_v2(dir)? == frozen {
            return Ok(true);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        // The file has to be read through this descriptor to arm it anew; a short bound makes up for that.
        let _ = poll(
            [(std::os::fd::AsFd::as_fd(&events), events::PRI)],
            Some(left.min(Duration::from_millis(20))),
        );
    }
}

fn is_frozen_v2(dir: &Dir) -> Result<bool> {
    let text = dir.read_if_there("cgroup.events")?.unwrap_or_default();
    Ok(text.lines().any(|l| l == "frozen 1"))
}
