//! What a container does now: its record held against the kernel, and brought in line with it.
//!
//! | record | who watches | exit file | then it |
//! |---|---|---|---|
//! | of another boot | – | any | ended when the host did, unless the exit file tells more |
//! | begun | is alive | – | runs |
//! | begun | nobody yet, its starter is alive | – | is starting |
//! | begun | is gone, its starter is alive | – | runs: its starter is about to note the end |
//! | begun | is gone | there | ended with that status |
//! | begun | is gone | none | is killed: its supervisor was, and nobody would see its end |
//! | ended | – | – | ended |
//! | removing | – | – | is removed: whoever began was killed |

use std::time::SystemTime;

use taru_runtime::state::Process;
use taru_stdx::Result;
use taru_supervise::exit::Exit;
use taru_supervise::facts::Facts;

use crate::record::{Ended, Phase, Record};
use crate::{Engine, prepare};

/// What a container does now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// A `taru` is about to start it.
    Starting,
    /// It runs.
    Running {
        /// Who waits for its end.
        supervisor: Process,
        /// Its init, where the supervisor tells.
        init: Option<Process>,
        /// Since when.
        started: SystemTime,
    },
    /// It ended.
    Ended(Ended),
}

impl Status {
    /// The word for programs.
    pub fn word(&self) -> &'static str {
        match self {
            Status::Starting => "starting",
            Status::Running { .. } => "running",
            Status::Ended(_) => "exited",
        }
    }
}

/// What every container does, the newest first. Those that are gone for good are removed on the way.
///
/// # Errors
/// The records cannot be read. A single container's trouble does not hide the others: it is
/// reported through `trouble`, and the container is listed as ended.
pub fn all(
    engine: &mut Engine,
    mut trouble: impl FnMut(&Record, taru_stdx::Error),
) -> Result<Vec<(Record, Status)>> {
    let mut list = Vec::new();
    for record in engine.store.list()? {
        match settle(engine, &record) {
            Ok(Some(status)) => list.push((record, status)),
            Ok(None) => {}
            Err(e) => {
                let reason = e.chain().to_string();
                trouble(&record, e);
                list.push((record, Status::Ended(Ended { status: None, finished: None, reason })));
            }
        }
    }
    Ok(list)
}

/// The container that `key` names, and what it does.
///
/// # Errors
/// There is none, or it cannot be brought in line.
pub fn one(engine: &mut Engine, key: &str) -> Result<(Record, Status)> {
    let record = engine.store.find(key)?;
    match settle(engine, &record)? {
        Some(status) => Ok((record, status)),
        // It was to be removed when it ended, and did: now the search fails with the usual words.
        None => engine.store.find(key).map(|record| {
            let ended = Ended { status: None, finished: None, reason: "it is being removed".to_owned() };
            (record, Status::Ended(ended))
        }),
    }
}

/// Brings a container in line with its record; `None` if that removed it.
///
/// # Errors
/// /proc or the directories cannot be read, or what is left of it cannot be removed.
pub fn settle(engine: &mut Engine, record: &Record) -> Result<Option<Status>> {
    match &record.phase {
        Phase::Ended(ended) => Ok(Some(Status::Ended(ended.clone()))),
        Phase::Removing => {
            tidy(engine, record)?;
            prepare::remove_all(engine, record)?;
            engine.delete(record, true)?;
            Ok(None)
        }
        Phase::Begun => {
            let ended = match watch(engine, record)? {
                Watch::Status(status) => return Ok(Some(status)),
                Watch::Ended(ended) => ended,
            };
            tidy(engine, record)?;
            end(engine, record, &ended)
        }
    }
}

/// Notes the end of a container that begun and of which nothing runs any more: removes it if that
/// was asked for, else records how it ended.
///
/// # Errors
/// As [`settle`].
pub fn end(engine: &mut Engine, record: &Record, ended: &Ended) -> Result<Option<Status>> {
    let config = record.config.as_ref().ok();
    if config.is_some_and(|c| c.remove) {
        // While its starter lives nobody begins it anew, and once that is gone it is removed by whoever sees that.
        if record.starter != engine.starter.process {
            engine.store.removing(record)?;
        }
        prepare::remove_all(engine, record)?;
        engine.delete(record, false)?;
        return Ok(None);
    }
    prepare::remove_running(engine, &record.id)?;
    let keeps = config.is_some_and(|c| c.keep);
    engine.store.end(record, ended, keeps)?;
    Ok(Some(Status::Ended(ended.clone())))
}

enum Watch {
    Status(Status),
    Ended(Ended),
}

/// Whether a container that had begun runs.
fn watch(engine: &Engine, record: &Record) -> Result<Watch> {
    let exit = Exit::read(&engine.dirs.container(&record.id))?;
    let from_file = |exit: Exit| Ended {
        status: Some(exit.status),
        finished: Some(exit.finished),
        reason: String::new(),
    };
    let unknown = |reason: &str| Ended { status: None, finished: None, reason: reason.to_owned() };
    if record.boot != engine.starter.boot {
        return Ok(Watch::Ended(exit.map_or_else(|| unknown("the host was restarted"), from_file)));
    }
    let facts = Facts::read(&engine.dirs.bundle(&record.id))?;
    let starter_lives = record.starter.is_alive()?;
    let is_step = record.config.as_ref().is_ok_and(|c| c.labels.contains_key(crate::config::STEP));
    Ok(match facts {
        // The runtime of a build's step outlives a killed build, and nobody wants what it makes any more.
        Some(_) if is_step && !starter_lives => Watch::Ended(unknown("its build was killed")),
        Some(facts) if facts.supervisor.is_alive()? || starter_lives => Watch::Status(Status::Running {
            supervisor: facts.supervisor,
            init: facts.init,
            started: facts.started,
        }),
        None if starter_lives => Watch::Status(Status::Starting),
        // The exit file is written before the supervisor ends: now that it is gone, look again.
        facts => Watch::Ended(match Exit::read(&engine.dirs.container(&record.id))? {
            Some(exit) => from_file(exit),
            None if facts.is_some() => unknown("its supervisor was killed"),
            None => unknown("taru was killed before it was started"),
        }),
    })
}

/// Kills and removes what the runtime still has of it.
///
/// # Errors
/// The runtime cannot.
pub(crate) fn tidy(engine: &Engine, record: &Record) -> Result<()> {
    if engine.dirs.runtime().join(&record.id).exists() {
        engine.runtime.call(&["delete", "--force", &record.id])?;
    }
    Ok(())
}
