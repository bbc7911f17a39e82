//! Reading: one entry after the other, each header bounded, each ambiguity refused.

use std::io::{self, Read};

use taru_oci::limits;
use taru_stdx::{Context, Error, Kind as ErrorKind, Result};

use super::header::{BLOCK, Header, OCTAL_SIZE};
use super::{Entry, Kind, text};

/// Zeros behind the two closing blocks: archives are padded to records, of at most 1 MiB as GNU tar has them.
const PADDING: u64 = 16 << 20;

/// Reads an archive. After [`Reader::entry`], reading from it reads that entry's content.
pub(crate) struct Reader<R> {
    inner: R,
    /// Bytes of content not read yet, and of the padding behind it.
    content: u64,
    padding: u64,
    entries: u64,
    /// How many entries there may be.
    limit: u64,
}

/// What stands before a header to say what does not fit into it.
#[derive(Default)]
struct Extended {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    records: Vec<(Vec<u8>, Vec<u8>)>,
    seen_records: bool,
}

impl<R: Read> Reader<R> {
    /// Reads `inner`, which may have up to `limit` entries.
    pub(crate) fn new(inner: R, limit: u64) -> Reader<R> {
        Reader { inner, content: 0, padding: 0, entries: 0, limit }
    }

    /// The next entry, or `None` once the archive's end and all that is behind it were read.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for whatever is no tar, is cut or has two meanings; [`ErrorKind::Limit`] above a bound.
    pub(crate) fn entry(&mut self) -> Result<Option<Entry>> {
        self.skip_content()?;
        let mut extended = Extended::default();
        loop {
            let block = self.block()?;
            if block == [0; BLOCK] {
                self.end()?;
                return Ok(None);
            }
            let header = Header::new(block)?;
            self.entries += 1;
            if self.entries > self.limit {
                let text = format!("read the archive: more than {} entries", self.limit);
                return Err(Error::new(ErrorKind::Limit, text));
            }
            match header.kind() {
                b'x' => {
                    if extended.seen_records {
                        return Err(Error::invalid("an entry with two extended headers"));
                    }
                    extended.seen_records = true;
                    extended.records = records(&self.extension(&header)?)?;
                }
                b'g' => {
                    // For all entries that follow: nobody needs it, and no two readers agree. Comments are harmless.
                    if let Some((key, _)) =
                        records(&self.extension(&header)?)?.iter().find(|(key, _)| key != b"comment")
                    {
                        return Err(Error::invalid(format!("a global extended header sets `{}`", text(key))));
                    }
                }
                b'L' => long(&mut extended.path, self.extension(&header)?)?,
                b'K' => long(&mut extended.link, self.extension(&header)?)?,
                // A volume's label.
                b'V' => {}
                _ => return self.plain(&header, extended).map(Some),
            }
        }
    }

    /// The rest of the current entry's content in memory, of at most `limit` bytes.
    ///
    /// # Errors
    /// Any error of reading; [`ErrorKind::Limit`] if there is more.
    pub(crate) fn content(&mut self, name: &str, limit: u64) -> Result<Vec<u8>> {
        if self.content > limit {
            let text = format!("read `{name}`: {} bytes, at most {limit}", self.content);
            return Err(Error::new(ErrorKind::Limit, text));
        }
        let mut bytes = Vec::with_capacity(self.content as usize);
        self.read_to_end(&mut bytes).context(|| format!("read `{name}`"))?;
        Ok(bytes)
    }

