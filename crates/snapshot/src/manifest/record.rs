//! One line of a manifest.

use std::cmp::Ordering;

use taru_stdx::{Error, Result};
use taru_tar::Xattrs;

/// A SHA-256.
pub(crate) type Hash = [u8; 32];

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Directory {
        is_opaque: bool,
    },
    /// Made because something lies in it.
    Implicit,
    File {
        size: u64,
        hash: Hash,
    },
    Sparse {
        size: u64,
        hash: Hash,
    },
    Link {
        target: Vec<u8>,
    },
    Symlink {
        target: Vec<u8>,
    },
    Character {
        major: u32,
        minor: u32,
    },
    Block {
        major: u32,
        minor: u32,
    },
    Fifo,
    Whiteout,
}

impl Kind {
    pub(crate) fn is_directory(&self) -> bool {
        matches!(self, Kind::Directory { .. } | Kind::Implicit)
    }
}

/// An entry of a layer as it lies on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    /// Below the layer's root, without a slash at either end; empty for the root.
    pub(crate) path: Vec<u8>,
    pub(crate) kind: Kind,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mtime: (i64, u32),
    pub(crate) xattrs: Xattrs,
}

/// The order of a walk: by components, each by its bytes.
pub(crate) fn order(a: &[u8], b: &[u8]) -> Ordering {
    // A name has no NUL, so the slash may take its place: less than every byte of a name.
    let lowered = |path: &[u8]| -> Vec<u8> { path.iter().map(|&c| if c == b'/' { 0 } else { c }).collect() };
    match (a.contains(&b'/'), b.contains(&b'/')) {
        (false, false) => a.cmp(b),
        _ => {
            let common = a.iter().zip(b).position(|(x, y)| x != y).unwrap_or(a.len().min(b.len()));
            let (a, b) = (a.get(common..).unwrap_or_default(), b.get(common..).unwrap_or_default());
            let first = |rest: &[u8]| rest.first().map(|&c| if c == b'/' { 0 } else { c });
            match (first(a), first(b)) {
                (Some(x), Some(y)) => x.cmp(&y),
                _ => lowered(a).cmp(&lowered(b)),
            }
        }
    }
}

fn escape(bytes: &[u8], into: &mut Vec<u8>) {
    let is_plain = |b: &u8| !matches!(b, 0..=b' ' | b'%' | b'=' | b',' | 0x7f);
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|b| !is_plain(b)) {
        let (plain, special) = rest.split_at(at);
        into.extend_from_slice(plain);
        into.push(b'%');
        hex(&special[..1], into);
        rest = &special[1..];
    }
    into.extend_from_slice(rest);
}

fn hex(bytes: &[u8], into: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    into.extend(bytes.iter().flat_map(|b| [DIGITS[usize::from(b >> 4)], DIGITS[usize::from(b & 15)]]));
}

/// A number in digits to a base, at least so many of them. `write!` takes several times as long, and a manifest is little
/// but numbers.
fn number(mut n: u64, base: u64, least: usize, into: &mut Vec<u8>) {
    let mut digits = [b'0'; 22];
    let mut at = digits.len();
    while n > 0 || digits.len() - at < least {
        at -= 1;
        digits[at] = b'0' + (n % base) as u8;
        n /= base;
    }
    into.extend_from_slice(&digits[at..]);
}

fn digit(c: u8) -> Option<u8> {
    char::from(c).to_digit(16).map(|d| d as u8)
}

fn unhex(text: &[u8]) -> Option<Vec<u8>> {
    let mut pairs = text.chunks_exact(2);
    let bytes =
        pairs.by_ref().map(|two| Some(digit(two[0])? << 4 | digit(two[1])?)).collect::<Option<_>>()?;
    pairs.remainder().is_empty().then_some(bytes)
}

fn unescape(text: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(&c) = rest.next() {
        plain.push(match c {
            b'%' => digit(*rest.next()?)? << 4 | digit(*rest.next()?)?,
            c => c,
        });
    }
    Some(plain)
}

impl Record {
    /// The line, with its end.
    pub(crate) fn write(&self, into: &mut Vec<u8>) {
        escape(&self.path, into);
        let kind = match self.kind {
            Kind::Directory { is_opaque: false } => b'd',
            Kind::Directory { is_opaque: true } => b'o',
            Kind::Implicit => b'i',
            Kind::File { .. } => b'f',
            Kind::Sparse { .. } => b's',
            Kind::Link { .. } => b'h',
            Kind::Symlink { .. } => b'l',
            Kind::Character { .. } => b'c',
            Kind::Block { .. } => b'b',
            Kind::Fifo => b'p',
            Kind::Whiteout => b'w',
        };
        let (seconds, nanoseconds) = self.mtime;
        into.extend_from_slice(&[b'\t', kind, b'\t']);
        number(self.mode.into(), 8, 1, into);
        for id in [self.uid, self.gid] {
            into.push(b'\t');
            number(id.into(), 10, 1, into);
        }
        into.push(b'\t');
        if seconds < 0 {
            into.push(b'-');
        }
        number(seconds.unsigned_abs(), 10, 1, into);
        into.push(b'.');
        number(nanoseconds.into(), 10, 9, into);
        into.push(b'\t');
        match &self.kind {
            Kind::File { size, hash } | Kind::Sparse { size, hash } => {
                number(*size, 10, 1, into);
                into.push(b':');
                hex(hash, into);
            }
            Kind::Link { target } | Kind::Symlink { target } => escape(target, into),
            Kind::Character { major, minor } | Kind::Block { major, minor } => {
                number((*major).into(), 10, 1, into);
                into.push(b':');
                number((*minor).into(), 10, 1, into);
            }
            Kind::Directory { .. } | Kind::Implicit | Kind::Fifo | Kind::Whiteout => {}
        }
        into.push(b'\t');
        for (at, (name, value)) in self.xattrs.iter().enumerate() {
            if at > 0 {
                into.push(b',');
            }
            escape(name, into);
            into.push(b'=');
            hex(value, into);
        }
        into.push(b'\n');
    }

