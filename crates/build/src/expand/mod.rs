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

mod glob;
mod scan;
mod substitution;

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

/// How long a result may become: `ENV A=$A$A` doubles with each line.
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
        let done = scan::scan(self, text, lookup);
        // What the author wrote for this case stands alone.
        done.map_err(|e| Error::new(e.kind(), format!("expand `{text}`")).because(e))
    }
}

/// Refuses a text that has become too long.
fn check_length(text: &str) -> Result<()> {
    match text.len() > LONGEST {
        true => Err(Error::new(Kind::Limit, "more than a MiB")),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests;
