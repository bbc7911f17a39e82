//! Heads of HTTP/1.1 messages (RFC 9112): parsed by httparse, as strictly as it can, within bounds of ours; written from
//! checked parts.

use std::io::{self, BufRead, Read};
use std::time::{Duration, SystemTime};

/// Bytes of a head, all lines together.
const HEAD: u64 = 64 << 10;
/// Lines of a head.
const LINES: usize = 256;
/// Answers 1xx before the real one.
const INTERIM: usize = 8;

/// The head of an answer.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub(crate) status: u16,
    pub(crate) reason: String,
    /// HTTP/1.0 keeps no connection open.
    is_old: bool,
    headers: Vec<(String, String)>,
}

/// How the end of a body is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    Length(u64),
    Chunked,
    /// The connection ends with it.
    Close,
}

fn broken(why: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.into())
}

/// Reads lines of at most `limit` bytes together until `parse`, which is given all so far, makes something of them.
///
/// Line by line, so that what follows them stays with `reader`, and what is wrong is known at once rather than after a wait for more.
pub(crate) fn lines<T>(
    reader: &mut impl BufRead,
    limit: u64,
    mut parse: impl FnMut(&[u8]) -> io::Result<Option<T>>,
) -> io::Result<T> {
    let mut bytes = Vec::new();
    loop {
        let left = limit - bytes.len() as u64;
        let n = reader.by_ref().take(left).read_until(b'\n', &mut bytes)?;
        if n == 0 || bytes.last() != Some(&b'\n') {
            if n as u64 == left {
                return Err(broken(format!("the answer's head is larger than {limit} bytes")));
            }
            let text = "the connection ended within the answer's head";
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, text));
        }
        if let Some(parsed) = parse(&bytes)? {
            return Ok(parsed);
        }
    }
}

impl Head {
    /// Reads the head of the final answer; interim ones (100, 103) are passed over.
    pub(crate) fn read(reader: &mut impl BufRead) -> io::Result<Head> {
        for _ in 0..INTERIM {
            let head = Head::read_any(reader)?;
            if head.status >= 200 {
                return Ok(head);
            }
            if head.status == 101 {
                return Err(broken("the server switches protocols, unasked"));
            }
        }
        Err(broken("no end of interim answers"))
    }

    fn read_any(reader: &mut impl BufRead) -> io::Result<Head> {
        lines(reader, HEAD, |bytes| {
            let not_http = || {
                let start: String = String::from_utf8_lossy(bytes).trim_end().chars().take(60).collect();
                broken(format!("the answer is not HTTP: `{}`", start.escape_debug()))
            };
            // httparse passes over blank lines before the first one; here they are what is left of another answer.
            if bytes.starts_with(b"\r") || bytes.starts_with(b"\n") {
                return Err(not_http());
            }
            let mut headers = [httparse::EMPTY_HEADER; LINES];
            let mut response = httparse::Response::new(&mut headers);
            match response.parse(bytes) {
                Ok(httparse::Status::Complete(_)) => Head::of(&response).map(Some).ok_or_else(not_http),
                Ok(httparse::Status::Partial) => Ok(None),
                Err(httparse::Error::Version | httparse::Error::Status) => Err(not_http()),
                Err(httparse::Error::TooManyHeaders) => {
                    Err(broken(format!("the answer's head has more than {LINES} lines")))
                }
                Err(e) => Err(broken(format!("a broken head of the answer: {e}"))),
            }
        })
    }

