//! Entries one after the other out of a stream.

use std::io::{self, BufRead, Read};

use tar::{EntryType, GnuExtSparseHeader};
use taru_oci::limits;
use taru_stdx::{Context, Error, Kind as Class, Result};

use crate::entry::{Entry, Kind, text};
use crate::header::{self, Header, SparseStart};
use crate::pax::{self, Records};
use crate::{BLOCK, LARGEST, sparse};

/// Pieces of a sparse file that GNU tar's header has room for.
const GNU_PIECES: usize = 4;

/// Reads a tar. Reading from it reads the stored content of the entry that came last.
pub struct Reader<R> {
    from: R,
    /// Bytes of the current entry's content that were not read yet.
    content: u64,
    /// Bytes that fill it up to whole blocks.
    padding: u64,
    entries: u64,
    /// How many entries there may be.
    most: u64,
    /// Whether the two blocks of zeros must be there.
    needs_end: bool,
    is_at_end: bool,
}

/// What stands before a header to say what does not fit into it.
#[derive(Default)]
struct Extended {
    records: Option<Records>,
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
}

impl<R: BufRead> Reader<R> {
    /// Reads `from`, which may have up to `most` entries and may end without its blocks of zeros, as some writers
    /// leave it.
    pub fn new(from: R, most: u64) -> Reader<R> {
        Reader { from, content: 0, padding: 0, entries: 0, most, needs_end: false, is_at_end: false }
    }

    /// Takes a tar without its end for one that was cut: for what nothing else tells the length of.
    #[must_use]
    pub fn needs_end(self) -> Reader<R> {
        Reader { needs_end: true, ..self }
    }

    /// The next entry; what was not read of the content of the one before is passed over. `None` once the end and all
    /// that is behind it were read, so that whoever writes the stream is not cut off.
    ///
    /// # Errors
    /// [`Class::Invalid`] for whatever is no tar, is cut or has two meanings; [`Class::Limit`] above a bound.
    pub fn entry(&mut self) -> Result<Option<Entry>> {
        let mut extended = Extended::default();
        loop {
            self.skip_content()?;
            let Some(block) = self.header_block()? else {
                if extended.records.is_some() || extended.name.is_some() || extended.link.is_some() {
                    return Err(Error::invalid("read a tar: it ends before the entry of an extended header"));
                }
                return Ok(None);
            };
            let header = Header::new(&block)?;
            let twice = |what: &str| Error::invalid(format!("read a header: two {what} for one entry"));
            match header.kind() {
                EntryType::XHeader => {
                    let bytes = self.extension(header.size()?)?;
                    if extended.records.replace(pax::parse(&bytes)?).is_some() {
                        return Err(twice("extended headers"));
                    }
                }
                EntryType::GNULongName => {
                    let name = long(self.extension(header.size()?)?)?;
                    if extended.name.replace(name).is_some() {
                        return Err(twice("long names"));
                    }
                }
                EntryType::GNULongLink => {
                    let link = long(self.extension(header.size()?)?)?;
                    if extended.link.replace(link).is_some() {
                        return Err(twice("long names of a link"));
                    }
                }
                EntryType::XGlobalHeader => {
                    self.count()?;
                    let bytes = self.extension(header.size()?)?;
                    pax::check_global(&bytes)?;
                }
                _ => {
                    self.count()?;
                    return self.plain(&header, extended).map(Some);
                }
            }
        }
    }

