//! The scan of a text from its first character to its last: quotes, escapes and dollars.

use taru_stdx::{Error, Kind, Result};

use super::glob::End;
use super::substitution::{Operation, Substitution, Test};
use super::{Expander, Lookup, check_length};

/// How deep `${a:-${b:-...}}` may go: the recursion is bounded.
const DEPTH: usize = 64;

/// Expands all of `text`: into one text, and into words.
pub(super) fn scan(how: &Expander, text: &str, lookup: &Lookup<'_>) -> Result<(String, Vec<String>)> {
    let chars: Vec<char> = text.chars().collect();
    let mut scan = Scan { how, lookup, chars: &chars, at: 0, depth: 0 };
    let out = scan.until(None, how.raw_escapes)?;
    Ok((out.text, out.words.finish()))
}

/// What was expanded: as one text, and as words.
#[derive(Default)]
struct Out {
    text: String,
    words: Words,
}

impl Out {
    /// A character that separates words if it is blank.
    fn push(&mut self, c: char) {
        self.text.push(c);
        self.words.push(c);
    }

    /// A character of a word, whatever it is.
    fn raw(&mut self, c: char) {
        self.text.push(c);
        self.words.raw(c);
    }

    /// What stood in quotes: a word, or part of one, even where it is empty.
    fn quoted(&mut self, text: &str) {
        self.words.open.get_or_insert_default();
        text.chars().for_each(|c| self.raw(c));
    }
}

/// Words under construction.
#[derive(Default)]
struct Words {
    done: Vec<String>,
    open: Option<String>,
}

impl Words {
    fn push(&mut self, c: char) {
        if c.is_whitespace() {
            self.done.extend(self.open.take());
        } else {
            self.raw(c);
        }
    }

    fn raw(&mut self, c: char) {
        self.open.get_or_insert_default().push(c);
    }

    fn finish(mut self) -> Vec<String> {
        self.done.extend(self.open.take());
        self.done
    }
}

struct Scan<'a> {
    how: &'a Expander,
    lookup: &'a Lookup<'a>,
    chars: &'a [char],
    at: usize,
    depth: usize,
}