    /// `None` for a status that is none.
    fn of(response: &httparse::Response<'_, '_>) -> Option<Head> {
        let header = |header: &httparse::Header<'_>| {
            (header.name.to_ascii_lowercase(), String::from_utf8_lossy(header.value).trim().to_owned())
        };
        Some(Head {
            status: response.code.filter(|code| *code >= 100)?,
            reason: response.reason.unwrap_or_default().to_owned(),
            is_old: response.version == Some(0),
            headers: response.headers.iter().map(header).collect(),
        })
    }

    /// The first header of this name, which is in lower case.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// All headers of this name.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers.iter().filter(move |(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// How long the server asks to be left alone: in seconds, or until a time, told by its own clock if it shows that.
    pub(crate) fn retry_after(&self, now: SystemTime) -> Option<Duration> {
        let value = self.get("retry-after")?;
        if let Ok(seconds) = value.parse() {
            return Some(Duration::from_secs(seconds));
        }
        let until = httpdate::parse_http_date(value).ok()?;
        let now = self.get("date").and_then(|date| httpdate::parse_http_date(date).ok()).unwrap_or(now);
        Some(until.duration_since(now).unwrap_or_default())
    }

    /// Whether the connection can carry another exchange.
    pub(crate) fn keeps(&self) -> bool {
        let has = |word: &str| {
            self.all("connection").any(|v| v.split(',').any(|w| w.trim().eq_ignore_ascii_case(word)))
        };
        if self.is_old { has("keep-alive") } else { !has("close") }
    }

    /// How the body is framed (RFC 9112, 6.3), in an answer to `method`.
    pub(crate) fn framing(&self, method: &str) -> io::Result<Framing> {
        if method == "HEAD" || self.status == 204 || self.status == 304 {
            return Ok(Framing::Length(0));
        }
        let coding: Vec<&str> =
            self.all("transfer-encoding").flat_map(|v| v.split(',')).map(str::trim).collect();
        let lengths: Vec<&str> =
            self.all("content-length").flat_map(|v| v.split(',')).map(str::trim).collect();
        match (&coding[..], &lengths[..]) {
            ([], []) => Ok(Framing::Close),
            ([only], []) if only.eq_ignore_ascii_case("chunked") => Ok(Framing::Chunked),
            ([], [first, rest @ ..]) if rest.iter().all(|l| l == first) => {
                match first.bytes().all(|b| b.is_ascii_digit()).then(|| first.parse()) {
                    Some(Ok(length)) => Ok(Framing::Length(length)),
                    _ => Err(broken(format!("a length of `{}`", first.escape_debug()))),
                }
            }
            ([], _) => Err(broken("several lengths that differ")),
            (_, []) => Err(broken(format!("a transfer coding of `{}`", coding.join(", ").escape_debug()))),
            _ => Err(broken("both a length and a transfer coding")),
        }
    }
}

