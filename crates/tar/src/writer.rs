//! Writes a tar: the same entries always give the same bytes.
//!
//! ustar headers, which the library fills in; what they have no room for (nanoseconds, long names, attributes, sizes
//! of 8 GiB and more) in PAX records; sparse files in GNU tar's format 1.0. No names of users, no times of access.
//!
//! The library's `Builder` makes the records of PAX too, but takes no key that is not UTF-8, as names of attributes
//! may be, and leaves the records' own header without a name.

use std::io::{self, Read, Write};

use tar::{EntryType, Header};
use taru_stdx::{Context, Error, Result};

use crate::entry::{Entry, Kind};
use crate::sparse::Piece;
use crate::{BLOCK, LARGEST};

/// The largest number of 7 octal digits.
const LARGEST_ID: u32 = 0o7_777_777;

/// A tar being written.
pub struct Writer<W> {
    to: W,
    /// Bytes of content that are to come yet, and of the padding behind them.
    content: u64,
    padding: usize,
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

/// Puts text at the start of a field.
fn put(field: &mut [u8], text: &[u8]) {
    for (place, byte) in field.iter_mut().zip(text) {
        *place = *byte;
    }
}

/// A header of ustar's.
fn header(name: &[u8], kind: EntryType, size: u64) -> Header {
    let mut header = Header::new_ustar();
    put(&mut header.as_old_mut().name, name);
    header.set_entry_type(kind);
    header.set_size(size);
    header
}

impl<W: Write> Writer<W> {
    /// Writes to `to`.
    pub fn new(to: W) -> Writer<W> {
        Writer { to, content: 0, padding: 0 }
    }