impl Scan<'_> {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek();
        self.at += usize::from(c.is_some());
        c
    }

    /// Reads up to `stop`, which is consumed, or to the end.
    fn until(&mut self, stop: Option<char>, raw_escapes: bool) -> Result<Out> {
        let mut out = Out::default();
        while let Some(c) = self.peek() {
            check_length(&out.text)?;
            if Some(c) == stop {
                self.at += 1;
                return Ok(out);
            }
            match c {
                '$' => self.dollar()?.chars().for_each(|c| out.push(c)),
                '\'' if !self.how.document => out.quoted(&self.single()?),
                '"' if !self.how.document => out.quoted(&self.double(raw_escapes)?),
                c if c == self.how.escape => self.escaped(raw_escapes, &mut out),
                c => {
                    self.at += 1;
                    out.push(c);
                }
            }
        }
        match stop {
            None => Ok(out),
            Some(stop) => Err(Error::invalid(format!("its `{stop}` is missing"))),
        }
    }

    /// An escape character outside quotes, and the one that it makes a character like any other.
    fn escaped(&mut self, raw_escapes: bool, out: &mut Out) {
        let escape = self.how.escape;
        self.at += 1;
        let is_data = self.how.document && !matches!(self.peek(), Some(n) if n == '$' || n == escape);
        if raw_escapes || is_data {
            out.raw(escape);
        }
        // At the very end it vanishes.
        if let Some(escaped) = self.next() {
            out.raw(escaped);
        }
    }

    /// What stands in single quotes: nothing in it is expanded.
    fn single(&mut self) -> Result<String> {
        self.at += 1;
        let mut text = String::new();
        loop {
            match self.next() {
                None => return Err(Error::invalid("a single quote is not closed")),
                Some('\'') => return Ok(self.with_quotes(text, '\'')),
                Some(c) => text.push(c),
            }
        }
    }

    /// What stands in double quotes.
    fn double(&mut self, raw_escapes: bool) -> Result<String> {
        self.at += 1;
        let mut text = String::new();
        loop {
            match self.peek() {
                None => return Err(Error::invalid("a double quote is not closed")),
                Some('"') => {
                    self.at += 1;
                    return Ok(self.with_quotes(text, '"'));
                }
                Some('$') => text.push_str(&self.dollar()?),
                Some(c) if c == self.how.escape => self.escaped_in_quotes(raw_escapes, &mut text),
                Some(c) => {
                    self.at += 1;
                    text.push(c);
                }
            }
        }
    }

    /// An escape character in double quotes: it stands for itself but before a few; at the very end it vanishes.
    fn escaped_in_quotes(&mut self, raw_escapes: bool, text: &mut String) {
        let escape = self.how.escape;
        self.at += 1;
        let Some(next) = self.peek() else { return };
        if next != '"' && next != '$' && next != escape {
            return text.push(escape);
        }
        if raw_escapes {
            text.push(escape);
        }
        text.push(next);
        self.at += 1;
    }

    fn with_quotes(&self, text: String, quote: char) -> String {
        if self.how.raw_quotes { format!("{quote}{text}{quote}") } else { text }
    }

    fn name(&mut self) -> String {
        let start = self.at;
        match self.peek() {
            Some('@' | '*' | '#' | '?' | '-' | '$' | '!') => self.at += 1,
            Some(c) if c.is_ascii_digit() => self.skip(|c| c.is_ascii_digit()),
            _ => self.skip(|c| c.is_alphanumeric() || c == '_'),
        }
        self.chars[start..self.at].iter().collect()
    }

    fn skip(&mut self, takes: impl Fn(char) -> bool) {
        while self.peek().is_some_and(&takes) {
            self.at += 1;
        }
    }

    /// `$X` or `${X...}`, from the dollar on.
    fn dollar(&mut self) -> Result<String> {
        self.at += 1;
        if self.peek() != Some('{') {
            let name = self.name();
            if name.is_empty() {
                return Ok("$".to_owned());
            }
            return Ok(match (self.lookup)(&name) {
                Some(value) => value,
                None if self.how.skip_unset => format!("${name}"),
                None => String::new(),
            });
        }
        self.at += 1;
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(Error::new(Kind::Limit, format!("substitutions more than {DEPTH} deep")));
        }
        let substitution = self.substitution()?;
        self.depth -= 1;
        match (self.lookup)(&substitution.name) {
            None if self.how.skip_unset => Ok(substitution.to_string()),
            value => substitution.apply(value),
        }
    }

    /// What stands in braces, behind the opening one.
    fn substitution(&mut self) -> Result<Substitution> {
        if matches!(self.peek(), Some('{' | '}' | ':')) {
            return Err(Error::invalid("a substitution without a name"));
        }
        let name = self.name();
        Ok(Substitution { name, operation: self.operation()? })
    }

    /// The operator behind a name, and its words up to the closing brace.
    fn operation(&mut self) -> Result<Operation> {
        let first = self.operator()?;
        let empty_too = first == ':';
        let sign = if empty_too { self.operator()? } else { first };
        let test = match sign {
            '}' if !empty_too => return Ok(Operation::Value),
            '/' if !empty_too => return self.replacement(),
            '#' if !empty_too => return self.trimming(End::First),
            '%' if !empty_too => return self.trimming(End::Last),
            '-' => Test::Default,
            '+' => Test::Alternative,
            '?' => Test::Required,
            other => {
                let colon = if empty_too { ":" } else { "" };
                return Err(Error::invalid(format!("no substitution `{colon}{other}`"))
                    .hint("${X} ${X:-w} ${X:+w} ${X:?w} ${X#p} ${X##p} ${X%p} ${X%%p} ${X/p/r} ${X//p/r}"));
            }
        };
        let word = self.until(Some('}'), false)?.text;
        Ok(Operation::Test { test, empty_too, word })
    }

    fn operator(&mut self) -> Result<char> {
        self.next().ok_or_else(|| Error::invalid("its `}` is missing"))
    }

    fn replacement(&mut self) -> Result<Operation> {
        let all = self.peek() == Some('/');
        self.at += usize::from(all);
        let pattern = self.until(Some('/'), true)?.text;
        let with = self.until(Some('}'), true)?.text;
        Ok(Operation::Replace { all, pattern, with })
    }

    fn trimming(&mut self, end: End) -> Result<Operation> {
        Ok(Operation::Trim { end, pattern: self.until(Some('}'), true)?.text })
    }
}
