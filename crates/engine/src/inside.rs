//! Work on the files of a container, done in its own file system by a short-lived child of ours.
//!
//! ```text
//! taru (host)                                  child (a fork: this very executable's pages, nothing loaded from the container)
//!   finds init, or has the runtime make one      joins init's user and mount namespace: `/` is the container's root
//!     that only waits (an ended container)        acts as the container's root, with handles below `/`
//!   reads or writes the other end of a pipe <──> writes or reads a tar
//! ```
//! The kernel resolves every path inside the container, whatever the container does meanwhile: symbolic links, renames
//! and mounts lead nowhere else. Ids are those that the container sees. Nothing of the container is executed, and its
//! processes do not see the child, which stays outside their process ids.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use taru_rootdir::RootDir;
use taru_runtime::start::Shown;
use taru_runtime::state::Process;
use taru_stdx::{Context, Error, Kind, Result};
use taru_sys::fs::{self, OpenFlags};
use taru_sys::ns::{self, Namespaces};
use taru_sys::process::{self, Child, Clone, Pid, exit_now, pidfd_open};
use taru_sys::{signal, socket, user};

use crate::config::Limits;
use crate::guardian::Guardian;
use crate::prepare::lock;
use crate::reconcile::{self, Status};
use crate::record::Record;
use crate::{Engine, prepare};

/// The longest report of a failure.
const REPORT: usize = 8192;

/// A container whose file system can be entered: it runs, or was made ready for this alone.
#[derive(Debug)]
pub struct Place {
    /// Its record.
    pub record: Record,
    init: Process,
    pidfd: OwnedFd,
    is_private: bool,
    /// What the runtime knows a container by that was made ready for this alone.
    made: Option<Made>,
}

/// A container that was made ready for its files alone.
#[derive(Debug)]
struct Made {
    /// What the runtime knows it by.
    id: String,
    /// Its init, which waits, lets an ordinary user see it as long as this lives.
    shown: Option<Shown>,
    /// Removes it if this process cannot.
    guardian: Guardian,
    /// Nobody starts, removes or enters it meanwhile.
    _lock: File,
}

/// Opens the file system of the container `key`, whether it runs or has ended. [`close`] it.
///
/// # Errors
/// [`Kind::NotFound`]; [`Kind::State`] for a container that has ended and kept nothing.
pub fn open(engine: &mut Engine, key: &str) -> Result<Place> {
    let (record, status) = reconcile::one(engine, key)?;
    let (pid, made) = match status {
        Status::Running { .. } => (init_of(engine, &record.id)?, None),
        Status::Starting => {
            return Err(Error::new(Kind::State, format!("enter the files of `{key}`: it is starting")));
        }
        Status::Ended(_) => {
            let made = make_ready(engine, &record)?;
            let pid = init_of(engine, &made.id);
            let made = Some(made);
            match pid {
                Ok(pid) => (pid, made),
                Err(e) => return unmake(engine, made).and(Err(e)),
            }
        }
    };
    let opened = Process::of_pid(pid).and_then(|init| {
        let pidfd = pidfd_open(Pid(pid)).context(|| format!("open process {pid}"))?;
        // The pid may have been another's between the two.
        match init.is_alive()? {
            true => Ok((init, pidfd)),
            false => Err(Error::new(Kind::State, format!("enter the files of `{key}`: it has just ended"))),
        }
    });
    let (init, pidfd) = match opened {
        Ok(opened) => opened,
        Err(e) => return unmake(engine, made).and(Err(e)),
    };
    let is_private = match is_other_userns(pid) {
        Ok(is_private) => is_private,
        Err(e) => return unmake(engine, made).and(Err(e)),
    };
    Ok(Place { record, init, pidfd, is_private, made })
}

/// Lets go of what [`open`] made.
///
/// # Errors
/// The runtime cannot remove it.
pub fn close(engine: &Engine, place: Place) -> Result<()> {
    unmake(engine, place.made)
}

/// A child that acts in the container's file system.
#[derive(Debug)]
pub struct Inside {
    child: Child,
    report: OwnedFd,
}

impl Place {
    /// Has a child do `act` with the container's root. It runs at once, beside this process, which still has all its own
    /// descriptors; those that only `act` needs are moved into it.
    ///
    /// # Errors
    /// At a limit of processes or descriptors.
    pub fn enter(&self, act: impl FnOnce(&RootDir) -> Result<()>) -> Result<Inside> {
        let what = || format!("enter the files of `{}`", self.record.name);
        let (report, theirs) = socket::seqpacket_pair().context(what)?;
        let Some(child) = process::clone3(&Clone::default()).context(what)? else {
            drop(report);
            let done = self.join().and_then(|root| act(&root));
            let text = match &done {
                Ok(()) => "ok".to_owned(),
                // The class, whether it was left alone, the failure, then each hint. No file name has a NUL.
                Err(e) => {
                    let (kind, alone) = (e.kind().number(), u8::from(was_left_alone(e)));
                    format!("{kind}\0{alone}\0{}\0{}", e.chain(), e.hints().join("\0"))
                }
            };
            let end = (0..=text.len().min(REPORT)).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
            let _ = socket::send_with_fds(theirs.as_fd(), &text.as_bytes()[..end], &[]);
            exit_now(i32::from(done.is_err()));
        };
        Ok(Inside { child, report })
    }

