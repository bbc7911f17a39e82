//! Here-documents: which ones a line names.

use crate::expand::Expander;

/// A here-document.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Heredoc {
    /// What it is called and ends with; the file's name where it is copied.
    pub name: String,
    /// Its lines, as they stand.
    pub text: String,
    /// Whether variables in it are expanded where it is copied: its name was not quoted.
    pub expands: bool,
    /// `<<-`: tabs at the beginning of lines do not count.
    pub chomp: bool,
}

impl Heredoc {
    /// Its lines, without the tabs that do not count.
    pub(crate) fn content(&self) -> String {
        if !self.chomp {
            return self.text.clone();
        }
        self.text.split_inclusive('\n').map(|line| line.trim_start_matches('\t')).collect()
    }
}

/// Reads one word as the name of a here-document: `<<EOF`, `<<-'EOF'`, `3<<EOF`.
pub(crate) fn of_word(word: &str, escape: char) -> Option<Heredoc> {
    let start = word.trim_start_matches(|c: char| c.is_ascii_digit());
    let rest = start.strip_prefix("<<")?;
    let (rest, chomp) = match rest.strip_prefix('-') {
        Some(rest) => (rest, true),
        None => (rest, false),
    };
    if rest.is_empty() || rest.contains('<') {
        return None;
    }
    let nothing = |_: &str| None;
    let plain = Expander { skip_unset: true, ..Expander::new(escape) };
    let raw = Expander { raw_quotes: true, raw_escapes: true, ..plain.clone() };
    let name = plain.words(rest, &nothing).ok()?;
    let quoted = raw.words(rest, &nothing).ok()?;
    match (&name[..], &quoted[..]) {
        ([name], [quoted]) if !name.is_empty() => {
            Some(Heredoc { name: name.clone(), text: String::new(), expands: name == quoted, chomp })
        }
        _ => None,
    }
}

/// The here-documents that a line names, without their text.
pub(super) fn named(line: &str, escape: char) -> Vec<Heredoc> {
    let raw = Expander { skip_unset: true, raw_quotes: true, raw_escapes: true, ..Expander::new(escape) };
    // A line that is no list of words (an odd quote in a RUN) names none: the shell will say what is wrong.
    let words = raw.words(line, &|_: &str| None).unwrap_or_default();
    words.iter().filter_map(|word| of_word(word, escape)).collect()
}
