//! When checks begin and end, beside all else that the supervisor waits for: nothing here blocks.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use taru_cgroup::{Cgroup, Hierarchy};
use taru_stdx::Result;
use taru_sys::process::{Exit, Pid};

use super::Check;
use super::probe::{Probe, not_begun};
use super::report::{End, Outcome, Report};

/// The pid of a check, below the bundle.
const PID_FILE: &str = "health.pid";

/// How often a container that is frozen when it should not be, or has a check that takes long, is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// The checks of one container.
pub(crate) struct Watch {
    check: Check,
    /// The runtime's exec up to its options.
    exec: Vec<OsString>,
    id: String,
    bundle: PathBuf,
    group: Option<(String, PathBuf)>,
    started: Instant,
    report: Report,
    /// When the next check begins, if none runs.
    next: Instant,
    probe: Option<Probe>,
    /// When it was last looked whether the container is frozen, while a check runs.
    looked: Instant,
}

impl Watch {
    /// Begins with a container that was just started. `exec` is a call of the runtime up to its command.
    pub(crate) fn new(
        check: Check,
        exec: Vec<OsString>,
        id: &str,
        bundle: &Path,
        init: Pid,
    ) -> Result<Watch> {
        let report = Report::new();
        report.write(bundle)?;
        let now = Instant::now();
        let next = now + check.pause(Duration::ZERO, report.state);
        Ok(Watch {
            check,
            exec,
            id: id.to_owned(),
            bundle: bundle.to_owned(),
            group: freezer(init),
            started: now,
            report,
            next,
            probe: None,
            looked: now,
        })
    }

    /// What the check that runs writes to.
    pub(crate) fn output(&self) -> Option<BorrowedFd<'_>> {
        self.probe.as_ref().and_then(Probe::output)
    }

    /// Takes a part of what the check wrote.
    pub(crate) fn read_output(&mut self) {
        if let Some(probe) = &mut self.probe {
            probe.read();
        }
    }

    /// How long there is nothing to do but for what a descriptor tells; `None` if only that.
    pub(crate) fn pause(&self) -> Option<Duration> {
        let until = match &self.probe {
            None => self.next,
            Some(probe) if probe.is_overdue => return None,
            Some(probe) => probe.deadline.min(self.looked + LOOK),
        };
        Some(until.saturating_duration_since(Instant::now()))
    }

    /// Does what is due.
    pub(crate) fn act(&mut self) {
        let now = Instant::now();
        match &mut self.probe {
            None if now >= self.next => self.begin(now),
            Some(probe) if !probe.is_overdue && now >= probe.deadline.min(self.looked + LOOK) => {
                let frozen = is_frozen(self.group.as_ref());
                if frozen {
                    probe.deadline += now - self.looked;
                }
                self.looked = now;
                if now >= probe.deadline {
                    self.give_up();
                }
            }
            _ => {}
        }
    }

    fn begin(&mut self, now: Instant) {
        if is_frozen(self.group.as_ref()) {
            self.next = now + LOOK;
            return;
        }
        let pid_file = self.bundle.join(PID_FILE);
        let mut words = self.exec.clone();
        words.extend(["exec", "--detach", "--pid-file"].map(OsString::from));
        words.extend([pid_file.clone().into(), OsString::from(&self.id)]);
        words.extend(self.check.command.iter().map(OsString::from));
        self.looked = now;
        match Probe::begin(words, &pid_file, self.check.timeout) {
            Ok(probe) => self.probe = Some(probe),
            Err(error) => {
                self.take(not_begun(&error), now);
                self.rest();
            }
        }
    }

    /// Its time is over: that is its result, whenever it ends.
    fn give_up(&mut self) {
        let Some(probe) = &mut self.probe else { return };
        probe.is_overdue = true;
        let begun = probe.begun;
        let outcome = probe.outcome(End::TimedOut);
        probe.kill();
        self.take(outcome, begun);
    }

    /// A child, `pid`, has ended and will be reaped next.
    pub(crate) fn reaping(&mut self, pid: Pid) {
        if let Some(probe) = &mut self.probe {
            probe.reaping(pid);
        }
    }

    /// A child ended so.
    pub(crate) fn reaped(&mut self, pid: Pid, exit: Exit) {
        let Some(probe) = &mut self.probe else { return };
        let Some(end) = probe.reaped(pid, exit) else { return };
        // Frozen between our look and the runtime's: it refused, and nothing was found out.
        let missed = end == End::NotRun && is_frozen(self.group.as_ref());
        if !probe.is_overdue && !missed {
            let begun = probe.begun;
            let outcome = probe.outcome(end);
            self.take(outcome, begun);
        }
        self.probe = None;
        self.rest();
    }

    /// Notes what came of a check.
    fn take(&mut self, outcome: Outcome, begun: Instant) {
        let counts = self.check.counts(begun - self.started, self.report.state);
        self.report.add(outcome, counts, self.check.retries);
        // A disk that is full must not stop the container: the next result is written with all before it.
        let _ = self.report.write(&self.bundle);
    }

    /// Waits for the next check.
    fn rest(&mut self) {
        let now = Instant::now();
        self.next = now + self.check.pause(now - self.started, self.report.state);
    }

    /// The container ended: so do its checks.
    pub(crate) fn end(self) {
        if let Some(probe) = self.probe {
            probe.kill_and_wait();
        }
    }
}

/// The group of `init` in the one hierarchy that freezes, as [`Cgroup::paths`] has it. Without one nothing is frozen.
fn freezer(init: Pid) -> Option<(String, PathBuf)> {
    let hierarchy = Hierarchy::probe().ok()?;
    let mut paths = Cgroup::of_process(&hierarchy, init).ok()?.paths();
    paths.remove_entry("freezer").or_else(|| paths.remove_entry(""))
}

fn is_frozen(group: Option<&(String, PathBuf)>) -> bool {
    let Some((name, path)) = group else { return false };
    let group = Cgroup::open(&BTreeMap::from([(name.clone(), path.clone())]));
    group.and_then(|group| group.is_frozen()).unwrap_or(false)
}
