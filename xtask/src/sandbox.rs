//! `xtask sandbox`: a command in namespaces and control groups of its own, by `tests/sandbox.sh`.

use std::ffi::OsString;
use std::process::{Command, ExitCode};

use taru_stdx::Result;

use crate::workspace;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Keep the cgroup v2 mount beside the v1 hierarchies
    #[arg(long)]
    hybrid: bool,
    /// What to run
    #[arg(trailing_var_arg = true, required = true, allow_hyphen_values = true)]
    command: Vec<OsString>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let mut command = command(arguments.hybrid);
    Ok(workspace::exit_code(workspace::status(command.args(&arguments.command))?))
}

/// The beginning of a command line: what follows runs in the sandbox.
pub(crate) fn command(hybrid: bool) -> Command {
    let mut command = Command::new(workspace::root().join("tests/sandbox.sh"));
    if hybrid {
        command.arg("--hybrid");
    }
    command.arg("--");
    command
}
