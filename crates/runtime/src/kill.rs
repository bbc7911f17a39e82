//! `kill`: a signal to a container's init, or to all its processes.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use taru_stdx::{Context, Error, Kind, Result};
use taru_sys::poll::{events, poll};
use taru_sys::process::pidfd_send_signal;
use taru_sys::{errno, signal};

use crate::spec::{Namespace, NamespaceKind, Spec};
use crate::state::{Record, Status};

/// Sends `signal` to the container's init; with `all`, or where the container's pid namespace is not its
/// own and the signal is SIGKILL, to every process in its control group: there, none ends with init.
///
/// # Errors
/// [`Kind::State`] if it is stopped; EPERM from the kernel.
pub fn kill(record: &Record, signal: i32, all: bool) -> Result<()> {
    let status = record.status()?;
    if status == Status::Stopped && !all {
        return Err(not_running(record));
    }
    // Without a group (`--cgroup-manager disabled`), init is all that is known of the container.
    let has_group = !record.state.cgroup.paths.is_empty();
    if all || (has_group && signal == signal::SIGKILL && !owns_pids(record)?) {
        let group = record.cgroup()?;
        if signal == signal::SIGKILL {
            return group.kill_all();
        }
        return group.signal_all(signal);
    }
    let Some(init) = open_init(record)? else {
        return Err(not_running(record));
    };
    send(&init, signal)?;
    // A frozen process does not even die (cgroup v1).
    if status == Status::Paused && signal == signal::SIGKILL {
        record.cgroup()?.thaw()?;
    }
    Ok(())
}

/// Whether the container's pid namespace was made for it: a joined one lives on after init.
fn owns_pids(record: &Record) -> Result<bool> {
    if !record.state.namespaces.iter().any(|name| name == "pid") {
        return Ok(false);
    }
    let spec = Spec::parse(&record.config()?)?;
    let is_joined = |n: &Namespace| {
        n.kind == NamespaceKind::Pid && n.path.as_ref().is_some_and(|p| !p.as_os_str().is_empty())
    };
    Ok(!spec.linux.is_some_and(|linux| linux.namespaces.iter().any(is_joined)))
}

/// Init's pidfd; `None` if it is gone. The start time is compared after the pidfd is open: from then on
/// the number cannot pass to a stranger unnoticed.
pub(crate) fn open_init(record: &Record) -> Result<Option<OwnedFd>> {
    match record.init_of_this_boot() {
        Some(init) => init.pidfd().context(|| "open the container's init"),
        None => Ok(None),
    }
}

fn not_running(record: &Record) -> Error {
    Error::new(Kind::State, format!("container not running: `{}`", record.state.id))
}

fn send(pidfd: &OwnedFd, signal: i32) -> Result<()> {
    match pidfd_send_signal(pidfd.as_fd(), signal) {
        Err(e) if e.errno() == errno::SRCH => Err(Error::new(Kind::State, "container not running")),
        other => other.context(|| format!("send signal `{}`", signal::name(signal))),
    }
}

/// Kills init and waits until it is gone, `patience` at most.
pub(crate) fn end_init(record: &Record, patience: Duration) -> Result<()> {
    let Some(init) = open_init(record)? else { return Ok(()) };
    match send(&init, signal::SIGKILL) {
        Err(e) if e.kind() == Kind::State => return Ok(()),
        other => other?,
    }
    if record.status()? == Status::Paused {
        record.cgroup()?.thaw()?;
    }
    let until = Instant::now() + patience;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        match poll([(init.as_fd(), events::IN)], Some(left)) {
            Err(e) if e.errno() == errno::INTR => {}
            Ok([0]) => {
                let problem = format!(
                    "wait for the container's init to end: it is still there after {} s",
                    patience.as_secs()
                );
                return Err(Error::new(Kind::Limit, problem).hint(
                    "a process in an uninterruptible sleep ends only when its device or server answers",
                ));
            }
            other => return other.map(drop).context(|| "wait for the container's init"),
        }
    }
}
