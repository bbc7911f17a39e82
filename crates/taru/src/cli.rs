//! The command line as typed: global options, then one verb.
//!
//! Help texts are the doc comments. [`command`] is the whole definition for generators.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser};

use crate::commands::Command;
use crate::output;

pub use crate::options::{Format, Global, LogLevel};

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

/// The definition of the command line, for man pages and completions.
pub fn command() -> clap::Command {
    Cli::command()
}

/// The verbs whose statuses are the program's.
const RUN_PROGRAMS: [&str; 5] = ["chroot", "enter", "exec", "run", "unshare"];

/// Parses a command line.
///
/// # Errors
/// The status to exit with, once help, version or the mistake has been printed: 0 for help, 125 for
/// a mistake in `run`, `exec` and their like (whose other statuses are the program's), else 2.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Cli, ExitCode> {
    let args: Vec<OsString> = args.into_iter().collect();
    let parsed = command().try_get_matches_from(&args).and_then(|m| Cli::from_arg_matches(&m));
    parsed.map_err(|mistake| {
        // Help goes to standard output, a mistake to standard error; a closed one is not our concern.
        let _ = mistake.print();
        if !mistake.use_stderr() {
            return ExitCode::SUCCESS;
        }
        let runs = args.iter().skip(1).any(|a| RUN_PROGRAMS.iter().any(|verb| a == verb));
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
