//! `taru kill`: a signal to a container's first process.

use std::process::ExitCode;

use taru_stdx::{Error, Kind, Result};
use taru_sys::signal;

use crate::commands::open;
use crate::options::Global;
use crate::output;
use taru_engine::stop;

/// Send a signal to the first process of containers
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  taru kill web
  taru kill -s HUP web")]
pub struct Args {
    /// The signal, by name or number
    #[arg(long, short, value_name = "SIGNAL", default_value = "KILL")]
    signal: String,
    /// Names, ids or beginnings of ids
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

pub(super) fn run(args: &Args, global: &Global) -> Result<ExitCode> {
    let number = signal::parse(&args.signal).filter(|n| *n > 0).ok_or_else(|| {
        Error::new(Kind::Invalid, format!("send signal `{}`: no such signal", args.signal))
            .hint("signals are named as kill(1) has them: TERM, HUP, 9")
    })?;
    let mut engine = open(global)?;
    output::each(&args.containers, |key| {
        stop::kill(&mut engine, key, number)?;
        output::line(key)
    })
}
