//! An image that is being made: files that are in it, names that lead to them.

use std::fs::File;

use taru_stdx::Result;

use crate::file::{Attributes, FileType, Inode};
use crate::format::{self, INODE, Layout, Node};
use crate::output::{Output, no_room};
use crate::tree::Tree;
use crate::xattr;

/// An image that is being made.
pub struct Image {
    pub(crate) output: Output,
    pub(crate) tree: Tree,
    /// Whether there is a file of chunks.
    pub(crate) is_chunked: bool,
    /// For the attributes of one inode.
    pub(crate) xattrs: Vec<u8>,
    /// For the last part of one content.
    pub(crate) tail: Vec<u8>,
}

impl Image {
    /// One in `file`, which is empty and can be read. At most `memory` bytes are taken for names and directories.
    pub fn new(file: File, memory: usize) -> Image {
        Image {
            output: Output::new(file),
            tree: Tree::new(memory),
            is_chunked: false,
            xattrs: Vec::new(),
            tail: Vec::new(),
        }
    }

    /// Writes a symbolic link with this text.
    ///
    /// # Errors
    /// Any error of the file; [`taru_stdx::Kind::Limit`] for what an image has no room for.
    pub fn symlink(&mut self, attributes: &Attributes<'_>, text: &[u8]) -> Result<Inode> {
        let mut open = self.begin(attributes, text.len() as u64)?;
        self.append(&mut open, text)?;
        self.end_as(open, attributes, FileType::Symlink)
    }

    /// Writes a device with these numbers, or a fifo, which has none.
    ///
    /// # Errors
    /// Any error of the file; [`taru_stdx::Kind::Limit`] for what an image has no room for.
    pub fn node(
        &mut self,
        attributes: &Attributes<'_>,
        file_type: FileType,
        (major, minor): (u32, u32),
    ) -> Result<Inode> {
        let device = format::device(major, minor).ok_or_else(|| no_room("the numbers of a device"))?;
        self.encode(attributes)?;
        self.write(attributes, file_type, 0, Layout::Device(device), &[])
    }

    /// Prepares the attributes of the next inode.
    pub(crate) fn encode(&mut self, attributes: &Attributes<'_>) -> Result<()> {
        self.xattrs.clear();
        xattr::encode(attributes.xattrs, &mut self.xattrs)
    }

    /// Writes an inode whose attributes are prepared.
    pub(crate) fn write(
        &mut self,
        attributes: &Attributes<'_>,
        file_type: FileType,
        size: u64,
        layout: Layout,
        behind: &[u8],
    ) -> Result<Inode> {
        let node = Node {
            mode: file_type.of_mode() | (attributes.mode & 0o7777) as u16,
            size,
            layout,
            xattrs: self.xattrs.len(),
            uid: attributes.uid,
            gid: attributes.gid,
            mtime: attributes.mtime,
            links: 1,
        };
        let bytes = |number| -> [u8; INODE] { node.to_bytes(number) };
        let number = self.output.node(bytes, &self.xattrs, behind)?;
        Ok(Inode { number, file_type })
    }
}
