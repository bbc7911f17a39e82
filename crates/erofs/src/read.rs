//! What is in an image that is being made, read back: where links lead, what a file is that kept one of its names.

use taru_stdx::Result;

use crate::file::Inode;
use crate::format::{self, BLOCK, HOLE, INODE, Layout, Node, SLOT};
use crate::image::Image;
use crate::xattr;

/// What an inode is like, but for its extended attributes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stat {
    /// Permissions, set-id bits and the sticky one.
    pub mode: u32,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// Seconds since 1970, and nanoseconds after that second.
    pub mtime: (i64, u32),
    /// Bytes of the content.
    pub size: u64,
    /// A device's numbers.
    pub device: (u32, u32),
}

/// A part of a content that lies in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Where it is in the file.
    pub offset: u64,
    /// Where it is in the image.
    pub at: u64,
    /// Its bytes.
    pub length: u64,
}

impl Image {
    /// What `inode` is like.
    ///
    /// # Errors
    /// Any error of the file.
    pub fn stat(&self, inode: Inode) -> Result<Stat> {
        let node = self.read_node(inode)?;
        Ok(Stat {
            mode: u32::from(node.mode & 0o7777),
            uid: node.uid,
            gid: node.gid,
            mtime: node.mtime,
            size: node.size,
            device: match node.layout {
                Layout::Device(device) => format::numbers(device),
                _ => (0, 0),
            },
        })
    }

    /// The extended attributes of `inode`.
    ///
    /// # Errors
    /// Any error of the file.
    pub fn xattrs(&self, inode: Inode) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let mut bytes = vec![0; self.read_node(inode)?.xattrs];
        self.output.read(inode.number * SLOT + INODE as u64, &mut bytes)?;
        Ok(xattr::decode(&bytes))
    }

    /// Where the content of `inode` lies, hole by hole left out; in order.
    ///
    /// # Errors
    /// Any error of the file.
    pub fn extents(&self, inode: Inode) -> Result<Vec<Extent>> {
        let node = self.read_node(inode)?;
        let behind = inode.number * SLOT + (INODE + node.xattrs) as u64;
        let extent = |offset: u64, at: u64, end: u64| Extent { offset, at, length: end - offset };
        let start = |block: u32| u64::from(block) * BLOCK;
        Ok(match node.layout {
            Layout::Device(_) => Vec::new(),
            Layout::Plain(block) => vec![extent(0, start(block), node.size)],
            Layout::Inline(block) => {
                let whole = node.size / BLOCK * BLOCK;
                vec![extent(0, start(block), whole), extent(whole, behind, node.size)]
            }
            Layout::Chunks(bits) => {
                let chunk = BLOCK << bits;
                let mut map = vec![0; node.size.div_ceil(chunk) as usize * 4];
                self.output.read(behind, &mut map)?;
                let blocks = map.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
                blocks
                    .zip(0u64..)
                    .filter(|(block, _)| *block != HOLE)
                    .map(|(block, n)| extent(n * chunk, start(block), ((n + 1) * chunk).min(node.size)))
                    .collect()
            }
        })
    }

    /// The text of a symbolic link.
    ///
    /// # Errors
    /// Any error of the file.
    pub fn read_link(&self, inode: Inode) -> Result<Vec<u8>> {
        let mut text = Vec::new();
        for Extent { at, length, .. } in self.extents(inode)? {
            let start = text.len();
            text.resize(start + length as usize, 0);
            self.read(at, text.get_mut(start..).unwrap_or_default())?;
        }
        Ok(text)
    }

    /// Reads a part of an extent.
    ///
    /// # Errors
    /// Any error of the file.
    pub fn read(&self, at: u64, into: &mut [u8]) -> Result<()> {
        self.output.read(at, into)
    }

    /// Writes what came so far to the file: what lies there in parts can be read.
    ///
    /// # Errors
    /// Any error of the file.
    pub fn flush(&mut self) -> Result<()> {
        self.output.flush()
    }

    fn read_node(&self, inode: Inode) -> Result<Node> {
        let mut bytes = [0; INODE];
        self.output.read(inode.number * SLOT, &mut bytes)?;
        Ok(Node::from_bytes(&bytes))
    }
}
