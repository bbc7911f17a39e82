//! `cargo taru ARGUMENTS`: builds both executables, quietly, and executes `taru`.

use std::env;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use taru_stdx::{Context, Result};

use crate::workspace;

/// Builds, then becomes `taru`: its exit status, its terminal and its signals are the caller's.
pub(crate) fn run(arguments: &[OsString]) -> Result<ExitCode> {
    workspace::check(workspace::cargo().args([
        "build",
        "--quiet",
        "--release",
        "-p",
        "taru",
        "-p",
        "taru-runtime-cli",
    ]))?;
    let taru = workspace::executable("release", "taru")?;
    // Cargo's own variables are of no use to what the user runs.
    let cargo: Vec<_> =
        env::vars_os().map(|(name, _)| name).filter(|n| n.to_string_lossy().starts_with("CARGO")).collect();
    let mut command = Command::new(&taru);
    for name in cargo {
        command.env_remove(name);
    }
    Err(command.args(arguments).exec()).context(|| format!("execute `{}`", taru.display()))
}
