//! Heads of HTTP/1.1 messages (RFC 9112): written from checked parts, read strictly and within bounds.

use std::io::{self, BufRead, Read};

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

/// One line without its end; `left` is what all lines may still have.
pub(crate) fn line(reader: &mut impl BufRead, left: &mut u64) -> io::Result<String> {
    let mut bytes = Vec::new();
    let n = reader.by_ref().take(*left).read_until(b'\n', &mut bytes)?;
    *left -= n as u64;
    if bytes.pop() != Some(b'\n') {
        return match *left {
            0 => Err(broken(format!("the answer's head is larger than {HEAD} bytes"))),
            _ => Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the connection ended within the answer's head",
            )),
        };
    }
    if bytes.last() == Some(&b'\r') {
        bytes.pop();
    }
    if bytes.iter().any(|&b| (b < 0x20 && b != b'\t') || b == 0x7f) {
        return Err(broken("a control character in the answer's head"));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
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
        let mut left = HEAD;
        let first = line(reader, &mut left)?;
        let not_http = || {
            let start: String = first.chars().take(60).collect();
            broken(format!("the answer is not HTTP: `{}`", start.escape_debug()))
        };
        let (version, rest) = first.split_once(' ').ok_or_else(not_http)?;
        let is_old = match version {
            "HTTP/1.1" => false,
            "HTTP/1.0" => true,
            _ => return Err(not_http()),
        };
        let (status, reason) = rest.split_once(' ').unwrap_or((rest, ""));
        let is_status = status.len() == 3 && status.bytes().all(|b| b.is_ascii_digit());
        let status: u16 = status.parse().ok().filter(|s| is_status && *s >= 100).ok_or_else(not_http)?;
        let mut headers = Vec::new();
        loop {
            let text = line(reader, &mut left)?;
            if text.is_empty() {
                break;
            }
            if headers.len() == LINES {
                return Err(broken(format!("the answer's head has more than {LINES} lines")));
            }
            let (name, value) = text.split_once(':').ok_or_else(|| broken("a header without a colon"))?;
            // A blank before the colon or at the start is how heads are smuggled (RFC 9112, 5.1 and 5.2).
            if name.is_empty() || !name.bytes().all(|b| b.is_ascii_graphic()) {
                return Err(broken("a header's name with a blank"));
            }
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        Ok(Head { status, reason: reason.to_owned(), is_old, headers })
    }

    /// The first header of this name, which is in lower case.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// All headers of this name.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers.iter().filter(move |(n, _)| n == name).map(|(_, v)| v.as_str())
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
            "HTTP/1.1 101 Switching\r\n\r\n",
        ] {
            assert!(head(bad).is_err(), "{bad:?}");
        }
        assert!(head(&"HTTP/1.1 100 C\r\n\r\n".repeat(1000)).is_err());
        assert!(head(&format!("HTTP/1.1 200 OK\r\nA: {}\r\n\r\n", "a".repeat(70_000))).is_err());
        assert!(head(&format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(300))).is_err());
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