    /// The content of the entry that came last, without copying it.
    pub fn content(&mut self) -> Content<'_, R> {
        Content { reader: self }
    }

    /// The rest of the current content in memory, of at most `limit` bytes.
    ///
    /// # Errors
    /// Any error of reading; [`Class::Limit`] if there is more.
    pub fn whole(&mut self, limit: u64) -> Result<Vec<u8>> {
        if self.content > limit {
            let text = format!("read the content: {} bytes, at most {limit}", self.content);
            return Err(Error::new(Class::Limit, text));
        }
        let mut bytes = vec![0; self.content as usize];
        self.read_exact_of_stream(&mut bytes)?;
        self.content = 0;
        Ok(bytes)
    }

    /// The stream below.
    pub fn into_inner(self) -> R {
        self.from
    }

    fn count(&mut self) -> Result<()> {
        self.entries += 1;
        match self.entries > self.most {
            true => Err(Error::new(Class::Limit, format!("read a tar: more than {} entries", self.most))),
            false => Ok(()),
        }
    }

    fn plain(&mut self, header: &Header<'_>, extended: Extended) -> Result<Entry> {
        let records = extended.records.unwrap_or_default();
        let mut path = match one_of(records.path, extended.name, "path")? {
            Some(path) => path,
            None => header.name()?,
        };
        let link = one_of(records.link, extended.link, "link target")?.unwrap_or_else(|| header.link());
        let stored = stored_size(header.size()?, records.size)?;
        let mut sparse = records.sparse;
        if let Some(real) = sparse.name.take() {
            path = real;
        }
        let name = || format!("read the entry `{}`", text(&path));
        let bad = |why: &str| Error::invalid(name()).because(Error::invalid(why));
        if path.is_empty() {
            return Err(Error::invalid("read a header: an entry without a name"));
        }
        if path.len() > limits::PATH || link.len() > limits::PATH {
            let text = format!("{}: a name of more than {} bytes", name(), limits::PATH);
            return Err(Error::new(Class::Limit, text));
        }
        let kind = match header.kind() {
            // An old tar marks directories by their slash alone.
            EntryType::Regular if path.ends_with(b"/") => EntryType::Directory,
            // A file that lies in one piece, which no file system does any more.
            EntryType::Continuous => EntryType::Regular,
            kind => kind,
        };
        let is_file = matches!(kind, EntryType::Regular | EntryType::GNUSparse);
        // Links and directories have none, whatever their header says (POSIX); Go and GNU tar differ here.
        if !is_file && stored != 0 {
            return Err(bad("content where there can be none"));
        }
        if sparse.is_used && kind != EntryType::Regular {
            return Err(bad("a sparse map where there can be none"));
        }
        let too_large = || Error::new(Class::Limit, format!("{}: more than {} bytes", name(), limits::FILE));
        if stored > limits::FILE {
            return Err(too_large());
        }
        self.set_content(stored)?;
        let kind = match kind {
            EntryType::Regular if sparse.is_used => self.pax_sparse(sparse, stored)?,
            EntryType::Regular => Kind::file(stored),
            EntryType::GNUSparse => self.gnu_sparse(header, stored)?,
            EntryType::Link => Kind::Link { target: link },
            EntryType::Symlink => Kind::Symlink { target: link },
            EntryType::Char => header.device().map(|(major, minor)| Kind::Character { major, minor })?,
            EntryType::Block => header.device().map(|(major, minor)| Kind::Block { major, minor })?,
            EntryType::Directory => Kind::Directory,
            EntryType::Fifo => Kind::Fifo,
            unknown => return Err(bad(&format!("the unknown type {:#04x}", unknown.as_byte()))),
        };
        if matches!(kind, Kind::File { size, .. } if size > limits::FILE) {
            return Err(too_large());
        }
        let id = |of_header: u64, of_pax: Option<u64>| {
            let id = of_pax.unwrap_or(of_header);
            // 2^32-1 means "no id" to the kernel.
            u32::try_from(id).ok().filter(|id| *id != u32::MAX).ok_or_else(|| bad(&format!("the id {id}")))
        };
        let (uid, gid) = (id(header.uid()?, records.uid)?, id(header.gid()?, records.gid)?);
        let mtime = match records.mtime {
            Some(time) => time,
            None => (header.mtime()?, 0),
        };
        let mode = header.mode()?;
        Ok(Entry { path, kind, mode, uid, gid, mtime, xattrs: records.xattrs, records: records.other })
    }

    /// A sparse file of GNU tar's own format: the map begins in the header and goes on in blocks behind it.
    fn gnu_sparse(&mut self, header: &Header<'_>, stored: u64) -> Result<Kind> {
        let SparseStart { mut pieces, mut goes_on, size } = header.sparse()?;
        let mut room = GNU_PIECES;
        while goes_on {
            // Or the map would have no end.
            if pieces.len() < room {
                return Err(Error::invalid("read a sparse map: it goes on behind its end"));
            }
            if pieces.len() > limits::SPARSE_PIECES {
                return Err(Error::new(Class::Limit, "read a sparse map: too many pieces"));
            }
            let mut block = GnuExtSparseHeader::new();
            self.read_exact_of_stream(block.as_mut_bytes())?;
            pieces.extend(header::pieces(block.sparse())?);
            goes_on = header::goes_on(block.isextended, block.is_extended())?;
            room += block.sparse().len();
        }
        Ok(Kind::File { size, pieces: Some(sparse::check(pieces, size, stored)?) })
    }

    /// A sparse file by PAX records: 0.0 and 0.1 have the map in them, 1.0 in front of the data.
    fn pax_sparse(&mut self, told: pax::Sparse, stored: u64) -> Result<Kind> {
        let bad = || Error::invalid("read a sparse file: its PAX records are not those of a known version");
        let size = told.real_size.ok_or_else(bad)?;
        let (numbers, stored) = match (told.major, told.minor) {
            (None, None) | (Some(0), Some(0 | 1)) => (told.map, stored),
            (Some(1), Some(0)) if told.map.is_empty() => {
                let numbers = self.sparse_map_in_front()?;
                (numbers, self.content)
            }
            _ => return Err(bad()),
        };
        if numbers.len() % 2 != 0 {
            return Err(bad());
        }
        let pieces = numbers.as_chunks().0.iter().map(|[offset, length]| (*offset, *length)).collect();
        Ok(Kind::File { size, pieces: Some(sparse::check(pieces, size, stored)?) })
    }

    /// Version 1.0: decimal numbers, a line each, the first says how many pairs; filled up to whole blocks.
    fn sparse_map_in_front(&mut self) -> Result<Vec<u64>> {
        let bad = || Error::invalid("read a sparse map: not numbers on lines");
        let mut numbers = Vec::new();
        let mut wanted = None;
        let mut line = Vec::new();
        while wanted != Some(numbers.len()) {
            if self.content < BLOCK as u64 {
                return Err(bad());
            }
            let mut block = [0u8; BLOCK];
            self.read_exact_of_stream(&mut block)?;
            self.content -= BLOCK as u64;
            for &b in &block {
                if wanted == Some(numbers.len()) {
                    break;
                }
                if b != b'\n' {
                    line.push(b);
                    if line.len() > 20 {
                        return Err(bad());
                    }
                    continue;
                }
                let number = pax::decimal(&line)?;
                line.clear();
                match wanted {
                    None => {
                        let pairs = usize::try_from(number).ok().filter(|n| *n <= limits::SPARSE_PIECES);
                        wanted = Some(2 * pairs.ok_or_else(bad)?);
                    }
                    Some(_) => numbers.push(number),
                }
            }
        }
        Ok(numbers)
    }

    fn set_content(&mut self, stored: u64) -> Result<()> {
        let block = BLOCK as u64;
        self.content = stored;
        self.padding = stored
            .checked_next_multiple_of(block)
            .ok_or_else(|| Error::invalid(format!("read a tar: an entry of {stored} bytes")))?
            - stored;
        Ok(())
    }

    /// The content of a header that only extends the next.
    fn extension(&mut self, size: u64) -> Result<Vec<u8>> {
        if size > limits::TAR_EXTENSION {
            let most = limits::TAR_EXTENSION;
            let text = format!("read an extended header or a long name of {size} bytes: at most {most}");
            return Err(Error::new(Class::Limit, text));
        }
        self.set_content(size)?;
        self.whole(limits::TAR_EXTENSION)
    }

    /// The next block that is a header; `None` at the end.
    fn header_block(&mut self) -> Result<Option<[u8; BLOCK]>> {
        if self.is_at_end {
            return Ok(None);
        }
        if !self.needs_end && self.from.fill_buf().context(|| "read a tar")?.is_empty() {
            self.is_at_end = true;
            return Ok(None);
        }
        let mut block = [0; BLOCK];
        self.read_exact_of_stream(&mut block)?;
        if block != [0; BLOCK] {
            return Ok(Some(block));
        }
        self.is_at_end = true;
        if self.needs_end {
            self.read_exact_of_stream(&mut block)?;
        }
        if block != [0; BLOCK] {
            return Err(Error::invalid("read a tar: a block of zeros between two entries"));
        }
        self.rest().map(|()| None)
    }

    /// Reads the rest of the stream, which may hold nothing but zeros.
    fn rest(&mut self) -> Result<()> {
        let mut seen = 0;
        loop {
            let bytes = self.from.fill_buf().context(|| "read a tar")?;
            if bytes.is_empty() {
                return Ok(());
            }
            seen += bytes.len() as u64;
            if seen > limits::TAR_PADDING || bytes.iter().any(|&b| b != 0) {
                return Err(Error::invalid("read a tar: there is more behind its end"));
            }
            let length = bytes.len();
            self.from.consume(length);
        }
    }

    fn read_exact_of_stream(&mut self, into: &mut [u8]) -> Result<()> {
        self.from
            .read_exact(into)
            .map_err(|e| match e.kind() {
                // What is below may have its own reasons to end.
                io::ErrorKind::UnexpectedEof if e.get_ref().is_none() => cut_short(),
                _ => e,
            })
            .context(|| "read a tar")
    }

    /// The next of `left` bytes as they lie in the stream's buffer.
    fn part(&mut self, left: u64) -> io::Result<&[u8]> {
        let bytes = self.from.fill_buf()?;
        let part = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        bytes.get(..part).filter(|part| !part.is_empty()).ok_or_else(cut_short)
    }

    fn skip_content(&mut self) -> Result<()> {
        let mut left = self.content + self.padding;
        while left > 0 {
            let length = self.part(left).context(|| "read a tar")?.len();
            self.from.consume(length);
            left -= length as u64;
        }
        (self.content, self.padding) = (0, 0);
        Ok(())
    }
}

