//! What a command line that cannot be understood is answered with: the mistake on one line, then advice.

use std::error::Error as _;
use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use taru_stdx::{Error, usage};

use crate::elsewhere;

/// The verbs of a command line as far as they are known, and the definition of the last.
pub(crate) fn typed<'a>(
    whole: &'a clap::Command,
    args: &[OsString],
) -> (Vec<&'a str>, &'a clap::Command, Option<String>) {
    let (mut path, mut at) = (Vec::new(), whole);
    let mut rest = args.iter().skip(1).map(|arg| arg.to_string_lossy());
    while let Some(arg) = rest.next() {
        if arg.starts_with('-') && arg != "-" {
            if !arg.contains('=') && takes_value(whole, at, &arg) {
                rest.next();
            }
            continue;
        }
        match at.find_subcommand(arg.as_ref()) {
            Some(verb) => {
                path.push(verb.get_name());
                at = verb;
            }
            None => return (path, at, at.has_subcommands().then(|| arg.into_owned())),
        }
    }
    (path, at, None)
}

/// Whether the option of the verb, or of all verbs, wants a value behind it.
pub(crate) fn takes_value(whole: &clap::Command, verb: &clap::Command, option: &str) -> bool {
    let mut options = verb.get_arguments().chain(whole.get_arguments());
    let known = options.find(|a| match option.strip_prefix("--") {
        Some(name) => a.get_long_and_visible_aliases().is_some_and(|names| names.contains(&name)),
        None => a.get_short() == option.chars().next_back(),
    });
    known.is_some_and(|a| a.get_action().takes_values())
}

/// The mistake in `args`, as clap sees it, in our words.
pub(crate) fn explain(whole: &clap::Command, args: &[OsString], mistake: &clap::Error) -> Error {
    let (path, verb, unknown) = typed(whole, args);
    let named = path.join(" ");
    let said = usage::explain(&mistake.render().to_string(), args);
    let problem = match mistake.kind() {
        ErrorKind::MissingSubcommand => "no verb is given".to_owned(),
        ErrorKind::InvalidSubcommand => said.to_string().replace("command", "verb"),
        _ => said.to_string(),
    };
    let mut error = Error::invalid(problem);
    let option = unknown_option(mistake);
    let here = match path.first() {
        None => elsewhere::verb(unknown.as_deref().or(option).unwrap_or_default()),
        Some(verb) => option.and_then(|option| elsewhere::option(verb, option)),
    };
    if let Some(here) = here {
        error = error.hint(here);
    } else if let Some(near) = unknown.as_deref().and_then(|typo| nearest(verb, typo)) {
        error = error.hint(format!("did you mean `{near}`?"));
    }
    if said.to_string() == "unexpected argument `--root` found" && !path.is_empty() {
        error = error.hint(format!("--root stands before the verb: taru --root DIR {named}"));
    }
    // What our own parsers of values advise, clap does not pass on.
    if let Some(own) = mistake.source().and_then(|source| source.downcast_ref::<Error>()) {
        error = own.hints().into_iter().fold(error, Error::hint);
    }
    let is_verb = mistake.kind() == ErrorKind::InvalidSubcommand;
    let more = ["taru", &named, "--help"].join(" ").replace("  ", " ");
    // What looks alike is not what was meant, if that is known.
    let told = said.hints().into_iter().filter(|_| !is_verb && (path.is_empty() || here.is_none()));
    told.fold(error, Error::hint).hint(format!("`{more}` tells more"))
}

/// The option that there is none of, as it was typed but for its value.
fn unknown_option(mistake: &clap::Error) -> Option<&str> {
    match mistake.get(ContextKind::InvalidArg)? {
        ContextValue::String(option) if mistake.kind() == ErrorKind::UnknownArgument => Some(option),
        _ => None,
    }
}

/// The verb that was most likely meant.
fn nearest<'a>(of: &'a clap::Command, typo: &str) -> Option<&'a str> {
    let allowed = if typo.chars().count() > 5 { 2 } else { 1 };
    let near =
        of.get_subcommands().map(|verb| (strsim::osa_distance(verb.get_name(), typo), verb.get_name()));
    near.filter(|(distance, _)| *distance <= allowed).min().map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli;

    fn said(line: &str) -> String {
        let args: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let whole = cli::command();
        let mistake = whole.clone().try_get_matches_from(&args).expect_err("a mistake");
        let error = explain(&whole, &args, &mistake);
        let hints = error.hints().iter().map(|hint| format!("\n{hint}")).collect::<String>();
        format!("{}{hints}", error.chain())
    }

    #[test]
    fn a_typo_is_answered_with_the_verb_that_was_meant() {
        assert_eq!(
            said("taru rnu host"),
            "unrecognized verb `rnu`\ndid you mean `run`?\n`taru --help` tells more"
        );
        assert_eq!(
            said("taru --root /x image lss"),
            "unrecognized verb `lss`\ndid you mean `ls`?\n`taru image --help` tells more"
        );
        assert_eq!(said("taru pause x"), "unrecognized verb `pause`\n`taru --help` tells more");
    }

    #[test]
    fn words_of_other_tools_are_answered_with_ours() {
        assert!(said("taru nsenter -t 1").contains("\n`taru enter` has nsenter's options\n"));
        assert!(said("taru -v").contains("\n`taru --version` prints the version\n"));
        assert_eq!(
            said("taru run --publish=80:80 web"),
            "unexpected argument `--publish` found\n`--net host` has the program listen on the host's own addresses; no ports are \
             published yet\n`taru run --help` tells more"
        );
        assert!(said("taru run -p80:80 web").contains("\n`--net host` has the program listen"));
        assert!(said("taru build --push .").contains("\n`taru push NAME` does it afterwards\n"));
        assert!(said("taru ps -p").contains("usage: "), "another verb's");
    }

    #[test]
    fn an_option_that_is_none_is_not_taken_for_an_image_or_a_program() {
        for verb in ["run --memroy 1 host -- true", "exec --usr 0 web id", "cgroup run --memroy 1M true"] {
            let said = said(&format!("taru {verb}"));
            assert!(
                said.starts_with("unexpected argument `--") && said.contains("a similar argument exists"),
                "{said}"
            );
        }
        assert!(said("taru ps --root /x").contains("\n--root stands before the verb: taru --root DIR ps\n"));
    }

    #[test]
    fn advice_of_the_parsers_of_values_is_passed_on() {
        let said = said("taru logs --since x web");
        assert!(said.contains("\na duration is a number and a unit"), "{said}");
    }

    #[test]
    fn letters_exchanged_are_one_mistake() {
        assert!(said("taru biuld .").contains("build"), "{}", said("taru biuld ."));
    }
}
