//! `taru store`: the room that images and containers take.

use std::process::ExitCode;

use clap::Subcommand;
use taru_stdx::Result;

use crate::options::Global;

mod check;
mod df;
mod gc;

/// See to the room that images and containers take
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  taru store df
  taru store check --repair        verify everything, and mend what can be mended
  taru store gc                    remove what nothing needs any more")]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Check(check::Args),
    Df(df::Args),
    Gc(gc::Args),
}

pub(super) fn run(args: &Args, global: &Global) -> Result<ExitCode> {
    match &args.verb {
        Verb::Check(args) => check::run(args, global),
        Verb::Df(args) => df::run(args, global),
        Verb::Gc(args) => gc::run(args, global),
    }
}