impl<R: BufRead> Read for Reader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = buffer.len().min(usize::try_from(self.content).unwrap_or(usize::MAX));
        if room == 0 {
            return Ok(0);
        }
        let count = self.from.read(buffer.get_mut(..room).unwrap_or_default())?;
        if count == 0 {
            return Err(cut_short());
        }
        self.content -= count as u64;
        Ok(count)
    }
}

/// The stored bytes of an entry, piece by piece as they lie in the stream's buffer.
pub struct Content<'r, R> {
    reader: &'r mut Reader<R>,
}

impl<R: BufRead> Content<'_, R> {
    /// Hands the next bytes, `limit` at most, to `take`, and tells how many; 0 where there are none left.
    ///
    /// # Errors
    /// Any error of reading and of `take`; [`Class::Invalid`] where the stream ends too early.
    pub fn next(&mut self, limit: u64, take: impl FnOnce(&[u8]) -> Result<()>) -> Result<u64> {
        let left = self.reader.content.min(limit);
        if left == 0 {
            return Ok(0);
        }
        let part = self.reader.part(left).context(|| "read a tar")?;
        take(part)?;
        let length = part.len();
        self.reader.from.consume(length);
        self.reader.content -= length as u64;
        Ok(length as u64)
    }
}

fn cut_short() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "it ends too early")
}

