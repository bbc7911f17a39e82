//! Patterns in substitutions: `*`, `?` and `\x`, over any characters; what matches is taken away or replaced.
//!
//! Unlike those of paths ([`crate::pattern`]) they know no `/` and no classes, and match a part of a value.

use taru_stdx::{Error, Kind, Result};

use super::check_length;

/// The end of a value at which something is taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    First,
    Last,
}

impl End {
    pub(super) fn sign(self) -> char {
        match self {
            End::First => '#',
            End::Last => '%',
        }
    }
}

/// Removes from an end of `value` what matches: as little as can be, or as much, if the pattern begins with the sign
/// of that end again.
///
/// # Errors
/// [`Kind::Limit`] where matching would take too long.
pub(super) fn trim(value: &str, pattern: &str, end: End) -> Result<String> {
    let (pattern, longest) = match pattern.strip_prefix(end.sign()) {
        Some(rest) => (rest, true),
        None => (pattern, false),
    };
    let pattern = tokens(pattern);
    let value: Vec<char> = value.chars().collect();
    check_time(value.len(), pattern.len())?;
    // Lengths of what is removed, the wanted one first.
    let mut lengths: Vec<usize> = (0..=value.len()).collect();
    if longest {
        lengths.reverse();
    }
    for length in lengths {
        let (removed, kept) = match end {
            End::First => value.split_at(length),
            End::Last => {
                let (kept, removed) = value.split_at(value.len() - length);
                (removed, kept)
            }
        };
        if matches(&pattern, removed) {
            return Ok(kept.iter().collect());
        }
    }
    Ok(value.iter().collect())
}

/// Replaces the first, or every, longest match in `value`.
///
/// # Errors
/// [`Kind::Limit`] where matching would take too long, or the result is too long.
pub(super) fn replace(value: &str, pattern: &str, with: &str, all: bool) -> Result<String> {
    let pattern = tokens(pattern);
    let value: Vec<char> = value.chars().collect();
    check_time(value.len(), pattern.len())?;
    let (mut out, mut at) = (String::new(), 0);
    let mut is_done = false;
    while at < value.len() {
        let end = (at + 1..=value.len()).rev().find(|&end| !is_done && matches(&pattern, &value[at..end]));
        match end {
            Some(end) => {
                out.push_str(with);
                at = end;
                is_done = !all;
            }
            None => {
                out.push(value[at]);
                at += 1;
            }
        }
        check_length(&out)?;
    }
    Ok(out)
}

/// Matching tries every start and end: what takes too long is refused.
fn check_time(value: usize, pattern: usize) -> Result<()> {
    if value.saturating_mul(value).saturating_mul(pattern) > 1 << 26 {
        return Err(Error::new(Kind::Limit, "match a pattern: the value is too long"));
    }
    Ok(())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Any,
    One,
    Char(char),
}

fn tokens(pattern: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        tokens.push(match c {
            '*' => Token::Any,
            '?' => Token::One,
            '\\' => Token::Char(chars.next().unwrap_or('\\')),
            c => Token::Char(c),
        });
    }
    tokens
}

/// Whether all of `text` matches; linear but for `*`, where it goes back to the last one only.
fn matches(pattern: &[Token], text: &[char]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(Token::Any) => {
                back = Some((p, t));
                p += 1;
            }
            Some(Token::One) => (p, t) = (p + 1, t + 1),
            Some(Token::Char(c)) if *c == text[t] => (p, t) = (p + 1, t + 1),
            _ => match back {
                Some((star, from)) => {
                    back = Some((star, from + 1));
                    (p, t) = (star + 1, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|token| *token == Token::Any)
}