/// Appends the head of a request. No part may hold a line's end, which is checked here, where it would hurt.
pub(crate) fn write_head(
    to: &mut Vec<u8>,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
) -> taru_stdx::Result<()> {
    let is_clean = |text: &str| text.bytes().all(|b| (0x20..0x7f).contains(&b));
    if !is_clean(target) || target.contains(' ') || !headers.iter().all(|(_, v)| is_clean(v)) {
        // Not the value: it may be a credential.
        return Err(taru_stdx::Error::invalid(format!(
            "send a `{method}` request: a control character in its head"
        )));
    }
    to.extend_from_slice(format!("{method} {target} HTTP/1.1\r\n").as_bytes());
    for (name, value) in headers {
        to.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    to.extend_from_slice(b"\r\n");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> io::Result<Head> {
        Head::read(&mut text.as_bytes())
    }

    #[test]
    fn heads_are_read_strictly() {
        let h = head(
            "HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200 OK\r\nETag: \"x\"\r\nContent-Length: 5\r\n\r\nhello",
        )
        .unwrap();
        assert_eq!((h.status, h.get("etag"), h.keeps()), (200, Some("\"x\""), true));
        assert_eq!(h.framing("GET").unwrap(), Framing::Length(5));
        assert_eq!(h.framing("HEAD").unwrap(), Framing::Length(0));
        assert!(!head("HTTP/1.0 200 OK\n\n").unwrap().keeps());
        for bad in [
            "",
            "HTTP/1.1 200 OK\r\n",
            "SSH-2.0-OpenSSH\r\n\r\n",
            "HTTP/2 200 OK\r\n\r\n",
            "HTTP/1.1 20 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: b\r\n folded\r\n\r\n",
            "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: \x1b[2J\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: b\rC: d\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA\x01: b\r\n\r\n",
            "HTTP/1.1 200 O\x1bK\r\n\r\n",
            "HTTP/1.1 200 OK\r\n: b\r\n\r\n",
            "HTTP/1.1 099 OK\r\n\r\n",
            "\r\nHTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 101 Switching\r\n\r\n",
        ] {
            assert!(head(bad).is_err(), "{bad:?}");
        }
        // What is no HTTP is known after its first line: an SSH server waits for ours and says no more.
        let e = head("SSH-2.0-OpenSSH_\x1b\r\n").unwrap_err();
        assert_eq!(e.to_string(), "the answer is not HTTP: `SSH-2.0-OpenSSH_\\u{1b}`");
        // The bytes that follow are left where they are.
        let mut reader = &b"HTTP/1.1 200\r\nA:  b \r\n\r\nbody"[..];
        assert_eq!(Head::read(&mut reader).unwrap().get("a"), Some("b"));
        assert_eq!(reader, b"body");
        assert!(head(&"HTTP/1.1 100 C\r\n\r\n".repeat(1000)).is_err());
        assert!(head(&format!("HTTP/1.1 200 OK\r\nA: {}\r\n\r\n", "a".repeat(70_000))).is_err());
        assert!(head(&format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(300))).is_err());
    }

    #[test]
    fn a_server_asks_for_time() {
        // Sun, 06 Nov 1994 08:49:37 GMT, in the three forms of RFC 9110, 5.6.7.
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777 - 60);
        let asked = |lines: &str| {
            let head = head(&format!("HTTP/1.1 503 Busy\r\n{lines}\r\n")).unwrap();
            head.retry_after(now).map(|pause| pause.as_secs())
        };
        for (lines, seconds) in [
            ("", None),
            ("Retry-After: 120\r\n", Some(120)),
            ("Retry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\n", Some(60)),
            ("Retry-After: Sunday, 06-Nov-94 08:49:37 GMT\r\n", Some(60)),
            ("Retry-After: Sun Nov  6 08:49:37 1994\r\n", Some(60)),
            // Another clock than ours.
            (
                "Date: Sun, 06 Nov 1994 08:49:27 GMT\r\nRetry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
                Some(10),
            ),
            ("Date: yesterday\r\nRetry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\n", Some(60)),
            // It is over.
            ("Retry-After: Sat, 05 Nov 1994 08:49:37 GMT\r\n", Some(0)),
            ("Retry-After: -1\r\n", None),
            ("Retry-After: 99999999999999999999\r\n", None),
            ("Retry-After: soon\r\n", None),
        ] {
            assert_eq!(asked(lines), seconds, "{lines}");
        }
    }

    #[test]
    fn a_body_has_one_end() {
        let framing = |lines: &str| head(&format!("HTTP/1.1 200 OK\r\n{lines}\r\n")).unwrap().framing("GET");
        assert_eq!(framing("").unwrap(), Framing::Close);
        assert_eq!(framing("Transfer-Encoding: Chunked\r\n").unwrap(), Framing::Chunked);
        assert_eq!(framing("Content-Length: 3\r\nContent-Length: 3\r\n").unwrap(), Framing::Length(3));
        for bad in [
            "Content-Length: 3\r\nContent-Length: 4\r\n",
            "Content-Length: -1\r\n",
            "Content-Length: +1\r\n",
            "Content-Length: 99999999999999999999999\r\n",
            "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: gzip, chunked\r\n",
        ] {
            assert!(framing(bad).is_err(), "{bad}");
        }
        assert!(write_head(&mut Vec::new(), "GET", "/", &[("A", "b\r\nC: d")]).is_err());
        assert!(write_head(&mut Vec::new(), "GET", "/ x", &[]).is_err());
    }
}
