//! What a man page says, read off the definition of a command line; no word of how it looks.
//!
//! An executable has a page, and each of its verbs has one, which holds the verb's own verbs too.

use clap::builder::{Resettable, StyledStr};
use clap::{Arg, ArgAction, Command};

use crate::text::{Text, WORDS, word};

/// One page.
#[derive(Debug)]
pub(crate) struct Page {
    /// `taru-netns`.
    pub(crate) name: String,
    /// The executable's version, `taru 0.1.0`.
    pub(crate) version: String,
    pub(crate) main: Entry,
    /// The verbs it leads to: each with a page of its own, or described here.
    pub(crate) verbs: Verbs,
    pub(crate) sections: Vec<Section>,
    /// Other pages.
    pub(crate) see_also: Vec<String>,
}

/// What follows a command's name.
#[derive(Debug)]
pub(crate) enum Verbs {
    None,
    /// Page name and summary.
    Pages(Vec<(String, Text)>),
    Here(Vec<Entry>),
}

/// A command: how it is written, what it does, its options.
#[derive(Debug)]
pub(crate) struct Entry {
    /// `taru netns exec`.
    pub(crate) path: String,
    /// The ways to write it.
    pub(crate) synopsis: Vec<Vec<Piece>>,
    pub(crate) aliases: Vec<String>,
    pub(crate) summary: Text,
    /// More than the summary, or nothing.
    pub(crate) description: Option<Text>,
    pub(crate) groups: Vec<Group>,
    /// Lines that are to stay as they are.
    pub(crate) examples: Option<Text>,
    pub(crate) notes: Option<Text>,
}

/// A part of a synopsis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    /// To be typed as it is.
    Literal(String),
    /// To be replaced.
    Value(String),
    /// Brackets, dots, bars.
    Sign(&'static str),
    /// `options`, in the page's language.
    Options,
}

/// Options under one heading.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) heading: Text,
    pub(crate) options: Vec<Opt>,
}

/// An option or an operand.
#[derive(Debug)]
pub(crate) struct Opt {
    pub(crate) term: Vec<Piece>,
    pub(crate) help: Text,
    pub(crate) default: Option<String>,
    /// The values it takes, if they are few, with what is said of each.
    pub(crate) values: Vec<(String, Option<Text>)>,
}

/// A section with a list.
#[derive(Debug)]
pub(crate) struct Section {
    pub(crate) heading: Text,
    pub(crate) rows: Vec<(String, Text)>,
}

/// The pages of an executable: its own first.
pub(crate) fn pages(mut root: Command) -> Vec<Page> {
    root.build();
    let version = format!("{} {}", root.get_name(), root.get_version().unwrap_or(env!("CARGO_PKG_VERSION")));
    let name = root.get_name().to_owned();
    let verbs: Vec<&Command> = visible(&root).collect();
    let list = verbs.iter().map(|verb| (format!("{name}-{}", verb.get_name()), entry(verb, &name).summary));
    let main = Page {
        name: name.clone(),
        version: version.clone(),
        main: entry(&root, ""),
        verbs: Verbs::Pages(list.collect()),
        sections: Vec::new(),
        see_also: Vec::new(),
    };
    let mut all = vec![main];
    for verb in verbs {
        let own = format!("{name} {}", verb.get_name());
        let nested: Vec<Entry> = visible(verb).map(|command| entry(command, &own)).collect();
        all.push(Page {
            name: format!("{name}-{}", verb.get_name()),
            version: version.clone(),
            main: entry(verb, &name),
            verbs: if nested.is_empty() { Verbs::None } else { Verbs::Here(nested) },
            sections: Vec::new(),
            see_also: vec![name.clone()],
        });
    }
    all
}

fn visible(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|verb| !verb.is_hide_set() && verb.get_name() != "help")
}

fn entry(command: &Command, parent: &str) -> Entry {
    let path = format!("{parent} {}", command.get_name()).trim_start().to_owned();
    let text = |of: &str, english: String| Text { key: format!("{path}{of}"), english };
    let summary = plain(command.get_about());
    let long = plain(command.get_long_about());
    // The long form begins with the short one.
    let more = long.strip_prefix(&summary).unwrap_or(&long).trim_matches(['\n', '.', ' ']).to_owned();
    let more = if more.is_empty() || long.ends_with(&more) { more } else { more + "." };
    let (examples, notes) = examples(&plain(command.get_after_long_help().or(command.get_after_help())));
    Entry {
        synopsis: written_synopsis(command, &path).unwrap_or_else(|| vec![synopsis(command, &path)]),
        aliases: command.get_visible_aliases().map(str::to_owned).collect(),
        summary: text("", summary),
        description: (!more.is_empty()).then(|| text(" (description)", more)),
        groups: groups(command, &path, parent.is_empty()),
        examples: examples.map(|english| text(" (examples)", english)),
        notes: notes.map(|english| text(" (notes)", english)),
        path,
    }
}

