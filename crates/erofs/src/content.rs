//! The content of a file as it comes by: dense, or in pieces with holes between them.

use taru_stdx::Result;

use crate::file::{Attributes, FileType, Inode};
use crate::format::{BLOCK, HOLE, INODE, Layout};
use crate::image::Image;
use crate::output::no_room;

/// Chunks of a sparse file, each of which takes four bytes of memory and of the image.
const CHUNKS: u64 = 1 << 14;

/// A file whose content is on its way.
#[derive(Debug)]
pub struct Open {
    size: u64,
    /// How much of it has come.
    come: u64,
    place: Place,
}

#[derive(Debug)]
enum Place {
    /// Whole blocks from this one on, the last part behind the inode.
    Inline(u32),
    /// All of it from this block on.
    Plain(u32),
    /// Where chunks of `BLOCK << bits` bytes lie.
    Chunks { bits: u8, blocks: Vec<u32> },
}

/// The chunks of a sparse file have `BLOCK << bits` bytes: the least that makes few enough of them.
pub(crate) fn chunk_bits(size: u64) -> Option<u8> {
    // An inode has five bits for it.
    (0..32).find(|bits| size.div_ceil(BLOCK << bits) <= CHUNKS)
}

impl Image {
    /// Begins a file of `size` bytes. No other may be begun before it is ended.
    ///
    /// # Errors
    /// [`taru_stdx::Kind::Limit`] for what an image has no room for.
    pub fn begin(&mut self, attributes: &Attributes<'_>, size: u64) -> Result<Open> {
        self.encode(attributes)?;
        self.tail.clear();
        let tail = size % BLOCK;
        let is_inline = tail > 0 && (INODE + self.xattrs.len()) as u64 + tail <= BLOCK;
        let place = match is_inline {
            true if size < BLOCK => Place::Inline(0),
            true => Place::Inline(self.output.allocate(size / BLOCK)?),
            false if size == 0 => Place::Plain(0),
            false => Place::Plain(self.output.allocate(size.div_ceil(BLOCK))?),
        };
        Ok(Open { size, come: 0, place })
    }

    /// Begins a sparse file of `size` bytes: what of it does not come is a hole.
    ///
    /// # Errors
    /// [`taru_stdx::Kind::Limit`] for what an image has no room for.
    pub fn begin_sparse(&mut self, attributes: &Attributes<'_>, size: u64) -> Result<Open> {
        let bits = chunk_bits(size).ok_or_else(|| no_room("so large a file"))?;
        self.encode(attributes)?;
        let blocks = vec![HOLE; size.div_ceil(BLOCK << bits) as usize];
        Ok(Open { size, come: 0, place: Place::Chunks { bits, blocks } })
    }

    /// Takes the next part of a content: that is `open`'s size in the end.
    ///
    /// # Errors
    /// Any error of the file.
    pub fn append(&mut self, open: &mut Open, bytes: &[u8]) -> Result<()> {
        let at = open.come;
        open.come += bytes.len() as u64;
        let (first, whole) = match open.place {
            Place::Inline(first) => (first, open.size / BLOCK * BLOCK),
            Place::Plain(first) => (first, open.size),
            Place::Chunks { .. } => return self.append_at(open, at, bytes),
        };
        let split = usize::try_from(whole.saturating_sub(at)).unwrap_or(usize::MAX).min(bytes.len());
        let (blocks, tail) = bytes.split_at(split);
        if !blocks.is_empty() {
            self.output.content(u64::from(first) * BLOCK + at, blocks)?;
        }
        self.tail.extend_from_slice(tail);
        Ok(())
    }

    /// Takes a part of the content of a sparse file, from `at` on: within its size, and not before what came last.
    ///
    /// # Errors
    /// Any error of the file; [`taru_stdx::Kind::Limit`] where the image becomes too large.
    pub fn append_at(&mut self, open: &mut Open, mut at: u64, mut bytes: &[u8]) -> Result<()> {
        let size = open.size;
        let Place::Chunks { bits, blocks } = &mut open.place else { return self.append(open, bytes) };
        let chunk = BLOCK << *bits;
        while !bytes.is_empty() {
            let start = at / chunk * chunk;
            let Some(block) = blocks.get_mut((at / chunk) as usize) else {
                return Err(no_room("what follows"));
            };
            if *block == HOLE {
                *block = self.output.allocate(chunk.min(size - start).div_ceil(BLOCK))?;
            }
            let room = usize::try_from(start + chunk - at).unwrap_or(usize::MAX);
            let (now, rest) = bytes.split_at(room.min(bytes.len()));
            self.output.content(u64::from(*block) * BLOCK + (at - start), now)?;
            at += now.len() as u64;
            bytes = rest;
        }
        Ok(())
    }

    /// Ends a file: all of its content has come.
    ///
    /// # Errors
    /// Any error of the file; [`taru_stdx::Kind::Limit`] for what an image has no room for.
    pub fn end(&mut self, open: Open, attributes: &Attributes<'_>) -> Result<Inode> {
        self.end_as(open, attributes, FileType::Regular)
    }

    pub(crate) fn end_as(
        &mut self,
        open: Open,
        attributes: &Attributes<'_>,
        file_type: FileType,
    ) -> Result<Inode> {
        match open.place {
            Place::Plain(block) => self.write(attributes, file_type, open.size, Layout::Plain(block), &[]),
            Place::Inline(block) => {
                let tail = std::mem::take(&mut self.tail);
                let inode = self.write(attributes, file_type, open.size, Layout::Inline(block), &tail)?;
                self.tail = tail;
                Ok(inode)
            }
            Place::Chunks { bits, blocks } => {
                self.is_chunked = true;
                let map: Vec<u8> = blocks.iter().flat_map(|block| block.to_le_bytes()).collect();
                self.write(attributes, file_type, open.size, Layout::Chunks(bits), &map)
            }
        }
    }
}
