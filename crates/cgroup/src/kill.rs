//! Signals to all processes of a group.

use std::time::{Duration, Instant};

use taru_stdx::{Context, Result};
use taru_sys::errno;
use taru_sys::process::{Pid, pidfd_open, pidfd_send_signal};

use crate::Cgroup;
use crate::members::pids_below;

/// SIGKILL, which has this number on every architecture.
const KILL: i32 = 9;

/// How long the rounds of killing go on against processes that fork while they are being killed.
const PATIENCE: Duration = Duration::from_secs(5);

impl Cgroup {
    /// Kills every process in the group and below it, also those forked meanwhile, and also when frozen.
    /// It does not wait until they are gone; [`Cgroup::remove`] does.
    ///
    /// With `cgroup.kill` (v2 since Linux 5.14, hybrid layouts included) the kernel does it in one step. Else the group
    /// is frozen, so that nothing forks and no number is used again, then signalled and thawed.
    ///
    /// # Errors
    /// When the processes cannot be listed or signalled.
    pub fn kill_all(&self) -> Result<()> {
        self.not_the_top("kill")?;
        let mut killed = false;
        if let Some(v2) = &self.v2 {
            killed = v2.dir.try_write("cgroup.kill", "1").is_ok();
            if killed && !v2.hybrid {
                return Ok(());
            }
        }
        if killed && self.is_frozen()? {
            // v1's freezer holds even the dying.
            self.thaw()?;
        }
        // What is not in the v2 group too; those just killed get a moment to leave the lists.
        let deadline = Instant::now() + PATIENCE;
        let mut rounds = 0;
        while !self.members()?.is_empty() && Instant::now() < deadline {
            if !killed || rounds > 20 {
                self.signal_frozen(KILL, true)?;
            }
            rounds += 1;
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Sends `signal` to every process in the group and below it. A frozen group stays frozen.
    ///
    /// # Errors
    /// When the processes cannot be listed, or one cannot be signalled for another reason than being gone.
    pub fn signal_all(&self, signal: i32) -> Result<()> {
        self.not_the_top("signal")?;
        self.signal_frozen(signal, false)
    }

    /// Signals all members while the group stands still, and thaws it if it was not frozen before or if told to.
    fn signal_frozen(&self, signal: i32, thaw: bool) -> Result<()> {
        if self.members()?.is_empty() {
            return Ok(());
        }
        let was_frozen = self.is_frozen()?;
        // Without a freezer, or with one that is stuck, signal them as they run.
        let froze = !was_frozen && self.freeze().is_ok();
        let sent = self.members().and_then(|pids| pids.iter().try_for_each(|pid| send(*pid, signal)));
        if froze || (was_frozen && thaw) {
            self.thaw()?;
        }
        sent
    }

    /// The processes below the group in any hierarchy: what is in one of them only is meant too.
    fn members(&self) -> Result<Vec<Pid>> {
        let mut all = Vec::new();
        for dir in self.dirs() {
            all.extend(pids_below(dir)?);
        }
        all.sort_unstable();
        all.dedup();
        Ok(all)
    }
}

/// Sends `signal`; a process that is gone is no error.
fn send(pid: Pid, signal: i32) -> Result<()> {
    let sent = pidfd_open(pid).and_then(|fd| pidfd_send_signal(std::os::fd::AsFd::as_fd(&fd), signal));
    match sent {
        Err(e) if e.errno() != errno::SRCH => Err(e).context(|| format!("signal process `{pid}`")),
        _ => Ok(()),
    }
}
