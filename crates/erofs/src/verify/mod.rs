//! Whether an image is one that the writer of this crate makes: asked before a kernel reads what a process wrote that
//! read foreign bytes, and may have been taken over.
//!
//! Nothing is repaired and nothing guessed: each inode has the one layout that its size and its attributes lead to. The
//! writer's order makes this cheap. Inodes lie one behind the other, files in the order of their numbers, then
//! directories level by level; so do contents. What does not lie behind all that was looked at before is refused:
//! no two things overlap, no directory is met twice, and there is no way round in a circle.
//!
//! Contents are any bytes and are not read. Of each name 8 bytes are kept, of a directory that waits for its turn 16.

mod entries;
#[cfg(test)]
mod tests;
mod window;

use std::collections::VecDeque;
use std::fs::File;

use taru_stdx::{Context, Error, Result};

use self::entries::entries;
use self::window::Window;
use crate::content::chunk_bits;
use crate::file::FileType;
use crate::format::{self, BLOCK, HOLE, INODE, Layout, Node, ROOT_AT, SLOT, SUPER, SUPER_AT};
use crate::output::{MOST, place};
use crate::tree::{self, DIRECTORY};
use crate::xattr;

/// Bytes of a symbolic link's text: `PATH_MAX` without its NUL.
const LINK: u64 = 4095;

/// Verifies that `file` is an image as [`crate::Image`] makes it when it is given `memory` bytes, with this `uuid`.
///
/// Nobody may write to the file any more: it is read once, in parts.
///
/// # Errors
/// [`taru_stdx::Kind::Invalid`] for anything else; any error of the file.
pub fn verify(file: &File, uuid: &[u8; 16], memory: usize) -> Result<()> {
    let size = file.metadata().context(|| "look at the image")?.len();
    let blocks = size / BLOCK;
    if size % BLOCK != 0 || blocks == 0 || blocks > MOST {
        return Err(wrong("the file", "its size"));
    }
    let mut image = Written {
        nodes: Window::new(file, size),
        contents: Window::new(file, size),
        end: Place { byte: size, block: blocks },
        is_chunked: false,
        names: Vec::new(),
        count: 1,
        most: tree::most_names(memory),
    };
    let inodes = image.superblock(blocks, uuid)?;
    image.directories()?;
    image.files()?;
    match image.count == inodes {
        true => Ok(()),
        false => Err(wrong("the superblock", "the number of inodes")),
    }
}

fn wrong(what: &str, why: &str) -> Error {
    Error::invalid(format!("verify the image: {what}: {why}"))
}

fn wrong_in(number: u64, why: &str) -> Error {
    wrong(&format!("the inode {number}"), why)
}

/// Whether it is so of the inode `number`, or what is wrong.
fn check(is_so: bool, number: u64, why: &str) -> Result<()> {
    if is_so { Ok(()) } else { Err(wrong_in(number, why)) }
}

/// How far inodes and contents reach.
#[derive(Debug, Clone, Copy)]
struct Place {
    byte: u64,
    block: u64,
}

/// A name's type and the number that it leads to, as they are sorted: by numbers.
struct Name(u64);

impl Name {
    fn number(&self) -> u64 {
        self.0 >> 3
    }

    fn file_type(&self) -> u8 {
        (self.0 & 7) as u8
    }
}

/// An image that somebody wrote.
struct Written<'f> {
    nodes: Window<'f>,
    contents: Window<'f>,
    /// Where inodes and contents that are yet to be looked at end.
    end: Place,
    /// Files of chunks are announced.
    is_chunked: bool,
    /// Of what is no directory.
    names: Vec<Name>,
    /// Names that were met, the root counted, too.
    count: u64,
    most: u64,
}

