//! Patterns of paths: `.dockerignore`, `--exclude`, and the wildcards of COPY.
//!
//! ```text
//! *      anything but `/`        **   any number of directories
//! ?      one character but `/`   [a-z] [^a-z]   one of a class
//! \x     x itself                !x   (in lists) what an earlier pattern took is given back
//! ```
//! The rules are those of Go's filepath.Match, and of moby/patternmatcher for `**` and lists.

use std::path::Path;

use taru_stdx::{Error, Result};

/// One pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern {
    tokens: Vec<Token>,
    /// As it was written.
    pub text: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Char(char),
    One,
    Star,
    /// `**/`: nothing, or anything that ends with `/`.
    Dirs,
    /// `**` at the end.
    Rest,
    Class {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
}

impl Pattern {
    /// Reads a pattern with `**`.
    ///
    /// # Errors
    /// [`taru_stdx::Kind::Invalid`] for a class without end, or `\` at the end.
    pub(crate) fn parse(text: &str) -> Result<Pattern> {
        Pattern::read(text, true)
    }

    /// Reads a pattern of one component, in which `**` is `*`.
    ///
    /// # Errors
    /// As [`Pattern::parse`].
    pub(crate) fn component(text: &str) -> Result<Pattern> {
        Pattern::read(text, false)
    }

    fn read(text: &str, doubled: bool) -> Result<Pattern> {
        let bad = |why: &str| Error::invalid(format!("read the pattern `{text}`: {why}"));
        let mut tokens = Vec::new();
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            tokens.push(match c {
                '*' if chars.peek() == Some(&'*') && doubled => {
                    while chars.peek() == Some(&'*') {
                        chars.next();
                    }
                    if chars.peek() == Some(&'/') {
                        chars.next();
                    }
                    if chars.peek().is_none() { Token::Rest } else { Token::Dirs }
                }
                '*' => Token::Star,
                '?' => Token::One,
                '\\' => Token::Char(chars.next().ok_or_else(|| bad("it ends with a backslash"))?),
                '[' => {
                    let negated = chars.peek() == Some(&'^');
                    if negated {
                        chars.next();
                    }
                    let mut ranges = Vec::new();
                    loop {
                        let open = || bad("its `[` is not closed");
                        let low = match chars.next().ok_or_else(open)? {
                            ']' if !ranges.is_empty() => break,
                            '\\' => chars.next().ok_or_else(open)?,
                            c => c,
                        };
                        let mut high = low;
                        if chars.peek() == Some(&'-') {
                            chars.next();
                            high = match chars.next().ok_or_else(open)? {
                                '\\' => chars.next().ok_or_else(open)?,
                                ']' => return Err(bad("a range without an end")),
                                c => c,
                            };
                        }
                        ranges.push((low, high));
                    }
                    Token::Class { negated, ranges }
                }
                c => Token::Char(c),
            });
        }
        Ok(Pattern { tokens, text: text.to_owned() })
    }

    /// Whether all of `path` matches. Time: length of the path times length of the pattern.
    pub(crate) fn matches(&self, path: &str) -> bool {
        let path: Vec<char> = path.chars().collect();
        // reached[t]: the tokens so far match the first t characters.
        let mut reached = vec![false; path.len() + 1];
        reached[0] = true;
        for token in &self.tokens {
            let mut next = vec![false; path.len() + 1];
            match token {
                Token::Char(_) | Token::One | Token::Class { .. } => {
                    for (t, c) in path.iter().enumerate() {
                        next[t + 1] = reached[t] && token.takes(*c);
                    }
                }
                Token::Star => {
                    let mut open = false;
                    for t in 0..=path.len() {
                        open = reached[t] || (open && t > 0 && path[t - 1] != '/');
                        next[t] = open;
                    }
                }
                Token::Rest => {
                    let mut open = false;
                    for t in 0..=path.len() {
                        open |= reached[t];
                        next[t] = open;
                    }
                }
                Token::Dirs => {
                    let mut open = false;
                    for t in 0..=path.len() {
                        next[t] = reached[t] || (open && t > 0 && path[t - 1] == '/');
                        open |= reached[t];
                    }
                }
            }
            reached = next;
        }
        reached[path.len()]
    }
}

impl Token {
    fn takes(&self, c: char) -> bool {
        match self {
            Token::Char(mine) => *mine == c,
            Token::One => c != '/',
            Token::Class { negated, ranges } => {
                c != '/' && ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != *negated
            }
            _ => false,
        }
    }
}

/// Whether a path has characters of patterns.
pub(crate) fn has_wildcards(path: &str) -> bool {
    let mut chars = path.chars();
    while let Some(c) = chars.next() {
        match c {
            '*' | '?' | '[' => return true,
            '\\' => drop(chars.next()),
            _ => {}
        }
    }
    false
}

/// A pattern that `path` alone matches.
pub(crate) fn escape(path: &str) -> String {
    let mut escaped = String::new();
    for c in path.chars() {
        if matches!(c, '*' | '?' | '[' | '\\') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

/// A list of patterns of which the last that matches decides.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ignore {
    patterns: Vec<(bool, Pattern)>,
}

/// What of a pattern list holds for a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Taken.
    Kept,
    /// Left out, but something below it may be given back.
    Excluded,
    /// Left out with all below it.
    Pruned,
}

