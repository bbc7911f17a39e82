//! `taru ps`: the containers there are.

use std::process::ExitCode;
use std::time::SystemTime;

use serde::Serialize;
use taru_stdx::{Result, time};

use crate::commands::open;
use crate::options::{Format, Global, LogLevel};
use crate::output::{self, Table, age};
use taru_engine::config::{ContainerConfig, Root};
use taru_engine::health_report;
use taru_engine::reconcile::{self, Status};
use taru_engine::record::Record;
use taru_supervise::health::{Report, State};

/// List containers
///
/// Without --all those that run. What is listed is asked of the kernel, not remembered.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  taru ps
  taru ps -a --format json
  taru rm $(taru ps -aq)           remove every container that ended")]
pub struct Args {
    /// List those that ended too
    #[arg(long, short)]
    all: bool,
    /// Print ids only, one a line
    #[arg(long, short)]
    quiet: bool,
    /// Print as a table or as JSON
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Serialize)]
struct Line<'a> {
    id: &'a str,
    name: &'a str,
    root: String,
    command: &'a [String],
    created: String,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_status: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    health: Option<health_report::Document>,
}

pub(super) fn run(args: &Args, global: &Global) -> Result<ExitCode> {
    let mut engine = open(global)?;
    let mut list = reconcile::all(&mut engine, |record, error| {
        output::note(global, LogLevel::Warn, &format!("container `{}`: {}", record.name, error.chain()));
    })?;
    list.retain(|(_, status)| args.all || !matches!(status, Status::Ended(_)));
    // A report that cannot be read hides no container.
    let report = |record: &Record, status: &Status| {
        health_report::read(&engine, record, status).unwrap_or_else(|error| {
            output::note(global, LogLevel::Warn, &format!("container `{}`: {}", record.name, error.chain()));
            None
        })
    };
    if args.quiet {
        let ids: String = list.iter().map(|(record, _)| format!("{}\n", record.short_id())).collect();
        output::text(&ids)?;
    } else if args.format == Format::Json {
        let lines = list.iter().map(|(record, status)| line(record, status, report(record, status)));
        let lines: Vec<Line<'_>> = lines.collect();
        output::json(&lines)?;
    } else {
        let now = SystemTime::now();
        let mut table = Table::new(&["ID", "NAME", "ROOT", "COMMAND", "CREATED", "STATUS"]);
        for (record, status) in &list {
            let config = record.config.as_ref().ok();
            table.row(vec![
                record.short_id().to_owned(),
                record.name.clone(),
                root(config),
                shorten(&config.map(|c| c.args.join(" ")).unwrap_or_default(), 32),
                format!("{} ago", age(record.created, now)),
                describe(status, report(record, status), now),
            ]);
        }
        table.print()?;
    }
    Ok(ExitCode::SUCCESS)
}

fn line<'a>(record: &'a Record, status: &'a Status, report: Option<Report>) -> Line<'a> {
    let config = record.config.as_ref().ok();
    let ended = match status {
        Status::Ended(ended) => Some(ended),
        _ => None,
    };
    Line {
        id: &record.id,
        name: &record.name,
        root: root(config),
        command: config.map(|c| c.args.as_slice()).unwrap_or_default(),
        created: time::rfc3339(record.created),
        status: status.word(),
        exit_status: ended.and_then(|e| e.status),
        reason: ended.map(|e| e.reason.as_str()).filter(|r| !r.is_empty()),
        health: report.as_ref().map(health_report::Document::from),
    }
}

fn root(config: Option<&ContainerConfig>) -> String {
    match config.map(|c| &c.root) {
        Some(Root::Host) => "host".to_owned(),
        Some(Root::Directory { path, .. }) => path.display().to_string(),
        Some(Root::Image { name, .. }) => name.clone(),
        None => "?".to_owned(),
    }
}

fn describe(status: &Status, report: Option<Report>, now: SystemTime) -> String {
    // By itself "starting" would be said of the container.
    let health = match report.map(|report| report.state) {
        Some(State::Starting) => " (health: starting)".to_owned(),
        Some(state) => format!(" ({})", state.word()),
        None => String::new(),
    };
    match status {
        Status::Starting => "starting".to_owned(),
        Status::Running { started, .. } => format!("up {}{health}", age(*started, now)),
        Status::Ended(ended) => {
            let code = ended.status.map_or("?".to_owned(), |s| s.to_string());
            let when = ended.finished.map(|t| format!(" {} ago", age(t, now))).unwrap_or_default();
            let reason = if ended.reason.is_empty() { String::new() } else { format!(": {}", ended.reason) };
            format!("exited ({code}){when}{}", shorten(&reason, 60))
        }
    }
}

fn shorten(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most - 1).chain(['…']).collect()
}
