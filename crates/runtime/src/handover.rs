//! What the callers of `create`, `run` and `exec` ask to be handed: the terminal, the pid, the pidfd.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use taru_stdx::fs::{Sync, replace};
use taru_stdx::{Context, Result};
use taru_sys::process::Child;
use taru_sys::socket;

/// A console socket, connected before anything is made: it gets the main side of the terminal.
pub(crate) struct Console(OwnedFd);

impl Console {
    /// Connects to the socket `path`.
    ///
    /// # Errors
    /// As connect(2).
    pub(crate) fn connect(path: &Path) -> Result<Console> {
        socket::connect(path, true)
            .context(|| format!("connect to the console socket `{}`", path.display()))
            .map(Console)
    }

    /// The receiver knows the terminal by the descriptor; the bytes are the name that runc sends.
    fn send(&self, main: &OwnedFd) -> Result<()> {
        socket::send_with_fds(self.0.as_fd(), b"/dev/ptmx", &[main.as_fd()])
            .context(|| "send the terminal to the console socket")?;
        Ok(())
    }
}

/// Hands the main side of the terminal to the console socket; without one it stays with this process.
///
/// # Errors
/// As sendmsg(2).
pub(crate) fn terminal(main: Option<OwnedFd>, console: Option<Console>) -> Result<Option<OwnedFd>> {
    match (main, console) {
        (Some(main), Some(console)) => console.send(&main).map(|()| None),
        (main, _) => Ok(main),
    }
}

/// Writes the pid of `child` to `pid_file`, and sends its pidfd to whoever listens at `pidfd_socket`.
///
/// # Errors
/// As write(2), connect(2) and sendmsg(2).
pub(crate) fn pid(child: &Child, pid_file: Option<&Path>, pidfd_socket: Option<&Path>) -> Result<()> {
    if let Some(path) = pid_file {
        replace(path, child.pid.to_string().as_bytes(), 0o644, Sync::Atomic)?;
    }
    if let Some(path) = pidfd_socket {
        let what = || format!("send the pidfd to `{}`", path.display());
        let receiver = socket::connect(path, true).context(what)?;
        socket::send_with_fds(receiver.as_fd(), b"pidfd", &[child.pidfd.as_fd()]).context(what)?;
    }
    Ok(())
}
