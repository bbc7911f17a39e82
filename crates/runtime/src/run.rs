//! `run`: create, start, and in the foreground stay until the end and delete.

use std::path::Path;

use taru_stdx::{Context, Error, Kind, Result};
use taru_sys::process::{self, Exit};

use crate::attend::{Blocked, attend};
use crate::create::{self, Created, Request};
use crate::notify::Relay;
use crate::state::Store;
use crate::wire::Message;
use crate::{delete, ended, start};

/// How `run` goes on after the start.
#[derive(Debug, Clone, Copy, Default)]
pub struct RunOptions {
    /// Return once the program runs.
    pub detach: bool,
    /// Leave the record of the ended container.
    pub keep: bool,
    /// Leave orphans of the container to somebody else.
    pub no_subreaper: bool,
    /// Kill the container, in the foreground, when the process that executed this one ends.
    pub die_with_parent: bool,
}

/// What became of the container.
#[derive(Debug)]
pub struct Outcome {
    /// How its program ended; `None` if it still runs.
    pub exit: Option<Exit>,
    /// What is worth a warning.
    pub warnings: Vec<String>,
}

/// Runs a container.
///
/// # Errors
/// As [`create::create`] and [`start::start`]; a container that could not be started is deleted.
pub fn run(request: &Request<'_>, options: RunOptions) -> Result<Outcome> {
    if options.detach {
        return run_detached(request, options);
    }
    let _blocked = Blocked::all();
    // By its descriptor: it may end at any time from here on, and its number go to another.
    let master = options.die_with_parent.then(|| process::pidfd_open(process::getppid()));
    let master = master.transpose().context(|| "watch the parent process")?;
    if !options.no_subreaper {
        process::set_child_subreaper(true).context(|| "become the reaper of orphans")?;
    }
    let mut created = create::make_attached(request)?;
    let mut warnings = std::mem::take(&mut created.warnings);
    let exit = release(&created, request.notify)
        .and_then(|relay| attend(&created.init, created.terminal.take(), relay, master));
    if exit.is_err() {
        ended::end(&created.init)?;
    }
    if !options.keep || exit.is_err() {
        warnings.extend(remove(request.store, &mut created)?);
    }
    Ok(Outcome { exit: Some(exit?), warnings })
}

fn run_detached(request: &Request<'_>, options: RunOptions) -> Result<Outcome> {
    let mut created = create::make_detached(request)?;
    let warnings = std::mem::take(&mut created.warnings);
    match release(&created, request.notify) {
        Ok(Some(relay)) => relay.wait(&created.init.pidfd)?,
        Ok(None) => {}
        Err(error) => {
            ended::end(&created.init)?;
            if !options.keep {
                remove(request.store, &mut created)?;
            }
            return Err(error);
        }
    }
    Ok(Outcome { exit: None, warnings })
}

/// Deletes the container, unless another command did, as it may: how the program ended is still to be told.
fn remove(store: &Store, created: &mut Created) -> Result<Vec<String>> {
    match created.record.lock() {
        Err(e) if e.kind() == Kind::NotFound => Ok(Vec::new()),
        lock => delete::remove(store, &created.record, &created.spec, lock?),
    }
}

/// Gives the word to start, unless it was given, over the link that this process still holds.
fn release(created: &Created, notify: Option<&Path>) -> Result<Option<Relay>> {
    let link = created.link.as_ref().ok_or_else(|| Error::new(Kind::System, "start: no link to init"))?;
    let relay = Relay::listen(&created.record, notify)?;
    if !created.released {
        link.send(&Message::Start)?;
    }
    start::follow(link, &created.spec, &created.record, Some(&created.init))?;
    start::poststart(&created.spec, &created.record)?;
    Ok(relay)
}
