//! Variables in the words of instructions, as the reference of Dockerfiles has them.
//!
//! ```text
//! $X ${X}            the value, or nothing
//! ${X:-w} ${X-w}     w where X is unset (with `:` also where it is empty)
//! ${X:+w} ${X+w}     w where X is set
//! ${X:?w} ${X?w}     an error that says w where X is unset
//! ${X#p} ${X##p}     without the shortest, the longest start that matches p
//! ${X%p} ${X%%p}     without the shortest, the longest end that matches p
//! ${X/p/r} ${X//p/r} the first, every match of p replaced by r
//! \$X '$X'           not expanded
//! ```
//! Pure; what a variable is worth is asked of the caller.

use taru_stdx::{Error, Kind, Result};

/// What a variable is worth.
pub(crate) type Lookup<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// How words are expanded.
#[derive(Debug, Clone)]
pub(crate) struct Expander {
    /// `\` or a backquote.
    pub escape: char,
    /// Quotes stay.
    pub raw_quotes: bool,
    /// Escape characters stay.
    pub raw_escapes: bool,
    /// What is unset stays as it was written.
    pub skip_unset: bool,
    /// A document, not a word: quotes are characters like any other, and only `\\$` and `\\\\` are escapes.
    pub document: bool,
}

/// How deep `${a:-${b:-...}}` may go: the recursion is bounded.
const DEPTH: usize = 64;
/// How long the result may become: `ENV A=$A$A` doubles with each line.
const LONGEST: usize = 1 << 20;

impl Expander {
    /// With that escape character, the way values are expanded.
    pub(crate) fn new(escape: char) -> Expander {
        Expander { escape, raw_quotes: false, raw_escapes: false, skip_unset: false, document: false }
    }

    /// Expands `text` into one word.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for a quote or brace that is not closed, a substitution that does not exist, or the
    /// message of `${X:?}`; [`Kind::Limit`] for a result beyond a MiB.
    pub(crate) fn word(&self, text: &str, lookup: &Lookup<'_>) -> Result<String> {
        Ok(self.process(text, lookup)?.0)
    }

    /// Expands `text` into words: blanks outside quotes separate, those in values too.
    ///
    /// # Errors
    /// As [`Expander::word`].
    pub(crate) fn words(&self, text: &str, lookup: &Lookup<'_>) -> Result<Vec<String>> {
        Ok(self.process(text, lookup)?.1)
    }

    fn process(&self, text: &str, lookup: &Lookup<'_>) -> Result<(String, Vec<String>)> {
        let chars: Vec<char> = text.chars().collect();
        let mut scan = Scan { how: self, lookup, chars: &chars, at: 0, depth: 0 };
        let done = scan.until(None, self.raw_escapes);
        done.map(|out| (out.text, out.words.finish())).map_err(|e| {
            // What the author wrote for this case stands alone.
            let what = format!("expand `{text}`");
            Error::new(e.kind(), what).because(e)
        })
    }
}

/// What was expanded: as one text, and as words.
#[derive(Default)]
struct Out {
    text: String,
    words: Words,
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

impl Out {
    fn push(&mut self, c: char) {
        self.text.push(c);
        self.words.push(c);
    }

