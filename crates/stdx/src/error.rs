//! The error every layer speaks: what was tried on which operand, and below it the cause.
//!
//! ```text
//! mount `nopefs` on `/data`: fsopen: No such device
//! └── message ────────────┘  └── its source, printed once by the edge ──┘
//! hint: ...
//! ```
//!
//! `Display` is one level only; [`Error::chain`] is the whole line. A library never logs an error:
//! it returns it, and the executable prints it once.

use std::error::Error as StdError;
use std::fmt;

/// The result of an operation that fails with an [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// What class of failure it is; exit codes and protocol statuses are derived from it, in one table each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// The input is wrong: a document, an option, a name.
    Invalid,
    /// The thing named does not exist.
    NotFound,
    /// The thing to be made exists already.
    Exists,
    /// The thing is there, but not in a state that allows this (a stopped container, a frozen group).
    State,
    /// The kernel or the file system refused this user.
    Permission,
    /// This kernel, this host or this version of taru cannot do it.
    Unsupported,
    /// Somebody else holds it; trying again later may help.
    Busy,
    /// A limit was reached: of time, of size, of number.
    Limit,
    /// The program to be executed does not exist (127) or cannot be executed (126).
    Exec(i32),
    /// The system failed: any other error of a call.
    System,
}

/// The classes in the order of their numbers, which never change: what one version of a program says, another may hear.
const NUMBERED: [Kind; 9] = [
    Kind::System,
    Kind::Invalid,
    Kind::NotFound,
    Kind::Exists,
    Kind::State,
    Kind::Permission,
    Kind::Unsupported,
    Kind::Busy,
    Kind::Limit,
];

impl Kind {
    /// The number that stands for the class towards another process. [`Kind::Exec`] has none of its own and is
    /// [`Kind::System`]: whose word would become an exit status must say so itself.
    pub fn number(self) -> u8 {
        NUMBERED.iter().position(|kind| *kind == self).map_or(0, |number| number as u8)
    }

    /// The class of that number; [`Kind::System`] for one that is not known here.
    pub fn of_number(number: u8) -> Kind {
        NUMBERED.get(usize::from(number)).copied().unwrap_or(Kind::System)
    }
}

/// A failure: verb and operand, cause, class and advice.
pub struct Error(Box<Inner>);

struct Inner {
    kind: Kind,
    message: String,
    hints: Vec<String>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// A failure that has no further cause. `message` is lower case, verb first, operands in backquotes.
    pub fn new(kind: Kind, message: impl Into<String>) -> Error {
        Error(Box::new(Inner { kind, message: message.into(), hints: Vec::new(), source: None }))
    }

    /// A failure of class [`Kind::Invalid`].
    pub fn invalid(message: impl Into<String>) -> Error {
        Error::new(Kind::Invalid, message)
    }

    /// The same failure with `source` as its cause.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Error {
        self.0.source = Some(source.into());
        self
    }

    /// The same failure with one more line of advice, without the word `hint:`.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Error {
        self.0.hints.push(hint.into());
        self
    }

    /// The class of the failure.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// The advice collected along the whole chain, outermost first.
    pub fn hints(&self) -> Vec<&str> {
        let mut all: Vec<&str> = self.0.hints.iter().map(String::as_str).collect();
        let mut next = StdError::source(self);
        while let Some(e) = next {
            if let Some(e) = e.downcast_ref::<Error>() {
                all.extend(e.0.hints.iter().map(String::as_str));
            }
            next = e.source();
        }
        all
    }

    /// The whole failure on one line: the message and its causes, joined with `: `.
    pub fn chain(&self) -> Chain<'_> {
        Chain(self)
    }

    /// Takes the failure apart into plain text, to carry it over a process boundary.
    pub fn to_flat(&self) -> Flat {
        let mut lines = vec![self.0.message.clone()];
        let mut next = StdError::source(self);
        while let Some(e) = next {
            lines.push(text_of(e));
            next = e.source();
        }
        Flat { kind: self.0.kind, lines, hints: self.hints().into_iter().map(str::to_owned).collect() }
    }

    /// Several failures of one input as one: the first line counts them when there is more than one.
    ///
    /// Returns `None` for an empty list.
    pub fn all(mut errors: Vec<Error>) -> Option<Error> {
        if errors.len() <= 1 {
            return errors.pop();
        }
        let kind = errors[0].kind();
        let text: Vec<String> = errors.iter().map(|e| e.chain().to_string()).collect();
        let mut joined = Error::new(kind, text.join("; "));
        for e in &errors {
            for h in e.hints() {
                joined = joined.hint(h);
            }
        }
        Some(joined)
    }
}

/// An error number of the kernel, as in errno(3). Its names stand in `taru_sys::errno`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Errno(pub i32);

impl Errno {
    /// The text that strerror(3) gives.
    pub fn text(self) -> String {
        let full = std::io::Error::from_raw_os_error(self.0).to_string();
        match full.find(" (os error") {
            Some(end) => full[..end].to_owned(),
            None => full,
        }
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.0, self.text())
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

impl StdError for Errno {}

/// An [`Error`] taken apart: what crosses a socket between two processes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flat {
    /// Its class.
    pub kind: Kind,
    /// The message, then each cause.
    pub lines: Vec<String>,
    /// The advice.
    pub hints: Vec<String>,
}

