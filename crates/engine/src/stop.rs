//! Ending containers: signals, waiting, removal.
//!
//! A process is reached through a pidfd whose start time was compared, so that a recycled pid is never
//! signalled and never waited for.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use taru_runtime::state::Process;
use taru_stdx::{Context, Error, Kind, Result};
use taru_sys::poll::{events, poll};
use taru_sys::process::{Pid, pidfd_open};
use taru_sys::{errno, signal};

use crate::reconcile::{self, Status};
use crate::record::Record;
use crate::told::Detail;
use crate::{Engine, prepare};

/// How long what was killed may take to be gone. A process in uninterruptible sleep takes longer.
const KILLED: Duration = Duration::from_secs(10);

/// Sends a signal to the first process of the container `key`.
///
/// # Errors
/// [`Kind::State`] if it does not run.
pub fn kill(engine: &mut Engine, key: &str, number: i32) -> Result<()> {
    let (record, status) = reconcile::one(engine, key)?;
    let Status::Running { .. } = status else {
        return Err(Error::new(Kind::State, format!("kill `{key}`: it is not running")));
    };
    send(engine, &record, number)
}

/// Asks the container `key` to end, and kills it if it has not in `patience`. One that does not run is left as it is.
///
/// # Errors
/// It cannot be signalled, or does not end even when killed.
pub fn stop(engine: &mut Engine, key: &str, patience: Duration) -> Result<()> {
    let (record, status) = reconcile::one(engine, key)?;
    let Status::Running { supervisor, .. } = status else { return Ok(()) };
    if !patience.is_zero() {
        // It may have ended since we looked, and the supervisor be about to write that down.
        let asked = stop_signal(&record);
        (engine.say)(Detail::Main, &format!("ask container `{}` to end, by signal {asked}", record.name));
        let sent = send(engine, &record, asked);
        if ended(supervisor, Some(patience))? {
            return reconcile::settle(engine, &record).map(drop);
        }
        sent?;
    }
    end_now(engine, &record, supervisor)
}

/// Kills what runs of a container and waits until it is gone.
fn end_now(engine: &mut Engine, record: &Record, supervisor: Process) -> Result<()> {
    (engine.say)(Detail::Main, &format!("kill container `{}`", record.name));
    let sent = send(engine, record, signal::SIGKILL);
    if !ended(supervisor, Some(KILLED))? {
        sent?;
        return Err(Error::new(
            Kind::Busy,
            format!("stop `{}`: it was killed and does not end", record.name),
        )
        .hint("a process waits for a device or a network file system: see `ps axl`, state D"));
    }
    reconcile::settle(engine, record).map(drop)
}

/// Waits until the container `key` has ended and returns its exit status, if anybody saw it.
///
/// # Errors
/// There is none.
pub fn wait(engine: &mut Engine, key: &str) -> Result<Option<u8>> {
    let (record, mut status) = reconcile::one(engine, key)?;
    loop {
        match status {
            Status::Ended(ended) => return Ok(ended.status),
            Status::Running { supervisor, .. } if supervisor.is_alive()? => drop(ended(supervisor, None)?),
            // Between two of its steps: the one who takes them is this container's `taru`.
            _ => drop(ended(record.starter, Some(Duration::from_millis(20)))?),
        }
        let exit = taru_supervise::exit::Exit::read(&engine.dirs.container(&record.id))?;
        match reconcile::one(engine, &record.id) {
            Ok((_, now)) => status = now,
            // Removed as soon as it ended; its status is what we saw of it.
            Err(e) if e.kind() == Kind::NotFound => return Ok(exit.map(|e| e.status)),
            Err(e) => return Err(e),
        }
    }
}

/// Removes the container `key`.
///
/// # Errors
/// [`Kind::State`] if it runs and `force` was not asked for.
pub fn remove(engine: &mut Engine, key: &str, force: bool) -> Result<()> {
    let (record, status) = reconcile::one(engine, key)?;
    match status {
        Status::Running { supervisor, .. } if force => end_now(engine, &record, supervisor)?,
        Status::Running { .. } | Status::Starting => {
            return Err(Error::new(Kind::State, format!("remove `{key}`: it is {}", status.word()))
                .hint(format!("`taru stop {key}` first, or `taru rm -f {key}`")));
        }
        Status::Ended(_) => {}
    }
    // Nobody starts it, or has its files open, from here on.
    let _lock = match record.config.as_ref().is_ok_and(|c| c.keep) {
        true => Some(prepare::lock(engine, &record)?),
        false => None,
    };
    engine.store.removing(&record)?;
    prepare::remove_all(engine, &record)?;
    engine.delete(&record, true)
}

/// The signal that asks a container to end: its own choice, or its image's. One of an image that is no signal of this
/// kernel is SIGTERM, as everywhere.
fn stop_signal(record: &Record) -> i32 {
    let wanted = record.config.as_ref().ok().and_then(|c| c.stop_signal.as_deref());
    wanted.and_then(signal::parse).filter(|number| *number > 0).unwrap_or(signal::SIGTERM)
}

fn send(engine: &Engine, record: &Record, number: i32) -> Result<()> {
    engine.runtime.call(&["kill", &record.id, &number.to_string()]).map(drop)
}

/// Waits until `process` has ended, at most for `limit`; whether it has.
fn ended(process: Process, limit: Option<Duration>) -> Result<bool> {
    let Some(pidfd) = open(process)? else { return Ok(true) };
    let until = limit.map(|l| Instant::now() + l);
    loop {
        let left = until.map(|u| u.saturating_duration_since(Instant::now()));
        let seen = poll([(pidfd.as_fd(), events::IN)], left).context(|| "wait for a process")?;
        if seen[0] != 0 {
            return Ok(true);
        }
        if left.is_some_and(|l| l.is_zero()) {
            return Ok(false);
        }
    }
}

/// A pidfd of `process`; `None` if it has ended.
fn open(process: Process) -> Result<Option<OwnedFd>> {
    match pidfd_open(Pid(process.pid)) {
        Ok(pidfd) => Ok(process.is_alive()?.then_some(pidfd)),
        Err(e) if e.errno() == errno::SRCH => Ok(None),
        Err(e) => Err(e).context(|| format!("watch process {}", process.pid)),
    }
}
