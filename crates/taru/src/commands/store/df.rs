//! `taru store df`: how much room is taken, and how much of it for nothing.

use std::process::ExitCode;

use serde::Serialize;
use taru_engine::image::usage::{self, Usage};
use taru_stdx::Result;

use crate::commands::open;
use crate::options::{Format, Global};
use crate::output::{self, Table, bytes};

/// Show how much room images and containers take
///
/// What can be freed is what `taru store gc` would remove now.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  taru store df
  taru store df --format json")]
pub(super) struct Args {
    /// Print as a table or as JSON
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Serialize)]
struct Line {
    kind: &'static str,
    count: u64,
    bytes: u64,
    reclaimable: u64,
}

pub(super) fn run(args: &Args, global: &Global) -> Result<ExitCode> {
    let engine = open(global)?;
    let Usage { content, layers, layer_bytes, roots, root_bytes } = usage::usage(&engine)?;
    let lines = [
        Line {
            kind: "blobs",
            count: content.blobs,
            bytes: content.bytes,
            reclaimable: content.unreachable_bytes,
        },
        Line { kind: "unfinished", count: 0, bytes: content.unfinished_bytes, reclaimable: 0 },
        Line { kind: "layers", count: layers, bytes: layer_bytes, reclaimable: 0 },
        Line { kind: "containers", count: roots, bytes: root_bytes, reclaimable: 0 },
    ];
    if args.format == Format::Json {
        output::json(&lines)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = Table::new(&["KIND", "COUNT", "SIZE", "CAN BE FREED"]);
    for line in lines {
        let count = if line.kind == "unfinished" { "-".to_owned() } else { line.count.to_string() };
        table.row(vec![line.kind.to_owned(), count, bytes(line.bytes), bytes(line.reclaimable)]);
    }
    table.print()?;
    Ok(ExitCode::SUCCESS)
}