impl From<Flat> for Error {
    fn from(flat: Flat) -> Error {
        let mut chain: Option<Error> = None;
        for line in flat.lines.into_iter().rev() {
            let outer = Error::new(flat.kind, line);
            chain = Some(match chain {
                Some(inner) => outer.because(inner),
                None => outer,
            });
        }
        let mut error = chain.unwrap_or_else(|| Error::new(flat.kind, "an error without a message"));
        error.0.hints = flat.hints;
        error
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.0.kind, self.chain())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|s| s as &(dyn StdError + 'static))
    }
}

/// Prints an error and its causes on one line.
pub struct Chain<'a>(&'a (dyn StdError + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shorten(text_of(self.0)))?;
        let mut next = self.0.source();
        while let Some(e) = next {
            write!(f, ": {}", shorten(text_of(e)))?;
            next = e.source();
        }
        Ok(())
    }
}

/// A message quotes foreign data, which may be megabytes long: its middle is left out.
fn shorten(text: String) -> String {
    const START: usize = 700;
    const END: usize = 200;
    if text.len() <= 2 * START {
        return text;
    }
    let start: String = text.chars().take(START).collect();
    let end: Vec<char> = text.chars().rev().take(END).collect();
    format!("{start} ... {}", end.into_iter().rev().collect::<String>())
}

/// One level of a chain: the standard library's errors without their `(os error N)`.
fn text_of(e: &(dyn StdError + 'static)) -> String {
    match e.downcast_ref::<std::io::Error>().and_then(std::io::Error::raw_os_error) {
        Some(number) => Errno(number).text(),
        None => e.to_string(),
    }
}

/// The class that an error of a lower layer stands for.
fn kind_of(e: &(dyn StdError + 'static)) -> Kind {
    if let Some(e) = e.downcast_ref::<Error>() {
        return e.kind();
    }
    if let Some(e) = e.downcast_ref::<Errno>() {
        return kind_of(&std::io::Error::from_raw_os_error(e.0));
    }
    if let Some(e) = e.downcast_ref::<std::io::Error>() {
        use std::io::ErrorKind as K;
        return match e.kind() {
            K::NotFound => Kind::NotFound,
            K::AlreadyExists => Kind::Exists,
            K::PermissionDenied => Kind::Permission,
            K::Unsupported => Kind::Unsupported,
            K::ResourceBusy => Kind::Busy,
            K::StorageFull | K::QuotaExceeded => Kind::Limit,
            K::InvalidInput | K::InvalidData => Kind::Invalid,
            _ => Kind::System,
        };
    }
    // Whatever has a source is classed by its deepest cause.
    e.source().map_or(Kind::System, kind_of)
}

/// Says what was being done when a call failed.
pub trait Context<T> {
    /// Wraps the error: `what` is verb + operand; the class is taken over from the cause.
    fn context<S: Into<String>>(self, what: impl FnOnce() -> S) -> Result<T>;
    /// As [`Context::context`], but of the given class.
    fn context_as<S: Into<String>>(self, kind: Kind, what: impl FnOnce() -> S) -> Result<T>;
}

impl<T, E: StdError + Send + Sync + 'static> Context<T> for std::result::Result<T, E> {
    fn context<S: Into<String>>(self, what: impl FnOnce() -> S) -> Result<T> {
        self.map_err(|e| Error::new(kind_of(&e), what()).because(e))
    }

    fn context_as<S: Into<String>>(self, kind: Kind, what: impl FnOnce() -> S) -> Result<T> {
        self.map_err(|e| Error::new(kind, what()).because(e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_prints_each_cause_once_and_survives_flattening() {
        let io = std::io::Error::from_raw_os_error(2);
        let e = Err::<(), _>(io).context(|| "open `/x`").context(|| "read the bundle").unwrap_err();
        assert_eq!(e.kind(), Kind::NotFound);
        assert_eq!(e.chain().to_string(), "read the bundle: open `/x`: No such file or directory");
        let e = e.hint("make it");
        let back = Error::from(e.to_flat());
        assert_eq!(back.chain().to_string(), e.chain().to_string());
        assert_eq!(back.kind(), Kind::NotFound);
        assert_eq!(back.hints(), ["make it"]);
    }

    #[test]
    fn several_problems_are_one_error() {
        assert!(Error::all(vec![]).is_none());
        let e = Error::all(vec![Error::invalid("a"), Error::invalid("b").hint("h")]).unwrap();
        assert_eq!(e.to_string(), "a; b");
        assert_eq!(e.hints(), ["h"]);
    }

    #[test]
    fn classes_keep_their_numbers_and_no_number_is_an_exit_status() {
        for (number, kind) in (0u8..).zip(NUMBERED) {
            assert_eq!((kind.number(), Kind::of_number(number)), (number, kind));
        }
        assert_eq!((Kind::Busy.number(), Kind::Limit.number()), (7, 8));
        assert_eq!((Kind::Exec(127).number(), Kind::of_number(9)), (0, Kind::System));
    }
}
