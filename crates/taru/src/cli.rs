//! The command line as typed: global options, then one verb.
//!
//! Help texts are the doc comments. [`command`] is the whole definition for generators.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, ValueEnum};

use crate::commands::Command;
use crate::output;

/// Run containers, and handle namespaces and control groups by hand
#[derive(Debug, Parser)]
#[command(name = "taru", version, disable_help_subcommand = true, arg_required_else_help = true)]
#[command(after_help = "\
Examples:
  taru run host -- bash              a shell on this host's own programs, nothing to download
  taru run --rootfs ./debian sh      any directory as the root, unchanged by what runs in it
  taru run -d --name web host -- python3 -m http.server
  taru ps; taru logs -f web; taru exec web ps; taru rm -f web")]
pub struct Cli {
    /// The options every verb takes.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The options every verb takes; they may stand before or after it.
#[derive(Debug, Clone, clap::Args)]
pub struct Global {
    /// Keep taru's state below DIR [default: /var/lib/taru, or ~/.local/share/taru for an ordinary user]
    #[arg(
        long,
        value_name = "DIR",
        global = true,
        env = "TARU_ROOT",
        hide_env = true,
        help_heading = "Global options"
    )]
    pub root: Option<PathBuf>,
    /// Say on standard error what is being done, from this level up
    #[arg(
        long,
        value_name = "LEVEL",
        global = true,
        default_value = "warn",
        help_heading = "Global options"
    )]
    pub log_level: LogLevel,
}

/// How much `taru` says on standard error besides errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum LogLevel {
    /// Errors only
    Error,
    /// What was done otherwise than asked
    Warn,
    /// The main steps
    Info,
    /// Every step
    Debug,
}

/// `--format`, for the verbs that list something.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Columns for people
    #[default]
    Table,
    /// One JSON document for programs
    Json,
}

/// The definition of the command line, for man pages and completions.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Parses a command line.
///
/// # Errors
/// The status to exit with, once help, version or the mistake has been printed: 0 for help, 125 for
/// a mistake in `run` or `exec` (whose other statuses are the program's), else 2.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Cli, ExitCode> {
    let args: Vec<OsString> = args.into_iter().collect();
    let parsed = command().try_get_matches_from(&args).and_then(|m| Cli::from_arg_matches(&m));
    parsed.map_err(|mistake| {
        // Help goes to standard output, a mistake to standard error; a closed one is not our concern.
        let _ = mistake.print();
        if !mistake.use_stderr() {
            return ExitCode::SUCCESS;
        }
        let runs = args.iter().skip(1).any(|a| a == "run" || a == "exec");
        ExitCode::from(if runs { output::OWN_FAILURE } else { output::USAGE })
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_definition_holds_together() {
        super::command().debug_assert();
    }
}
