//! `taru attach`: this terminal at a detached container's streams.

use std::process::ExitCode;

use taru_stdx::Result;

use crate::commands::open;
use crate::options::Global;
use taru_engine::attach::attach;

/// Connect standard input, output and error to those of a detached container
///
/// Ends with the container and its exit status. Ctrl-P Ctrl-Q lets go of a container with a terminal; it goes
/// on. What was written before is in the log: `taru logs`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  taru run -dit --name sh host -- bash
  taru attach sh")]
pub struct Args {
    /// Only look: do not take standard input
    #[arg(long)]
    no_stdin: bool,
    /// A name, an id or the beginning of one
    container: String,
}

pub(super) fn run(args: &Args, global: &Global) -> Result<ExitCode> {
    let mut engine = open(global)?;
    attach(&mut engine, &args.container, !args.no_stdin).map(ExitCode::from)
}
