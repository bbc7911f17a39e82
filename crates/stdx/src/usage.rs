//! What a parser of command lines says of a mistake, in the words of all our messages.
//!
//! clap quotes operands as 'a', speaks of subcommands, and spreads one mistake over lines that each look otherwise.
//! Its text goes in, one line and advice come out; no type of clap's stands here.

use std::ffi::OsString;

use crate::{Error, Kind};

/// The mistake in the command line `args` that `text` tells of: the mistake on one line, the rest as hints.
pub fn explain(text: &str, args: &[OsString]) -> Error {
    if text.starts_with("error: invalid UTF-8 was detected") {
        return Error::new(Kind::Invalid, not_text(args));
    }
    let text = backquoted(text);
    let mut lines = text.lines().map(str::trim_end).filter(|line| !line.is_empty()).peekable();
    let first = lines.next().unwrap_or("mistaken command line");
    let mut problem = plain(first.strip_prefix("error: ").unwrap_or(first));
    let mut hints = Vec::new();
    while let Some(operand) = lines.next_if(|line| line.starts_with("  ") && !line.starts_with("  tip: ")) {
        problem = format!("{problem} {}", operand.trim());
    }
    let mut in_usage = false;
    for line in lines {
        if let Some(tip) = line.strip_prefix("  tip: ") {
            // It is right, and never what was meant.
            if !tip.starts_with("to pass ") {
                hints.push(tip.replace("subcommand", "command"));
            }
        } else if let Some(usage) = line.strip_prefix("Usage: ") {
            in_usage = true;
            hints.push(format!("usage: {usage}"));
        } else if in_usage && line.starts_with(' ') {
            hints.push(format!("or: {}", line.trim_start()));
        }
    }
    hints.into_iter().fold(Error::new(Kind::Invalid, problem), Error::hint)
}

/// What clap does not say: which of `args` it means, as far as that can be told.
fn not_text(args: &[OsString]) -> String {
    let odd = args.iter().filter(|arg| arg.to_str().is_none());
    let odd: Vec<_> = odd.map(|arg| format!("`{}`", arg.as_encoded_bytes().escape_ascii())).collect();
    format!("read the argument {}: it is not in UTF-8", odd.join(" or "))
}

/// One line of clap's in our words.
fn plain(line: &str) -> String {
    let mut line = line.replace("subcommand", "command");
    for (theirs, ours) in [
        ("invalid digit found in string", "not a whole number"),
        ("invalid float literal", "not a number"),
        ("cannot parse integer from empty string", "it is empty"),
        ("cannot parse float from empty string", "it is empty"),
        ("number too large to fit in target type", "too large"),
        ("number too small to fit in target type", "too small"),
    ] {
        line = line.replace(theirs, ours);
    }
    range(&line).unwrap_or(line)
}

/// `5 is not in 10..=1000` as people write it.
fn range(line: &str) -> Option<String> {
    let (head, range) = line.rsplit_once(" is not in ")?;
    let (said, number) = head.rsplit_once(": ")?;
    let (from, to) = range.split_once("..=").or_else(|| range.split_once(".."))?;
    let is_number = |text: &str| text.parse::<i128>().is_ok();
    if !is_number(number) || !is_number(from) {
        return None;
    }
    Some(match to {
        to if is_number(to) => format!("{said}: not from {from} to {to}"),
        _ => format!("{said}: less than {from}"),
    })
}

/// Operands in backquotes: clap has them in quotes, which stay where they are apostrophes.
fn backquoted(text: &str) -> String {
    let is_edge = |c: Option<char>| c.is_none_or(|c| c.is_whitespace() || ",.:;)".contains(c));
    let mut before = None;
    let mut rest = text.chars();
    let mut out = String::with_capacity(text.len());
    while let Some(c) = rest.next() {
        let is_quote = c == '\'' && (is_edge(before) || is_edge(rest.clone().next()));
        out.push(if is_quote { '`' } else { c });
        before = Some(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> String {
        let error = explain(text, &[]);
        let hints = error.hints().iter().map(|hint| format!("; {hint}")).collect::<String>();
        format!("{}{hints}", error.chain())
    }

    #[test]
    fn operands_are_in_backquotes_and_apostrophes_stay() {
        assert_eq!(backquoted("unexpected 'a', try '--b c'."), "unexpected `a`, try `--b c`.");
        assert_eq!(backquoted("error: invalid value 'it's'"), "error: invalid value `it's`");
    }

    #[test]
    fn a_mistake_is_one_line_and_advice() {
        let text = "error: unexpected argument '--bundel' found\n\n  tip: a similar argument exists: '--bundle'\n  \
                    tip: to pass '--bundel' as a value, use '-- --bundel'\n\n\
                    Usage: x run A\n       x run B\n\nFor more information, try '--help'.\n";
        assert_eq!(
            said(text),
            "unexpected argument `--bundel` found; a similar argument exists: `--bundle`; usage: x run A; or: x run B"
        );
        let text = "error: the following required arguments were not provided:\n  <A>\n  <B>...\n\nUsage: x <A> <B>...\n";
        assert_eq!(
            said(text),
            "the following required arguments were not provided: <A> <B>...; usage: x <A> <B>..."
        );
        let text = "error: unrecognized subcommand 'strat'\n\n  tip: a similar subcommand exists: 'start'\n";
        assert_eq!(said(text), "unrecognized command `strat`; a similar command exists: `start`");
    }

    #[test]
    fn what_is_no_text_is_named() {
        use std::os::unix::ffi::OsStringExt;
        let args = [b"x".to_vec(), b"run".to_vec(), b"a\xff`".to_vec()].map(OsString::from_vec);
        let error =
            explain("error: invalid UTF-8 was detected in one or more arguments\n\nUsage: x run A\n", &args);
        assert_eq!(error.to_string(), "read the argument `a\\xff``: it is not in UTF-8");
        assert!(error.hints().is_empty());
    }

    #[test]
    fn numbers_are_spoken_of_as_people_do() {
        let value = |why: &str| said(&format!("error: invalid value 'x' for '--n <N>': {why}\n"));
        let with = |why: &str| format!("invalid value `x` for `--n <N>`: {why}");
        assert_eq!(value("invalid digit found in string"), with("not a whole number"));
        assert_eq!(value("number too large to fit in target type"), with("too large"));
        assert_eq!(value("5 is not in 10..=1000"), with("not from 10 to 1000"));
        assert_eq!(value("-1 is not in 0..18446744073709551616"), with("not from 0 to 18446744073709551616"));
        assert_eq!(value("0 is not in 1.."), with("less than 1"));
        assert_eq!(value("it is not in the list"), with("it is not in the list"));
    }
}