    fn plain(&mut self, header: &Header, extended: Extended) -> Result<Entry> {
        let kind = match header.kind() {
            // 7 is a file that lies in one piece, which no file system does any more.
            b'0' | b'7' | 0 => Kind::File,
            b'1' => Kind::HardLink,
            b'2' => Kind::Symlink,
            b'3' => Kind::Character,
            b'4' => Kind::Block,
            b'5' => Kind::Directory,
            b'6' => Kind::Fifo,
            b'S' => Kind::OldSparse,
            other => {
                let path = header.path();
                return Err(Error::invalid(format!("`{}` is of the unknown type {other:#04x}", text(&path))));
            }
        };
        let device = |at| -> Result<u32> {
            u32::try_from(header.number(at, 8)?).map_err(|_| Error::invalid("a device number is too large"))
        };
        let mut entry = Entry::new(kind, header.path(), (header.number(100, 8)? & 0o7777) as u32);
        entry.link = header.text(157, 100).to_vec();
        entry.uid = header.number(108, 8)?;
        entry.gid = header.number(116, 8)?;
        entry.size = header.number(124, 12)?;
        entry.modified = header.time(136, 12)?;
        if matches!(kind, Kind::Character | Kind::Block) {
            entry.device = (device(329)?, device(337)?);
        }
        let clash = |what: &str| Error::invalid(format!("an entry whose {what} is told in two ways"));
        let (long_path, long_link) = (extended.path.is_some(), extended.link.is_some());
        entry.path = extended.path.unwrap_or(entry.path);
        entry.link = extended.link.unwrap_or(entry.link);
        for (key, value) in extended.records {
            match key.as_slice() {
                b"path" if long_path => return Err(clash("path")),
                b"linkpath" if long_link => return Err(clash("link target")),
                b"path" => entry.path = value,
                b"linkpath" => entry.link = value,
                b"size" => {
                    let size = decimal(&value)?;
                    // Readers that know no PAX go by the header: it must agree, or say that it cannot.
                    if size != entry.size && (size < OCTAL_SIZE || entry.size != 0) {
                        return Err(clash("size"));
                    }
                    entry.size = size;
                }
                b"uid" => entry.uid = decimal(&value)?,
                b"gid" => entry.gid = decimal(&value)?,
                b"mtime" => entry.modified = seconds(&value),
                b"uname" | b"gname" | b"atime" | b"ctime" | b"comment" | b"charset" | b"hdrcharset" => {}
                _ => entry.records.push((key, value)),
            }
        }
        if entry.path.is_empty() || entry.path.contains(&0) || entry.link.contains(&0) {
            return Err(Error::invalid("an entry without a name, or with a zero in it"));
        }
        if entry.path.len() > limits::PATH || entry.link.len() > limits::PATH {
            let text = format!("`{}`: a name of more than {} bytes", text(&entry.path), limits::PATH);
            return Err(Error::new(ErrorKind::Limit, text));
        }
        // In the old format a file whose name ends with a slash is a directory.
        if kind == Kind::File && header.kind() == 0 && entry.path.ends_with(b"/") {
            entry.kind = Kind::Directory;
        }
        match kind {
            Kind::File => {}
            // Without reading the map behind the header, where the content ends is not known.
            Kind::OldSparse => self.sparse_map(header)?,
            // Links and directories have none, whatever their header says (POSIX); Go and GNU differ here.
            _ if entry.size != 0 => {
                return Err(Error::invalid(format!("`{}`: content where there can be none", entry.name())));
            }
            _ => {}
        }
        self.content = entry.size;
        self.padding = padding(entry.size);
        Ok(entry)
    }

    /// Passes over the blocks that continue the map of an old sparse file.
    fn sparse_map(&mut self, header: &Header) -> Result<()> {
        let mut more = header.text(482, 1) != b"";
        let mut blocks = 0;
        while more {
            more = self.block()?[504] != 0;
            blocks += 1;
            if blocks > limits::TAR_EXTENSION / BLOCK as u64 {
                return Err(Error::new(ErrorKind::Limit, "a sparse file's map is too long"));
            }
        }
        Ok(())
    }

    /// The content of an extended header.
    fn extension(&mut self, header: &Header) -> Result<Vec<u8>> {
        let size = header.number(124, 12)?;
        if size > limits::TAR_EXTENSION {
            let text = format!("an extended header of {size} bytes, at most {}", limits::TAR_EXTENSION);
            return Err(Error::new(ErrorKind::Limit, text));
        }
        (self.content, self.padding) = (size, padding(size));
        let bytes = self.content("an extended header", limits::TAR_EXTENSION)?;
        self.skip_content()?;
        Ok(bytes)
    }

    fn block(&mut self) -> Result<[u8; BLOCK]> {
        let mut block = [0; BLOCK];
        self.inner.read_exact(&mut block).map_err(cut).context(|| "read the archive")?;
        Ok(block)
    }

    /// Reads what is left of the current entry.
    fn skip_content(&mut self) -> Result<()> {
        let left =
            self.content.checked_add(self.padding).ok_or_else(|| Error::invalid("an endless entry"))?;
        let skipped = io::copy(&mut (&mut self.inner).take(left), &mut io::sink());
        if skipped.context(|| "read the archive")? != left {
            return Err(Error::invalid("read the archive").because(cut_short()));
        }
        (self.content, self.padding) = (0, 0);
        Ok(())
    }

