//! A process that was made here: why it ended before its program ran, and its end where that is to be.

use std::os::fd::AsFd;
use std::time::Duration;

use taru_stdx::{Context, Error, Kind, Result};
use taru_sys::poll::{events, poll};
use taru_sys::process::{self, Child};
use taru_sys::{errno, signal};

/// How long an init that closed its link may take to have ended.
const ENDING: Duration = Duration::from_secs(1);

/// A process that ended without a word was killed; by what is the best hint there is.
pub(crate) fn explain(error: Error, what: &str, init: &Child) -> Error {
    if error.kind() != Kind::System {
        return error;
    }
    // The link closes a moment before the process has ended.
    let _ = poll([(init.pidfd.as_fd(), events::IN)], Some(ENDING));
    match process::try_wait_pidfd(init.pidfd.as_fd()) {
        Ok(Some(process::Exit::Signal(signal))) => {
            let name = signal::name(signal);
            Error::new(Kind::Limit, format!("{what} was killed by {name}"))
                .hint("SIGKILL: most likely its memory limit is too small; SIGSYS: the seccomp profile forbids a call that starting takes")
        }
        _ => error,
    }
}

/// Kills init.
pub(crate) fn kill(init: &Child) -> Result<()> {
    match process::pidfd_send_signal(init.pidfd.as_fd(), signal::SIGKILL) {
        Err(e) if e.errno() == errno::SRCH => Ok(()),
        other => other.context(|| "kill the container's init"),
    }
}

/// Ends init and reaps it.
pub(crate) fn end(init: &Child) -> Result<()> {
    kill(init)?;
    match process::wait_pidfd(init.pidfd.as_fd()) {
        Err(e) if e.errno() == errno::CHILD => Ok(()),
        other => other.map(drop).context(|| "wait for the container's init"),
    }
}
