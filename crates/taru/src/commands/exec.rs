//! `taru exec`: a further program in a container that runs.

use std::path::PathBuf;
use std::process::ExitCode;

use taru_stdx::{Error, Result};

use crate::commands::open;
use crate::commands::run::values::environment;
use crate::options::Global;
use crate::output;
use taru_engine::exec::{Exec, exec};

/// Run a further program in a container that runs
///
/// The exit status is the program's; 125 says that taru failed, 126 that the program cannot be executed,
/// 127 that there is none.
#[derive(Debug, clap::Args)]
#[command(override_usage = "taru exec [OPTIONS] CONTAINER COMMAND [ARG]...")]
#[command(after_help = "\
Examples:
  taru exec web ps
  taru exec -t web bash
  taru exec -u 1000 -e LANG=C web id")]
pub struct Args {
    /// Give the program a terminal
    #[arg(long, short)]
    tty: bool,
    /// Keep standard input open; it always is, this is accepted as Docker's habit
    #[arg(long, short)]
    interactive: bool,
    /// Run in the background
    #[arg(long, short)]
    detach: bool,
    /// Run as this user, by name or number
    #[arg(long, short, value_name = "USER[:GROUP]")]
    user: Option<String>,
    /// Run in this directory
    #[arg(long, short, value_name = "DIR")]
    workdir: Option<String>,
    /// Set a variable of the environment; without a value, take over taru's own
    #[arg(long, short, value_name = "NAME[=VALUE]")]
    env: Vec<String>,
    /// Set the variables that FILE has, one a line; --env counts more
    #[arg(long, value_name = "FILE")]
    env_file: Vec<PathBuf>,
    /// A name, an id or the beginning of one
    container: String,
    /// The program and its arguments
    #[arg(required = true, trailing_var_arg = true)]
    command: Vec<String>,
}

pub(super) fn run(args: &Args, global: &Global) -> Result<ExitCode> {
    let mut problems = Vec::new();
    let env = environment(&args.env_file, &args.env, &mut |e| problems.push(e));
    if let Some(error) = Error::all(problems) {
        return Err(error);
    }
    let mut engine = open(global)?;
    let wanted = Exec {
        tty: args.tty,
        detach: args.detach,
        user: args.user.clone(),
        workdir: args.workdir.clone(),
        env,
        args: args.command.clone(),
    };
    exec(&mut engine, &args.container, &wanted).map(output::outcome)
}