fn plain(text: Option<&StyledStr>) -> String {
    text.map(ToString::to_string).unwrap_or_default().trim().to_owned()
}

/// Takes the block `Examples:` (or `Example:`) out of the text below a command's help; the rest is notes.
fn examples(text: &str) -> (Option<String>, Option<String>) {
    let some =
        |lines: Vec<&str>| Some(lines.join("\n").trim_matches('\n').to_owned()).filter(|t| !t.is_empty());
    let Some(start) = text.lines().position(|line| line == "Examples:" || line == "Example:") else {
        return (None, some(text.lines().collect()));
    };
    let lines: Vec<&str> = text.lines().collect();
    let block = &lines[start + 1..];
    let end = block.iter().position(|l| !l.is_empty() && !l.starts_with(' ')).unwrap_or(block.len());
    let shown = block[..end].iter().map(|line| line.strip_prefix("  ").unwrap_or(line)).collect();
    let notes = lines[..start].iter().chain(&block[end..]).copied().collect();
    (some(shown), some(notes))
}

/// The options that the page of `command` describes: global ones only on that of the executable.
fn described(command: &Command, is_root: bool) -> impl Iterator<Item = &Arg> {
    command.get_arguments().filter(move |arg| {
        let standard = matches!(
            arg.get_action(),
            ArgAction::Help | ArgAction::HelpShort | ArgAction::HelpLong | ArgAction::Version
        );
        !arg.is_hide_set() && (is_root || !(arg.is_global_set() || standard))
    })
}

fn groups(command: &Command, path: &str, is_root: bool) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    // Operands first, in their order; then options under their headings.
    let (operands, options): (Vec<&Arg>, Vec<&Arg>) =
        described(command, is_root).partition(|arg| arg.is_positional());
    for arg in operands.into_iter().chain(options) {
        let heading = match arg.get_help_heading() {
            Some(heading) => word(heading),
            None if arg.is_positional() => word("OPERANDS"),
            None => word("OPTIONS"),
        };
        let option = option(arg, path);
        match groups.iter_mut().find(|group| group.heading == heading) {
            Some(group) => group.options.push(option),
            None => groups.push(Group { heading, options: vec![option] }),
        }
    }
    groups
}

fn option(arg: &Arg, path: &str) -> Opt {
    let name = match (arg.get_long(), arg.get_short()) {
        (Some(long), _) => format!("--{long}"),
        (None, Some(short)) => format!("-{short}"),
        (None, None) => value_name(arg),
    };
    let key = format!("{path} {name}");
    let takes_value = takes_value(arg);
    let possible = arg.get_possible_values();
    let shown = possible
        .iter()
        .filter(|value| takes_value && !value.is_hide_set() && !arg.is_hide_possible_values_set());
    let values = shown
        .map(|value| {
            let help = plain(value.get_help());
            let text = Text { key: format!("{key}={}", value.get_name()), english: help };
            (value.get_name().to_owned(), Some(text).filter(|text| !text.english.is_empty()))
        })
        .collect();
    let defaults: Vec<String> =
        arg.get_default_values().iter().map(|value| value.to_string_lossy().into_owned()).collect();
    let has_default = takes_value && !defaults.is_empty() && !arg.is_hide_default_value_set();
    let help = plain(arg.get_long_help().or(arg.get_help()));
    Opt {
        term: term(arg),
        help: Text { key, english: help },
        default: has_default.then(|| defaults.join(" ")),
        values,
    }
}

fn takes_value(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::Set | ArgAction::Append)
}

fn value_name(arg: &Arg) -> String {
    match arg.get_value_names() {
        Some(names) if !names.is_empty() => names.iter().map(|n| n.as_str()).collect::<Vec<_>>().join(" "),
        _ => arg.get_id().as_str().to_uppercase().replace('_', "-"),
    }
}