    /// The path of a line.
    pub(crate) fn path_of(line: &[u8]) -> Result<Vec<u8>> {
        let field = line.split(|&b| b == b'\t').next().and_then(unescape);
        field.ok_or_else(|| Error::invalid(format!("read the manifest line `{}`", line.escape_ascii())))
    }

    /// Which kind of record a line is of: its letter.
    pub(crate) fn letter_of(line: &[u8]) -> u8 {
        line.iter().position(|&b| b == b'\t').and_then(|at| line.get(at + 1)).copied().unwrap_or(0)
    }

    /// The record of a line without its end.
    pub(crate) fn parse(line: &[u8]) -> Result<Record> {
        Record::try_parse(line)
            .ok_or_else(|| Error::invalid(format!("read the manifest line `{}`", line.escape_ascii())))
    }

    fn try_parse(line: &[u8]) -> Option<Record> {
        let mut fields = line.split(|&b| b == b'\t');
        let path = unescape(fields.next()?)?;
        let kind = *fields.next()?.first()?;
        let text = |field: &[u8]| std::str::from_utf8(field).ok().map(str::to_owned);
        let mode = u32::from_str_radix(&text(fields.next()?)?, 8).ok()?;
        let uid = text(fields.next()?)?.parse().ok()?;
        let gid = text(fields.next()?)?.parse().ok()?;
        let time = text(fields.next()?)?;
        let (seconds, nanoseconds) = time.split_once('.')?;
        let mtime = (seconds.parse().ok()?, nanoseconds.parse().ok()?);
        let detail = fields.next()?;
        let xattrs = fields.next()?;
        let pair = || {
            let at = detail.iter().position(|&b| b == b':')?;
            Some((text(&detail[..at])?, detail.get(at + 1..)?))
        };
        let hashed = || {
            let (size, hash) = pair()?;
            Some((size.parse::<u64>().ok()?, Hash::try_from(unhex(hash)?).ok()?))
        };
        let device = || {
            let (major, minor) = pair()?;
            Some((major.parse::<u32>().ok()?, text(minor)?.parse::<u32>().ok()?))
        };
        let kind = match kind {
            b'd' => Kind::Directory { is_opaque: false },
            b'o' => Kind::Directory { is_opaque: true },
            b'i' => Kind::Implicit,
            b'f' => hashed().map(|(size, hash)| Kind::File { size, hash })?,
            b's' => hashed().map(|(size, hash)| Kind::Sparse { size, hash })?,
            b'h' => Kind::Link { target: unescape(detail)? },
            b'l' => Kind::Symlink { target: unescape(detail)? },
            b'c' => device().map(|(major, minor)| Kind::Character { major, minor })?,
            b'b' => device().map(|(major, minor)| Kind::Block { major, minor })?,
            b'p' => Kind::Fifo,
            b'w' => Kind::Whiteout,
            _ => return None,
        };
        let xattrs = xattrs
            .split(|&b| b == b',')
            .filter(|one| !one.is_empty())
            .map(|one| {
                let at = one.iter().position(|&b| b == b'=')?;
                Some((unescape(&one[..at])?, unhex(one.get(at + 1..)?)?))
            })
            .collect::<Option<_>>()?;
        Some(Record { path, kind, mode, uid, gid, mtime, xattrs })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_read_as_written() {
        let kinds = [
            Kind::Directory { is_opaque: false },
            Kind::Directory { is_opaque: true },
            Kind::Implicit,
            Kind::File { size: 5, hash: [0xab; 32] },
            Kind::Sparse { size: u64::MAX, hash: [1; 32] },
            Kind::Link { target: b"a b".to_vec() },
            Kind::Symlink { target: b"../\xff\n\t%".to_vec() },
            Kind::Character { major: 1, minor: 3 },
            Kind::Block { major: 4_294_967_295, minor: 0 },
            Kind::Fifo,
            Kind::Whiteout,
        ];
        for kind in kinds {
            let record = Record {
                path: "d/a\tb=ü,%41\n".into(),
                kind,
                mode: 0o4755,
                uid: 0,
                gid: 4_294_967_294,
                mtime: (-5, 999_999_999),
                xattrs: vec![(b"user.a=b,".to_vec(), vec![0, 255]), (b"user.z".to_vec(), vec![])],
            };
            let mut line = Vec::new();
            record.write(&mut line);
            assert_eq!(line.iter().filter(|&&b| b == b'\n').count(), 1);
            assert_eq!(Record::parse(line.strip_suffix(b"\n").unwrap()).unwrap(), record);
        }
        for bad in [
            &b""[..],
            b"a",
            b"a\tf\t644\t0\t0\t0.0\t5\t",
            b"a\tx\t644\t0\t0\t0.0\t\t",
            b"%\td\t1\t0\t0\t0.0\t\t",
        ] {
            assert!(Record::parse(bad).is_err());
        }
    }

    #[test]
    fn the_order_is_that_of_a_walk() {
        let sorted = ["", "a", "a/b", "a/b/c", "a/b.c", "a b", "a-", "a.", "b"];
        let mut paths = sorted.map(|p| p.as_bytes().to_vec()).to_vec();
        // Blank, `-` and `.` come before `/` as bytes; below `a` they come after all that is in it.
        paths.reverse();
        paths.sort_by(|a, b| order(a, b));
        assert_eq!(paths, sorted.map(|p| p.as_bytes().to_vec()));
    }
}
