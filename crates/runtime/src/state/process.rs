//! A process that a recycled pid cannot be mistaken for.

use std::os::fd::OwnedFd;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use taru_stdx::fs::read_bounded;
use taru_stdx::{Context, Error, Kind, Result};
use taru_sys::process::{Pid, pidfd_open};

/// A process: its pid, and when it started. The pair is unique until the next reboot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Process {
    /// The pid, in the pid namespace of the host side.
    pub pid: i32,
    /// Clock ticks from boot to its start: field 22 of `/proc/PID/stat`.
    pub start_time: u64,
}

/// The fields of `/proc/PID/stat` that matter here.
struct Stat {
    state: u8,
    flags: u32,
    start_time: u64,
}

impl Process {
    /// The process that has `pid` now. A zombie counts: it has not been reaped.
    ///
    /// # Errors
    /// [`Kind::NotFound`] if there is none.
    pub fn of_pid(pid: i32) -> Result<Process> {
        match read_stat(pid)? {
            Some(stat) => Ok(Process { pid, start_time: stat.start_time }),
            None => Err(Error::new(Kind::NotFound, format!("find process {pid}: no such process"))),
        }
    }

    /// Whether it still runs. A zombie does not, nor does a stranger that was given its pid.
    ///
    /// # Errors
    /// An unreadable /proc.
    pub fn is_alive(&self) -> Result<bool> {
        // X and x: dead, on its way out of the table; proc_pid_stat(5).
        Ok(read_stat(self.pid)?
            .is_some_and(|s| s.start_time == self.start_time && !matches!(s.state, b'Z' | b'X' | b'x')))
    }

    /// Whether it has executed no program since it was cloned, be it alive or a zombie. `false` where there
    /// is no telling: it was reaped.
    ///
    /// # Errors
    /// An unreadable /proc.
    pub fn is_still_a_clone(&self) -> Result<bool> {
        /// PF_FORKNOEXEC: execve(2) takes it away before it closes descriptors.
        const CLONED_ONLY: u32 = 0x40;
        Ok(read_stat(self.pid)?
            .is_some_and(|s| s.start_time == self.start_time && s.flags & CLONED_ONLY != 0))
    }

    /// A descriptor of it, to signal it or wait for it; `None` if it does not run any more.
    ///
    /// # Errors
    /// Those of pidfd_open(2) but ESRCH; an unreadable /proc.
    pub fn pidfd(&self) -> Result<Option<OwnedFd>> {
        let pidfd = match pidfd_open(Pid(self.pid)) {
            Err(e) if e.errno() == taru_sys::errno::SRCH => return Ok(None),
            // A session or a process group may have outlived the process whose number it has: then nothing is to be
            // opened, which some kernels (6.1) call EINVAL.
            Err(_) if !self.is_alive()? => return Ok(None),
            other => other.context(|| format!("open process {}", self.pid))?,
        };
        // Asked only now: if our process has the pid after the descriptor was opened, it had it then.
        Ok(self.is_alive()?.then_some(pidfd))
    }
}

/// Reads `/proc/PID/stat`; `None` if there is no such process.
fn read_stat(pid: i32) -> Result<Option<Stat>> {
    let path = PathBuf::from(format!("/proc/{pid}/stat"));
    match read_bounded(&path, 4096) {
        Ok(text) => parse_stat(&text)
            .map(Some)
            .ok_or_else(|| Error::new(Kind::System, format!("parse `{}`: unknown format", path.display()))),
        Err(e) if e.kind() == Kind::NotFound => Ok(None),
        // ESRCH: it was reaped between our open and our read.
        Err(e) if is_esrch(&e) => Ok(None),
        Err(e) => Err(e).context(|| format!("look at process {pid}")),
    }
}

fn is_esrch(e: &Error) -> bool {
    let cause = std::error::Error::source(e).and_then(|s| s.downcast_ref::<std::io::Error>());
    cause.and_then(std::io::Error::raw_os_error) == Some(taru_sys::errno::SRCH.0)
}

/// The name in field 2 may hold anything, blanks and parentheses too: fields count from its last `)`.
fn parse_stat(text: &[u8]) -> Option<Stat> {
    let after = text.iter().rposition(|&b| b == b')')? + 1;
    let mut fields = text.get(after..)?.split(|&b| b == b' ').filter(|f| !f.is_empty());
    let state = *fields.next()?.first()?; // field 3
    let mut number = |skipped| std::str::from_utf8(fields.nth(skipped)?).ok()?.trim_end().parse::<u64>().ok();
    let flags = u32::try_from(number(5)?).ok()?; // field 9
    let start_time = number(12)?; // field 22
    Some(Stat { state, flags, start_time })
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use taru_sys::process::Clone;

    use super::*;

    #[test]
    fn a_name_cannot_forge_fields() {
        let text = b"42 (a) R 1 1 (x) S 1 42 42 0 -1 4194560 90 0 0 0 0 0 0 0 20 0 1 0 123456 2 3\n";
        let stat = parse_stat(text).unwrap();
        assert_eq!((stat.state, stat.flags, stat.start_time), (b'S', 4_194_560, 123_456));
        for bad in [&b""[..], b"42 (a", b"42 (a)", b"42 (a) ", b"42 (a) S 1 2 3"] {
            assert!(parse_stat(bad).is_none());
        }
    }

    #[test]
    fn alive_zombie_gone_and_recycled() {
        let own = Process::of_pid(std::process::id() as i32).unwrap();
        assert!(own.is_alive().unwrap());
        assert!(!own.is_still_a_clone().unwrap(), "this is an executed program");
        let stranger = Process { start_time: own.start_time + 1, ..own };
        assert!(!stranger.is_alive().unwrap());
        assert!(own.pidfd().unwrap().is_some());
        assert!(stranger.pidfd().unwrap().is_none());

        let Some(clone) = taru_sys::process::clone3(&Clone::default()).unwrap() else {
            taru_sys::process::exit_now(0)
        };
        let process = Process::of_pid(clone.pid.0).unwrap();
        assert!(process.is_still_a_clone().unwrap());
        while process.is_alive().unwrap() {
            std::thread::yield_now();
        }
        assert!(process.is_still_a_clone().unwrap(), "a zombie too");
        taru_sys::process::wait_pidfd(clone.pidfd.as_fd()).unwrap();
        assert!(!process.is_still_a_clone().unwrap(), "there is no telling");

        let mut child = std::process::Command::new("true").spawn().unwrap();
        let process = Process::of_pid(child.id() as i32).unwrap();
        while read_stat(process.pid).unwrap().unwrap().state != b'Z' {
            std::thread::yield_now();
        }
        assert!(!process.is_alive().unwrap(), "a zombie does not run");
        child.wait().unwrap();
        assert!(!process.is_alive().unwrap());
        assert_eq!(Process::of_pid(process.pid).unwrap_err().kind(), Kind::NotFound);
    }
}