/// A long name of GNU's: ends with a NUL.
fn long(mut bytes: Vec<u8>) -> Result<Vec<u8>> {
    while bytes.last() == Some(&0) {
        bytes.pop();
    }
    match bytes.contains(&0) {
        true => Err(Error::invalid("read a long name: a zero in it")),
        false => Ok(bytes),
    }
}

/// What PAX says, or GNU tar's long name; not both, even if they agree: a reader may know one of them alone.
fn one_of(pax: Option<Vec<u8>>, gnu: Option<Vec<u8>>, what: &str) -> Result<Option<Vec<u8>>> {
    match (pax, gnu) {
        (Some(_), Some(_)) => Err(Error::invalid(format!("read a header: its {what} is told in two ways"))),
        (pax, gnu) => Ok(pax.or(gnu)),
    }
}

/// The size of the content: what the header says, which readers go by that know no PAX. PAX may only repeat it, or say
/// what the header cannot.
fn stored_size(header: u64, pax: Option<u64>) -> Result<u64> {
    match pax {
        None => Ok(header),
        Some(size) if size == header => Ok(size),
        // What writers put there of a size that does not fit: nothing, or the most (libarchive).
        Some(size) if size > LARGEST && (header == 0 || header == LARGEST) => Ok(size),
        Some(size) => {
            let text = format!("its size is told in two ways: {header} bytes, and {size} by PAX");
            Err(Error::invalid(format!("read a header: {text}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Piece;
    use taru_testkit::image::Tar;

    fn read(bytes: &[u8]) -> Result<Vec<(Entry, Vec<u8>)>> {
        let mut reader = Reader::new(bytes, 100).needs_end();
        let mut found = Vec::new();
        while let Some(entry) = reader.entry()? {
            let content = reader.whole(1 << 20)?;
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
            .pax("SCHILY.acl.access", "acl")
            .symlink(&long, &long)
            .char_device("c", 1, 3, 0o600)
            .file("old/", "", 0o755);
        let found = read(&tar.bytes()).unwrap();
        assert_eq!(found.len(), 5);
        assert_eq!((&found[0].0.kind, found[0].0.path.as_slice()), (&Kind::Directory, b"d/".as_slice()));
        let file = &found[1].0;
        assert_eq!((file.mode, file.uid, file.gid), (0o4755, 7, 3_000_000_000));
        assert_eq!((&file.kind, file.stored(), file.mtime), (&Kind::file(5), 5, (1_600_000_000, 0)));
        assert_eq!(file.xattrs, [(b"user.k".to_vec(), b"v".to_vec())]);
        assert_eq!(file.records, [(b"SCHILY.acl.access".to_vec(), b"acl".to_vec())]);
        assert_eq!(found[1].1, b"hello");
        assert_eq!(found[2].0.path.len(), 300);
        assert_eq!(found[2].0.kind, Kind::Symlink { target: long.into_bytes() });
        assert_eq!(found[3].0.kind, Kind::Character { major: 1, minor: 3 });
        assert_eq!(found[4].0.kind, Kind::Directory);
    }

    #[test]
    fn content_is_read_in_part_or_passed_over() {
        let tar = Tar::new().file("a", "0123456789", 0).file("b", "abc", 0).file("c", "xyz", 0).bytes();
        let mut reader = Reader::new(io::BufReader::with_capacity(7, tar.as_slice()), 10);
        reader.entry().unwrap();
        let mut four = [0; 4];
        reader.read_exact(&mut four).unwrap();
        assert_eq!(&four, b"0123");
        reader.entry().unwrap();
        let mut all = Vec::new();
        let mut content = reader.content();
        let mut take = |bytes: &[u8]| {
            all.extend_from_slice(bytes);
            Ok(())
        };
        while content.next(2, &mut take).unwrap() > 0 {}
        assert_eq!(all, b"abc");
        assert_eq!(reader.entry().unwrap().unwrap().path, b"c");
        assert_eq!(reader.whole(2).unwrap_err().kind(), Class::Limit);
        assert_eq!(reader.entry().unwrap(), None);
        assert_eq!(reader.entry().unwrap(), None);
    }

    #[test]
    fn every_cut_is_seen() {
        let tar = Tar::new().dir("d", 0o755).file("d/f", "hello".repeat(200), 0o644);
        let whole = tar.bytes();
        for at in 0..whole.len() {
            let e = read(&whole[..at]).unwrap_err();
            assert_eq!(e.kind(), Class::Invalid, "{at}: {}", e.chain());
        }
        read(&whole).unwrap();
        // Where the end may be missing, everything before it may not.
        let all = |bytes: &[u8]| {
            let mut reader = Reader::new(bytes, 100);
            std::iter::from_fn(|| reader.entry().transpose()).collect::<Result<Vec<Entry>>>()
        };
        let without_end = tar.unfinished();
        for at in (0..without_end.len()).filter(|at| ![0, 512].contains(at)) {
            assert_eq!(all(&whole[..at]).unwrap_err().kind(), Class::Invalid, "{at}");
        }
        for end in [0, 512, 513, 1024] {
            assert_eq!(all(&whole[..without_end.len() + end]).unwrap().len(), 2, "{end}");
        }
    }

    #[test]
    fn what_has_two_meanings_is_refused() {
        let file = || Tar::new().file("f", "hello", 0o644);
        let long = Tar::new().of_kind(b'L', "././@LongLink", "long\0");
        for (tar, words) in [
            (file().pax("size", "1024"), "size is told in two ways"),
            (file().claiming(0).pax("size", "5"), "size is told in two ways"),
            (long.clone().file("f", "", 0o644).pax("path", "other"), "path is told in two ways"),
            (long.clone().file("f", "", 0o644).pax("path", "long"), "path is told in two ways"),
            (long.clone().of_kind(b'L', "././@LongLink", "b").file("f", "", 0o644), "two long names"),
            (long.clone(), "ends before the entry"),
            (Tar::new().of_kind(b'L', "l", "a\0b\0").file("f", "", 0), "a zero in it"),
            (Tar::new().of_kind(b'x', "x", "7 ab=1\n").file("f", "", 0).pax("uid", "1"), "two extended"),
            (file().pax("uid", "1").pax("uid", "2"), "`uid` twice"),
            (file().pax("uid", "-1"), "`-1`"),
            (file().pax("uid", "4294967295"), "the id 4294967295"),
            (file().pax("mtime", "now"), "`now`"),
            (Tar::new().of_kind(b'g', "g", "18 size=123456789\n").file("f", "", 0), "global"),
            (Tar::new().of_kind(b'Q', "q", ""), "unknown type 0x51"),
            (Tar::new().of_kind(b'V', "label", ""), "unknown type 0x56"),
            (Tar::new().of_kind(b'5', "d", "content"), "content where there can be none"),
            (Tar::new().of_kind(b'0', "d/", "content"), "content where there can be none"),
            (Tar::new().dir("d", 0).pax("GNU.sparse.size", "1"), "a sparse map where there can be none"),
            (Tar::new().of_kind(b'S', "s", ""), "not GNU tar's"),
            (Tar::new().of_kind(b'x', "x", "5 a\n").file("f", "", 0), "not `LENGTH KEY=VALUE`"),
            (Tar::new().of_kind(b'x', "x", "99999999999999999999 a=b\n").file("f", "", 0), "not `LENGTH"),
            (file().pax("path", "a\0b"), "a zero in it"),
            (Tar::new().file("", "", 0), "without a name"),
        ] {
            let e = read(&tar.bytes()).unwrap_err();
            assert!(e.chain().to_string().contains(words), "{words}: {}", e.chain());
        }
        let behind = [file().bytes(), file().bytes()].concat();
        assert!(read(&behind).unwrap_err().to_string().contains("behind its end"));
        let between = [file().unfinished(), vec![0; 512], file().bytes()].concat();
        assert!(read(&between).unwrap_err().to_string().contains("between two entries"));
        let comment = Tar::new().of_kind(b'g', "g", "14 comment=ab\n").file("f", "", 0);
        assert_eq!(read(&comment.bytes()).unwrap().len(), 1);
    }

    #[test]
    fn headers_and_entries_are_bounded() {
        let limit = |tar: Tar| assert_eq!(read(&tar.bytes()).unwrap_err().kind(), Class::Limit);
        let name = "n".repeat(limits::PATH + 1);
        limit(Tar::new().file(&name, "", 0));
        limit(Tar::new().symlink("s", &name));
        limit(Tar::new().of_kind(b'L', "././@LongLink", "").claiming(3 << 30));
        limit((0..101).fold(Tar::new(), |tar, n| tar.file(&n.to_string(), "", 0)));
        limit((0..101).fold(Tar::new(), |tar, _| tar.of_kind(b'g', "g", "")));
        limit(Tar::new().file("f", "", 0).claiming(limits::FILE + 1));
        limit(Tar::new().file("f", "", 0).pax("GNU.sparse.realsize", (limits::FILE + 1).to_string()));
        assert!(read(&Tar::new().file("f", "", 0).claiming(8 << 60).bytes()).is_err());
        let mut endless = Tar::new().file("f", "", 0).bytes();
        endless.resize(endless.len() + limits::TAR_PADDING as usize, 0);
        assert!(read(&endless).unwrap().len() == 1);
        endless.push(0);
        assert!(read(&endless).unwrap_err().to_string().contains("behind its end"));
    }

    #[test]
    fn sizes_beyond_the_header_come_from_pax() {
        for in_header in [0, LARGEST] {
            let large = Tar::new().file("f", "", 0).claiming(in_header).pax("size", "8589934592").bytes();
            assert_eq!(Reader::new(&large[..], 1).entry().unwrap().unwrap().stored(), 1 << 33);
            let small = Tar::new().file("f", "", 0).claiming(in_header).pax("size", "512").bytes();
            assert!(Reader::new(&small[..], 1).entry().is_err());
        }
        let binary = Tar::new().file("f", "", 0).claiming(1 << 33).bytes();
        assert_eq!(Reader::new(&binary[..], 1).entry().unwrap().unwrap().stored(), 1 << 33);
    }

    /// An old sparse file of GNU tar's, its map in the header and `more` blocks of 21 pieces.
    fn gnu_sparse(pieces: &[(u64, u64)], size: u64, goes_on: impl Fn(usize) -> u8) -> Vec<u8> {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(EntryType::GNUSparse);
        header.as_old_mut().name[0] = b's';
        header.set_size(pieces.iter().map(|(_, length)| length).sum());
        let gnu = header.as_gnu_mut().unwrap();
        gnu.set_real_size(size);
        gnu.isextended = [goes_on(0)];
        let (first, rest) = pieces.split_at(pieces.len().min(4));
        for (place, (offset, length)) in gnu.sparse.iter_mut().zip(first) {
            place.set_offset(*offset);
            place.set_length(*length);
        }
        header.set_cksum();
        let mut bytes = header.as_bytes().to_vec();
        for (n, some) in rest.chunks(21).enumerate() {
            let mut block = GnuExtSparseHeader::new();
            for (place, (offset, length)) in block.sparse_mut().iter_mut().zip(some) {
                place.set_offset(*offset);
                place.set_length(*length);
            }
            block.isextended = [goes_on(n + 1)];
            bytes.extend_from_slice(block.as_bytes());
        }
        let stored: u64 = pieces.iter().map(|(_, length)| length).sum();
        bytes.resize(bytes.len() + stored.next_multiple_of(512) as usize + 1024, 0);
        bytes
    }

    #[test]
    fn sparse_maps_of_all_formats() {
        let pieces: Vec<(u64, u64)> = (0..30).map(|n| (n * 1000, 10)).collect();
        let as_read = |all: &[(u64, u64)]| -> Option<Vec<Piece>> {
            Some(all.iter().map(|&(offset, length)| Piece { offset, length }).collect())
        };
        let whole = gnu_sparse(&pieces, 40_000, |n| u8::from(n < 2));
        let found = read(&whole).unwrap();
        assert_eq!(found[0].0.kind, Kind::File { size: 40_000, pieces: as_read(&pieces) });
        assert_eq!(found[0].0.stored(), 300);
        assert!(read(&gnu_sparse(&pieces, 40_000, |n| 2 * u8::from(n < 2))).is_err(), "not 0 or 1");
        assert!(read(&gnu_sparse(&pieces, 40_000, |_| 1)).is_err(), "no end");
        assert!(read(&gnu_sparse(&pieces[..3], 40_000, |_| 1)).is_err(), "no end");
        let file =
            |content: &str| Tar::new().file("GNUSparseFile.0/s", content, 0).pax("GNU.sparse.name", "s");
        let map = as_read(&[(5, 1), (8, 2)]);
        let in_front = format!("2\n5\n1\n8\n2\n{}abc", "\0".repeat(502));
        for tar in [
            file("abc").pax("GNU.sparse.size", "10").pax("GNU.sparse.map", "5,1,8,2"),
            file("abc")
                .pax("GNU.sparse.size", "10")
                .pax("GNU.sparse.numblocks", "2")
                .pax("GNU.sparse.offset", "5")
                .pax("GNU.sparse.numbytes", "1")
                .pax("GNU.sparse.offset", "8")
                .pax("GNU.sparse.numbytes", "2"),
            file(&in_front)
                .pax("GNU.sparse.major", "1")
                .pax("GNU.sparse.minor", "0")
                .pax("GNU.sparse.realsize", "10"),
        ] {
            let found = read(&tar.bytes()).unwrap();
            assert_eq!(found[0].0.path, b"s");
            assert_eq!(found[0].0.kind, Kind::File { size: 10, pieces: map.clone() });
            assert_eq!(found[0].1, b"abc");
        }
        for bad in [
            file("abc").pax("GNU.sparse.map", "5,1,8,2"),
            file("abc").pax("GNU.sparse.size", "9").pax("GNU.sparse.map", "5,1,8,2"),
            file("abc").pax("GNU.sparse.size", "10").pax("GNU.sparse.map", "5,1,8"),
            file("abc").pax("GNU.sparse.size", "10").pax("GNU.sparse.map", "5,1"),
            file("abc").pax("GNU.sparse.size", "10").pax("GNU.sparse.major", "2"),
            file("2\n5\n")
                .pax("GNU.sparse.major", "1")
                .pax("GNU.sparse.minor", "0")
                .pax("GNU.sparse.size", "10"),
        ] {
            assert_eq!(read(&bad.bytes()).unwrap_err().kind(), Class::Invalid);
        }
    }
}
