//! Streams of metadata blocks.

use std::collections::VecDeque;
use std::os::unix::fs::FileExt;
use std::rc::Rc;

use taru_stdx::{Context, Result};

use super::{Image, METADATA, bad, number};

/// How many unpacked blocks are kept: a walk goes back and forth between inodes and directories.
const KEPT: usize = 64;

/// The blocks that were unpacked last, the newest first.
#[derive(Default)]
pub(super) struct Cache {
    blocks: VecDeque<(u64, Rc<Block>)>,
}

struct Block {
    bytes: Vec<u8>,
    /// Where the next one is.
    next: u64,
}

impl Image {
    fn metadata(&mut self, position: u64) -> Result<Rc<Block>> {
        if let Some(at) = self.cache.blocks.iter().position(|(of, _)| *of == position)
            && let Some(found) = self.cache.blocks.remove(at)
        {
            let block = Rc::clone(&found.1);
            self.cache.blocks.push_front(found);
            return Ok(block);
        }
        let what = || "read the metadata of the squashfs";
        let mut header = [0; 2];
        self.file.read_exact_at(&mut header, position).context(what)?;
        let header = u16::from_le_bytes(header);
        let length = usize::from(header & 0x7fff);
        if length == 0 || length > METADATA {
            return Err(bad("a metadata block of an impossible size"));
        }
        let mut bytes = vec![0; length];
        // The position was read at: two more fit.
        self.file.read_exact_at(&mut bytes, position + 2).context(what)?;
        if header & 0x8000 == 0 {
            bytes = self.unpack(&bytes, METADATA)?;
        }
        let block = Rc::new(Block { bytes, next: position + 2 + length as u64 });
        self.cache.blocks.push_front((position, Rc::clone(&block)));
        self.cache.blocks.truncate(KEPT);
        Ok(block)
    }
}

/// A place in a stream of metadata blocks.
#[derive(Clone)]
pub(super) struct Cursor {
    position: u64,
    offset: usize,
}

impl Cursor {
    /// At byte `offset` of the block at `position`.
    pub(super) fn at(position: u64, offset: usize) -> Result<Cursor> {
        if offset >= METADATA || position > i64::MAX as u64 - (1 << 17) {
            return Err(bad("a reference to nowhere"));
        }
        Ok(Cursor { position, offset })
    }

    /// Where `reference` leads in the table at `table`.
    pub(super) fn of(table: u64, reference: u64) -> Result<Cursor> {
        let position = table.checked_add(reference >> 16).ok_or_else(|| bad("a reference to nowhere"))?;
        Cursor::at(position, (reference & 0xffff) as usize)
    }

    /// The next `length` bytes, of which there are few.
    pub(super) fn bytes(&mut self, image: &mut Image, length: usize) -> Result<Vec<u8>> {
        let mut out = Vec::with_capacity(length);
        while out.len() < length {
            let block = image.metadata(self.position)?;
            let rest = block.bytes.get(self.offset..).unwrap_or_default();
            if rest.is_empty() {
                // A block that is not full ends a table: nothing is behind it.
                if block.bytes.len() < METADATA {
                    return Err(bad("a table that ends too early"));
                }
                (self.position, self.offset) = (block.next, 0);
                continue;
            }
            let part = rest.get(..rest.len().min(length - out.len())).unwrap_or_default();
            out.extend_from_slice(part);
            self.offset += part.len();
        }
        Ok(out)
    }

    pub(super) fn u16(&mut self, image: &mut Image) -> Result<u16> {
        Ok(number(&self.bytes(image, 2)?, 0, 2) as u16)
    }

    pub(super) fn u32(&mut self, image: &mut Image) -> Result<u32> {
        Ok(number(&self.bytes(image, 4)?, 0, 4) as u32)
    }

    pub(super) fn u64(&mut self, image: &mut Image) -> Result<u64> {
        Ok(number(&self.bytes(image, 8)?, 0, 8))
    }
}
