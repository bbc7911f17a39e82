//! The command line as typed: global options, then one verb.
//!
//! Help texts are the doc comments. [`command`] is the whole definition for generators.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches, Parser};

use crate::commands::{self, Command};
use crate::{mistakes, output};

pub use crate::options::{Format, Global, LogLevel};

/// Run containers, and handle namespaces and control groups by hand
#[derive(Debug, Parser)]
#[command(name = "taru", version, disable_help_subcommand = true, arg_required_else_help = true)]
#[command(after_help = "\
Examples:
  taru run host -- bash              a shell on this host's own programs, nothing to download
  taru run --rootfs ./debian sh      any directory as the root, unchanged by what runs in it
  taru run -d --name web host -- python3 -m http.server
  taru ps; taru logs -f web; taru exec web ps; taru rm -f web

`taru help VERB` tells more.")]
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
    let mut args: Vec<OsString> = args.into_iter().collect();
    if args.iter().any(|arg| arg == "--rw") {
        mark_bare_rw(&command(), &mut args);
    }
    if args.iter().any(|arg| arg == "enter") {
        mark_attached_paths(&command(), &mut args);
    }
    if args.iter().any(|arg| arg == "help") {
        ask_for_help(&command(), &mut args);
    }
    let parse = |definition: clap::Command| {
        definition.try_get_matches_from(&args).and_then(|m| Cli::from_arg_matches(&m))
    };
    let short = commands::only_typed(clap::Command::new("taru").version(env!("CARGO_PKG_VERSION")), &args);
    // Whoever needs help is given it by the whole definition.
    short.map_or_else(|| parse(command()), |short| parse(short).or_else(|_| parse(command()))).map_err(
        |mistake| {
            let is_help = mistake.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
            if !mistake.use_stderr() {
                return match output::text(&mistake.render().to_string()) {
                    Ok(()) => ExitCode::SUCCESS,
                    Err(error) => {
                        output::report(&error);
                        ExitCode::FAILURE
                    }
                };
            }
            let whole = command();
            if is_help {
                // A closed standard error is not our concern.
                let _ = mistake.print();
            } else {
                output::report(&mistakes::explain(&whole, &args, &mistake));
            }
            let (verbs, ..) = mistakes::typed(&whole, &args);
            let runs = verbs.iter().any(|verb| RUN_PROGRAMS.contains(verb));
            ExitCode::from(if runs { output::OWN_FAILURE } else { output::USAGE })
        },
    )
}

/// `taru help VERB` is `taru VERB --help`.
fn ask_for_help(definition: &clap::Command, args: &mut Vec<OsString>) {
    let (verbs, _, word) = mistakes::typed(definition, args);
    let at = args.iter().position(|arg| arg == "help");
    if let Some(at) = at.filter(|_| verbs.is_empty() && word.as_deref() == Some("help")) {
        args.remove(at);
        args.push("--help".into());
    }
}

/// `run --rootfs DIR --rw COMMAND` changes DIR in place, `run --rw PATH host` lets PATH be changed: with --rootfs
/// a bare `--rw` takes no value, which clap is told by an empty one.
fn mark_bare_rw(definition: &clap::Command, args: &mut [OsString]) {
    // With a path the walk ends there: then it is not bare, and --rootfs was to stand before it.
    let options = options_of("run", definition, args, |option| option != "--rw");
    let is_rootfs = |arg: &[u8]| arg == b"--rootfs" || arg.starts_with(b"--rootfs=");
    if options.iter().any(|at| is_rootfs(args[*at].as_bytes())) {
        for at in options {
            if args[at] == "--rw" {
                args[at] = "--rw=".into();
            }
        }
    }
}

/// `enter -n/run/netns/blue`, as getopt(3) has a value that may be missing; clap wants `-n=/run/netns/blue`.
fn mark_attached_paths(definition: &clap::Command, args: &mut [OsString]) {
    let optional = |letter: u8| {
        let enter = definition.find_subcommand("enter");
        enter.is_some_and(|enter| {
            enter.get_arguments().any(|arg| {
                arg.is_require_equals_set()
                    && arg.get_short().is_some_and(|short| short == char::from(letter))
            })
        })
    };
    for at in options_of("enter", definition, args, |_| true) {
        if let [b'-', letter, path @ ..] = args[at].as_bytes()
            && path.starts_with(b"/")
            && optional(*letter)
        {
            args[at] = OsString::from_vec([b"-", &[*letter][..], b"=", path].concat());
        }
    }
}