impl Written<'_> {
    /// Checks the first block but for the root; how many inodes it says there are.
    fn superblock(&mut self, blocks: u64, uuid: &[u8; 16]) -> Result<u64> {
        let wrong = |why: &str| wrong("the superblock", why);
        let block = self.nodes.bytes(0, BLOCK as usize)?.unwrap_or_default();
        let Some((before, is)) =
            block.split_at_checked(SUPER_AT).and_then(|(before, rest)| Some((before, rest.first_chunk()?)))
        else {
            return Err(wrong("there is none"));
        };
        if before.iter().any(|byte| *byte != 0) {
            return Err(wrong("something before it"));
        }
        let (inodes, is_chunked) = format::counted(is);
        let mut expected = block.to_vec();
        expected[SUPER_AT..SUPER_AT + SUPER].fill(0);
        format::put_super(&mut expected, inodes, blocks as u32, is_chunked, uuid);
        let expected = &expected[SUPER_AT..SUPER_AT + SUPER];
        let differs = |at: usize, length: usize| is[at..at + length] != expected[at..at + length];
        let fields = [
            (0, 4, "the magic number"),
            (8, 4, "the features"),
            (12, 1, "the size of blocks"),
            (14, 2, "the root's number"),
            (36, 4, "the number of blocks"),
            (48, 16, "the uuid"),
            (80, 4, "the features"),
            (8, SUPER - 8, "a field that is none of ours"),
            // Of what is right by now.
            (4, 4, "the checksum"),
        ];
        if let Some((.., field)) = fields.iter().find(|(at, length, _)| differs(*at, *length)) {
            return Err(wrong(field));
        }
        self.is_chunked = is_chunked;
        Ok(inodes)
    }

    /// All directories, level by level. [`Written::end`] becomes where the first below the root is, and the first entries are.
    fn directories(&mut self) -> Result<()> {
        let mut place = Place { byte: ROOT_AT, block: 1 };
        let mut first = self.end;
        let root = ROOT_AT / SLOT;
        let mut waiting = VecDeque::from([(root, root)]);
        while let Some((number, parent)) = waiting.pop_front() {
            let before = place;
            let (node, behind) = self.inode(number, DIRECTORY, &mut place)?;
            let (below, starts) = self.directory((number, parent), &node, behind, &mut waiting)?;
            check(node.links == below + 2, number, "the number of its names")?;
            if number != root {
                first.byte = first.byte.min(number * SLOT);
            }
            if place.block > before.block {
                first.block = first.block.min(starts);
            }
        }
        self.end = first;
        Ok(())
    }

    /// The entries of a directory: how many directories are in it, and at which block those begin that do not lie
    /// behind its inode.
    fn directory(
        &mut self,
        (number, parent): (u64, u64),
        node: &Node,
        behind: u64,
        waiting: &mut VecDeque<(u64, u64)>,
    ) -> Result<(u32, u64)> {
        let (start, is_inline) = match node.layout {
            Layout::Inline(block) => (u64::from(block), true),
            Layout::Plain(block) => (u64::from(block), false),
            _ => (0, false),
        };
        let (mut below, mut own, mut up) = (0, false, false);
        let mut last = Vec::new();
        let mut at = 0;
        while at < node.size {
            let length = BLOCK.min(node.size - at);
            let is_last = at + length == node.size;
            let block = match is_inline && is_last {
                true => self.nodes.bytes(behind, length as usize)?,
                false => self.contents.bytes(start * BLOCK + at, length as usize)?,
            };
            let all = block.and_then(|block| entries(block, is_last));
            for entry in all.ok_or_else(|| wrong_in(number, "its entries"))? {
                check(entry.name > &last[..], number, "names out of order")?;
                last.clear();
                last.extend_from_slice(entry.name);
                let leads_to = match entry.name {
                    b"." => (&mut own, number),
                    b".." => (&mut up, parent),
                    _ => {
                        self.count += 1;
                        check(self.count <= self.most, number, "more names than there can be")?;
                        check(entry.number < self.end.byte / SLOT, number, "a name of nothing")?;
                        match entry.file_type {
                            DIRECTORY => {
                                below += 1;
                                waiting.push_back((entry.number, number));
                            }
                            1 | 3 | 4 | 5 | 7 => {
                                self.names.push(Name(entry.number << 3 | u64::from(entry.file_type)));
                            }
                            _ => return Err(wrong_in(number, "a name of an unknown type")),
                        }
                        continue;
                    }
                };
                *leads_to.0 = true;
                let is_right = entry.file_type == DIRECTORY && entry.number == leads_to.1;
                check(is_right, number, "where `.` and `..` lead")?;
            }
            at += length;
        }
        check(own && up, number, "it lacks `.` or `..`")?;
        Ok((below, start))
    }

    /// All that is no directory.
    fn files(&mut self) -> Result<()> {
        let mut names = std::mem::take(&mut self.names);
        names.sort_unstable_by_key(|name| name.0);
        let mut place = Place { byte: BLOCK, block: 1 };
        for same in names.chunk_by(|a, b| a.number() == b.number()) {
            let [first, ..] = same else { continue };
            let (number, file_type) = (first.number(), first.file_type());
            let is_one = same.iter().all(|name| name.file_type() == file_type);
            check(is_one, number, "its type")?;
            let (node, _) = self.inode(number, file_type, &mut place)?;
            check(u64::from(node.links) == same.len() as u64, number, "the number of its names")?;
        }
        Ok(())
    }

    /// The inode `number`, that names say to be a `file_type`, and where it ends with its attributes. It lies behind `place`,
    /// which becomes its end.
    fn inode(&mut self, number: u64, file_type: u8, place: &mut Place) -> Result<(Node, u64)> {
        let at = number * SLOT;
        check(at >= place.byte, number, "it is not behind the one before, or has two parents")?;
        let bytes = self.nodes.bytes(at, INODE)?.and_then(|bytes| bytes.first_chunk::<INODE>());
        let Some(bytes) = bytes else { return Err(wrong("a name", "it leads out of the image")) };
        let node = Node::from_bytes(bytes);
        check(node.to_bytes(number) == *bytes, number, "its version, its layout or what is reserved")?;
        let mode = match file_type {
            DIRECTORY => 0o4 << 12,
            other => FileType::named(other).of_mode(),
        };
        check(node.mode & 0o17 << 12 == mode, number, "its type")?;
        check(node.mtime.1 < 1_000_000_000, number, "its time")?;
        let content = Content::of(&node, number)?;
        let length = (INODE + node.xattrs) as u64 + content.behind;
        check(self::place(at, length) == at, number, "what lies behind it leaves its block")?;
        check(at + length <= self.end.byte, number, "it reaches too far")?;
        place.byte = at + length;
        let behind = at + (INODE + node.xattrs) as u64;
        let xattrs = self.nodes.bytes(at + INODE as u64, node.xattrs)?.unwrap_or_default();
        check(xattr::is_encoded(xattrs), number, "its extended attributes")?;
        match node.layout {
            Layout::Chunks(bits) => self.chunks(number, node.size, bits, behind, place)?,
            _ if content.blocks > 0 => self.content(number, content.start, content.blocks, place)?,
            _ => check(content.start == 0, number, "its blocks")?,
        }
        Ok((node, behind))
    }

    /// Blocks of a content, which are in the image, behind all that came before.
    fn content(&self, number: u64, start: u32, blocks: u64, place: &mut Place) -> Result<()> {
        let start = u64::from(start);
        let is_there = start >= place.block && blocks <= self.end.block && start <= self.end.block - blocks;
        check(is_there, number, "its blocks")?;
        place.block = start + blocks;
        Ok(())
    }

    /// The chunks of a sparse file, by the map at `at`.
    fn chunks(&mut self, number: u64, size: u64, bits: u8, at: u64, place: &mut Place) -> Result<()> {
        check(self.is_chunked, number, "chunks that the superblock does not announce")?;
        let chunk = BLOCK << bits;
        let length = size.div_ceil(chunk) * 4;
        let map = self.nodes.bytes(at, length as usize)?.unwrap_or_default().to_vec();
        let blocks = map.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        for (block, n) in blocks.zip(0u64..).filter(|(block, _)| *block != HOLE) {
            self.content(number, block, chunk.min(size - n * chunk).div_ceil(BLOCK), place)?;
        }
        Ok(())
    }
}

