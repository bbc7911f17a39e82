//! A child that stays behind in the old namespaces, to do one thing there once this process has left them.
//!
//! ```text
//! tool                                 deputy (a fork from before)
//!   unshare(...)                         waits
//!   ── go ─────────────────────────────> does its act: maps ids, binds files
//!   <───────── done, or the error ────── ends
//! ```

use std::os::fd::{AsFd, OwnedFd};

use taru_stdx::{Context, Error, Kind, Result};
use taru_sys::ns::Namespaces;
use taru_sys::process::{self, Child, Clone};
use taru_sys::socket;

/// The longest report of a failure.
const REPORT: usize = 4096;

/// A deputy that waits for its moment. Dropped, it ends without having done anything.
#[derive(Debug)]
pub struct Deputy {
    child: Child,
    socket: OwnedFd,
}

impl Deputy {
    /// Forks a child that will do `act`, in the namespaces of this moment.
    ///
    /// # Errors
    /// At a limit of processes or descriptors.
    pub fn start(act: impl FnOnce() -> Result<()>) -> Result<Deputy> {
        Deputy::start_in(Namespaces::NONE, act)
    }

    /// As [`Deputy::start`], with new namespaces of the child's own.
    ///
    /// # Errors
    /// As clone3(2).
    pub fn start_in(namespaces: Namespaces, act: impl FnOnce() -> Result<()>) -> Result<Deputy> {
        let what = || "start a deputy process";
        let (socket, other) = socket::seqpacket_pair().context(what)?;
        let Some(child) = process::clone3(&Clone { namespaces, ..Clone::default() }).context(what)? else {
            drop(socket);
            let go = socket::receive_with_fds(other.as_fd(), 1).is_ok_and(|m| !m.data.is_empty());
            if go {
                let mut report = match act() {
                    Ok(()) => "ok".to_owned(),
                    // The failure on the first line, then each hint.
                    Err(e) => format!("no{}\n{}", e.chain(), e.hints().join("\n")),
                };
                report.truncate(report.floor_char_boundary_at(REPORT));
                let _ = socket::send_with_fds(other.as_fd(), report.as_bytes(), &[]);
            }
            process::exit_now(0);
        };
        Ok(Deputy { child, socket })
    }

    /// Has the deputy act now, and waits for it.
    ///
    /// # Errors
    /// What the act failed with, as text.
    pub fn act(self) -> Result<()> {
        let what = || "ask the deputy process";
        socket::send_with_fds(self.socket.as_fd(), b"g", &[]).context(what)?;
        let report = socket::receive_with_fds(self.socket.as_fd(), REPORT).context(what)?.data;
        process::wait_pidfd(self.child.pidfd.as_fd()).context(what)?;
        let report = String::from_utf8_lossy(&report);
        match report.strip_prefix("no") {
            None if report == "ok" => Ok(()),
            None => Err(Error::new(Kind::System, "ask the deputy process: it ended without an answer")),
            Some(report) => {
                let mut lines = report.lines().map(str::to_owned);
                let error = Error::new(Kind::System, lines.next().unwrap_or_default());
                Err(lines.filter(|hint| !hint.is_empty()).fold(error, Error::hint))
            }
        }
    }
}

/// `str::floor_char_boundary` of newer compilers.
trait Boundary {
    fn floor_char_boundary_at(&self, limit: usize) -> usize;
}

impl Boundary for String {
    fn floor_char_boundary_at(&self, limit: usize) -> usize {
        (0..=limit.min(self.len())).rev().find(|&at| self.is_char_boundary(at)).unwrap_or(0)
    }
}
