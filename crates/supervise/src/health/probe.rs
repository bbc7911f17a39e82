//! One check: from the execution of the runtime to the end of the process it made in the container.
//!
//! ```text
//! Launching   `taru-runtime exec --detach --pid-file F` runs; it ends once the check's program does
//!             (it may never: then it is killed, and what it was making ends with it)
//! Running     the check is an orphan of the runtime, and so our child: F has its pid
//! ```
//! The check leads a session and a process group of its own. The group is killed while its leader, running or ended,
//! is not reaped: until then the number is nobody else's. So whatever a check leaves behind in its group ends with it.
//! What has moved to another group is a process of the container's like others: limited as they are, ended as they are.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use taru_stdx::fs::read_bounded;
use taru_stdx::{Context, Result};
use taru_sys::process::{self, Child, Exit, Pid};
use taru_sys::{fd, signal};

use super::report::{End, OUTPUT, Outcome};
use crate::execute::spawn;

/// A socket that was activated for the container is not for its checks (sd_listen_fds(3)).
const HIDDEN: [&str; 1] = ["LISTEN_"];

/// A check that is under way.
pub(super) struct Probe {
    stage: Stage,
    pid_file: PathBuf,
    /// When it began.
    pub(super) begun: Instant,
    begun_at: SystemTime,
    /// When its time is over, as far as known: it moves on while the container is frozen.
    pub(super) deadline: Instant,
    /// Whether it is over, and was reported so: only its end is still awaited.
    pub(super) is_overdue: bool,
    output: Option<File>,
    kept: Vec<u8>,
}

enum Stage {
    Launching(Child),
    Running(Pid),
}

impl Probe {
    /// Executes `words`, the runtime's exec that is to write `pid_file`.
    pub(super) fn begin(words: Vec<OsString>, pid_file: &Path, timeout: Duration) -> Result<Probe> {
        let (ours, theirs) = fd::pipe().context(|| "make a pipe")?;
        fd::set_nonblocking(ours.as_fd(), true).context(|| "prepare the output of the check")?;
        // That of an earlier check names somebody who is gone.
        let _ = std::fs::remove_file(pid_file);
        let both = theirs.try_clone().context(|| "share a pipe")?;
        let child = spawn(words, &[None, Some(theirs), Some(both)], &HIDDEN)?;
        let begun = Instant::now();
        Ok(Probe {
            stage: Stage::Launching(child),
            pid_file: pid_file.to_owned(),
            begun,
            begun_at: SystemTime::now(),
            deadline: begun + timeout,
            is_overdue: false,
            output: Some(ours.into()),
            kept: Vec::new(),
        })
    }

    /// What it writes to, as long as somebody has it open.
    pub(super) fn output(&self) -> Option<BorrowedFd<'_>> {
        self.output.as_ref().map(AsFd::as_fd)
    }

    /// Takes what it wrote, and drops what is beyond [`OUTPUT`]. Whether there was something.
    pub(super) fn read(&mut self) -> bool {
        let Some(file) = &mut self.output else { return false };
        let mut chunk = [0u8; 8 << 10];
        match file.read(&mut chunk) {
            Ok(length) if length > 0 => {
                let room = length.min(OUTPUT - self.kept.len());
                self.kept.extend_from_slice(chunk.get(..room).unwrap_or_default());
                true
            }
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => false,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => true,
            _ => {
                self.output = None;
                false
            }
        }
    }

    /// `pid` has ended and will be reaped next. If it is the check, what is left of its process group is killed.
    pub(super) fn reaping(&mut self, pid: Pid) {
        // An orphan can come to us before the end of its parent is seen.
        if matches!(self.stage, Stage::Launching(_)) && self.written_pid() == Some(pid) {
            self.stage = Stage::Running(pid);
        }
        if matches!(self.stage, Stage::Running(own) if own == pid) {
            let _ = process::kill_group(pid, signal::SIGKILL);
        }
    }

    /// `pid` ended so. What that makes of the check, if it ends it.
    pub(super) fn reaped(&mut self, pid: Pid, exit: Exit) -> Option<End> {
        match &self.stage {
            Stage::Running(own) if *own == pid => {
                Some(End::Exited(u8::try_from(exit.status()).unwrap_or(255)))
            }
            Stage::Launching(child) if child.pid == pid => {
                match self.written_pid().filter(|p| process::is_child(*p)) {
                    Some(check) => {
                        if self.is_overdue {
                            let _ = process::kill_group(check, signal::SIGKILL);
                        }
                        self.stage = Stage::Running(check);
                        None
                    }
                    None => Some(End::NotRun),
                }
            }
            _ => None,
        }
    }

    /// Kills it. It ends when it does.
    pub(super) fn kill(&self) {
        let _ = match &self.stage {
            Stage::Launching(child) => process::pidfd_send_signal(child.pidfd.as_fd(), signal::SIGKILL),
            Stage::Running(pid) => process::kill_group(*pid, signal::SIGKILL),
        };
    }

    /// Kills it and does not return before the runtime has ended: from then on it makes nothing in the container.
    pub(super) fn kill_and_wait(self) {
        self.kill();
        if let Stage::Launching(child) = &self.stage
            && process::wait_pidfd(child.pidfd.as_fd()).is_ok()
            && let Some(check) = self.written_pid().filter(|p| process::is_child(*p))
        {
            let _ = process::kill_group(check, signal::SIGKILL);
        }
    }

    /// What came of it, now that it ended so or is given up.
    pub(super) fn outcome(&mut self, end: End) -> Outcome {
        while self.kept.len() < OUTPUT && self.read() {}
        // A clock that was set meanwhile does not make it end before it began.
        let ended = self.begun_at + self.begun.elapsed();
        Outcome { begun: self.begun_at, ended, end, output: std::mem::take(&mut self.kept) }
    }

    /// The pid that the runtime wrote down, if it came so far.
    fn written_pid(&self) -> Option<Pid> {
        let text = read_bounded(&self.pid_file, 64).ok()?;
        std::str::from_utf8(&text).ok()?.trim().parse().ok().map(Pid)
    }
}

/// What came of a check that could not even be begun.
pub(super) fn not_begun(error: &taru_stdx::Error) -> Outcome {
    let now = SystemTime::now();
    let mut output = error.chain().to_string().into_bytes();
    output.truncate(OUTPUT);
    Outcome { begun: now, ended: now, end: End::NotRun, output }
}