/// Where the content of an inode has to be.
struct Content {
    start: u32,
    /// Whole blocks, elsewhere.
    blocks: u64,
    /// Bytes behind the inode.
    behind: u64,
}

impl Content {
    /// As the type, the size and the attributes lead to it.
    fn of(node: &Node, number: u64) -> Result<Content> {
        let (start, blocks, behind) = match (node.mode >> 12, node.layout) {
            // Devices and fifos.
            (0o1 | 0o2 | 0o6, layout) => {
                check(node.size == 0, number, "its size")?;
                check(matches!(layout, Layout::Device(_) | Layout::Plain(0)), number, "its layout")?;
                (0, 0, 0)
            }
            (0o10, Layout::Chunks(bits)) => {
                check(chunk_bits(node.size) == Some(bits), number, "the size of its chunks")?;
                (0, 0, node.size.div_ceil(BLOCK << bits) * 4)
            }
            (_, layout) => {
                let tail = node.size % BLOCK;
                let room = if number == ROOT_AT / SLOT { BLOCK - ROOT_AT } else { BLOCK };
                let fits = tail > 0 && (INODE + node.xattrs) as u64 + tail <= room;
                match layout {
                    Layout::Inline(block) if fits => (block, node.size / BLOCK, tail),
                    Layout::Plain(block) if !fits => (block, node.size.div_ceil(BLOCK), 0),
                    _ => return Err(wrong_in(number, "its layout")),
                }
            }
        };
        check(node.mode >> 12 != 0o12 || node.size <= LINK, number, "its size")?;
        Ok(Content { start, blocks, behind })
    }
}
