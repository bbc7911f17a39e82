//! From the text of a Dockerfile to its logical lines: directives, comments, continuations, here-documents.
//!
//! ```text
//! # escape=`            directives: only at the very top, one `# NAME=VALUE` a line
//! RUN a \               a continuation: the escape character is the last but blanks
//!   # a comment         vanishes, also between two continued lines
//!   && b <<EOF          here-documents follow the line that names them, in their order
//! text
//! EOF
//! ```

use taru_stdx::{Error, Kind, Result};

use super::heredoc::{self, Heredoc};
use super::keyword::Keyword;

/// One instruction as it stands, continuations joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// Its first line, from 1.
    pub first: usize,
    /// The first word as typed.
    pub word: String,
    /// All behind the first word, blanks at both ends removed.
    pub rest: String,
    /// What follows the line.
    pub heredocs: Vec<Heredoc>,
}

/// The text of a Dockerfile taken apart.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// `# syntax=`.
    pub syntax: Option<String>,
    /// `# check=`.
    pub check: Option<String>,
    /// `# escape=`, or a backslash.
    pub escape: char,
    /// The instructions.
    pub lines: Vec<Line>,
}

/// A place and what is wrong there.
pub(super) type Problem = (usize, Error);

/// Takes `text` apart; what is wrong is added to `problems`, and the rest is read all the same.
pub(super) fn split(text: &str, problems: &mut Vec<Problem>) -> Lines {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    // A `\r` before the `\n` belongs to the end of the line, but for here-documents, which are data.
    let physical: Vec<&str> = text.split_inclusive('\n').collect();
    let mut out = Lines { escape: '\\', ..Lines::default() };
    let mut at = directives(&physical, &mut out, problems);
    while at < physical.len() {
        let first = at;
        let line = content(physical[at]).trim_start();
        at += 1;
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (mut joined, mut goes_on) = continuation(line, out.escape);
        while goes_on && at < physical.len() {
            let next = content(physical[at]);
            at += 1;
            let bare = next.trim_start();
            // Empty lines in a continuation are skipped, as everybody does, though it is deprecated.
            if bare.is_empty() || bare.starts_with('#') {
                continue;
            }
            let (more, further) = continuation(next, out.escape);
            joined.push_str(&more);
            goes_on = further;
        }
        let joined = joined.trim();
        if joined.is_empty() {
            continue;
        }
        let (word, rest) = match joined.find(char::is_whitespace) {
            Some(end) => (&joined[..end], joined[end..].trim_start()),
            None => (joined, ""),
        };
        let mut heredocs = Vec::new();
        if takes_heredocs(word, rest) {
            for mut wanted in heredoc::named(rest, out.escape) {
                match body(&physical, &mut at, &wanted) {
                    Some(text) => {
                        wanted.text = text;
                        heredocs.push(wanted);
                    }
                    None => {
                        let text = format!("read the here-document `{}`: it does not end", wanted.name);
                        let hint = format!("a line with nothing but `{}` ends it", wanted.name);
                        problems.push((first + 1, Error::invalid(text).hint(hint)));
                        at = physical.len();
                    }
                }
            }
        }
        out.lines.push(Line { first: first + 1, word: word.to_owned(), rest: rest.to_owned(), heredocs });
    }
    out
}

/// A line without its end.
fn content(line: &str) -> &str {
    let line = line.strip_suffix('\n').unwrap_or(line);
    line.strip_suffix('\r').unwrap_or(line)
}

/// The line without its escape character at the end, and whether it had one. Two of them are no continuation.
fn continuation(line: &str, escape: char) -> (String, bool) {
    let bare = line.trim_end_matches([' ', '\t']);
    match bare.strip_suffix(escape) {
        Some(rest) if !rest.ends_with(escape) => (rest.to_owned(), true),
        _ => (line.to_owned(), false),
    }
}

/// Reads the directives at the top; returns the first line behind them.
fn directives(physical: &[&str], out: &mut Lines, problems: &mut Vec<Problem>) -> usize {
    let mut seen: Vec<String> = Vec::new();
    for (at, line) in physical.iter().enumerate() {
        let Some((name, value)) = directive(content(line)) else { return at };
        if seen.contains(&name) {
            let text = format!("read the directive `{name}`: it stands there twice");
            problems.push((at + 1, Error::invalid(text)));
        }
        match name.as_str() {
            "syntax" => match check_syntax(&value) {
                Ok(()) => out.syntax = Some(value),
                Err(e) => problems.push((at + 1, e)),
            },
            "check" => out.check = Some(value),
            _ => match value.as_str() {
                "\\" => out.escape = '\\',
                "`" => out.escape = '`',
                other => {
                    let text = format!("use `{other}` as the escape character: only \\ and ` are");
                    problems.push((at + 1, Error::invalid(text)));
                }
            },
        }
        seen.push(name);
    }
    physical.len()
}

/// `# NAME = VALUE` of a name that is a directive.
fn directive(line: &str) -> Option<(String, String)> {
    let (name, value) = line.trim_start().strip_prefix('#')?.split_once('=')?;
    let (name, value) = (name.trim().to_ascii_lowercase(), value.trim());
    let is_known = matches!(name.as_str(), "syntax" | "escape" | "check");
    (is_known && !value.is_empty()).then(|| (name, value.to_owned()))
}

/// The frontend is built in: docker/dockerfile of major version 1, whatever its registry, is what it is.
fn check_syntax(value: &str) -> Result<()> {
    let name = value.split_whitespace().next().unwrap_or_default();
    let name = name.split('@').next().unwrap_or_default();
    let name = name.strip_prefix("docker.io/").unwrap_or(name);
    let (image, tag) = name.split_once(':').unwrap_or((name, "latest"));
    let is_ours = matches!(image, "docker/dockerfile" | "docker/dockerfile-upstream");
    if is_ours && !tag.starts_with('0') {
        return Ok(());
    }
    Err(Error::new(Kind::Unsupported, format!("use the frontend `{value}`"))
        .hint("taru reads Dockerfiles itself and executes no frontend images: only docker/dockerfile:1 and its minor versions"))
}

/// Whether here-documents can follow: COPY, ADD and RUN not in their JSON form, also as triggers.
fn takes_heredocs(word: &str, rest: &str) -> bool {
    if !rest.contains("<<") {
        return false;
    }
    match Keyword::parse(word) {
        Some(Keyword::Add | Keyword::Copy | Keyword::Run) => true,
        Some(Keyword::Onbuild) => {
            let (inner, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
            !inner.eq_ignore_ascii_case("onbuild") && takes_heredocs(inner, rest)
        }
        _ => false,
    }
}

/// Reads lines up to the one that is the document's name.
fn body(physical: &[&str], at: &mut usize, wanted: &Heredoc) -> Option<String> {
    let mut text = String::new();
    while let Some(line) = physical.get(*at) {
        *at += 1;
        let bare = content(line);
        let bare = if wanted.chomp { bare.trim_start_matches('\t') } else { bare };
        if bare == wanted.name {
            return Some(text);
        }
        text.push_str(line);
    }
    None
}