    /// After the first block of zeros: the second, and nothing but zeros, to the end of the stream, so that whoever
    /// writes it is not cut off and a checksum behind it is verified.
    fn end(&mut self) -> Result<()> {
        if self.block()? != [0; BLOCK] {
            return Err(Error::invalid("read the archive: a block of zeros between two entries"));
        }
        let mut rest = [0; 16 * BLOCK];
        let mut seen = 0;
        loop {
            let count = self.inner.read(&mut rest).context(|| "read the archive")?;
            if count == 0 {
                return Ok(());
            }
            seen += count as u64;
            if rest.iter().take(count).any(|b| *b != 0) || seen > PADDING {
                return Err(Error::invalid("read the archive: there is more behind its end"));
            }
        }
    }
}

impl<R: Read> Read for Reader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = buffer.len().min(usize::try_from(self.content).unwrap_or(usize::MAX));
        if room == 0 {
            return Ok(0);
        }
        let count = self.inner.read(buffer.get_mut(..room).unwrap_or_default())?;
        if count == 0 {
            return Err(cut_short());
        }
        self.content -= count as u64;
        Ok(count)
    }
}

fn padding(size: u64) -> u64 {
    (BLOCK as u64 - size % BLOCK as u64) % BLOCK as u64
}

fn cut(e: io::Error) -> io::Error {
    if e.kind() == io::ErrorKind::UnexpectedEof && e.get_ref().is_none() { cut_short() } else { e }
}

fn cut_short() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "it ends too early")
}

/// A long name of GNU's: ends with a NUL.
fn long(place: &mut Option<Vec<u8>>, mut bytes: Vec<u8>) -> Result<()> {
    if bytes.last() == Some(&0) {
        bytes.pop();
    }
    match place.replace(bytes) {
        None => Ok(()),
        Some(_) => Err(Error::invalid("an entry with two long names")),
    }
}

/// The records of a PAX header: `LENGTH KEY=VALUE\n`.
fn records(mut bytes: &[u8]) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let bad = || Error::invalid("an extended header that is none");
    let mut found: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    let mut keys = std::collections::BTreeSet::new();
    // Some writers fill up with zeros.
    while !bytes.is_empty() && bytes.iter().any(|b| *b != 0) {
        let space = bytes.iter().take(20).position(|b| *b == b' ').ok_or_else(bad)?;
        let length = decimal(bytes.get(..space).ok_or_else(bad)?)?;
        let length = usize::try_from(length).map_err(|_| bad())?;
        let record = bytes.get(space + 1..length).ok_or_else(bad)?;
        let (record, end) = record.split_at(record.len().checked_sub(1).ok_or_else(bad)?);
        let equals = record.iter().position(|b| *b == b'=').ok_or_else(bad)?;
        let (key, value) = record.split_at(equals);
        if end != b"\n" || key.is_empty() {
            return Err(bad());
        }
        // GNU's sparse format 0.0 repeats these two, a pair a piece.
        let repeats = matches!(key, b"GNU.sparse.offset" | b"GNU.sparse.numbytes");
        if !repeats && !keys.insert(key.to_vec()) {
            return Err(Error::invalid(format!("an extended header has `{}` twice", text(key))));
        }
        // An empty value takes the record back to the header's, which is what an absent one does.
        let value = value.get(1..).unwrap_or_default();
        if !value.is_empty() || key.starts_with(b"SCHILY.xattr.") {
            found.push((key.to_vec(), value.to_vec()));
        }
        bytes = bytes.get(length..).ok_or_else(bad)?;
    }
    Ok(found)
}

fn decimal(bytes: &[u8]) -> Result<u64> {
    let text = std::str::from_utf8(bytes).unwrap_or_default();
    let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match text.parse() {
        Ok(number) if is_number => Ok(number),
        _ => Err(Error::invalid("an extended header with a number that is none")),
    }
}

