//! Writes a tar: the same entries always give the same bytes.
//!
//! ustar headers; what they have no room for (nanoseconds, long names, attributes, sizes of 8 GiB and more) in PAX
//! records, sparse files as GNU tar's format 1.0. No names of users, no times of access.

use std::io::Write;

use taru_stdx::{Context, Error, Result};

use super::header::BLOCK;
use super::reader::{Entry, Kind};
use super::sparse::Piece;

/// The largest number of 11 octal digits.
const LARGEST: u64 = 0o77_777_777_777;
/// The largest number of 7 octal digits.
const LARGEST_ID: u32 = 0o7_777_777;

/// A tar being written.
pub(crate) struct Writer<W> {
    to: W,
}

/// A header under construction.
struct Header([u8; BLOCK]);

impl Header {
    fn put(&mut self, at: usize, bytes: &[u8]) {
        if let Some(place) = self.0.get_mut(at..at + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    }

    fn number(&mut self, at: usize, width: usize, number: u64) {
        self.put(at, format!("{number:0width$o}").as_bytes());
    }

    fn new(name: &[u8], kind: u8, size: u64) -> Header {
        let mut header = Header([0; BLOCK]);
        header.put(0, name);
        header.number(124, 11, size);
        header.put(156, &[kind]);
        header.put(257, b"ustar\x0000");
        header
    }

    /// The block, with its checksum.
    fn seal(mut self) -> [u8; BLOCK] {
        self.put(148, b"        ");
        let sum: u64 = self.0.iter().map(|&b| u64::from(b)).sum();
        self.put(148, format!("{sum:06o}\0 ").as_bytes());
        self.0
    }
}

/// `LENGTH KEY=VALUE\n`, where the length counts itself.
fn record(into: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length.to_string().len() + rest != length {
        length += 1;
    }
    into.extend_from_slice(format!("{length} ").as_bytes());
    into.extend_from_slice(key);
    into.push(b'=');
    into.extend_from_slice(value);
    into.push(b'\n');
}

/// A name in two parts that ustar has room for: prefix and rest.
fn divided(name: &[u8]) -> Option<(&[u8], &[u8])> {
    if name.len() <= 100 {
        return Some((&[], name));
    }
    let at = (1..name.len().min(156)).rfind(|&at| name[at] == b'/' && name.len() - at <= 101)?;
    Some((&name[..at], &name[at + 1..])).filter(|(_, rest)| !rest.is_empty())
}

impl<W: Write> Writer<W> {
    pub(crate) fn new(to: W) -> Writer<W> {
        Writer { to }
    }

    /// Writes an entry without its content: for a file, `size` bytes must follow by [`Writer::content`] (of a sparse
    /// one those of its pieces), then [`Writer::pad`].
    pub(crate) fn entry(&mut self, entry: &Entry) -> Result<()> {
        let mut name = entry.path.clone();
        let (kind, link, mut size, device) = match &entry.kind {
            Kind::Directory => {
                name.push(b'/');
                (b'5', None, 0, None)
            }
            Kind::File { size, pieces: None } => (b'0', None, *size, None),
            Kind::File { pieces: Some(pieces), .. } => {
                (b'0', None, pieces.iter().map(|piece| piece.length).sum(), None)
            }
            Kind::Link { target } => (b'1', Some(target), 0, None),
            Kind::Symlink { target } => (b'2', Some(target), 0, None),
            Kind::Character { major, minor } => (b'3', None, 0, Some((*major, *minor))),
            Kind::Block { major, minor } => (b'4', None, 0, Some((*major, *minor))),
            Kind::Fifo => (b'6', None, 0, None),
        };
        let mut records = Vec::new();
        let mut map = None;
        if let Kind::File { size: real, pieces: Some(pieces) } = &entry.kind {
            record(&mut records, b"GNU.sparse.major", b"1");
            record(&mut records, b"GNU.sparse.minor", b"0");
            record(&mut records, b"GNU.sparse.name", &name);
            record(&mut records, b"GNU.sparse.realsize", real.to_string().as_bytes());
            let text = sparse_map(pieces, *real);
            size += text.len() as u64;
            map = Some(text);
        }
        let (prefix, rest) = match divided(&name) {
            Some(parts) => parts,
            None => {
                record(&mut records, b"path", &name);
                (&[][..], &name[..100])
            }
        };
        let link = link.map(|link| &link[..]).unwrap_or_default();
        if link.len() > 100 {
            record(&mut records, b"linkpath", link);
        }
        let (seconds, nanoseconds) = entry.mtime;
        let seconds_fit = u64::try_from(seconds).ok().filter(|s| *s <= LARGEST);
        if nanoseconds != 0 || seconds_fit.is_none() {
            record(&mut records, b"mtime", time(entry.mtime).as_bytes());
        }
        for (key, id) in [(&b"uid"[..], entry.uid), (b"gid", entry.gid)] {
            if id > LARGEST_ID {
                record(&mut records, key, id.to_string().as_bytes());
            }
        }
        if size > LARGEST {
            record(&mut records, b"size", size.to_string().as_bytes());
        }
        for (attribute, value) in &entry.xattrs {
            if attribute.contains(&b'=') {
                // A PAX key ends at the first one.
                let name = entry.path.escape_ascii();
                return Err(Error::invalid(format!("write `{name}`: an attribute's name has a `=`")));
            }
            record(&mut records, &[b"SCHILY.xattr.", &attribute[..]].concat(), value);
        }
        if !records.is_empty() {
            self.pax(&records)?;
        }
        let mut header = Header::new(rest, kind, if size > LARGEST { 0 } else { size });
        header.put(345, prefix);
        header.put(157, &link[..link.len().min(100)]);
        header.number(100, 7, entry.mode.into());
        for (at, id) in [(108, entry.uid), (116, entry.gid)] {
            header.number(at, 7, if id > LARGEST_ID { 0 } else { id.into() });
        }
        header.number(136, 11, seconds_fit.unwrap_or(0));
        let (major, minor) = device.unwrap_or_default();
        if major > LARGEST_ID || minor > LARGEST_ID {
            let name = entry.path.escape_ascii();
            return Err(Error::invalid(format!("write `{name}`: no room for the device {major}:{minor}")));
        }
        header.number(329, 7, major.into());
        header.number(337, 7, minor.into());
        self.write(&header.seal())?;
        map.map_or(Ok(()), |map| self.write(&map))
    }