    fn raw(&mut self, c: char) {
        self.text.push(c);
        self.words.raw(c);
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
            if out.text.len() > LONGEST {
                return Err(Error::new(Kind::Limit, "more than a MiB"));
            }
            if Some(c) == stop {
                self.at += 1;
                return Ok(out);
            }
            match c {
                '$' => self.dollar()?.chars().for_each(|c| out.push(c)),
                '\'' if !self.how.document => {
                    out.words.open.get_or_insert_default();
                    self.single()?.chars().for_each(|c| out.raw(c));
                }
                '"' if !self.how.document => {
                    out.words.open.get_or_insert_default();
                    self.double(raw_escapes)?.chars().for_each(|c| out.raw(c));
                }
                c if c == self.how.escape => {
                    self.at += 1;
                    let is_data = self.how.document && !matches!(self.peek(), Some(n) if n == '$' || n == c);
                    if raw_escapes || is_data {
                        out.raw(c);
                    }
                    // At the very end it vanishes.
                    if let Some(escaped) = self.next() {
                        out.raw(escaped);
                    }
                }
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

    fn single(&mut self) -> Result<String> {
        let mut text = String::new();
        self.at += 1;
        if self.how.raw_quotes {
            text.push('\'');
        }
        loop {
            match self.next() {
                None => return Err(Error::invalid("a single quote is not closed")),
                Some('\'') => break,
                Some(c) => text.push(c),
            }
        }
        if self.how.raw_quotes {
            text.push('\'');
        }
        Ok(text)
    }

    fn double(&mut self, raw_escapes: bool) -> Result<String> {
        let mut text = String::new();
        self.at += 1;
        if self.how.raw_quotes {
            text.push('"');
        }
        loop {
            match self.peek() {
                None => return Err(Error::invalid("a double quote is not closed")),
                Some('"') => break,
                Some('$') => text.push_str(&self.dollar()?),
                Some(c) => {
                    self.at += 1;
                    if c != self.how.escape {
                        text.push(c);
                        continue;
                    }
                    // Only these are escaped; any other escape character stands for itself.
                    match self.peek() {
                        None => {}
                        Some(next) if next == '"' || next == '$' || next == c => {
                            if raw_escapes {
                                text.push(c);
                            }
                            text.push(next);
                            self.at += 1;
                        }
                        Some(_) => text.push(c),
                    }
                }
            }
        }
        self.at += 1;
        if self.how.raw_quotes {
            text.push('"');
        }
        Ok(text)
    }

    fn name(&mut self) -> String {
        let start = self.at;
        match self.peek() {
            Some(c) if c.is_ascii_digit() => {
                while self.peek().is_some_and(|c| c.is_ascii_digit()) {
                    self.at += 1;
                }
            }
            Some('@' | '*' | '#' | '?' | '-' | '$' | '!') => self.at += 1,
            _ => {
                while self.peek().is_some_and(|c| c.is_alphanumeric() || c == '_') {
                    self.at += 1;
                }
            }
        }
        self.chars[start..self.at].iter().collect()
    }

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
        let value = self.braces();
        self.depth -= 1;
        value
    }

    /// What stands in braces, behind the opening one.
    fn braces(&mut self) -> Result<String> {
        if matches!(self.peek(), Some('{' | '}' | ':')) {
            return Err(Error::invalid("a substitution without a name"));
        }
        let name = self.name();
        let value = (self.lookup)(&name);
        let is_kept = self.how.skip_unset && value.is_none();
        let missing = || Error::invalid("its `}` is missing");
        let operator = self.next().ok_or_else(missing)?;
        let unsupported = |text: String| {
            Error::invalid(format!("no substitution `{text}`"))
                .hint("${X} ${X:-w} ${X:+w} ${X:?w} ${X#p} ${X##p} ${X%p} ${X%%p} ${X/p/r} ${X//p/r}")
        };
        match operator {
            '}' if is_kept => Ok(format!("${{{name}}}")),
            '}' => Ok(value.unwrap_or_default()),
            '/' => {
                let all = self.peek() == Some('/');
                self.at += usize::from(all);
                let pattern = self.until(Some('/'), true)?.text;
                let with = self.until(Some('}'), true)?.text;
                if is_kept {
                    let slash = if all { "//" } else { "/" };
                    return Ok(format!("${{{name}{slash}{pattern}/{with}}}"));
                }
                replace(&value.unwrap_or_default(), &pattern, &with, all)
            }
            '-' | '+' | '?' | '#' | '%' | ':' => {
                let (empty_too, operator) = match operator {
                    ':' => (true, self.next().ok_or_else(missing)?),
                    other => (false, other),
                };
                let is_pattern = matches!(operator, '#' | '%');
                let colon = if empty_too { ":" } else { "" };
                if !matches!(operator, '-' | '+' | '?' | '#' | '%') || (empty_too && is_pattern) {
                    return Err(unsupported(format!("{colon}{operator}")));
                }
                let word = self.until(Some('}'), is_pattern)?.text;
                if is_kept {
                    return Ok(format!("${{{name}{colon}{operator}{word}}}"));
                }
                let is_there = value.as_ref().is_some_and(|v| !(empty_too && v.is_empty()));
                match operator {
                    '-' if is_there => Ok(value.unwrap_or_default()),
                    '-' => Ok(word),
                    '+' if is_there => Ok(word),
                    '+' => Ok(String::new()),
                    '?' if is_there => Ok(value.unwrap_or_default()),
                    '?' => {
                        let state = if value.is_none() { "unset" } else { "empty" };
                        let why = if word.is_empty() { format!("is {state}") } else { word };
                        Err(Error::invalid(format!("{name}: {why}")))
                    }
                    _ => trim(&value.unwrap_or_default(), &word, operator),
                }
            }
            other => Err(unsupported(other.to_string())),
        }
    }
}

/// Removes from `value` its start (`#`) or end (`%`) that matches; a pattern that begins with the same
/// character again takes the longest.
fn trim(value: &str, pattern: &str, operator: char) -> Result<String> {
    let (pattern, longest) = match pattern.strip_prefix(operator) {
        Some(rest) => (rest, true),
        None => (pattern, false),
    };
    let pattern = glob(pattern);
    let value: Vec<char> = value.chars().collect();
    bounded(value.len(), pattern.len())?;
    // Lengths of what is removed, the wanted one first.
    let mut lengths: Vec<usize> = (0..=value.len()).collect();
    if longest {
        lengths.reverse();
    }
    for length in lengths {
        let cut = if operator == '#' { length } else { value.len() - length };
        let (head, tail) = value.split_at(cut);
        let (removed, kept) = if operator == '#' { (head, tail) } else { (tail, head) };
        if matches(&pattern, removed) {
            return Ok(kept.iter().collect());
        }
    }
    Ok(value.iter().collect())
}

fn replace(value: &str, pattern: &str, with: &str, all: bool) -> Result<String> {
    let pattern = glob(pattern);
    let value: Vec<char> = value.chars().collect();
    bounded(value.len(), pattern.len())?;
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
        if out.len() > LONGEST {
            return Err(Error::new(Kind::Limit, "more than a MiB"));
        }
    }
    Ok(out)
}

/// Matching tries every start and end: what takes too long is refused.
fn bounded(value: usize, pattern: usize) -> Result<()> {
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

fn glob(pattern: &str) -> Vec<Token> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(name: &str) -> Option<String> {
        let value = match name {
            "X" => "foobarbaz",
            "E" => "",
            "P" => "/usr/local/lib",
            "W" => "a  b",
            "V" => "v1.2.3",
            _ => return None,
        };
        Some(value.to_owned())
    }

    #[test]
    fn values_are_expanded_as_the_reference_says() {
        let e = Expander::new('\\');
        for (text, wanted) in [
            ("$X", "foobarbaz"),
            ("${X}y", "foobarbazy"),
            ("$Xy", ""),
            ("$", "$"),
            ("a$", "a$"),
            ("$.", "$."),
            (r"\$X", "$X"),
            (r"'$X'", "$X"),
            (r#""$X""#, "foobarbaz"),
            (r#""\$X""#, "$X"),
            (r#""a\nb""#, r"a\nb"),
            (r"a\nb", "anb"),
            (r"a\\b", r"a\b"),
            (r"a\", "a"),
            ("'a\\'", "a\\"),
            ("${U:-d}", "d"),
            ("${E:-d}", "d"),
            ("${E-d}", ""),
            ("${U-d}", "d"),
            ("${X:-d}", "foobarbaz"),
            ("${U:-$X}", "foobarbaz"),
            ("${U:-${E:-z}}", "z"),
            ("${U:-a}b}", "ab}"),
            ("${X:+w}", "w"),
            ("${E:+w}", ""),
            ("${E+w}", "w"),
            ("${U+w}", ""),
            ("${X:?no}", "foobarbaz"),
            ("${X#*b}", "arbaz"),
            ("${X##*b}", "az"),
            ("${X%b*}", "foobar"),
            ("${X%%b*}", "foo"),
            ("${X%nope}", "foobarbaz"),
            ("${P##*/}", "lib"),
            ("${P%/*}", "/usr/local"),
            ("${X/ba?/-}", "foo-baz"),
            ("${X//ba?/-}", "foo--"),
            ("${X//ba*/-}", "foo-"),
            (r"${P//\//_}", "_usr_local_lib"),
            ("${V#v}", "1.2.3"),
            ("${V%.*}", "v1.2"),
            ("${V%%.*}", "v1"),
            ("$1x", "x"),
            ("${X}$X", "foobarbazfoobarbaz"),
            (r#""it's $E""#, "it's "),
            ("", ""),
        ] {
            assert_eq!(e.word(text, &lookup).unwrap(), wanted, "{text}");
        }
    }

    #[test]
    fn what_is_no_expansion_is_an_error() {
        let e = Expander::new('\\');
        for (text, why) in [
            ("${X", "`}` is missing"),
            ("${", "missing"),
            ("${}", "without a name"),
            ("${:x}", "without a name"),
            ("'x", "single quote"),
            ("\"x", "double quote"),
            ("${X!}", "no substitution"),
            ("${X:#a}", "no substitution `:#`"),
            ("${U?}", "U: is unset"),
            ("${E:?}", "E: is empty"),
            ("${U:?set it}", "U: set it"),
            ("${X/a}", "missing"),
        ] {
            let e = e.word(text, &lookup).unwrap_err();
            assert!(e.chain().to_string().contains(why), "{text}: {}", e.chain());
        }
        let deep = "${U:-".repeat(100) + &"}".repeat(100);
        assert_eq!(e.word(&deep, &lookup).unwrap_err().kind(), Kind::Limit);
    }

    #[test]
    fn words_are_split_at_blanks_and_quotes_keep_them() {
        let e = Expander::new('\\');
        let all = |text: &str| e.words(text, &lookup).unwrap();
        assert_eq!(all("a b"), ["a", "b"]);
        assert_eq!(all("$W"), ["a", "b"]);
        assert_eq!(all(r#""$W" c"#), ["a  b", "c"]);
        assert_eq!(all(r"a\ b ''"), ["a b", ""]);
        let raw = Expander { raw_quotes: true, raw_escapes: true, skip_unset: true, ..e.clone() };
        assert_eq!(
            raw.words(r#"a "b c" $U ${U:-x} '"'"#, &lookup).unwrap(),
            ["a", "\"b c\"", "$U", "${U:-x}", "'\"'"]
        );
        let windows = Expander::new('`');
        assert_eq!(windows.word(r"C:\x`$X", &lookup).unwrap(), r"C:\x$X");
    }
}
