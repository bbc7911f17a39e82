//! Being told: that a group has become empty, that memory ran out.
//!
//! | | v2, and hybrid | v1 alone |
//! |---|---|---|
//! | empty | inotify on `cgroup.events` | the lists of processes are read again and again |
//! | out of memory | inotify on `memory.events` (v2) | an eventfd registered with `cgroup.event_control` |

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use taru_stdx::{Context, Error, Kind, Result};
use taru_sys::errno;
use taru_sys::eventfd::eventfd;
use taru_sys::inotify::{Inotify, mask};
use taru_sys::poll::{events, poll};

use crate::dir::Dir;
use crate::group::Place;
use crate::{Cgroup, Controller};

/// How often the lists of v1 are read.
const V1_INTERVAL: Duration = Duration::from_millis(20);

/// How often beside the events of a hybrid layout, for processes that are in the v1 groups only.
const HYBRID_INTERVAL: Duration = Duration::from_millis(250);

/// Watches whether a group has processes.
#[derive(Debug)]
pub struct EmptyWatch<'a> {
    group: &'a Cgroup,
    inotify: Option<Inotify>,
}

impl EmptyWatch<'_> {
    /// The descriptor that becomes readable when there is something to look at; none on v1 alone, where one
    /// has to look from time to time.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.inotify.as_ref().map(AsFd::as_fd)
    }

    /// Whether the group, with all below it, has no process now. Takes what made [`EmptyWatch::fd`] readable.
    ///
    /// # Errors
    /// When the lists cannot be read. A group that is gone is empty.
    pub fn is_empty(&self) -> Result<bool> {
        if let Some(inotify) = &self.inotify {
            inotify.take().context(|| "watch the group")?;
        }
        self.group.is_empty()
    }

    /// Waits until the group is empty, at most `limit` long; returns whether it is.
    ///
    /// # Errors
    /// As [`EmptyWatch::is_empty`]'s.
    pub fn wait(&self, limit: Option<Duration>) -> Result<bool> {
        let deadline = limit.map(|l| Instant::now() + l);
        loop {
            if self.is_empty()? {
                return Ok(true);
            }
            let left = deadline.map(|d| d.saturating_duration_since(Instant::now()));
            if left.is_some_and(|l| l.is_zero()) {
                return Ok(false);
            }
            let at_most = |interval: Duration| left.map_or(interval, |l| l.min(interval));
            let Some(inotify) = &self.inotify else {
                std::thread::sleep(at_most(V1_INTERVAL));
                continue;
            };
            let hybrid = !self.group.v1.is_empty();
            let left = if hybrid { Some(at_most(HYBRID_INTERVAL)) } else { left };
            match poll([(inotify.as_fd(), events::IN)], left) {
                Err(e) if e.errno() != errno::INTR => return Err(e).context(|| "wait for the group"),
                _ => {}
            }
        }
    }
}

/// What an [`OomWatch`] has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Oom {
    /// Nothing new.
    Nothing,
    /// Memory ran out so many more times.
    Happened(u64),
    /// The group is gone: nothing more will come.
    Gone,
}

/// Watches for a group running out of memory.
#[derive(Debug)]
pub struct OomWatch {
    dir: Dir,
    source: Source,
}

#[derive(Debug)]
enum Source {
    V1(File),
    V2 { inotify: Inotify, seen: u64 },
}

impl OomWatch {
    /// What has happened since the last call. To be called when [`AsFd::as_fd`] is readable.
    ///
    /// # Errors
    /// When the descriptor or the files cannot be read.
    pub fn take(&mut self) -> Result<Oom> {
        match &mut self.source {
            Source::V1(counter) => {
                let mut count = [0; 8];
                match counter.read_exact(&mut count) {
                    Err(e) if e.raw_os_error() == Some(errno::AGAIN.0) => return Ok(Oom::Nothing),
                    other => other.context(|| "read the eventfd of `memory.oom_control`")?,
                }
                // The kernel signals the removal of the group in the same way.
                match self.dir.has("cgroup.event_control") {
                    true => Ok(Oom::Happened(u64::from_ne_bytes(count))),
                    false => Ok(Oom::Gone),
                }
            }
            Source::V2 { inotify, seen } => {
                inotify.take().context(|| "watch `memory.events`")?;
                let Some(total) = oom_kills(&self.dir)? else { return Ok(Oom::Gone) };
                let new = total.saturating_sub(*seen);
                *seen = total;
                Ok(if new > 0 { Oom::Happened(new) } else { Oom::Nothing })
            }
        }
    }
}

