//! Bodies of answers: their end is known by a length, by chunks, or is the connection's.

use std::io::{self, Read};
use std::sync::Arc;

use httparse::Status;

use crate::connection::{Connection, Pool};
use crate::message::{Framing, lines};

/// Bytes of a chunk's size line, and of all trailers.
const CHUNK_LINE: u64 = 4 << 10;
/// Lines of trailers.
const TRAILERS: usize = 64;

/// The body of an answer. Read to its end, it gives its connection back; dropped before, it ends it.
pub(crate) struct Body {
    connection: Option<Connection>,
    pool: Arc<Pool>,
    keeps: bool,
    rest: Rest,
    /// No digest tells whether all of it came: an end that the peer did not mean is an error.
    is_unverified: bool,
}

#[derive(Debug, Clone, Copy)]
enum Rest {
    Length(u64),
    /// Bytes left of this chunk; whether it is the first.
    Chunk(u64, bool),
    Close,
}

impl Body {
    pub(crate) fn new(connection: Connection, framing: Framing, keeps: bool, pool: Arc<Pool>) -> Body {
        let rest = match framing {
            Framing::Length(n) => Rest::Length(n),
            Framing::Chunked => Rest::Chunk(0, true),
            Framing::Close => Rest::Close,
        };
        let keeps = keeps && framing != Framing::Close;
        let mut body = Body { connection: Some(connection), pool, keeps, rest, is_unverified: false };
        if framing == Framing::Length(0) {
            body.end();
        }
        body
    }

    /// The same, of which no digest is known: TLS that ends without its goodbye, as anybody on the way can make it end, is an error.
    #[must_use]
    pub(crate) fn unverified(mut self) -> Body {
        self.is_unverified = true;
        self
    }

    /// How many bytes are to come, where the server said it.
    pub(crate) fn length(&self) -> Option<u64> {
        match self.rest {
            Rest::Length(n) => Some(n),
            _ => None,
        }
    }

    fn end(&mut self) {
        if let Some(connection) = self.connection.take()
            && self.keeps
        {
            self.pool.keep(connection);
        }
    }

    /// Reads all of it, but fails above `limit` bytes.
    pub(crate) fn bounded(mut self, limit: u64) -> io::Result<Vec<u8>> {
        let too_large =
            || io::Error::new(io::ErrorKind::InvalidData, format!("the answer is larger than {limit} bytes"));
        if self.length().is_some_and(|n| n > limit) {
            return Err(too_large());
        }
        let mut all = Vec::new();
        self.by_ref().take(limit + 1).read_to_end(&mut all)?;
        if all.len() as u64 > limit { Err(too_large()) } else { Ok(all) }
    }

    /// Reads what is left if it is little, so that the connection can be used again.
    pub(crate) fn finish(mut self) {
        const LITTLE: u64 = 64 << 10;
        if self.length().is_none_or(|n| n <= LITTLE) {
            let _ = io::copy(&mut self.by_ref().take(LITTLE), &mut io::sink());
        }
    }
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(connection) = &mut self.connection else { return Ok(0) };
        if buffer.is_empty() {
            return Ok(0);
        }
        let stream = &mut connection.stream;
        let early = |left: u64| {
            io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!("the connection ended {left} bytes before the answer did"),
            )
        };
        let read = match self.rest {
            Rest::Length(left) => {
                let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
                let n = stream.read(&mut buffer[..most])?;
                if n == 0 {
                    return Err(early(left));
                }
                self.rest = Rest::Length(left - n as u64);
                if left == n as u64 {
                    self.end();
                }
                n
            }
            Rest::Chunk(0, is_first) => {
                let size = chunk(stream, is_first)?;
                if size == 0 {
                    self.end();
                    return Ok(0);
                }
                self.rest = Rest::Chunk(size, false);
                return self.read(buffer);
            }
            Rest::Chunk(left, _) => {
                let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
                let n = stream.read(&mut buffer[..most])?;
                if n == 0 {
                    return Err(early(left));
                }
                self.rest = Rest::Chunk(left - n as u64, false);
                n
            }
            Rest::Close => match stream.read(buffer) {
                // TLS without its goodbye: whether all came is told by the digest.
                Err(e) if e.kind() == io::ErrorKind::UnexpectedEof && !self.is_unverified => 0,
                other => other?,
            },
        };
        if read == 0 {
            self.connection = None;
        }
        Ok(read)
    }
}

/// The size of the next chunk (RFC 9112, 7.1); with the last one, its trailers are passed over.
pub(crate) fn chunk(stream: &mut impl io::BufRead, is_first: bool) -> io::Result<u64> {
    let broken = |why: &str| io::Error::new(io::ErrorKind::InvalidData, format!("a broken chunk: {why}"));
    if !is_first {
        let mut end = [0; 2];
        stream.read_exact(&mut end)?;
        if end != *b"\r\n" {
            return Err(broken("it is longer than it says"));
        }
    }
    let size = lines(stream, CHUNK_LINE, |line| match httparse::parse_chunk_size(line) {
        // Without a digit it is 0 to httparse, which is the end of the body.
        Ok(Status::Complete((_, size))) if line.first().is_some_and(u8::is_ascii_hexdigit) => Ok(Some(size)),
        _ => Err(broken("no size")),
    })?;
    if size == 0 {
        lines(stream, CHUNK_LINE, |trailers| {
            match httparse::parse_headers(trailers, &mut [httparse::EMPTY_HEADER; TRAILERS]) {
                Ok(Status::Complete(_)) => Ok(Some(())),
                Ok(Status::Partial) => Ok(None),
                Err(e) => Err(broken(&e.to_string())),
            }
        })?;
    }
    Ok(size)
}

#[cfg(test)]
mod tests {
    use super::chunk;

    #[test]
    fn sizes_of_chunks_are_hexadecimal_and_nothing_else() {
        assert_eq!(chunk(&mut &b"1a;x=y\r\n"[..], true).unwrap(), 26);
        assert_eq!(chunk(&mut &b"\r\nFF\r\n"[..], false).unwrap(), 255);
        assert_eq!(chunk(&mut &b"0\r\nA: b\r\n\r\n"[..], true).unwrap(), 0);
        for bad in [
            "\r\n",
            "-1\r\n",
            "+1\r\n",
            "0x1\r\n",
            "11111111111111111\r\n",
            "g\r\n",
            "1",
            " \r\n",
            ";x\r\n",
            "1;x\n",
            "1 1\r\n",
        ] {
            assert!(chunk(&mut bad.as_bytes(), true).is_err(), "{bad:?}");
        }
        assert!(chunk(&mut &b"x\r\n1\r\n"[..], false).is_err());
        assert!(chunk(&mut &b"0\r\nA b\r\n\r\n"[..], true).is_err());
        assert!(chunk(&mut format!("1;{}\r\n", "x".repeat(5000)).as_bytes(), true).is_err());
    }
}
