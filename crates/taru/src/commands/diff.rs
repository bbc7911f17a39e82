//! `taru diff`: what a container changed in its root.

use std::process::ExitCode;

use serde::Serialize;
use taru_engine::commit::{ChangeKind, changes};
use taru_stdx::Result;

use crate::commands::open;
use crate::options::{Format, Global};
use crate::output;

/// List what a container changed in its root
///
/// A line for each path: A is new, C was changed, D is gone. Volumes and other mounts are not part of the root.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  taru diff web
  taru diff --format json web")]
pub struct Args {
    /// Print as lines or as JSON
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Name, id or beginning of an id
    container: String,
}

#[derive(Serialize)]
struct Line {
    kind: char,
    path: String,
}

pub(super) fn run(args: &Args, global: &Global) -> Result<ExitCode> {
    let mut engine = open(global)?;
    let lines: Vec<Line> = changes(&mut engine, &args.container)?
        .iter()
        .map(|change| Line {
            kind: match change.kind {
                ChangeKind::Added => 'A',
                ChangeKind::Changed => 'C',
                ChangeKind::Deleted => 'D',
            },
            path: change.path.display().to_string(),
        })
        .collect();
    if args.format == Format::Json {
        output::json(&lines)?;
        return Ok(ExitCode::SUCCESS);
    }
    let text: String =
        lines.iter().map(|line| format!("{} {}\n", line.kind, line.path.escape_debug())).collect();
    output::text(&text)?;
    Ok(ExitCode::SUCCESS)
}
