//! Entries one after the other out of a stream.

use std::io::BufRead;

use taru_oci::limits;
use taru_stdx::{Context, Error, Result};

use super::Xattrs;
use super::header::{self, BLOCK, Header, SparseStart};
use super::pax::{self, Records};
use super::sparse::{self, Piece};

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Directory,
    /// Of this size; a sparse one also says where its data lies.
    File {
        size: u64,
        pieces: Option<Vec<Piece>>,
    },
    /// A further name of an earlier entry.
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
}

/// An entry without its content.
#[derive(Debug)]
pub(crate) struct Entry {
    /// As it stands there: not yet checked for where it leads.
    pub(crate) path: Vec<u8>,
    pub(crate) kind: Kind,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mtime: (i64, u32),
    pub(crate) xattrs: Xattrs,
}

/// Reads a tar.
pub(crate) struct Reader<R> {
    from: R,
    /// Bytes of the current entry's content that were not read yet.
    content: u64,
    /// Bytes that fill it up to whole blocks.
    padding: u64,
    is_at_end: bool,
}

/// The largest size that ustar's 11 octal digits can say.
const USTAR_SIZE: u64 = 0o77_777_777_777;

impl<R: BufRead> Reader<R> {
    pub(crate) fn new(from: R) -> Reader<R> {
        Reader { from, content: 0, padding: 0, is_at_end: false }
    }

    /// The next entry; what was not read of the content of the one before is passed over.
    pub(crate) fn next(&mut self) -> Result<Option<Entry>> {
        let mut records: Option<Records> = None;
        let (mut long_name, mut long_link) = (None, None);
        loop {
            self.skip_content()?;
            let Some(block) = self.header_block()? else {
                if records.is_some() || long_name.is_some() || long_link.is_some() {
                    return Err(Error::invalid("read a tar: it ends before the entry of a PAX header"));
                }
                return Ok(None);
            };
            let header = Header::new(&block)?;
            let clash = || Error::invalid("read a header: given twice for one entry");
            match header.kind() {
                b'x' => {
                    let text = self.extension(header.size()?)?;
                    if records.replace(pax::parse(&text)?).is_some() {
                        return Err(clash());
                    }
                }
                b'g' => {
                    let text = self.extension(header.size()?)?;
                    pax::check_global(&text)?;
                }
                b'L' | b'K' => {
                    let mut text = self.extension(header.size()?)?;
                    let end = text.iter().position(|&b| b == 0).unwrap_or(text.len());
                    text.truncate(end);
                    let place = if header.kind() == b'L' { &mut long_name } else { &mut long_link };
                    if place.replace(text).is_some() {
                        return Err(clash());
                    }
                }
                _ => {
                    return self.entry(&header, records.unwrap_or_default(), long_name, long_link).map(Some);
                }
            }
        }
    }

