//! `taru rm`: away with containers.

use std::process::ExitCode;

use taru_stdx::Result;

use crate::commands::open;
use crate::options::Global;
use crate::output;
use taru_engine::stop;

/// Remove containers, their logs and what they kept
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  taru rm web
  taru rm -f web                   even if it runs
  taru rm $(taru ps -aq)")]
pub struct Args {
    /// Kill those that run
    #[arg(long, short)]
    force: bool,
    /// Names, ids or beginnings of ids
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

pub(super) fn run(args: &Args, global: &Global) -> Result<ExitCode> {
    let mut engine = open(global)?;
    output::each(&args.containers, |key| {
        stop::remove(&mut engine, key, args.force)?;
        output::line(key)
    })
}
