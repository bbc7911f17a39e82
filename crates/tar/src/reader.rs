//! Entries one after the other out of a stream.

mod map;

use std::io::{self, BufRead, Read};

use tar::EntryType;
use taru_oci::limits;
use taru_stdx::{Context, Error, Kind as Class, Result};

use crate::acl;
use crate::entry::{Entry, Kind, text};
use crate::header::Header;
use crate::pax::{self, Records};
use crate::{BLOCK, LARGEST};

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
        let mut records = extended.records.unwrap_or_default();
        let mode = header.mode()?;
        let xattrs = acl::attributes(&mut records, mode)?;
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
        Ok(Entry { path, kind, mode, uid, gid, mtime, xattrs, records: records.other })
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
mod tests;