/// `SECONDS[.FRACTION]`, before 1970 as 1970.
fn seconds(bytes: &[u8]) -> u64 {
    let text = std::str::from_utf8(bytes).unwrap_or_default();
    text.split('.').next().unwrap_or_default().parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use taru_testkit::image::Tar;

    fn read(bytes: &[u8]) -> Result<Vec<(Entry, Vec<u8>)>> {
        let mut reader = Reader::new(bytes, 100);
        let mut found = Vec::new();
        while let Some(entry) = reader.entry()? {
            let content = reader.content("x", 1 << 20)?;
            found.push((entry, content));
        }
        Ok(found)
    }

    #[test]
    fn entries_come_as_they_were_put_in() {
        let long = "n".repeat(300);
        let tar = Tar::new()
            .dir("d", 0o755)
            .file("d/f", "hello", 0o4755)
            .owned(7, 3_000_000_000)
            .xattr("user.k", "v")
            .symlink(&long, &long)
            .char_device("c", 1, 3, 0o600);
        let found = read(&tar.bytes()).unwrap();
        assert_eq!(found.len(), 4);
        assert_eq!((found[0].0.kind, found[0].0.path.as_slice()), (Kind::Directory, b"d/".as_slice()));
        let file = &found[1].0;
        assert_eq!((file.mode, file.uid, file.gid, file.size), (0o4755, 7, 3_000_000_000, 5));
        assert_eq!(file.records, [(b"SCHILY.xattr.user.k".to_vec(), b"v".to_vec())]);
        assert_eq!(found[1].1, b"hello");
        assert_eq!((found[2].0.path.len(), found[2].0.link.len()), (300, 300));
        assert_eq!(found[3].0.device, (1, 3));
    }

    #[test]
    fn every_cut_is_seen() {
        let whole = Tar::new().dir("d", 0o755).file("d/f", "hello".repeat(200), 0o644).bytes();
        for at in 0..whole.len() {
            let e = read(&whole[..at]).unwrap_err();
            assert_eq!(e.kind(), ErrorKind::Invalid, "{at}: {}", e.chain());
        }
        read(&whole).unwrap();
    }

    #[test]
    fn what_has_two_meanings_is_refused() {
        let file = || Tar::new().file("f", "hello", 0o644);
        let long = Tar::new().of_kind(b'L', "././@LongLink", "long\0");
        for (tar, words) in [
            (file().pax("size", "1024"), "size is told in two ways"),
            (file().claiming(0).pax("size", "5"), "size is told in two ways"),
            (long.clone().file("f", "", 0o644).pax("path", "other"), "path is told in two ways"),
            (long.clone().of_kind(b'L', "././@LongLink", "b").file("f", "", 0o644), "two long names"),
            (file().pax("uid", "1").pax("uid", "2"), "`uid` twice"),
            (file().pax("uid", "-1"), "a number that is none"),
            (Tar::new().of_kind(b'g', "g", "18 size=123456789\n").file("f", "", 0), "global"),
            (Tar::new().of_kind(b'Q', "q", ""), "unknown type 0x51"),
            (Tar::new().of_kind(b'5', "d", "content"), "content where there can be none"),
            (Tar::new().of_kind(b'x', "x", "5 a\n").file("f", "", 0), "extended header that is none"),
            (Tar::new().of_kind(b'x', "x", "99999999999999999999 a=b\n").file("f", "", 0), "that is none"),
            (file().pax("path", "a\0b"), "a zero in it"),
        ] {
            let e = read(&tar.bytes()).unwrap_err();
            assert!(e.chain().to_string().contains(words), "{words}: {}", e.chain());
        }
        let behind = [file().bytes(), file().bytes()].concat();
        assert!(read(&behind).unwrap_err().to_string().contains("behind its end"));
    }

    #[test]
    fn headers_and_entries_are_bounded() {
        let name = "n".repeat(limits::PATH + 1);
        assert_eq!(read(&Tar::new().file(&name, "", 0).bytes()).unwrap_err().kind(), ErrorKind::Limit);
        let bomb = Tar::new().of_kind(b'L', "././@LongLink", "").claiming(3 << 30);
        assert_eq!(read(&bomb.bytes()).unwrap_err().kind(), ErrorKind::Limit);
        let many = (0..101).fold(Tar::new(), |tar, n| tar.file(&n.to_string(), "", 0));
        assert_eq!(read(&many.bytes()).unwrap_err().kind(), ErrorKind::Limit);
        let huge = Tar::new().file("f", "", 0).claiming(8 << 60);
        assert_eq!(read(&huge.bytes()).unwrap_err().kind(), ErrorKind::Limit);
    }
}
