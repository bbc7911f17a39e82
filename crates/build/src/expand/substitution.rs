//! What stands in the braces of `${...}`, once its words are expanded: what it is worth, and how it was written.

use std::fmt;

use taru_stdx::{Error, Result};

use super::glob;

/// `${name...}`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Substitution {
    pub name: String,
    pub operation: Operation,
}

/// What is done with the value.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Operation {
    /// `${X}`
    Value,
    /// `${X/p/r}`, `${X//p/r}`
    Replace { all: bool, pattern: String, with: String },
    /// `${X#p}`, `${X%p}`, with a pattern that begins with the same character again for the longest match.
    Trim { end: glob::End, pattern: String },
    /// `${X:-w}` and its like: what is there decides.
    Test { test: Test, empty_too: bool, word: String },
}

/// What is asked of a variable that may not be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Test {
    /// `-`: the word instead of what is not there.
    Default,
    /// `+`: the word instead of what is there.
    Alternative,
    /// `?`: the word is an error.
    Required,
}

impl Test {
    fn sign(self) -> char {
        match self {
            Test::Default => '-',
            Test::Alternative => '+',
            Test::Required => '?',
        }
    }
}

impl Substitution {
    /// What it comes to where the variable has `value`.
    ///
    /// # Errors
    /// [`taru_stdx::Kind::Invalid`] with the words of `${X:?...}`; [`taru_stdx::Kind::Limit`].
    pub(super) fn apply(self, value: Option<String>) -> Result<String> {
        match self.operation {
            Operation::Value => Ok(value.unwrap_or_default()),
            Operation::Replace { all, pattern, with } => {
                glob::replace(&value.unwrap_or_default(), &pattern, &with, all)
            }
            Operation::Trim { end, pattern } => glob::trim(&value.unwrap_or_default(), &pattern, end),
            Operation::Test { test, empty_too, word } => {
                let there = value.as_ref().is_some_and(|v| !(empty_too && v.is_empty()));
                match (test, there) {
                    (Test::Default | Test::Required, true) => Ok(value.unwrap_or_default()),
                    (Test::Default, false) | (Test::Alternative, true) => Ok(word),
                    (Test::Alternative, false) => Ok(String::new()),
                    (Test::Required, false) => {
                        let state = if value.is_none() { "unset" } else { "empty" };
                        let why = if word.is_empty() { format!("is {state}") } else { word };
                        Err(Error::invalid(format!("{}: {why}", self.name)))
                    }
                }
            }
        }
    }
}

/// As it was written, but for what was expanded in its words.
impl fmt::Display for Substitution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "${{{}", self.name)?;
        match &self.operation {
            Operation::Value => {}
            Operation::Replace { all, pattern, with } => {
                write!(f, "{}{pattern}/{with}", if *all { "//" } else { "/" })?;
            }
            Operation::Trim { end, pattern } => write!(f, "{}{pattern}", end.sign())?,
            Operation::Test { test, empty_too, word } => {
                write!(f, "{}{}{word}", if *empty_too { ":" } else { "" }, test.sign())?;
            }
        }
        f.write_str("}")
    }
}
