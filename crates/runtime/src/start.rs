//! `start`: the word to a created container's init to execute its program.
//!
//! Init listens on `start.sock` in the container's state directory, which only its owner can enter. The
//! connection is the conversation of [`crate::wire`] from `Start` on, so that a program that cannot be
//! executed is an error of `start`. On another connection init shows itself to those who are not root and enter what
//! only waits: see [`show`].

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use taru_stdx::{Context, Error, Kind, Result};
use taru_sys::process::{self, Child};
use taru_sys::socket;

use crate::notify::Relay;
use crate::spec::Spec;
use crate::state::{Record, Status, Store};
use crate::wire::{Link, Message, through_descriptor};
use crate::{ended, hooks, kill, listener};

/// How long an ended init may take to be gone.
const PATIENCE: Duration = Duration::from_secs(10);

/// Starts the created container `id`. With the socket `notify` of a
/// caller who waits for the container's readiness, if it was created for one too, it returns once that was
/// passed on or the container has ended.
///
/// # Errors
/// [`Kind::State`] for one that is not `created`; the error of init, [`Kind::Exec`] among them; a poststart hook that
/// failed, after which the container was ended.
pub fn start(store: &Store, id: &str, notify: Option<&Path>) -> Result<()> {
    let mut record = store.load(id)?;
    let lock = record.lock()?;
    match record.status()? {
        Status::Created => {}
        Status::Stopped => return Err(refuse("cannot start a container that has stopped", id)),
        Status::Creating => return Err(refuse("cannot start a container that is being created", id)),
        Status::Running | Status::Paused => {
            return Err(refuse("cannot start an already running container", id));
        }
    }
    let spec = Spec::parse(&record.config()?)?;
    let init = record.state.init.map_or(Ok(None), |init| init.pidfd())?;
    let relay = Relay::listen(&record, notify)?;
    let link = Link::from(connect(&record)?);
    link.send(&Message::Start)?;
    follow(&link, &spec, &record, None)?;
    let path = record.start_socket();
    std::fs::remove_file(&path).context(|| format!("remove `{}`", path.display()))?;
    if let Err(error) = poststart(&spec, &record) {
        kill::end_init(&record, PATIENCE)?;
        return Err(error);
    }
    drop(lock);
    if let (Some(relay), Some(init)) = (relay, init) {
        relay.wait(&init)?;
    }
    Ok(())
}

fn refuse(why: &str, id: &str) -> Error {
    Error::new(Kind::State, format!("{why}: `{id}`"))
}

/// Hears init out until it executes its program, which closes the link. `child` is init where this process
/// may wait for it.
pub(crate) fn follow(link: &Link, spec: &Spec, record: &Record, child: Option<&Child>) -> Result<()> {
    loop {
        match link.receive()? {
            None => return check_executed(record, child),
            Some(Message::Failed(error)) => return Err(error),
            Some(Message::Listener(fd)) => {
                listener::send(spec, record, fd)?;
                link.send(&Message::Continue)?;
            }
            Some(_) => return Err(Error::new(Kind::System, "init spoke out of turn")),
        }
    }
}

/// The link closes when the program runs, and when init is killed before. An init that was reaped
/// already cannot be asked; its program may well have run.
fn check_executed(record: &Record, child: Option<&Child>) -> Result<()> {
    let Some(init) = record.state.init else { return Ok(()) };
    if !init.is_still_a_clone()? {
        return Ok(());
    }
    let error =
        Error::new(Kind::System, "start the container: its init ended before it executed the program")
            .hint("it was killed: by a signal, or by a seccomp profile that forbids execve");
    Err(match child {
        Some(child) => ended::explain(error, "start the container: its init", child),
        None => error,
    })
}

/// Runs the poststart hooks. One that fails is the failure of the start, as runc and crun have it; the caller
/// ends the container.
pub(crate) fn poststart(spec: &Spec, record: &Record) -> Result<()> {
    let Some(all) = spec.hooks.as_ref().filter(|all| !all.poststart.is_empty()) else { return Ok(()) };
    let pid = record.state.init.map(|p| p.pid);
    let state = hooks::state_json(spec, &record.state.id, "running", pid, &record.state.bundle);
    hooks::run("poststart", &all.poststart, &state, hooks::Place::Host(Some(&record.state.bundle)))
}

fn connect(record: &Record) -> Result<OwnedFd> {
    through_descriptor(&record.start_socket(), |path| socket::connect(path, false))
        .map_err(|e| e.hint("is the container's init still there? `taru-runtime state` tells"))
}

/// The socket on which init will wait.
pub(crate) fn listen(path: &Path) -> Result<OwnedFd> {
    through_descriptor(path, socket::listen_seqpacket)
}

/// Init of a created container, visible until this is dropped.
#[derive(Debug)]
pub struct Shown {
    _link: Link,
}

/// Has the init of a created container show itself: until it executes its program it is hidden from everybody but root, so
/// that its owner, too, could not enter its namespaces. `None` if it has begun to start meanwhile: then it shows
/// itself.
///
/// # Errors
/// The conversation with init fails.
pub fn show(record: &Record) -> Result<Option<Shown>> {
    let link = match connect(record) {
        Ok(connection) => Link::from(connection),
        Err(_) if record.status()? != Status::Created => return Ok(None),
        Err(e) => return Err(e),
    };
    match link.send(&Message::Show).and_then(|()| link.receive()) {
        Ok(Some(Message::Shown)) => Ok(Some(Shown { _link: link })),
        Ok(None) => Ok(None),
        Ok(Some(_)) => Err(Error::new(Kind::System, "init spoke out of turn")),
        Err(_) if record.status()? != Status::Created => Ok(None),
        Err(e) => Err(e),
    }
}

/// In init: visible for as long as the other end is open.
fn show_to(link: &Link) -> Result<()> {
    process::set_dumpable(true).context(|| "show itself")?;
    // Whoever asked may be gone already.
    let _ = link.send(&Message::Shown);
    let _ = link.receive();
    process::set_dumpable(false).context(|| "hide from other processes")
}

/// In init: waits for `start`. A connection that says nothing (its process was killed) is passed over.
pub(crate) fn accept(listener: &OwnedFd) -> Result<Link> {
    loop {
        let connection = socket::accept(listener.as_fd()).context(|| "wait for start")?;
        let link = Link::from(connection);
        match link.receive() {
            Ok(Some(Message::Start)) => return Ok(link),
            Ok(Some(Message::Show)) => show_to(&link)?,
            Ok(_) => {}
            Err(e) if e.kind() == Kind::System => {}
            Err(e) => return Err(e),
        }
    }
}
