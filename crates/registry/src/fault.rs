//! What went wrong with a request, and whether trying again may help.

use std::time::Duration;

use serde::Deserialize;
use taru_stdx::{Error, Kind};

use crate::cancel::Cancelled;

/// A failed try.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) error: Error,
    pub(crate) again: Again,
    /// The status of the answer, if there was one.
    pub(crate) status: Option<u16>,
    /// No TLS is spoken there, or nobody listens: with an insecure registry, plain HTTP may be.
    pub(crate) is_no_tls: bool,
}

/// Whether another try may help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Again {
    Never,
    /// After this long if the server said so.
    Soon(Option<Duration>),
}

pub(crate) type Tried<T> = Result<T, Fault>;

impl Fault {
    /// One that is the same however often it is tried.
    pub(crate) fn last(error: Error) -> Fault {
        Fault { error, again: Again::Never, status: None, is_no_tls: false }
    }

    /// One of a network that may be better the next time.
    pub(crate) fn passing(error: Error) -> Fault {
        Fault { error, again: Again::Soon(None), status: None, is_no_tls: false }
    }

    /// A failed read or write; `what` was being done.
    pub(crate) fn io(what: impl Into<String>, e: std::io::Error) -> Fault {
        if is_cancelled(&e) {
            return Fault::last(Cancelled::error());
        }
        // With TLS 1.3 a server refuses a client's certificate after the handshake.
        let inner = e.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        if let Some(rustls::Error::AlertReceived(_)) = inner {
            let hint = "if it wants to see a certificate, put one into certs.d (docs/registry.md)";
            return Fault::last(Error::new(Kind::Permission, what).because(e).hint(hint));
        }
        let again = match e.kind() {
            // What the peer said breaks the protocol; it would say it again.
            std::io::ErrorKind::InvalidData => Again::Never,
            _ => Again::Soon(None),
        };
        let kind = match e.kind() {
            std::io::ErrorKind::InvalidData => Kind::Invalid,
            std::io::ErrorKind::TimedOut => Kind::Limit,
            _ => Kind::System,
        };
        Fault { again, ..Fault::last(Error::new(kind, what).because(e)) }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Fault {
        Fault::last(error)
    }
}

/// Whether `e` is [`Cancelled`].
pub(crate) fn is_cancelled(e: &std::io::Error) -> bool {
    e.get_ref().is_some_and(|inner| inner.is::<Cancelled>())
}

/// An error document (OCI distribution, "Error codes"); `details` is what token servers say.
#[derive(Deserialize, Default)]
struct Said {
    #[serde(default)]
    errors: Vec<SaidOne>,
    #[serde(default, alias = "details", alias = "error_description")]
    message: Option<String>,
}

#[derive(Deserialize)]
struct SaidOne {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

/// Longest text of a server that is passed on.
const LONGEST: usize = 300;

/// The error that an answer of `status` with this `body` stands for; `host` is who said it.
pub(crate) fn said(host: &str, status: u16, reason: &str, body: &[u8]) -> Error {
    let kind = match status {
        401 | 403 => Kind::Permission,
        404 | 410 => Kind::NotFound,
        405 | 501 => Kind::Unsupported,
        408 | 413 | 429 => Kind::Limit,
        400..=499 => Kind::Invalid,
        _ => Kind::System,
    };
    let said: Said = serde_json::from_slice(body).unwrap_or_default();
    let mut words: Vec<String> = said
        .errors
        .iter()
        .take(3)
        .map(|e| match (e.code.as_str(), e.message.as_str()) {
            (code, "") => code.to_ascii_lowercase().replace('_', " "),
            (_, message) => message.to_owned(),
        })
        .collect();
    words.extend(said.message);
    if words.is_empty() {
        words.push(if reason.is_empty() { "no reason given".to_owned() } else { reason.to_owned() });
    }
    // Text of strangers goes to a terminal: no escape sequences, no second line.
    let words: String =
        words.join(", ").chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST).collect();
    Error::new(kind, format!("{host}: {status} {}", words.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registrys_words_are_passed_on_but_not_its_escapes() {
        let body =
            br#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown","detail":{"Tag":"x"}}]}"#;
        let e = said("r.io", 404, "Not Found", body);
        assert_eq!((e.to_string().as_str(), e.kind()), ("r.io: 404 manifest unknown", Kind::NotFound));
        let e = said("r.io", 403, "Forbidden", br#"{"errors":[{"code":"DENIED"}]}"#);
        assert_eq!((e.to_string().as_str(), e.kind()), ("r.io: 403 denied", Kind::Permission));
        assert_eq!(said("r.io", 502, "Bad Gateway", b"<html>").to_string(), "r.io: 502 Bad Gateway");
        assert_eq!(
            said("r.io", 401, "", br#"{"details":"incorrect username or password"}"#).to_string(),
            "r.io: 401 incorrect username or password"
        );
        let evil = said("r.io", 400, "x", b"{\"errors\":[{\"message\":\"\\u001b[2J\\nhint: rm\"}]}");
        assert_eq!(evil.to_string(), "r.io: 400 [2J hint: rm");
    }
}
