//! `taru idmap show`: the maps of a process.

use std::process::ExitCode;

use serde::Serialize;
use taru_mount::idmap::{self, Range};
use taru_rootdir::Proc;
use taru_stdx::Result;

use crate::cli::{Format, Global};
use crate::output::{self, Table};

/// Show the id maps of a process, as seen from here
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  taru idmap show
  taru idmap show 4711 --format json")]
pub(super) struct Args {
    /// Print as a table or as JSON
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// The process [default: this one]
    pid: Option<u32>,
}

#[derive(Serialize)]
struct Line {
    kind: &'static str,
    inside: u32,
    outside: u32,
    length: u32,
}

/// 340 ranges of three numbers.
const LIMIT: u64 = 64 << 10;

pub(super) fn run(args: &Args, _: &Global) -> Result<ExitCode> {
    let proc = Proc::open()?;
    let process = match args.pid {
        Some(pid) => proc.pid(pid)?,
        None => proc.self_dir()?,
    };
    let mut lines = Vec::new();
    for (kind, file) in [("user", "uid_map"), ("group", "gid_map")] {
        let map = idmap::parse(&process.read_text(file, LIMIT)?)?;
        lines.extend(map.into_iter().map(|Range { inside, outside, length }| Line {
            kind,
            inside,
            outside,
            length,
        }));
    }
    match args.format {
        Format::Json => output::json(&lines)?,
        Format::Table => {
            let mut table = Table::new(&["KIND", "INSIDE", "OUTSIDE", "LENGTH"]);
            for l in &lines {
                table.row(vec![
                    l.kind.to_owned(),
                    l.inside.to_string(),
                    l.outside.to_string(),
                    l.length.to_string(),
                ]);
            }
            table.print()?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