    /// The content of the entry that [`Reader::next`] gave last.
    pub(crate) fn content(&mut self) -> Content<'_, R> {
        Content { reader: self }
    }

    /// Reads the rest of the stream, which may hold nothing but zeros.
    pub(crate) fn into_inner(self) -> R {
        self.from
    }

    pub(crate) fn finish(&mut self) -> Result<()> {
        self.skip_content()?;
        loop {
            let bytes = self.from.fill_buf().context(|| "read a tar")?;
            if bytes.is_empty() {
                return Ok(());
            }
            if bytes.iter().any(|&b| b != 0) {
                return Err(Error::invalid("read a tar: something follows its end"));
            }
            let length = bytes.len();
            self.from.consume(length);
        }
    }

    fn entry(
        &mut self,
        header: &Header<'_>,
        records: Records,
        long_name: Option<Vec<u8>>,
        long_link: Option<Vec<u8>>,
    ) -> Result<Entry> {
        let path = one_of(records.path, long_name, "name")?.unwrap_or_else(|| header.name());
        let link = one_of(records.link, long_link, "link")?.unwrap_or_else(|| header.link());
        let stored = stored_size(header.size()?, records.size)?;
        self.set_content(stored)?;
        // An old tar marks directories by their slash alone.
        let kind = match header.kind() {
            0 | b'0' if path.ends_with(b"/") => b'5',
            0 | b'7' => b'0',
            kind => kind,
        };
        let name = || Error::invalid(format!("read the entry `{}`", path.escape_ascii()));
        if kind != b'0' && kind != b'S' && stored != 0 {
            return Err(name().because(Error::invalid("content where none can be")));
        }
        if records.sparse.is_used && kind != b'0' {
            return Err(name().because(Error::invalid("a sparse map where none can be")));
        }
        let mut path = path.clone();
        let kind = match kind {
            b'0' if records.sparse.is_used => {
                if let Some(real) = &records.sparse.name {
                    path.clone_from(real);
                }
                self.pax_sparse(&records.sparse, stored)?
            }
            b'0' => Kind::File { size: stored, pieces: None },
            b'S' => self.gnu_sparse(header, stored)?,
            b'1' => Kind::Link { target: link },
            b'2' => Kind::Symlink { target: link },
            b'3' => header.device().map(|(major, minor)| Kind::Character { major, minor })?,
            b'4' => header.device().map(|(major, minor)| Kind::Block { major, minor })?,
            b'5' => Kind::Directory,
            b'6' => Kind::Fifo,
            unknown => {
                let what = format!("unknown type `{}`", unknown.escape_ascii());
                return Err(name().because(Error::invalid(what)));
            }
        };
        if matches!(kind, Kind::File { size, .. } if size > limits::FILE) {
            return Err(Error::new(
                taru_stdx::Kind::Limit,
                format!("read the entry `{}`: larger than {} bytes", path.escape_ascii(), limits::FILE),
            ));
        }
        if path.len() > limits::PATH {
            return Err(Error::new(
                taru_stdx::Kind::Limit,
                format!("read a name of {} bytes: at most {}", path.len(), limits::PATH),
            ));
        }
        let id = |of_header: i64, of_pax: Option<u64>| {
            let id = of_pax.map_or(Ok(of_header), i64::try_from).unwrap_or(-1);
            // 2^32-1 means "no id" to the kernel.
            u32::try_from(id).ok().filter(|id| *id != u32::MAX).ok_or_else(|| {
                Error::invalid(format!("read the entry `{}`: the id `{id}`", path.escape_ascii()))
            })
        };
        Ok(Entry {
            kind,
            mode: header.mode()?,
            uid: id(header.uid()?, records.uid)?,
            gid: id(header.gid()?, records.gid)?,
            mtime: match records.mtime {
                Some(time) => time,
                None => (header.mtime()?, 0),
            },
            xattrs: records.xattrs,
            path,
        })
    }

    /// A sparse file of GNU tar's own format: the map begins in the header and goes on in blocks behind it.
    fn gnu_sparse(&mut self, header: &Header<'_>, stored: u64) -> Result<Kind> {
        if !header.is_gnu() {
            return Err(Error::invalid("read a sparse file: the header is not GNU tar's"));
        }
        let SparseStart { mut pieces, mut goes_on, size } = header.sparse()?;
        while goes_on {
            let mut block = [0u8; BLOCK];
            self.read_exact(&mut block)?;
            pieces.extend(header::pieces(&block[..504])?);
            goes_on = block[504] != 0;
            if pieces.len() > limits::SPARSE_PIECES {
                return Err(Error::new(taru_stdx::Kind::Limit, "read a sparse map: too many pieces"));
            }
        }
        Ok(Kind::File { size, pieces: Some(sparse::check(pieces, size, stored)?) })
    }

    /// A sparse file by PAX records: 0.0 and 0.1 have the map in them, 1.0 in front of the data.
    fn pax_sparse(&mut self, told: &pax::Sparse, stored: u64) -> Result<Kind> {
        let bad = || Error::invalid("read a sparse file: its PAX records are not those of a known version");
        let size = told.real_size.ok_or_else(bad)?;
        let (numbers, stored) = match (told.major, told.minor) {
            (None, None) | (Some(0), Some(0 | 1)) => (told.map.clone(), stored),
            (Some(1), Some(0)) if told.map.is_empty() => {
                let numbers = self.sparse_map_in_front()?;
                (numbers, self.content)
            }
            _ => return Err(bad()),
        };
        if numbers.len() % 2 != 0 {
            return Err(bad());
        }
        let pieces = numbers.chunks_exact(2).map(|two| (two[0], two[1])).collect();
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
            self.read_exact(&mut block)?;
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
            return Err(Error::new(
                taru_stdx::Kind::Limit,
                format!("read a PAX header or long name of {size} bytes: at most {}", limits::TAR_EXTENSION),
            ));
        }
        let mut text = vec![0; size as usize];
        self.read_exact(&mut text)?;
        self.set_content(size)?;
        self.content = 0;
        Ok(text)
    }

    /// The next block that is a header; `None` at the end.
    fn header_block(&mut self) -> Result<Option<[u8; BLOCK]>> {
        if self.is_at_end {
            return Ok(None);
        }
        // Some writers end without blocks of zeros.
        if self.from.fill_buf().context(|| "read a tar")?.is_empty() {
            self.is_at_end = true;
            return Ok(None);
        }
        let mut block = [0u8; BLOCK];
        self.read_exact(&mut block)?;
        if block.iter().all(|&b| b == 0) {
            self.is_at_end = true;
            self.finish()?;
            return Ok(None);
        }
        Ok(Some(block))
    }

    fn read_exact(&mut self, into: &mut [u8]) -> Result<()> {
        self.from.read_exact(into).map_err(|e| match e.kind() {
            std::io::ErrorKind::UnexpectedEof => Error::invalid("read a tar: it ends in the middle"),
            _ => Error::new(taru_stdx::Kind::System, "read a tar").because(e),
        })
    }

    fn skip_content(&mut self) -> Result<()> {
        let mut left = self.content + self.padding;
        while left > 0 {
            let bytes = self.from.fill_buf().context(|| "read a tar")?;
            if bytes.is_empty() {
                return Err(Error::invalid("read a tar: it ends in the middle"));
            }
            let part = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            self.from.consume(part);
            left -= part as u64;
        }
        (self.content, self.padding) = (0, 0);
        Ok(())
    }
}

