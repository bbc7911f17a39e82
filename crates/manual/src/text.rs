//! Texts that can be translated: those of the definitions, and the fixed words of every page.

/// A text that can be translated. `key` says where it stands: `taru netns add --no-loopback`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Text {
    pub(crate) key: String,
    pub(crate) english: String,
}

/// A fixed text: its key is `page: WORD`.
pub(crate) fn word(english: &str) -> Text {
    Text { key: format!("page: {english}"), english: english.to_owned() }
}

/// The fixed words of every page.
pub(crate) const WORDS: &[&str] = &[
    "NAME",
    "SYNOPSIS",
    "DESCRIPTION",
    "COMMANDS",
    "NOTES",
    "EXAMPLES",
    "SEE ALSO",
    "options",
    "Also called",
    "Default",
    "One of",
    "taru manual",
    ELSEWHERE,
];

/// Why the page of a verb lacks the options of `taru` itself.
pub(crate) const ELSEWHERE: &str = "The options of taru(1) may stand before or after the verb.";