    /// Joins the container's namespaces. Runs in the child.
    fn join(&self) -> Result<RootDir> {
        let mut namespaces = Namespaces::MOUNT;
        if self.is_private {
            namespaces |= Namespaces::USER;
        }
        ns::setns(self.pidfd.as_fd(), namespaces).context(|| "join the container's namespaces")?;
        if self.is_private {
            // In the user namespace nobody of ours exists: root of the container is who may do all there.
            let _ = user::setgroups(&[]);
            user::setresgid(0).context(|| "become the container's root")?;
            user::setresuid(0).context(|| "become the container's root")?;
        }
        // A child of a taru that was killed must not work on. Behind the change of users, which takes the wish back
        // (prctl(2)); who was killed before has closed the other end of every pipe.
        let _ = process::set_parent_death_signal(signal::SIGKILL);
        // Joining a mount namespace moves root and working directory to its root.
        RootDir::open(Path::new("/"))
    }

    /// Whether its first process still lives.
    ///
    /// # Errors
    /// /proc cannot be read.
    pub fn is_alive(&self) -> Result<bool> {
        self.init.is_alive()
    }
}

/// What the work in a container failed with.
#[derive(Debug)]
pub struct Failure {
    /// The error.
    pub error: Error,
    /// It wrote for somebody who does not read any more, and knows why.
    pub was_left_alone: bool,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure { was_left_alone: was_left_alone(&error), error }
    }
}

/// Whether the cause of a failure is that nobody reads what was written.
fn was_left_alone(error: &Error) -> bool {
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        if cause.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe) {
            return true;
        }
        next = cause.source();
    }
    false
}

impl Inside {
    /// Waits for the child and returns what it failed with.
    ///
    /// # Errors
    /// What the act failed with.
    pub fn finish(self) -> std::result::Result<(), Failure> {
        let what = || "wait for the work in the container";
        let report = socket::receive_with_fds(self.report.as_fd(), REPORT).context(what)?.data;
        process::wait_pidfd(self.child.pidfd.as_fd()).context(what)?;
        let report = String::from_utf8_lossy(&report);
        if report == "ok" {
            return Ok(());
        }
        let mut lines = report.split('\0');
        let kind = lines.next().and_then(|n| n.parse().ok()).map_or(Kind::System, Kind::of_number);
        let was_left_alone = lines.next() == Some("1");
        let text = lines.next().unwrap_or("work in the container: it was ended");
        let hints = lines.filter(|hint| !hint.is_empty());
        Err(Failure { error: hints.fold(Error::new(kind, text), |e, hint| e.hint(hint)), was_left_alone })
    }
}

/// The pid of a container's first process, as the runtime knows it.
fn init_of(engine: &Engine, id: &str) -> Result<i32> {
    #[derive(serde::Deserialize)]
    struct State {
        pid: i32,
    }
    let what = || format!("read the state of `{id}`");
    let text = engine.runtime.call(&["state", id])?;
    let state: State = serde_json::from_slice(&text).context_as(Kind::System, what)?;
    match state.pid {
        0 => Err(Error::new(Kind::State, format!("{}: it has just ended", what()))),
        pid => Ok(pid),
    }
}

/// Has the runtime make a container of an ended one's root that only waits, under an id of its own.
fn make_ready(engine: &Engine, record: &Record) -> Result<Made> {
    let config = record.config()?;
    if !config.keep {
        return Err(Error::new(
            Kind::State,
            format!("enter the files of `{}`: it has ended and kept nothing", record.name),
        )
        .hint(
            "a container keeps what it changed if it was started with --keep, or from an image with --detach",
        ));
    }
    let lock = lock(engine, record)?;
    prepare::remove_made(engine, record)?;
    let id = prepare::made_id(record);
    // It never runs: it needs no terminal, nobody to take one over, and neither its program nor its user, who may be what
    // it has lost. The runtime looks for some program all the same.
    let mut quiet = record.clone();
    if let Ok(config) = &mut quiet.config {
        config.tty = false;
        config.user = None;
        config.workdir = PathBuf::from("/");
        config.args = vec!["/proc/self/exe".to_owned()];
        // Nor need the host still have what it had for it: what is gone is not bound, and nothing is there to be limited.
        config.binds.retain(|bind| !is_gone(&bind.source));
        config.limits = Limits::default();
    }
    let guardian = Guardian::new(|| drop(prepare::unmake(engine, &id)))?;
    let made = prepare::bundle_at(engine, &quiet, &engine.dirs.bundle(&id), &id)
        .and_then(|bundle| engine.runtime.create(&id, &bundle));
    let mut ready = Made { id, shown: None, guardian, _lock: lock };
    let made = made.and_then(|()| engine.runtime.show(&ready.id));
    match made.context(|| format!("enter the files of `{}`", record.name)) {
        Ok(shown) => {
            ready.shown = shown;
            Ok(ready)
        }
        Err(e) => unmake(engine, Some(ready)).and(Err(e)),
    }
}

/// Whether there is nothing of this name, or no directory on the way to it.
fn is_gone(path: &Path) -> bool {
    let found = std::fs::metadata(path);
    found.is_err_and(|e| matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory))
}

fn unmake(engine: &Engine, made: Option<Made>) -> Result<()> {
    let Some(made) = made else { return Ok(()) };
    drop(made.shown);
    let gone = prepare::unmake(engine, &made.id);
    made.guardian.dismiss();
    gone
}

/// Whether the process is in another user namespace than this one.
fn is_other_userns(pid: i32) -> Result<bool> {
    let what = || format!("look at the user namespace of process {pid}");
    let of = |path: &str| {
        let fd = fs::openat(fs::CWD, Path::new(path), OpenFlags::RDONLY, 0)?;
        fs::fstat(fd.as_fd()).map(|stat| (stat.device, stat.ino))
    };
    let theirs = of(&format!("/proc/{pid}/ns/user")).context(what)?;
    Ok(theirs != of("/proc/self/ns/user").context(what)?)
}