    /// Writes an entry without its content: [`Entry::stored`] bytes must follow by [`Writer::content`].
    ///
    /// # Errors
    /// Any error of writing; [`taru_stdx::Kind::Invalid`] for what has no place in a tar, and if the content of the
    /// entry before was not all written.
    pub fn entry(&mut self, entry: &Entry) -> Result<()> {
        self.is_whole()?;
        let mut name = entry.path.clone();
        let (kind, link, device) = match &entry.kind {
            Kind::Directory => (EntryType::Directory, None, None),
            Kind::File { .. } => (EntryType::Regular, None, None),
            Kind::Link { target } => (EntryType::Link, Some(target), None),
            Kind::Symlink { target } => (EntryType::Symlink, Some(target), None),
            Kind::Character { major, minor } => (EntryType::Char, None, Some((*major, *minor))),
            Kind::Block { major, minor } => (EntryType::Block, None, Some((*major, *minor))),
            Kind::Fifo => (EntryType::Fifo, None, None),
        };
        if kind == EntryType::Directory && !name.ends_with(b"/") {
            name.push(b'/');
        }
        let stored = entry.stored();
        let mut size = stored;
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
                let name = entry.name();
                return Err(Error::invalid(format!("write `{name}`: an attribute's name has a `=`")));
            }
            record(&mut records, &[b"SCHILY.xattr.", &attribute[..]].concat(), value);
        }
        for (key, value) in &entry.records {
            record(&mut records, key, value);
        }
        if !records.is_empty() {
            self.pax(&records)?;
        }
        let mut header = header(rest, kind, if size > LARGEST { 0 } else { size });
        if let Some(ustar) = header.as_ustar_mut() {
            put(&mut ustar.prefix, prefix);
        }
        put(&mut header.as_old_mut().linkname, link);
        header.set_mode(entry.mode);
        let fitting = |id: u32| if id > LARGEST_ID { 0 } else { u64::from(id) };
        header.set_uid(fitting(entry.uid));
        header.set_gid(fitting(entry.gid));
        header.set_mtime(seconds_fit.unwrap_or(0));
        let (major, minor) = device.unwrap_or_default();
        if major > LARGEST_ID || minor > LARGEST_ID {
            let name = entry.name();
            return Err(Error::invalid(format!("write `{name}`: no room for the device {major}:{minor}")));
        }
        let what = || "write a header";
        header.set_device_major(major).and_then(|()| header.set_device_minor(minor)).context(what)?;
        self.header(header)?;
        if let Some(map) = map {
            self.write(&map)?;
        }
        // A map fills whole blocks.
        self.expect(stored);
        Ok(())
    }

    /// A part of the content of the entry that came last.
    ///
    /// # Errors
    /// Any error of writing; [`taru_stdx::Kind::Invalid`] for more than the entry has.
    pub fn content(&mut self, bytes: &[u8]) -> Result<()> {
        let left = self.content.checked_sub(bytes.len() as u64);
        self.content =
            left.ok_or_else(|| Error::invalid("write a tar: more content than its header says"))?;
        self.write(bytes)?;
        self.pad()
    }

    /// Writes `entry` and its content, of which `content` has as much as the entry says, or more.
    ///
    /// # Errors
    /// As [`Writer::entry`]; any error of reading; [`taru_stdx::Kind::Invalid`] if `content` has less.
    pub fn copy(&mut self, entry: &Entry, content: &mut dyn Read) -> Result<()> {
        self.entry(entry)?;
        if self.content > 0 {
            self.content -=
                io::copy(&mut content.take(self.content), &mut self.to).context(|| "write the tar")?;
            self.is_whole()?;
            self.pad()?;
        }
        Ok(())
    }

    /// Writes a regular file of root's, of 1970, with this content.
    ///
    /// # Errors
    /// As [`Writer::entry`].
    pub fn file(&mut self, path: &str, content: &[u8]) -> Result<()> {
        self.copy(&Entry::new(Kind::file(content.len() as u64), path, 0o644), &mut &*content)
    }

    /// Writes the end and returns what is below.
    ///
    /// # Errors
    /// Any error of writing; [`taru_stdx::Kind::Invalid`] if content is missing.
    pub fn finish(mut self) -> Result<W> {
        self.is_whole()?;
        self.write(&[0; 2 * BLOCK])?;
        self.to.flush().context(|| "write the tar")?;
        Ok(self.to)
    }

    fn pax(&mut self, records: &[u8]) -> Result<()> {
        let mut header = header(b"PaxHeaders/0", EntryType::XHeader, records.len() as u64);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        self.header(header)?;
        self.expect(records.len() as u64);
        self.content(records)
    }

    fn header(&mut self, mut header: Header) -> Result<()> {
        header.set_cksum();
        self.write(header.as_bytes())
    }

    /// Now comes content of `size` bytes.
    fn expect(&mut self, size: u64) {
        self.content = size;
        self.padding = (size.wrapping_neg() % BLOCK as u64) as usize;
    }

    fn is_whole(&self) -> Result<()> {
        match self.content {
            0 => Ok(()),
            left => Err(Error::invalid(format!("write a tar: the content ends {left} bytes too early"))),
        }
    }

    /// Fills up to a whole block behind content that is whole.
    fn pad(&mut self) -> Result<()> {
        if self.content > 0 {
            return Ok(());
        }
        let padding = std::mem::take(&mut self.padding);
        self.write([0; BLOCK].get(..padding).unwrap_or_default())
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
    use super::*;
    use crate::Reader;

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
                    records: vec![(b"SCHILY.acl.ace".to_vec(), b"owner@:r::allow".to_vec())],
                });
            }
        }
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes);
        for entry in &all {
            writer.entry(entry).unwrap();
            if matches!(entry.kind, Kind::File { .. }) {
                writer.content(b"a").unwrap();
                writer.content(b"bc").unwrap();
            }
        }
        writer.finish().unwrap();
        let mut reader = Reader::new(&bytes[..], 1000).needs_end();
        for entry in &all {
            let read = reader.entry().unwrap().unwrap();
            let path = read.path.strip_suffix(b"/").unwrap_or(&read.path);
            assert_eq!(path, entry.path);
            assert_eq!((&read.kind, read.mode, read.uid), (&entry.kind, entry.mode, entry.uid));
            assert_eq!((read.gid, read.mtime, &read.xattrs), (entry.gid, entry.mtime, &entry.xattrs));
        }
        assert!(reader.entry().unwrap().is_none());
    }

    #[test]
    fn content_is_what_the_header_says() {
        let entry = Entry::new(Kind::file(3), "f", 0o644);
        let mut writer = Writer::new(Vec::new());
        writer.copy(&entry, &mut &b"abcd"[..]).unwrap();
        writer.file("g", b"").unwrap();
        assert!(writer.content(b"more").is_err());
        assert!(writer.copy(&entry, &mut &b"ab"[..]).is_err());
        assert!(writer.entry(&entry).is_err());
        assert!(writer.finish().is_err());
        let device = Entry::new(Kind::Block { major: 1, minor: 1 << 21 }, "d", 0o600);
        assert!(Writer::new(Vec::new()).entry(&device).is_err());
    }
}
