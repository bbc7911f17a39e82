//! Words of an instruction: flags, `NAME=VALUE` pairs, the JSON form.

use taru_stdx::{Error, Result};

use super::keyword::{Keyword, Takes, nearest};

/// The flags of an instruction, in their order.
#[derive(Debug, Clone, Default)]
pub(super) struct Flags(Vec<(&'static str, String)>);

impl Flags {
    /// The value of a flag that stands there once.
    pub(super) fn one(&self, name: &str) -> Option<String> {
        self.0.iter().find(|(n, _)| *n == name).map(|(_, value)| value.clone())
    }

    /// All values of a flag.
    pub(super) fn many(&self, name: &str) -> Vec<String> {
        self.0.iter().filter(|(n, _)| *n == name).map(|(_, value)| value.clone()).collect()
    }

    /// Whether a switch is on; `None` where it is not there.
    pub(super) fn switch(&self, name: &str) -> Option<bool> {
        self.one(name).map(|value| value == "true")
    }
}

/// Takes the flags off the front of `rest`; returns them and what is behind.
pub(super) fn flags(keyword: Keyword, rest: &str) -> Result<(Flags, String)> {
    let (words, rest) = leading_flags(rest);
    let mut flags = Flags::default();
    for word in words {
        let bare = &word[2..];
        let (name, value) = match bare.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (bare, None),
        };
        let known = keyword.flags();
        let Some((name, takes)) = known.iter().find(|(n, _)| *n == name) else {
            let e =
                Error::invalid(format!("use the flag `--{name}`: {} has none of that name", keyword.name()));
            return Err(match nearest(name, known.iter().map(|(n, _)| *n)) {
                Some(near) => e.hint(format!("did you mean `--{near}`?")),
                None => e,
            });
        };
        if *takes != Takes::Many && flags.one(name).is_some() {
            return Err(Error::invalid(format!("use the flag `--{name}`: it stands there twice")));
        }
        let value = match (takes, value.map(str::to_ascii_lowercase).as_deref()) {
            (Takes::Switch, None | Some("true")) => "true".to_owned(),
            (Takes::Switch, Some("false")) => "false".to_owned(),
            (Takes::Switch, Some(other)) => {
                return Err(Error::invalid(format!(
                    "use the flag `--{name}={other}`: neither true nor false"
                )));
            }
            (_, None) => {
                return Err(Error::invalid(format!("use the flag `--{name}`: its value is missing"))
                    .hint(format!("--{name}=VALUE, with no blank around the `=`")));
            }
            (_, Some(_)) => value.unwrap_or_default().to_owned(),
        };
        flags.0.push((name, value));
    }
    Ok((flags, rest))
}

/// The words at the front that begin with `--`, quotes removed. A `--` alone ends them.
fn leading_flags(text: &str) -> (Vec<String>, String) {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while rest.starts_with("--") {
        let (mut word, mut quote) = (String::new(), None);
        let mut chars = rest.char_indices();
        let mut end = rest.len();
        while let Some((at, c)) = chars.next() {
            match (quote, c) {
                (None, c) if c.is_whitespace() => {
                    end = at;
                    break;
                }
                (None, '\'' | '"') => quote = Some(c),
                (Some(q), c) if c == q => quote = None,
                (_, '\\') => word.extend(chars.next().map(|(_, c)| c)),
                _ => word.push(c),
            }
        }
        rest = rest[end..].trim_start();
        if word == "--" {
            break;
        }
        words.push(word);
    }
    (words, rest.to_owned())
}

/// What an instruction's JSON form says; `None` where it is not written as a list.
///
/// # Errors
/// [`taru_stdx::Kind::Invalid`] for a list of anything but strings.
pub(super) fn json(text: &str) -> Result<Option<Vec<String>>> {
    if !text.starts_with('[') {
        return Ok(None);
    }
    // What is no JSON is the shell's: `[ -e x ] && y`.
    let Ok(list) = serde_json::from_str::<Vec<serde_json::Value>>(text) else { return Ok(None) };
    let strings = list.into_iter().map(|v| match v {
        serde_json::Value::String(text) => Ok(text),
        other => Err(Error::invalid(format!("read `{other}` in a JSON list: only strings stand there"))),
    });
    strings.collect::<Result<Vec<String>>>().map(Some)
}

/// The words between blanks.
pub(super) fn blanks(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// Words between blanks, where quotes and the escape character keep a blank in a word. They are not removed:
/// that is the expansion's work.
pub(super) fn quoted(text: &str, escape: char) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (None, c) if c.is_whitespace() => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                continue;
            }
            (None, '\'' | '"') => quote = Some(c),
            (Some(q), c) if c == q => quote = None,
            // Between single quotes it is a character like any other.
            (quote, c) if c == escape && quote != Some('\'') => match chars.next() {
                Some(next) => {
                    word.push(c);
                    word.push(next);
                    continue;
                }
                None => continue,
            },
            _ => {}
        }
        word.push(c);
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// `NAME=VALUE ...`, or the old form `NAME VALUE WITH BLANKS`.
///
/// # Errors
/// [`taru_stdx::Kind::Invalid`] for a word without `=`, and for no name.
pub(super) fn pairs(keyword: Keyword, text: &str, escape: char) -> Result<Vec<(String, String)>> {
    let name = keyword.name();
    let words = quoted(text, escape);
    let Some(first) = words.first() else {
        return Err(Error::invalid(format!("{name}: nothing follows")).hint(format!("{name} KEY=VALUE ...")));
    };
    let pairs = if first.contains('=') {
        let pair = |word: &String| match word.split_once('=') {
            Some((key, value)) => Ok((key.to_owned(), value.to_owned())),
            None => Err(Error::invalid(format!("{name}: `{word}` has no `=`"))
                .hint("a value with blanks is written in quotes: NAME=\"two words\"")),
        };
        words.iter().map(pair).collect::<Result<Vec<_>>>()?
    } else {
        let (key, value) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        if value.trim().is_empty() {
            return Err(
                Error::invalid(format!("{name}: `{key}` has no value")).hint(format!("{name} {key}=VALUE"))
            );
        }
        vec![(key.to_owned(), value.trim_start().to_owned())]
    };
    if pairs.iter().any(|(key, _)| key.is_empty()) {
        return Err(Error::invalid(format!("{name}: a name is empty")));
    }
    Ok(pairs)
}