/// `-f, --file PATH`, or the name of an operand.
fn term(arg: &Arg) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut names: Vec<String> = Vec::new();
    names.extend(arg.get_short().map(|short| format!("-{short}")));
    names.extend(arg.get_visible_short_aliases().unwrap_or_default().iter().map(|short| format!("-{short}")));
    names.extend(arg.get_long().map(|long| format!("--{long}")));
    names.extend(arg.get_visible_aliases().unwrap_or_default().iter().map(|long| format!("--{long}")));
    for name in names {
        if !pieces.is_empty() {
            pieces.push(Piece::Sign(", "));
        }
        pieces.push(Piece::Literal(name));
    }
    if arg.is_positional() || takes_value(arg) {
        let range = arg.get_num_args();
        let optional = !arg.is_positional() && range.is_some_and(|range| range.min_values() == 0);
        match (pieces.is_empty(), optional) {
            (true, _) => {}
            (false, true) => pieces.push(Piece::Sign("[=")),
            (false, false) => pieces.push(Piece::Sign(" ")),
        }
        pieces.push(Piece::Value(value_name(arg)));
        if optional {
            pieces.push(Piece::Sign("]"));
        }
        if range.is_some_and(|range| range.max_values() > 1) {
            pieces.push(Piece::Sign("..."));
        }
    }
    pieces
}

/// The synopsis that the definition itself writes out, if it does.
fn written_synopsis(command: &Command, path: &str) -> Option<Vec<Vec<Piece>>> {
    let usage = |mut command: Command| command.render_usage().to_string();
    let written = usage(command.clone());
    if written == usage(command.clone().override_usage(Resettable::Reset)) {
        return None;
    }
    let lines = written.trim_start_matches("Usage:").lines();
    Some(lines.map(|line| words_of_usage(line, path)).collect())
}

/// The pieces of a line such as `taru run [OPTIONS] host -- COMMAND [ARG]...`.
fn words_of_usage(line: &str, path: &str) -> Vec<Piece> {
    let line = line.trim();
    let (path, rest) = match line.strip_prefix(path) {
        Some(rest) => (path, rest),
        None => line.split_once(' ').unwrap_or((line, "")),
    };
    let mut pieces = vec![Piece::Literal(path.to_owned())];
    for word in rest.split_whitespace() {
        pieces.push(Piece::Sign(" "));
        if word == "[OPTIONS]" {
            pieces.extend([Piece::Sign("["), Piece::Options, Piece::Sign("]")]);
            continue;
        }
        let (word, dots) = word.strip_suffix("...").map_or((word, ""), |word| (word, "..."));
        let (word, open) = word.strip_prefix('[').map_or((word, ""), |word| (word, "["));
        let (word, close) = word.strip_suffix(']').map_or((word, ""), |word| (word, "]"));
        let bare = word.trim_matches(['<', '>']);
        let is_value = bare != word || bare.bytes().all(|b| b.is_ascii_uppercase());
        let piece = if is_value { Piece::Value(bare.to_owned()) } else { Piece::Literal(bare.to_owned()) };
        pieces.extend([Piece::Sign(open), piece, Piece::Sign(close), Piece::Sign(dots)]);
    }
    pieces
}

/// How the command is written: every option if they are few, else `[options]`.
fn synopsis(command: &Command, path: &str) -> Vec<Piece> {
    const FEW: usize = 4;
    let is_root = !path.contains(' ');
    let mut pieces = vec![Piece::Literal(path.to_owned())];
    let (operands, options): (Vec<&Arg>, Vec<&Arg>) =
        described(command, is_root).partition(|arg| arg.is_positional());
    let (required, optional): (Vec<&Arg>, Vec<&Arg>) = options.into_iter().partition(|a| a.is_required_set());
    for arg in required {
        pieces.push(Piece::Sign(" "));
        pieces.extend(shortest(arg));
    }
    if optional.len() > FEW || is_root {
        pieces.extend([Piece::Sign(" ["), Piece::Options, Piece::Sign("]")]);
    } else {
        for arg in optional {
            pieces.push(Piece::Sign(" ["));
            pieces.extend(shortest(arg));
            pieces.push(Piece::Sign(if matches!(arg.get_action(), ArgAction::Append) {
                "]..."
            } else {
                "]"
            }));
        }
    }
    for arg in operands {
        pieces.push(Piece::Sign(if arg.is_required_set() { " " } else { " [" }));
        pieces.extend(term(arg));
        if !arg.is_required_set() {
            pieces.push(Piece::Sign("]"));
        }
    }
    if visible(command).next().is_some() {
        pieces.extend([Piece::Sign(" "), Piece::Value("COMMAND".to_owned()), Piece::Sign(" ...")]);
    }
    pieces
}

