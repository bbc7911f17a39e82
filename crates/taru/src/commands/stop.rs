//! `taru stop`: ask, wait, then force.

use std::process::ExitCode;
use std::time::Duration;

use taru_stdx::{Result, parse};

use crate::commands::open;
use crate::options::Global;
use crate::output;
use taru_engine::stop;

/// Stop containers: ask with SIGTERM, and kill what has not ended in time
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  taru stop web
  taru stop -t 1m db               give it time to write everything down")]
pub struct Args {
    /// How long to wait before killing: seconds, or a duration such as 500ms or 1m
    #[arg(long, short, value_name = "TIME", default_value = "10", value_parser = parse::duration)]
    time: Duration,
    /// Names, ids or beginnings of ids
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

pub(super) fn run(args: &Args, global: &Global) -> Result<ExitCode> {
    let mut engine = open(global)?;
    output::each(&args.containers, |key| {
        stop::stop(&mut engine, key, args.time)?;
        output::line(key)
    })
}
