//! Writing: PAX archives of which every byte follows from the entries.

use std::io::{self, Read, Write};

use super::header::{self, BLOCK, Fields, OCTAL_SIZE};
use super::{Entry, Kind};

/// Writes an archive.
pub(crate) struct Writer<W> {
    inner: W,
}

impl<W: Write> Writer<W> {
    /// Writes to `inner`.
    pub(crate) fn new(inner: W) -> Writer<W> {
        Writer { inner }
    }

    /// Writes `entry` and its content, of which `content` has exactly as much as the entry says.
    ///
    /// # Errors
    /// Any error of reading and writing; [`io::ErrorKind::InvalidData`] if `content` has less.
    pub(crate) fn entry(&mut self, entry: &Entry, content: &mut dyn Read) -> io::Result<()> {
        let records = records(entry);
        if !records.is_empty() {
            let mut about = Entry::new(Kind::File, "././@PaxHeader", 0o644);
            about.size = records.len() as u64;
            self.header(&about, b'x')?;
            self.padded(&mut records.as_slice(), about.size)?;
        }
        let kind = match entry.kind {
            Kind::File => b'0',
            Kind::HardLink => b'1',
            Kind::Symlink => b'2',
            Kind::Character => b'3',
            Kind::Block => b'4',
            Kind::Directory => b'5',
            Kind::Fifo => b'6',
            Kind::OldSparse => {
                let text = "a file in GNU tar's old sparse format, which is not rewritten";
                return Err(io::Error::new(io::ErrorKind::Unsupported, text));
            }
        };
        self.header(entry, kind)?;
        self.padded(content, entry.size)
    }

    /// A regular file of root's with this content.
    ///
    /// # Errors
    /// Any error of writing.
    pub(crate) fn file(&mut self, path: &str, content: &[u8]) -> io::Result<()> {
        let mut entry = Entry::new(Kind::File, path, 0o644);
        entry.size = content.len() as u64;
        let mut content = content;
        self.entry(&entry, &mut content)
    }

    /// Writes the end and returns what is below.
    ///
    /// # Errors
    /// Any error of writing.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.inner.write_all(&[0; 2 * BLOCK])?;
        self.inner.flush()?;
        Ok(self.inner)
    }

    fn header(&mut self, entry: &Entry, kind: u8) -> io::Result<()> {
        self.inner.write_all(&header::write(&Fields {
            kind,
            path: &entry.path,
            link: &entry.link,
            mode: entry.mode,
            uid: entry.uid,
            gid: entry.gid,
            size: entry.size,
            modified: entry.modified,
            device: entry.device,
        }))
    }

    fn padded(&mut self, content: &mut dyn Read, size: u64) -> io::Result<()> {
        let copied = io::copy(&mut content.take(size), &mut self.inner)?;
        if copied != size {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the content ends too early"));
        }
        let rest = (BLOCK as u64 - size % BLOCK as u64) % BLOCK as u64;
        self.inner.write_all([0; BLOCK].get(..rest as usize).unwrap_or_default())
    }
}

/// The PAX records of an entry: what does not fit into its header, then its own, in the order of their keys.
fn records(entry: &Entry) -> Vec<u8> {
    let mut all = entry.records.clone();
    let mut add = |key: &str, value: Vec<u8>| all.push((key.into(), value));
    if entry.path.len() > 100 {
        add("path", entry.path.clone());
    }
    if entry.link.len() > 100 {
        add("linkpath", entry.link.clone());
    }
    for (key, number, fits) in [
        ("uid", entry.uid, 1 << 21),
        ("gid", entry.gid, 1 << 21),
        ("size", entry.size, OCTAL_SIZE),
        ("mtime", entry.modified, OCTAL_SIZE),
    ] {
        if number >= fits {
            add(key, number.to_string().into_bytes());
        }
    }
    // Stable: pairs of one key, as GNU's sparse format 0.0 has them, stay in order.
    all.sort_by(|a, b| a.0.cmp(&b.0));
    let mut out = Vec::new();
    for (key, value) in &all {
        let rest = key.len() + value.len() + 3;
        // The length counts its own digits.
        let mut length = rest + 1;
        while length != rest + length.to_string().len() {
            length = rest + length.to_string().len();
        }
        out.extend_from_slice(format!("{length} ").as_bytes());
        out.extend_from_slice(key);
        out.push(b'=');
        out.extend_from_slice(value);
        out.push(b'\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tar::Reader;

    #[test]
    fn what_is_written_is_read_back() {
        let mut file = Entry::new(Kind::File, "f".repeat(150), 0o6755);
        (file.uid, file.gid, file.modified, file.size) = (1, u64::from(u32::MAX) - 1, 1 << 40, 3);
        file.records.push((b"SCHILY.xattr.security.capability".to_vec(), b"\x01\0=\n".to_vec()));
        let mut device = Entry::new(Kind::Block, "dev/x", 0o660);
        device.device = (259, 70_000);
        let mut link = Entry::new(Kind::Symlink, "s", 0o777);
        link.link = b"l".repeat(101);
        let mut writer = Writer::new(Vec::new());
        for (entry, content) in [(&file, "abc"), (&device, ""), (&link, "")] {
            writer.entry(entry, &mut content.as_bytes()).unwrap();
        }
        let bytes = writer.finish().unwrap();
        let mut reader = Reader::new(bytes.as_slice(), 10);
        for entry in [&file, &device, &link] {
            assert_eq!(reader.entry().unwrap().as_ref(), Some(entry));
        }
        assert_eq!(reader.entry().unwrap(), None);
        let short = Writer::new(Vec::new()).entry(&file, &mut "ab".as_bytes()).unwrap_err();
        assert_eq!(short.kind(), io::ErrorKind::InvalidData);
    }
}
