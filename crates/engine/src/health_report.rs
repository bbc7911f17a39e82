//! Whether a container that runs is well: what its supervisor found, for people and programs.

use serde::Serialize;
use taru_stdx::{Result, time};
use taru_supervise::health::{End, Outcome, Report};

use crate::Engine;
use crate::reconcile::Status;
use crate::record::Record;

/// What the supervisor of a container that runs found so far; `None` if it has no check.
///
/// # Errors
/// The report cannot be read.
pub fn read(engine: &Engine, record: &Record, status: &Status) -> Result<Option<Report>> {
    match status {
        Status::Running { .. } => Report::read(&engine.dirs.bundle(&record.id)),
        _ => Ok(None),
    }
}

/// A [`Report`] for programs.
#[derive(Debug, Clone, Serialize)]
pub struct Document {
    /// `starting`, `healthy` or `unhealthy`.
    state: &'static str,
    /// How many checks failed in a row, of those that count.
    streak: u32,
    /// The last five, the oldest first.
    results: Vec<Line>,
}

#[derive(Debug, Clone, Serialize)]
struct Line {
    start: String,
    end: String,
    /// The exit status; `null` if there is none: see the reason.
    exit: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    output: String,
}

impl From<&Report> for Document {
    fn from(report: &Report) -> Document {
        let results = report.results.iter().map(line).collect();
        Document { state: report.state.word(), streak: report.streak, results }
    }
}

fn line(outcome: &Outcome) -> Line {
    let (exit, reason) = match outcome.end {
        End::Exited(status) => (Some(status), None),
        End::TimedOut => (None, Some("it took too long and was killed")),
        End::NotRun => (None, Some("it could not be executed")),
    };
    Line {
        start: time::rfc3339(outcome.begun),
        end: time::rfc3339(outcome.ended),
        exit,
        reason,
        output: String::from_utf8_lossy(&outcome.output).into_owned(),
    }
}
