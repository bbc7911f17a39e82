//! `pause` and `resume`: all processes of a container stop where they are, and go on.

use taru_stdx::{Context, Error, Kind, Result};

use crate::state::{Record, Status};

/// Freezes the container's control group; returns when every process of it stands still.
///
/// # Errors
/// [`Kind::State`] if it does not run; what [`taru_cgroup::Cgroup::freeze`] refuses.
pub fn pause(record: &Record) -> Result<()> {
    let what = || format!("pause container `{}`", record.state.id);
    match record.status()? {
        Status::Running | Status::Created => record.cgroup()?.freeze().context(what),
        Status::Paused => Err(Error::new(Kind::State, format!("{}: it is paused", what()))),
        other => Err(Error::new(Kind::State, format!("{}: container not running: it is {other}", what()))),
    }
}

/// Thaws it.
///
/// # Errors
/// [`Kind::State`] if it is not paused; what [`taru_cgroup::Cgroup::thaw`] refuses.
pub fn resume(record: &Record) -> Result<()> {
    let what = || format!("resume container `{}`", record.state.id);
    match record.status()? {
        Status::Paused => record.cgroup()?.thaw().context(what),
        other => Err(Error::new(Kind::State, format!("{}: container not paused: it is {other}", what()))),
    }
}
