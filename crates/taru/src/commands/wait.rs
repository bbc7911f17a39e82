//! `taru wait`: until a container ended.

use std::process::ExitCode;

use taru_stdx::Result;

use crate::commands::open;
use crate::options::Global;
use crate::output;
use taru_engine::stop;

/// Wait until containers have ended, and print their exit statuses, one a line
///
/// A status that nobody saw, because the supervisor was killed, is printed as `?`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  taru run -d --name job host -- ./job
  taru wait job")]
pub struct Args {
    /// Names, ids or beginnings of ids
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

pub(super) fn run(args: &Args, global: &Global) -> Result<ExitCode> {
    let mut engine = open(global)?;
    output::each(&args.containers, |key| {
        let status = stop::wait(&mut engine, key)?;
        output::line(&status.map_or("?".to_owned(), |s| s.to_string()))
    })
}
