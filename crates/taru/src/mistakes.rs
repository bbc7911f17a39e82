//! What a command line that cannot be understood is answered with: the mistake on one line, then advice.

use std::error::Error as _;
use std::ffi::OsString;

use clap::error::ErrorKind;
use taru_stdx::{Error, usage};

/// Verbs and options that people know from docker, podman, LXC and util-linux, and what is the same here.
const ELSEWHERE: &[(&str, &str)] = &[
    ("-v", "`taru --version` prints the version"),
    ("builder", "`taru store gc --builds` forgets what builds keep"),
    ("container", "verbs for containers need no further word: `taru ps`, `taru rm`"),
    ("df", "`taru store df` shows what takes how much room"),
    ("gc", "`taru store gc` removes what nothing needs"),
    ("info", "`taru check` tells what this host can do, `taru version` the versions"),
    ("list", "`taru ps` lists containers, `taru images` lists images"),
    ("ls", "`taru ps` lists containers, `taru images` lists images"),
    ("mount", "`taru image mount` shows the files of an image"),
    ("nsenter", "`taru enter` has nsenter's options"),
    ("prune", "`taru image prune` removes images, `taru store gc` what nothing needs"),
    ("restart", "`taru stop NAME && taru start NAME` does it"),
    ("shell", "`taru exec -t NAME sh` runs one in a container"),
    ("system", "`taru store df` and `taru store gc` see to the room that is taken"),
    ("top", "`taru exec NAME ps` does it, if the container has a ps"),
    ("umount", "`taru image unmount` takes a mounted image away"),
];

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
    let is_typed = |theirs: &str| match theirs.starts_with('-') {
        true => args.iter().any(|arg| arg == theirs),
        false => unknown.as_deref() == Some(theirs),
    };
    if let Some((_, here)) = ELSEWHERE.iter().find(|(theirs, _)| path.is_empty() && is_typed(theirs)) {
        error = error.hint(*here);
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
    let told = said.hints().into_iter().filter(|_| !is_verb);
    told.fold(error, Error::hint).hint(format!("`{more}` tells more"))
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
        let whole = cli::command();
        let verbs: Vec<&str> = whole.get_subcommands().map(clap::Command::get_name).collect();
        let known = ELSEWHERE.iter().filter(|(word, _)| verbs.contains(word));
        assert_eq!(known.collect::<Vec<_>>(), Vec::<&(&str, &str)>::new(), "a verb needs no translation");
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
