//! `taru start`: a container that ended, once more.

use std::process::ExitCode;

use taru_stdx::{Error, Kind, Result};

use crate::commands::open;
use crate::options::Global;
use crate::output;
use taru_engine::reconcile::{self, Status};
use taru_engine::run;

/// Start containers that ended once more, in the background
///
/// What one changed in its root is there again if it was made with --keep.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  taru run -d --keep --name db host -- ./db
  taru stop db; taru start db")]
pub struct Args {
    /// Names, ids or beginnings of ids
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

pub(super) fn run(args: &Args, global: &Global) -> Result<ExitCode> {
    let mut engine = open(global)?;
    output::each(&args.containers, |key| {
        let (record, status) = reconcile::one(&mut engine, key)?;
        if !matches!(status, Status::Ended(_)) {
            return Err(Error::new(Kind::State, format!("start `{key}`: it is {}", status.word())));
        }
        run::again(&mut engine, &record)?;
        output::line(key)
    })
}
