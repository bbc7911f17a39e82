//! The log of a container: what it wrote, byte for byte, with when and on which stream.
//!
//! The format is the one Kubernetes asks of container runtimes (CRI, `kuberuntime_logs.go`), so that
//! every collector reads it:
//! ```text
//! DIR/log        the newest entries
//! DIR/log.1      those before, and so on: rotated at a size, the oldest dropped
//!
//! 2026-11-22T00:09:31.000000042Z stdout F a whole line
//! 2026-11-22T00:09:31.100000000Z stderr P the first part of a line, or one that never ended
//! └ when it was read             │      └ F: a newline ended it; P: none did
//!                                └ a terminal has one stream, stdout
//! ```
//! The content may hold any byte but a newline. Joining the contents of one stream, a newline after
//! each F, gives exactly what was written to it. A last line that has no newline was cut off by a
//! crash while it was written and is no entry.

mod reader;
mod writer;

pub use reader::Reader;
pub use writer::{Limits, Writer};

/// The name of the newest file of a log.
pub const LOG: &str = "log";

/// The most that is taken from a container at once, in bytes; longer lines become several entries.
pub const CHUNK: usize = 8 << 10;

/// The longest line of a log file: one chunk and its head.
pub const ENTRY_LIMIT: usize = CHUNK + 128;

/// Where a container wrote something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output, or the terminal.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Stream {
    /// Its word in the log.
    pub fn word(self) -> &'static str {
        match self {
            Stream::Stdout => "stdout",
            Stream::Stderr => "stderr",
        }
    }
}

/// One line of a log file, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// When it was read from the container: RFC 3339, UTC, so that comparing text compares time.
    pub time: &'a str,
    /// Which stream.
    pub stream: Stream,
    /// Whether a newline follows the content.
    pub ends_line: bool,
    /// What was written.
    pub content: &'a [u8],
}

/// Takes one line of a log file apart, without its newline. `None` for a line that is no entry.
pub fn parse(line: &[u8]) -> Option<Entry<'_>> {
    let mut parts = line.splitn(4, |&b| b == b' ');
    let time = std::str::from_utf8(parts.next()?).ok()?;
    let stream = match parts.next()? {
        b"stdout" => Stream::Stdout,
        b"stderr" => Stream::Stderr,
        _ => return None,
    };
    // Further tags may follow after colons, says the format.
    let ends_line = match parts.next()?.split(|&b| b == b':').next()? {
        b"F" => true,
        b"P" => false,
        _ => return None,
    };
    let is_time = time.len() >= 20 && time.as_bytes()[4] == b'-' && time.is_ascii();
    is_time.then_some(Entry { time, stream, ends_line, content: parts.next()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_content_is_kept_and_foreign_lines_are_not_entries() {
        let e = parse(b"2026-11-22T00:09:31.000000042Z stderr P a b\xff\0 ").unwrap();
        assert_eq!((e.stream, e.ends_line, e.content), (Stream::Stderr, false, &b"a b\xff\0 "[..]));
        let e = parse(b"2026-11-22T00:09:31.000000042Z stdout F ").unwrap();
        assert_eq!((e.ends_line, e.content), (true, &b""[..]));
        for bad in [
            &b""[..],
            b"2026",
            b"2026-11-22T00:09:31.000000042Z stdin F x",
            b"2026-11-22T00:09:31.000000042Z stdout Q x",
            b"2026-11-22T00:09:31.000000042Z stdout F",
            b"\xff stdout F x",
        ] {
            assert_eq!(parse(bad), None, "{}", String::from_utf8_lossy(bad));
        }
    }
}
