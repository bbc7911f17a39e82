//! The command line as typed: global options, a command, its options.
//!
//! Help texts are the doc comments of the argument structs in [`crate::commands`]. [`command`] is the
//! whole definition, for help and generators; [`parse`] defines only the command that was typed,
//! since defining all of them would cost more than parsing.

use std::ffi::{OsStr, OsString};

use clap::{ArgMatches, Args, FromArgMatches};

use crate::commands::{COMMANDS, Entry};
use crate::global::Global;

/// A command line that was understood.
pub(crate) enum Parsed {
    /// Print this and be done.
    Text(String),
    /// Run a command.
    Command(Typed),
}

/// A command as typed.
pub(crate) struct Typed {
    pub(crate) global: Global,
    pub(crate) entry: &'static Entry,
    pub(crate) matches: ArgMatches,
}

/// The whole definition, for man pages and completions.
pub fn command() -> clap::Command {
    root().subcommands(COMMANDS.iter().map(define))
}

fn define(entry: &Entry) -> clap::Command {
    (entry.define)(clap::Command::new(entry.name)).args_override_self(true)
}

/// What `--version` prints: engines read the name and version, `commit:` and `spec:`.
pub fn version() -> String {
    format!(
        "taru-runtime version {}\ncommit: {}\nspec: {}\n",
        env!("CARGO_PKG_VERSION"),
        option_env!("TARU_COMMIT").unwrap_or("unknown"),
        taru_runtime::spec::VERSION
    )
}

/// Parses a command line, the program's name first.
///
/// # Errors
/// Help that was asked for, or the mistake.
pub(crate) fn parse(args: &[OsString]) -> Result<Parsed, clap::Error> {
    let entry = typed_command(args).and_then(|name| COMMANDS.iter().find(|entry| name == entry.name));
    let mut matches = match entry {
        Some(entry) => {
            let only = define(entry);
            root().subcommand(only).try_get_matches_from(args)?
        }
        None => command().try_get_matches_from(args)?,
    };
    let global = Global::from_arg_matches(&matches)?;
    if global.version {
        return Ok(Parsed::Text(version()));
    }
    match (entry, matches.remove_subcommand()) {
        (Some(entry), Some((_, matches))) => Ok(Parsed::Command(Typed { global, entry, matches })),
        _ => Ok(Parsed::Text(command().render_help().to_string())),
    }
}

/// The name of the command that was typed, without understanding the rest.
pub(crate) fn typed_command(args: &[OsString]) -> Option<&OsStr> {
    let mut rest = args.iter().skip(1);
    while let Some(arg) = rest.next() {
        if !arg.as_encoded_bytes().starts_with(b"-") {
            return Some(arg);
        }
        if VALUED.iter().any(|option| arg == option) {
            rest.next();
        }
    }
    None
}

/// The value of the global option `name` (with its dashes), wherever else the line may be mistaken.
pub(crate) fn typed_value<'a>(args: &'a [OsString], name: &str) -> Option<&'a OsStr> {
    let mut rest = args.iter().skip(1);
    while let Some(arg) = rest.next() {
        if arg == name {
            return rest.next().map(OsString::as_os_str);
        }
        if let Some(value) = arg.to_str().and_then(|a| a.strip_prefix(name)).and_then(|v| v.strip_prefix('='))
        {
            return Some(OsStr::new(value));
        }
        if !arg.as_encoded_bytes().starts_with(b"-") {
            return None;
        }
        if VALUED.iter().any(|option| arg == option) {
            rest.next();
        }
    }
    None
}

/// The global options that take a value; a test holds this to the definition.
const VALUED: [&str; 7] =
    ["--log", "--log-format", "--log-level", "--root", "--cgroup-manager", "--rootless", "--criu"];

/// The global options that people put behind the command by mistake.
pub(crate) const GLOBAL: [&str; 8] = [
    "--root",
    "--log",
    "--log-format",
    "--log-level",
    "--debug",
    "--systemd-cgroup",
    "--cgroup-manager",
    "--rootless",
];

fn root() -> clap::Command {
    // The name stands in what users read, whatever the file is called.
    Global::augment_args(clap::Command::new("taru-runtime").bin_name("taru-runtime"))
        .about("Run OCI containers")
        // An engine may put its own options before the user's: the last one holds, as with runc.
        .args_override_self(true)
        .subcommand_value_name("COMMAND")
        .subcommand_help_heading("Commands")
        .override_usage("taru-runtime [GLOBAL OPTIONS] COMMAND [OPTIONS] [ID]")
        .after_help(EXAMPLES)
}

const EXAMPLES: &str = "\
Examples:
  taru-runtime spec                          write a starter config.json
  taru-runtime run web                       run the bundle in the current directory
  taru-runtime create --bundle /b web; taru-runtime start web
  taru-runtime exec web ps
  taru-runtime list; taru-runtime delete --force web

`taru-runtime help COMMAND` tells more. Options of a command may stand before or after the id.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_holds_together() {
        command().debug_assert();
    }

    #[test]
    fn every_global_option_with_a_value_is_known_to_the_quick_look() {
        let valued: Vec<String> = root()
            .get_arguments()
            .filter(|a| a.get_action().takes_values())
            .map(|a| format!("--{}", a.get_long().unwrap_or_default()))
            .collect();
        assert_eq!(valued, VALUED);
    }

    #[test]
    fn a_command_is_found_behind_global_options() {
        let line = |text: &str| -> Vec<OsString> { text.split(' ').map(OsString::from).collect() };
        for (text, name) in [
            ("t state x", Some("state")),
            ("t --root state list", Some("list")),
            ("t --root=state --debug list", Some("list")),
            ("t --log /l --log-format json --systemd-cgroup kill x 9", Some("kill")),
            ("t --debug", None),
            ("t --root", None),
        ] {
            assert_eq!(typed_command(&line(text)), name.map(OsStr::new), "{text}");
        }
        let args = line("t --root /r --log=/l list --log-format json");
        assert_eq!(typed_value(&args, "--log"), Some(OsStr::new("/l")));
        assert_eq!(typed_value(&args, "--root"), Some(OsStr::new("/r")));
        assert_eq!(typed_value(&args, "--log-format"), None);
    }
}