impl AsFd for OomWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.source {
            Source::V1(counter) => counter.as_fd(),
            Source::V2 { inotify, .. } => inotify.as_fd(),
        }
    }
}

impl Cgroup {
    /// Whether the group, with all below it, has no process.
    ///
    /// # Errors
    /// When the lists cannot be read. A group that is gone is empty.
    pub fn is_empty(&self) -> Result<bool> {
        if let Some(v2) = &self.v2 {
            let events = v2.dir.read_if_there("cgroup.events")?;
            // The root has no such file.
            let populated = match &events {
                Some(text) => text.lines().any(|l| l == "populated 1"),
                None => false,
            };
            if populated || !v2.hybrid && events.is_some() {
                return Ok(!populated);
            }
        }
        Ok(self.pids_recursive()?.is_empty())
    }

    /// Begins to watch whether the group has processes.
    ///
    /// # Errors
    /// When inotify is refused (EMFILE at the user's limit).
    pub fn watch_empty(&self) -> Result<EmptyWatch<'_>> {
        let inotify = match &self.v2 {
            Some(v2) if v2.dir.has("cgroup.events") => Some(watch(&v2.dir, "cgroup.events")?),
            _ => None,
        };
        Ok(EmptyWatch { group: self, inotify })
    }

    /// Begins to watch for the group running out of memory.
    ///
    /// # Errors
    /// [`Kind::Unsupported`] without the memory controller.
    pub fn watch_oom(&self) -> Result<OomWatch> {
        let none =
            || Error::new(Kind::Unsupported, "watch for lack of memory: the group has no memory controller");
        match self.place(Controller::Memory) {
            Place::V1(dir) => watch_oom_v1(dir),
            Place::V2(dir) => {
                let inotify = watch(dir, "memory.events").map_err(|e| none().because(e))?;
                let seen = oom_kills(dir)?.ok_or_else(none)?;
                Ok(OomWatch { dir: reopened(dir)?, source: Source::V2 { inotify, seen } })
            }
            Place::Nowhere => Err(none()),
        }
    }
}

fn watch(dir: &Dir, file: &str) -> Result<Inotify> {
    let path = dir.path().join(file);
    let begin = || {
        let inotify = Inotify::new()?;
        inotify.add(&path, mask::MODIFY | mask::DELETE_SELF)?;
        Ok::<_, taru_sys::Error>(inotify)
    };
    begin().context(|| format!("watch `{file}`"))
}

/// Registers an eventfd: `EVENTFD FILE` into `cgroup.event_control`.
fn watch_oom_v1(dir: &Dir) -> Result<OomWatch> {
    let register = || -> Result<OwnedFd> {
        let counter = eventfd().context(|| "make an eventfd")?;
        let control = dir.open_read("memory.oom_control").context(|| "open `memory.oom_control`")?;
        dir.write("cgroup.event_control", &format!("{} {}", counter.as_raw_fd(), control.as_raw_fd()))?;
        Ok(counter)
    };
    let counter = register().context(|| "watch for lack of memory")?;
    Ok(OomWatch { dir: reopened(dir)?, source: Source::V1(File::from(counter)) })
}

fn reopened(dir: &Dir) -> Result<Dir> {
    Dir::open(dir.path().to_owned()).context(|| "open the group")
}

/// How many processes were killed for lack of memory; none when the group is gone.
fn oom_kills(dir: &Dir) -> Result<Option<u64>> {
    let Some(text) = dir.read_if_there("memory.events")? else { return Ok(None) };
    let kills = text.lines().find_map(|l| l.strip_prefix("oom_kill "));
    Ok(Some(kills.and_then(|n| n.trim().parse().ok()).unwrap_or(0)))
}
