//! `taru cgroup run`: a program in a group.

use std::ffi::OsString;
use std::os::fd::AsFd;
use std::process::ExitCode;

use clap::ValueHint;
use taru_cgroup::{Cgroup, Hierarchy};
use taru_stdx::{Context, Kind, Result};
use taru_sys::poll::{events, poll};
use taru_sys::process::{Child, Clone, clone3, exit_now, pidfd_send_signal, try_wait_pidfd};
use taru_sys::signal::{self, SignalFd};
use taru_sys::{errno, process};

use super::{apply, limits, path};
use crate::ns::program;
use crate::options::Global;
use crate::output;

/// Run a program in a group
///
/// A group that does not exist is made, and removed at the end with whatever still runs in it; one that exists
/// stays. The program is in the group from its first instruction. The exit status is the program's.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  taru cgroup run --memory 64M --pids 20 -- ./job
  taru cgroup run --group demo -- sh")]
pub(super) struct Args {
    /// The group [default: a new one for this run]
    #[arg(long, short, value_name = "GROUP")]
    group: Option<String>,
    /// The program and its arguments
    #[arg(
        value_name = "COMMAND",
        required = true,
        trailing_var_arg = true,
        value_hint = ValueHint::CommandWithArguments
    )]
    command: Vec<OsString>,
    #[command(flatten)]
    limits: Box<limits::LimitArgs>,
}

pub(super) fn run(args: &Args, global: &Global) -> Result<ExitCode> {
    args.limits.limits()?;
    let name = args.group.clone().unwrap_or_else(|| format!("taru-run-{}", process::getpid()));
    let group = Cgroup::create(&Hierarchy::probe()?, &path(&name))?;
    let status = apply(&group, &args.limits, global).and_then(|()| run_in(&group, &args.command));
    if group.is_new() {
        let removed = group.kill_all().and_then(|()| group.remove());
        // The first failure is the one to tell.
        return status.and_then(|status| removed.map(|()| status));
    }
    status
}

/// Runs the program and waits for it. Signals are passed on.
fn run_in(group: &Cgroup, command: &[OsString]) -> Result<ExitCode> {
    let passed_on = signal::Set::new(
        &["HUP", "INT", "QUIT", "TERM", "USR1", "USR2"].map(|n| signal::parse(n).unwrap_or(0)),
    );
    let before = signal::block(&passed_on);
    let signals = SignalFd::new(&passed_on).context(|| "listen for signals")?;
    let child = start(group, command, &before)?;
    let pidfd = child.pidfd.as_fd();
    loop {
        match poll([(pidfd, events::IN), (signals.as_fd(), events::IN)], None) {
            Err(e) if e.errno() != errno::INTR => return Err(e).context(|| "wait for the program"),
            _ => {}
        }
        while let Some(received) = signals.read().context(|| "listen for signals")? {
            // Gone already: its status is read next.
            let _ = pidfd_send_signal(pidfd, received.signal);
        }
        if let Some(exit) = try_wait_pidfd(pidfd).context(|| "wait for the program")? {
            return Ok(ExitCode::from(u8::try_from(exit.status()).unwrap_or(1)));
        }
    }
}

/// Clones a child into the v2 group, where it moves itself into the v1 groups and becomes the program.
fn start(group: &Cgroup, command: &[OsString], mask: &signal::Set) -> Result<Child> {
    let joiner = group.joiner_v1()?;
    let into = Clone { cgroup: group.v2_dir_fd(), ..Clone::default() };
    if let Some(child) = clone3(&into).context(|| "start a process in the group")? {
        return Ok(child);
    }
    // The child: whatever happens, nothing of the parent's may run here.
    let error = match joiner.join() {
        Ok(()) => {
            signal::mask(mask);
            program::execute(command)
        }
        Err(e) => e,
    };
    output::report(&error);
    exit_now(if let Kind::Exec(status) = error.kind() { status } else { i32::from(output::OWN_FAILURE) })
}