    fn pax(&mut self, records: &[u8]) -> Result<()> {
        let mut header = Header::new(b"PaxHeaders/0", b'x', records.len() as u64);
        header.number(100, 7, 0o644);
        header.number(108, 7, 0);
        header.number(116, 7, 0);
        header.number(136, 11, 0);
        self.write(&header.seal())?;
        self.write(records)?;
        self.pad(records.len() as u64)
    }

    /// A part of the content.
    pub(crate) fn content(&mut self, bytes: &[u8]) -> Result<()> {
        self.write(bytes)
    }

    /// Fills up behind content of `size` bytes.
    pub(crate) fn pad(&mut self, size: u64) -> Result<()> {
        let over = (size % BLOCK as u64) as usize;
        let zeros = [0; BLOCK];
        match over {
            0 => Ok(()),
            over => self.write(zeros.get(over..).unwrap_or_default()),
        }
    }

    /// The end of the tar.
    pub(crate) fn finish(mut self) -> Result<()> {
        self.write(&[0; 2 * BLOCK])?;
        self.to.flush().context(|| "write the tar")
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.to.write_all(bytes).context(|| "write the tar")
    }
}

/// Seconds with a fraction, without zeros at its end.
fn time((seconds, nanoseconds): (i64, u32)) -> String {
    // A negative time counts its fraction away from zero.
    let (sign, whole, fraction) = match (seconds, nanoseconds) {
        (s, n) if s >= 0 => ("", s.unsigned_abs(), n),
        (s, 0) => ("-", s.unsigned_abs(), 0),
        (s, n) => ("-", s.unsigned_abs() - 1, 1_000_000_000 - n),
    };
    let fraction = format!("{fraction:09}");
    let fraction = fraction.trim_end_matches('0');
    match fraction {
        "" => format!("{sign}{whole}"),
        fraction => format!("{sign}{whole}.{fraction}"),
    }
}

/// The map in front of a sparse file's data.
fn sparse_map(pieces: &[Piece], size: u64) -> Vec<u8> {
    // GNU tar gives the file the size that the last piece ends at: an empty one marks a hole at the end.
    let end = pieces.last().map_or(0, |last| last.offset + last.length);
    let mark = (end < size).then_some(Piece { offset: size, length: 0 });
    let mut text = format!("{}\n", pieces.len() + usize::from(mark.is_some())).into_bytes();
    for piece in pieces.iter().chain(&mark) {
        text.extend_from_slice(format!("{}\n{}\n", piece.offset, piece.length).as_bytes());
    }
    text.resize(text.len().next_multiple_of(BLOCK), 0);
    text
}

#[cfg(test)]
mod tests {
    use super::super::reader::Reader;
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let long = |n: usize| [&b"d/"[..], &vec![b'x'; n], b"/", &vec![b'y'; n]].concat();
        let kinds = [
            Kind::Directory,
            Kind::File { size: 3, pieces: None },
            Kind::File { size: 1 << 40, pieces: Some(vec![Piece { offset: 1 << 30, length: 3 }]) },
            Kind::Link { target: long(60) },
            Kind::Symlink { target: b"/a/b".to_vec() },
            Kind::Character { major: 1, minor: 3 },
            Kind::Block { major: 8, minor: 1_048_575 },
            Kind::Fifo,
        ];
        let times = [(0, 0), (1, 500_000_000), (-5, 0), (-5, 250_000_000), (1 << 40, 1)];
        let mut all = Vec::new();
        for (n, kind) in kinds.into_iter().enumerate() {
            for (mtime, length) in times.into_iter().zip([1, 60, 99, 120, 250]) {
                all.push(Entry {
                    path: long(length),
                    kind: kind.clone(),
                    mode: 0o4755,
                    uid: n as u32,
                    gid: 4_000_000_000,
                    mtime,
                    xattrs: vec![(b"user.a".to_vec(), b"\n=\0".to_vec())],
                });
            }
        }
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes);
        for entry in &all {
            writer.entry(entry).unwrap();
            if matches!(entry.kind, Kind::File { .. }) {
                writer.content(b"abc").unwrap();
                writer.pad(3).unwrap();
            }
        }
        writer.finish().unwrap();
        let mut reader = Reader::new(&bytes[..]);
        for entry in &all {
            let read = reader.next().unwrap().unwrap();
            let path = read.path.strip_suffix(b"/").unwrap_or(&read.path);
            assert_eq!(path, entry.path);
            assert_eq!((&read.kind, read.mode, read.uid), (&entry.kind, entry.mode, entry.uid));
            assert_eq!((read.gid, read.mtime, &read.xattrs), (entry.gid, entry.mtime, &entry.xattrs));
        }
        assert!(reader.next().unwrap().is_none());
    }
}
