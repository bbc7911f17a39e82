//! The table of translations, a PO file (as gettext(1) and translators' editors know it): English
//! beside Japanese, keyed by where the text stands.
//!
//! ```text
//! #, fuzzy                                   only if the English has changed since it was translated
//! msgctxt "taru netns add --no-loopback"
//! msgid "Leave the loopback link down"
//! msgstr "..."
//! ```

use std::collections::{HashMap, HashSet};

use taru_stdx::{Error, Result};

use crate::text::Text;

const HEADER: &str = "\
# The man pages of taru in Japanese: English beside each translation, keyed by where it stands.
# `cargo xtask man` keeps the English current and marks as fuzzy what has to be translated again.
msgid \"\"
msgstr \"\"
\"Project-Id-Version: taru\\n\"
\"Language: ja\\n\"
\"MIME-Version: 1.0\\n\"
\"Content-Type: text/plain; charset=UTF-8\\n\"
\"Content-Transfer-Encoding: 8bit\\n\"
";

/// All translations.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Catalog {
    entries: Vec<Entry>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Entry {
    key: String,
    english: String,
    translation: String,
    fuzzy: bool,
}

impl Catalog {
    /// Reads a PO file.
    pub(crate) fn parse(text: &str) -> Result<Catalog> {
        let mut entries = Vec::new();
        let mut entry = Entry::default();
        let mut field = "";
        for (number, line) in text.lines().enumerate() {
            let bad = || Error::invalid(format!("line {}: not a line of a PO file", number + 1));
            let line = line.trim();
            if line.is_empty() {
                entries.push(std::mem::take(&mut entry));
            } else if let Some(comment) = line.strip_prefix('#') {
                entry.fuzzy |= comment.starts_with(',') && comment.contains("fuzzy");
            } else {
                let quoted = match line.split_once(' ') {
                    Some((name, quoted)) if ["msgctxt", "msgid", "msgstr"].contains(&name) => {
                        field = name;
                        quoted
                    }
                    _ => line,
                };
                let text = unquote(quoted).ok_or_else(bad)?;
                match field {
                    "msgctxt" => entry.key.push_str(&text),
                    "msgid" => entry.english.push_str(&text),
                    "msgstr" => entry.translation.push_str(&text),
                    _ => return Err(bad()),
                }
            }
        }
        entries.push(entry);
        // The header has no key.
        entries.retain(|entry| !entry.key.is_empty());
        Ok(Catalog { entries })
    }

    /// The catalog for `texts`: what is still wanted keeps its translation, what has changed is
    /// marked, what is new takes over the translation of the same English elsewhere, if any.
    pub(crate) fn updated(&self, texts: impl IntoIterator<Item = Text>) -> Catalog {
        let by_key: HashMap<&str, &Entry> = self.entries.iter().map(|e| (e.key.as_str(), e)).collect();
        let done = self.entries.iter().filter(|e| !e.fuzzy && !e.translation.is_empty());
        let by_english: HashMap<&str, &Entry> = done.map(|e| (e.english.as_str(), e)).collect();
        let mut seen = HashSet::new();
        let mut entries = Vec::new();
        for Text { key, english } in texts {
            if !seen.insert(key.clone()) {
                continue;
            }
            let old = by_key.get(key.as_str());
            let same = old.filter(|old| old.english == english);
            let elsewhere = by_english.get(english.as_str());
            let (translation, fuzzy) = match (same, elsewhere, old) {
                (Some(same), _, _) if !same.translation.is_empty() => (same.translation.clone(), same.fuzzy),
                (_, Some(other), _) => (other.translation.clone(), false),
                (None, None, Some(old)) => (old.translation.clone(), !old.translation.is_empty()),
                _ => (String::new(), false),
            };
            entries.push(Entry { key, english, translation, fuzzy });
        }
        Catalog { entries }
    }

    /// The translation of `text`, if it is current.
    pub(crate) fn translation(&self, text: &Text) -> Option<&str> {
        let entry = self.entries.iter().find(|entry| entry.key == text.key)?;
        let current = !entry.fuzzy && entry.english == text.english && !entry.translation.is_empty();
        current.then_some(&*entry.translation)
    }

    /// The keys of what has no current translation, with the reason.
    pub(crate) fn untranslated(&self) -> Vec<String> {
        let reason = |entry: &Entry| match (entry.translation.is_empty(), entry.fuzzy) {
            (true, _) => Some(format!("{}: not translated", entry.key)),
            (false, true) => Some(format!("{}: the English has changed", entry.key)),
            (false, false) => None,
        };
        self.entries.iter().filter_map(reason).collect()
    }

    /// The PO file.
    pub(crate) fn to_text(&self) -> String {
        let mut text = HEADER.to_owned();
        for entry in &self.entries {
            text.push('\n');
            if entry.fuzzy {
                text.push_str("#, fuzzy\n");
            }
            for (field, value) in
                [("msgctxt", &entry.key), ("msgid", &entry.english), ("msgstr", &entry.translation)]
            {
                text.push_str(field);
                text.push(' ');
                text.push_str(&quote(value));
            }
        }
        text
    }
}

/// A string in quotes, one line of text a line.
fn quote(text: &str) -> String {
    let escaped = |line: &str| {
        line.replace('\\', "\\\\").replace('"', "\\\"").replace('\t', "\\t").replace('\n', "\\n")
    };
    if !text.contains('\n') {
        return format!("\"{}\"\n", escaped(text));
    }
    let lines = text.split_inclusive('\n').map(|line| format!("\"{}\"\n", escaped(line)));
    format!("\"\"\n{}", lines.collect::<String>())
}

fn unquote(text: &str) -> Option<String> {
    let inner = text.strip_prefix('"')?.strip_suffix('"')?;
    let mut out = String::new();
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next()? {
                'n' => out.push('\n'),
                't' => out.push('\t'),
                c @ ('"' | '\\') => out.push(c),
                _ => return None,
            },
            '"' => return None,
            c => out.push(c),
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(key: &str, english: &str) -> Text {
        Text { key: key.to_owned(), english: english.to_owned() }
    }

    #[test]
    fn a_catalog_is_read_as_it_was_written() {
        let mut catalog = Catalog::default().updated([text("a", "one\ntwo \"x\" \\ y"), text("b", "three")]);
        catalog.entries[0].translation = "一\n二".to_owned();
        catalog.entries[1].fuzzy = true;
        assert_eq!(Catalog::parse(&catalog.to_text()).unwrap(), catalog);
        for bad in ["msgid x", "msgid \"x", "\"x\"", "msgid \"\\q\"", "what"] {
            assert!(Catalog::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_changes_has_to_be_translated_again() {
        let mut catalog = Catalog::default().updated([text("a", "one"), text("b", "two"), text("gone", "x")]);
        assert_eq!(catalog.untranslated().len(), 3);
        for entry in &mut catalog.entries {
            entry.translation = format!("訳{}", entry.english);
        }
        let updated =
            catalog.updated([text("a", "one!"), text("b", "two"), text("c", "two"), text("d", "new")]);
        assert_eq!(updated.untranslated(), ["a: the English has changed", "d: not translated"]);
        assert_eq!(updated.translation(&text("a", "one!")), None);
        assert_eq!(updated.translation(&text("b", "two")), Some("訳two"));
        // The same English elsewhere need not be translated twice.
        assert_eq!(updated.translation(&text("c", "two")), Some("訳two"));
        // Changed back, it is current again only by a translator's word.
        assert_eq!(updated.updated([text("a", "one!")]).untranslated().len(), 1);
    }
}
