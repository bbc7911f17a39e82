//! `events`: what a container uses, and when it runs out of memory.

pub mod usage;

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use taru_cgroup::{Cgroup, Oom, OomWatch};
use taru_stdx::{Context, Error, Kind, Result};
use taru_sys::errno;
use taru_sys::poll::{events, poll};

use crate::state::Record;
pub use usage::Event;

/// A running container that is looked at.
pub struct Watch<'a> {
    id: &'a str,
    init: OwnedFd,
    group: Cgroup,
}

impl<'a> Watch<'a> {
    /// Begins to look at the container of `record`.
    ///
    /// # Errors
    /// [`Kind::State`] if it does not run.
    pub fn new(record: &'a Record) -> Result<Watch<'a>> {
        let id = record.state.id.as_str();
        let init = record.live_init()?.map(|init| init.pidfd()).transpose()?.flatten();
        let init =
            init.ok_or_else(|| Error::new(Kind::State, format!("container with id `{id}` is not running")))?;
        Ok(Watch { id, init, group: record.cgroup()? })
    }

    /// What it uses now.
    ///
    /// # Errors
    /// Unreadable control groups.
    pub fn usage(&self) -> Result<Event<'a>> {
        Ok(Event::stats(self.id, &self.group.stats()?))
    }

    /// Begins to notice lack of memory.
    ///
    /// # Errors
    /// [`Kind::Unsupported`] where its memory is not accounted.
    pub fn oom(&self) -> Result<OomWatch> {
        self.group.watch_oom()
    }

    /// Gives `emit` the usage every `interval` and each lack of memory that `oom` notices, until the container has
    /// ended or `emit` fails.
    ///
    /// # Errors
    /// Those of `emit`; unreadable control groups.
    pub fn follow(
        &self,
        interval: Duration,
        mut oom: Option<OomWatch>,
        mut emit: impl FnMut(Event<'a>) -> Result<()>,
    ) -> Result<()> {
        let mut next = Instant::now() + interval;
        loop {
            let left = next.saturating_duration_since(Instant::now());
            let has_ended = self.wait(oom.as_ref(), left)?;
            match oom.as_mut().map(OomWatch::take).transpose()? {
                // One event however many processes it cost, as with runc.
                Some(Oom::Happened(_)) => emit(Event::oom(self.id))?,
                Some(Oom::Gone) => return Ok(()),
                Some(Oom::Nothing) | None => {}
            }
            if has_ended {
                return Ok(());
            }
            if Instant::now() >= next {
                emit(self.usage()?)?;
                next += interval;
            }
        }
    }

    /// Waits for the end of init, lack of memory or `limit`; returns whether it was the first.
    fn wait(&self, oom: Option<&OomWatch>, limit: Duration) -> Result<bool> {
        let init = (self.init.as_fd(), events::IN);
        let seen = match oom {
            Some(oom) => poll([init, (oom.as_fd(), events::IN)], Some(limit)).map(|seen| seen[0]),
            None => poll([init], Some(limit)).map(|seen| seen[0]),
        };
        match seen {
            Ok(seen) => Ok(seen != 0),
            Err(e) if e.errno() == errno::INTR => Ok(false),
            Err(e) => Err(e).context(|| "wait for the container"),
        }
    }
}