impl Ignore {
    /// Reads a `.dockerignore`.
    ///
    /// # Errors
    /// [`taru_stdx::Kind::Invalid`] with `name` and the line.
    pub(crate) fn file(name: &str, text: &str) -> Result<Ignore> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut ignore = Ignore::default();
        let mut errors = Vec::new();
        for (at, line) in text.lines().enumerate() {
            if line.starts_with('#') {
                continue;
            }
            if let Err(e) = ignore.add(line.trim()) {
                errors.push(Error::invalid(format!("{name}:{}", at + 1)).because(e));
            }
        }
        Error::all(errors).map_or(Ok(ignore), Err)
    }

    /// A list of patterns, such as those of `--exclude`.
    ///
    /// # Errors
    /// [`taru_stdx::Kind::Invalid`] for a pattern that is none.
    pub(crate) fn list<S: AsRef<str>>(patterns: &[S]) -> Result<Ignore> {
        let mut ignore = Ignore::default();
        patterns.iter().try_for_each(|p| ignore.add(p.as_ref().trim()))?;
        Ok(ignore)
    }

    fn add(&mut self, line: &str) -> Result<()> {
        let (back, pattern) = match line.strip_prefix('!') {
            Some(rest) => (true, rest.trim()),
            None => (false, line),
        };
        if pattern.is_empty() {
            return match back {
                true => Err(Error::invalid("read the pattern `!`: nothing follows")),
                false => Ok(()),
            };
        }
        let clean = clean(pattern);
        if !clean.is_empty() {
            self.patterns.push((back, Pattern::parse(&clean)?));
        }
        Ok(())
    }

    /// What holds for `path`, which is relative to the root of the context and has no `/` at its ends.
    pub(crate) fn verdict(&self, path: &str) -> Verdict {
        let mut is_out = false;
        // A pattern that matches a directory holds for all below it.
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        let prefixes: Vec<&str> = ends.map(|end| &path[..end]).collect();
        for (back, pattern) in &self.patterns {
            if is_out == *back && prefixes.iter().any(|prefix| pattern.matches(prefix)) {
                is_out = !*back;
            }
        }
        match (is_out, self.patterns.iter().any(|(back, _)| *back)) {
            (false, _) => Verdict::Kept,
            (true, true) => Verdict::Excluded,
            (true, false) => Verdict::Pruned,
        }
    }
}

/// A path as a pattern list has it: no `.`, `..` resolved, no `/` at its ends.
pub(crate) fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// The path as text; what is no UTF-8 is matched with its odd bytes replaced.
pub(crate) fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_gos() {
        for (pattern, path, wanted) in [
            ("*", "a", true),
            ("*", "a/b", false),
            ("a*", "abc", true),
            ("a?", "ab", true),
            ("a?", "a/", false),
            ("*/b", "a/b", true),
            ("*/b", "a/c/b", false),
            ("**", "a/b/c", true),
            ("**/b", "b", true),
            ("**/b", "a/c/b", true),
            ("a/**", "a/b/c", true),
            ("a/**/c", "a/c", true),
            ("a/**/c", "a/x/y/c", true),
            ("a/**/c", "ac", false),
            ("**/*.go", "x/y.go", true),
            ("**.go", "x/y.go", false),
            ("[a-c]x", "bx", true),
            ("[^a-c]x", "bx", false),
            ("[^a-c]x", "dx", true),
            (r"\*", "*", true),
            (r"\*", "a", false),
            ("a.b", "axb", false),
            ("[]a]", "]", true),
            ("café", "café", true),
        ] {
            assert_eq!(Pattern::parse(pattern).unwrap().matches(path), wanted, "{pattern} {path}");
        }
        for bad in ["[a", "a\\", "[a-]"] {
            assert!(Pattern::parse(bad).is_err(), "{bad}");
        }
        // No exponential time.
        let evil = "*a".repeat(60);
        assert!(
            !Pattern::parse(&evil)
                .unwrap()
                .matches(&"a".repeat(2000).replace("aaaa", "aaab").replace('a', "b"))
        );
    }

    #[test]
    fn the_last_pattern_that_matches_decides() {
        let text = "# comment\n*.md\n!README.md\n\n/target/\nnode_modules\n**/*.o\ndocs/*\n!docs/keep\n";
        let ignore = Ignore::file(".dockerignore", text).unwrap();
        for (path, kept) in [
            ("a.md", false),
            ("README.md", true),
            ("sub/a.md", true),
            ("target", false),
            ("target/x/y", false),
            ("sub/target", true),
            ("node_modules/a", false),
            ("x/y.o", false),
            ("y.o", false),
            ("docs", true),
            ("docs/a", false),
            ("docs/keep", true),
            ("docs/keep/b", true),
        ] {
            assert_eq!(ignore.verdict(path) == Verdict::Kept, kept, "{path}");
        }
        assert!(Ignore::file("x", "!").unwrap_err().chain().to_string().starts_with("x:1: "));
        let simple = Ignore::list(&["a"]).unwrap();
        assert_eq!(simple.verdict("a/b"), Verdict::Pruned);
    }
}