/// The option by its long name alone, with its value.
fn shortest(arg: &Arg) -> Vec<Piece> {
    let term = term(arg);
    // The names come first, with `, ` between; the last one is the long one.
    let last = term.iter().rposition(|piece| *piece == Piece::Sign(", ")).map_or(0, |at| at + 1);
    term[last..].to_vec()
}

impl Page {
    /// Every text of the page, in its order; fixed words included.
    pub(crate) fn texts(&self) -> Vec<Text> {
        let mut texts: Vec<Text> = WORDS.iter().map(|english| word(english)).collect();
        let mut entries = vec![&self.main];
        match &self.verbs {
            Verbs::None => {}
            Verbs::Pages(list) => texts.extend(list.iter().map(|(_, text)| text.clone())),
            Verbs::Here(list) => entries.extend(list),
        }
        for entry in entries {
            texts.push(entry.summary.clone());
            texts.extend(entry.description.clone());
            for group in &entry.groups {
                texts.push(group.heading.clone());
                for option in &group.options {
                    texts.push(option.help.clone());
                    texts.extend(option.values.iter().filter_map(|(_, text)| text.clone()));
                }
            }
            texts.extend(entry.notes.clone());
            texts.extend(entry.examples.clone());
        }
        for section in &self.sections {
            texts.push(section.heading.clone());
            texts.extend(section.rows.iter().map(|(_, text)| text.clone()));
        }
        texts.retain(|text| !text.english.is_empty());
        texts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_are_told_from_notes() {
        let (examples, notes) = examples("Examples:\n  a b\n    c\n\nA note.");
        assert_eq!((examples.as_deref(), notes.as_deref()), (Some("a b\n  c"), Some("A note.")));
        assert_eq!(super::examples("Example:\n  a b").0.as_deref(), Some("a b"));
        let (examples, notes) = super::examples("Only this.");
        assert_eq!((examples, notes.as_deref()), (None, Some("Only this.")));
        assert_eq!(super::examples(""), (None, None));
    }

    fn spell(pieces: &[Piece]) -> String {
        let text = |piece: &Piece| match piece {
            Piece::Literal(text) => text.clone(),
            Piece::Value(text) => format!("<{text}>"),
            Piece::Sign(text) => (*text).to_owned(),
            Piece::Options => "options".to_owned(),
        };
        pieces.iter().map(text).collect()
    }

    #[test]
    fn a_synopsis_that_is_written_out_is_kept() {
        let mut command =
            Command::new("x").override_usage("x [OPTIONS] go -- <WHO> [ARG]...\n       x --to PLACE");
        command.build();
        let lines = written_synopsis(&command, "x").unwrap();
        let lines: Vec<String> = lines.iter().map(|line| spell(line)).collect();
        assert_eq!(lines, ["x [options] go -- <WHO> [<ARG>]...", "x --to <PLACE>"]);
        let mut command = Command::new("x").arg(Arg::new("a"));
        command.build();
        assert!(written_synopsis(&command, "x").is_none());
    }

    #[test]
    fn a_definition_becomes_pages() {
        let command = Command::new("x").about("Do x").subcommand(
            Command::new("go")
                .about("Go")
                .long_about("Go\n\nFar away.")
                .arg(Arg::new("to").long("to").short('t').value_name("PLACE").required(true).help("Where"))
                .arg(Arg::new("fast").long("fast").action(ArgAction::SetTrue).help("Run"))
                .arg(Arg::new("who").value_name("WHO").num_args(1..).help("Who goes")),
        );
        let pages = pages(command);
        assert_eq!(pages.iter().map(|p| p.name.as_str()).collect::<Vec<_>>(), ["x", "x-go"]);
        let go = &pages[1].main;
        assert_eq!(spell(&go.synopsis[0]), "x go --to <PLACE> [--fast] [<WHO>...]");
        assert_eq!(go.description.as_ref().unwrap().english, "Far away.");
        let keys: Vec<String> = pages[1].texts().into_iter().map(|t| t.key).collect();
        for key in ["x go", "x go (description)", "x go --to", "x go --fast", "x go WHO"] {
            assert!(keys.iter().any(|k| k == key), "{key}: {keys:?}");
        }
    }
}