/// Where the options of `verb` stand, up to its first operand, if that is the verb; only those that `may_take` a value have
/// the next word for one.
fn options_of(
    verb: &str,
    definition: &clap::Command,
    args: &[OsString],
    may_take: impl Fn(&str) -> bool,
) -> Vec<usize> {
    let is_option = |arg: &&OsString| arg.as_bytes().starts_with(b"-") && *arg != "--";
    let words = |of: &clap::Command, arg: &OsString| {
        let takes_next = arg.to_str().is_some_and(|arg| {
            !arg.contains('=') && may_take(arg) && mistakes::takes_value(definition, of, arg)
        });
        if takes_next { 2 } else { 1 }
    };
    let (mut found, mut at) = (Vec::new(), 1);
    while let Some(arg) = args.get(at).filter(is_option) {
        at += words(definition, arg);
    }
    let Some(own) = definition.find_subcommand(verb) else { return found };
    if args.get(at).is_none_or(|arg| arg != verb) {
        return found;
    }
    at += 1;
    while let Some(arg) = args.get(at).filter(is_option) {
        found.push(at);
        at += words(own, arg);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked(line: &str) -> String {
        let mut args: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        mark_bare_rw(&command(), &mut args);
        args.join(&OsString::from(" ")).into_string().unwrap_or_default()
    }

    #[test]
    fn a_bare_rw_belongs_to_rootfs() {
        assert_eq!(marked("taru run --rootfs d --rw sh --rw"), "taru run --rootfs d --rw= sh --rw");
        assert_eq!(marked("taru run --rw --rootfs=d sh"), "taru run --rw= --rootfs=d sh");
        assert_eq!(marked("taru run -it -u 0 --rootfs d --rw sh"), "taru run -it -u 0 --rootfs d --rw= sh");
        assert_eq!(marked("taru run --rw /x host -- ls --rootfs"), "taru run --rw /x host -- ls --rootfs");
        assert_eq!(marked("taru run --rootfs d -- x --rw"), "taru run --rootfs d -- x --rw");
        assert_eq!(marked("taru --root run run --rootfs d --rw x"), "taru --root run run --rootfs d --rw= x");
        assert_eq!(marked("taru exec c run --rootfs d --rw x"), "taru exec c run --rootfs d --rw x");
    }

    #[test]
    fn a_path_may_follow_the_letter_of_a_namespace() {
        let marked = |line: &str| {
            let mut args: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            mark_attached_paths(&command(), &mut args);
            args.join(&OsString::from(" ")).into_string().unwrap_or_default()
        };
        assert_eq!(marked("taru enter -n/x -r/ -F sh -n/x"), "taru enter -n=/x -r=/ -F sh -n/x");
        assert_eq!(marked("taru enter -t 1 -S 0 -U/y -- -n/x"), "taru enter -t 1 -S 0 -U=/y -- -n/x");
        assert_eq!(marked("taru enter -W/x -mn -n=/x"), "taru enter -W/x -mn -n=/x");
        assert_eq!(marked("taru run host -- enter -n/x"), "taru run host -- enter -n/x");
    }

    #[test]
    fn help_is_a_verb_too() {
        let asked = |line: &str| {
            let mut args: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            ask_for_help(&command(), &mut args);
            args.join(&OsString::from(" ")).into_string().unwrap_or_default()
        };
        assert_eq!(asked("taru help"), "taru --help");
        assert_eq!(asked("taru --root x help image ls"), "taru --root x image ls --help");
        assert_eq!(asked("taru run host -- help"), "taru run host -- help");
    }

    #[test]
    fn every_verb_has_examples_that_fit_a_terminal() {
        fn check(verb: &clap::Command, path: &str) {
            let help = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("Examples:\n"), "{path}");
            // Help is wrapped at a hundred columns; an example that is broken cannot be copied.
            let long: Vec<&str> = help.lines().filter(|line| line.chars().count() > 100).collect();
            assert_eq!(long, Vec::<&str>::new(), "{path}");
            for inner in verb.get_subcommands() {
                check(inner, &format!("{path} {}", inner.get_name()));
            }
        }
        check(&command(), "taru");
    }

    #[test]
    fn the_definition_holds_together() {
        command().debug_assert();
    }
}