/// The stored bytes of an entry, piece by piece as they lie in the stream's buffer.
pub(crate) struct Content<'r, R> {
    reader: &'r mut Reader<R>,
}

impl<R: BufRead> Content<'_, R> {
    /// Hands the next bytes, `limit` at most, to `take`; `false` where there are none left.
    pub(crate) fn next(&mut self, limit: u64, take: impl FnOnce(&[u8]) -> Result<()>) -> Result<u64> {
        let left = self.reader.content.min(limit);
        if left == 0 {
            return Ok(0);
        }
        let bytes = self.reader.from.fill_buf().context(|| "read a tar")?;
        let part = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let Some(bytes) = bytes.get(..part).filter(|b| !b.is_empty()) else {
            return Err(Error::invalid("read a tar: it ends in the middle"));
        };
        take(bytes)?;
        self.reader.from.consume(part);
        self.reader.content -= part as u64;
        Ok(part as u64)
    }
}

/// What PAX says, or GNU's long name; both must agree where both are.
fn one_of(pax: Option<Vec<u8>>, gnu: Option<Vec<u8>>, what: &str) -> Result<Option<Vec<u8>>> {
    match (pax, gnu) {
        (Some(a), Some(b)) if a != b => {
            Err(Error::invalid(format!("read a header: PAX and GNU tell two {what}s")))
        }
        (pax, gnu) => Ok(pax.or(gnu)),
    }
}

/// The size of the content: what the header says. PAX may only repeat it, or say what the header cannot.
fn stored_size(header: u64, pax: Option<u64>) -> Result<u64> {
    match pax {
        None => Ok(header),
        Some(size) if size == header => Ok(size),
        // What writers put there of a size that does not fit: nothing, or the most.
        Some(size) if size > USTAR_SIZE && (header == 0 || header == USTAR_SIZE) => Ok(size),
        Some(size) => {
            Err(Error::invalid(format!("read a header: it says {header} bytes, its PAX records {size}")))
        }
    }
}
