//! The image file: two runs of bytes, inodes and contents, each written in large parts to its own places.

use std::fs::File;
use std::os::unix::fs::FileExt;

use taru_stdx::{Context, Error, Kind, Result};

use crate::format::{BLOCK, INODE, SLOT};

/// Blocks that are reserved for inodes at once.
const RESERVED: u64 = 64;
/// Bytes that are written at once.
const PART: usize = 256 << 10;
/// Blocks of an image: half of what 32 bits can name, and less than ext4 can hold of a file (16 TiB).
pub(crate) const MOST: u64 = 1 << 31;

/// Where bytes go one behind the other.
#[derive(Default)]
struct Run {
    /// Where the buffer lies in the image.
    at: u64,
    buffer: Vec<u8>,
}

impl Run {
    fn end(&self) -> u64 {
        self.at + self.buffer.len() as u64
    }

    fn flush(&mut self, file: &File) -> Result<()> {
        file.write_all_at(&self.buffer, self.at).context(|| "write the image")?;
        self.at = self.end();
        self.buffer.clear();
        Ok(())
    }

    /// Goes on at `at`: over zeros, where that is not far behind the end.
    fn seek(&mut self, at: u64, file: &File) -> Result<()> {
        match at.checked_sub(self.end()) {
            Some(gap) if gap < BLOCK => self.buffer.resize(self.buffer.len() + gap as usize, 0),
            _ => {
                self.flush(file)?;
                self.at = at;
            }
        }
        Ok(())
    }

    fn push(&mut self, bytes: &[u8], file: &File) -> Result<()> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= PART { self.flush(file) } else { Ok(()) }
    }

    /// What lies at `at`, if it is still in the buffer.
    fn held(&self, at: u64, length: usize) -> Option<&[u8]> {
        let start = usize::try_from(at.checked_sub(self.at)?).ok()?;
        self.buffer.get(start..start.checked_add(length)?)
    }
}

/// The file, and what is not in it yet.
pub(crate) struct Output {
    file: File,
    /// The first block that is nobody's.
    next: u64,
    nodes: Run,
    /// The end of what is reserved for inodes.
    reserved: u64,
    content: Run,
}

/// Where an inode comes to lie that is to be behind `at` and has `length` bytes with all that belongs to it: in one
/// block, if it fits into one.
pub(crate) fn place(at: u64, length: u64) -> u64 {
    let at = at.next_multiple_of(SLOT);
    if at % BLOCK + length > BLOCK { at.next_multiple_of(BLOCK) } else { at }
}

/// An image has no room for it.
pub(crate) fn no_room(what: &str) -> Error {
    Error::new(Kind::Limit, format!("write an image: it has no room for {what}"))
}

impl Output {
    /// Into an empty file. The first block is the caller's.
    pub(crate) fn new(file: File) -> Output {
        Output { file, next: 1, nodes: Run::default(), reserved: 0, content: Run::default() }
    }

    /// The first of `count` blocks that become the caller's.
    pub(crate) fn allocate(&mut self, count: u64) -> Result<u32> {
        let first = self.next;
        self.next = first.checked_add(count).filter(|end| *end <= MOST).ok_or_else(|| no_room("so much"))?;
        Ok(first as u32)
    }

    /// Writes an inode with what belongs behind it, and tells its number. `node` is given that number.
    pub(crate) fn node(
        &mut self,
        node: impl FnOnce(u64) -> [u8; INODE],
        xattrs: &[u8],
        behind: &[u8],
    ) -> Result<u64> {
        let length = (INODE + xattrs.len() + behind.len()) as u64;
        let mut at = place(self.nodes.end(), length);
        if at + length > self.reserved {
            let missing = (at + length - self.reserved).div_ceil(BLOCK).max(RESERVED);
            let start = u64::from(self.allocate(missing)?) * BLOCK;
            if start != self.reserved {
                // Contents lie between: what is left of the old blocks stays empty.
                self.nodes.flush(&self.file)?;
                self.nodes.at = start;
                at = start;
            }
            self.reserved = start + missing * BLOCK;
        }
        // Over what is left empty of a block.
        let number = at / SLOT;
        self.nodes.seek(at, &self.file)?;
        self.nodes.buffer.extend_from_slice(&node(number));
        self.nodes.buffer.extend_from_slice(xattrs);
        self.nodes.push(behind, &self.file)?;
        Ok(number)
    }

    /// Gives back what was reserved for inodes and is not needed, and reserves `length` bytes for those of directories.
    pub(crate) fn reserve(&mut self, length: u64) -> Result<()> {
        let base = self.directories();
        self.next = base / BLOCK;
        self.allocate(length.div_ceil(BLOCK))?;
        self.nodes.flush(&self.file)?;
        self.nodes.at = base;
        self.reserved = self.next * BLOCK;
        Ok(())
    }

    /// Where the inodes of directories begin.
    pub(crate) fn directories(&self) -> u64 {
        let is_last = self.reserved == self.next * BLOCK;
        if is_last { self.nodes.end().next_multiple_of(BLOCK) } else { self.next * BLOCK }
    }

    /// Writes a part of a content.
    pub(crate) fn content(&mut self, at: u64, bytes: &[u8]) -> Result<()> {
        self.content.seek(at, &self.file)?;
        self.content.push(bytes, &self.file)
    }

    /// Changes what is written.
    pub(crate) fn change(&self, at: u64, bytes: &[u8]) -> Result<()> {
        self.file.write_all_at(bytes, at).context(|| "write the image")
    }

    /// Reads what is written, or about to be.
    pub(crate) fn read(&self, at: u64, into: &mut [u8]) -> Result<()> {
        match [&self.nodes, &self.content].iter().find_map(|run| run.held(at, into.len())) {
            Some(held) => into.copy_from_slice(held),
            None => self.file.read_exact_at(into, at).context(|| "read the image")?,
        }
        Ok(())
    }

    /// Writes all that came, and gives the file all its blocks.
    pub(crate) fn flush(&mut self) -> Result<()> {
        self.nodes.flush(&self.file)?;
        self.content.flush(&self.file)?;
        self.file.set_len(self.next * BLOCK).context(|| "set the size of the image")
    }

    /// How many blocks there are.
    pub(crate) fn blocks(&self) -> u64 {
        self.next
    }
}
