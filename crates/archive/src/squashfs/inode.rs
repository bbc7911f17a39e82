//! Inodes, and their extended attributes.

use taru_oci::limits;
use taru_stdx::{Error, Kind, Result};
use taru_tar as tar;

use super::metadata::Cursor;
use super::{Image, NONE32, bad, number};

/// An inode.
pub(super) struct Inode {
    pub(super) number: u32,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) modified: u32,
    pub(super) links: u32,
    pub(super) kind: Node,
    /// Which set of attributes it has, or [`NONE32`].
    pub(super) xattrs: u32,
}

/// What an inode is.
pub(super) enum Node {
    Directory { block: u32, offset: u16, size: u32 },
    File(Data),
    Symlink(Vec<u8>),
    Device(tar::Kind),
    Fifo,
    Socket,
}

/// Where a file's content lies.
#[derive(Clone)]
pub(super) struct Data {
    pub(super) size: u64,
    pub(super) start: u64,
    /// Index of the fragment that has its end, or [`NONE32`], and where in it.
    pub(super) fragment: u32,
    pub(super) offset: u32,
    /// The sizes of its blocks follow here.
    pub(super) sizes: Cursor,
}

impl Image {
    /// The inode at `reference`.
    pub(super) fn inode(&mut self, reference: u64) -> Result<Inode> {
        let mut at = Cursor::of(self.inodes, reference)?;
        let kind = at.u16(self)?;
        let mode = u32::from(at.u16(self)?);
        let (uid, gid) = (at.u16(self)?, at.u16(self)?);
        let (modified, number) = (at.u32(self)?, at.u32(self)?);
        let (uid, gid) = (self.id(uid)?, self.id(gid)?);
        let (mut links, mut xattrs) = (1, NONE32);
        let kind = match kind {
            1 => {
                let block = at.u32(self)?;
                at.u32(self)?;
                let size = u32::from(at.u16(self)?);
                Node::Directory { block, offset: at.u16(self)?, size }
            }
            8 => {
                at.u32(self)?;
                let (size, block) = (at.u32(self)?, at.u32(self)?);
                at.u32(self)?;
                at.u16(self)?;
                let offset = at.u16(self)?;
                xattrs = at.u32(self)?;
                Node::Directory { block, offset, size }
            }
            2 => {
                let start = u64::from(at.u32(self)?);
                let (fragment, offset) = (at.u32(self)?, at.u32(self)?);
                let size = u64::from(at.u32(self)?);
                Node::File(Data { size, start, fragment, offset, sizes: at })
            }
            9 => {
                let (start, size) = (at.u64(self)?, at.u64(self)?);
                at.u64(self)?;
                links = at.u32(self)?;
                let (fragment, offset) = (at.u32(self)?, at.u32(self)?);
                xattrs = at.u32(self)?;
                Node::File(Data { size, start, fragment, offset, sizes: at })
            }
            3 | 10 => {
                links = at.u32(self)?;
                let length = at.u32(self)? as usize;
                if length > limits::PATH {
                    return Err(Error::new(
                        Kind::Limit,
                        "read the squashfs: a symbolic link that is too long",
                    ));
                }
                let target = at.bytes(self, length)?;
                if kind == 10 {
                    xattrs = at.u32(self)?;
                }
                Node::Symlink(target)
            }
            4 | 5 | 11 | 12 => {
                links = at.u32(self)?;
                let device = at.u32(self)?;
                if kind > 10 {
                    xattrs = at.u32(self)?;
                }
                let is_block = kind == 4 || kind == 11;
                // The kernel's new_decode_dev().
                let major = (device & 0xf_ff00) >> 8;
                let minor = (device & 0xff) | ((device >> 12) & 0xf_ff00);
                Node::Device(match is_block {
                    true => tar::Kind::Block { major, minor },
                    false => tar::Kind::Character { major, minor },
                })
            }
            6 | 7 | 13 | 14 => {
                links = at.u32(self)?;
                if kind > 10 {
                    xattrs = at.u32(self)?;
                }
                if kind == 6 || kind == 13 { Node::Fifo } else { Node::Socket }
            }
            _ => return Err(bad("an inode of an unknown type")),
        };
        Ok(Inode { number, mode, uid, gid, modified, links, kind, xattrs })
    }

    /// The attributes of set `index`.
    pub(super) fn attributes(&mut self, index: u32) -> Result<tar::Xattrs> {
        if index == NONE32 {
            return Ok(Vec::new());
        }
        let Some((table, list, count)) = self.xattrs.filter(|(.., count)| index < *count) else {
            return Err(bad("attributes that there are not"));
        };
        let mut entry = self.listed(list, u64::from(index) * 16)?;
        let (reference, pairs) = (entry.u64(self)?, entry.u32(self)?);
        let _ = count;
        let mut at = Cursor::of(table, reference)?;
        let mut found = Vec::new();
        let mut total = 0;
        for _ in 0..pairs {
            let (kind, length) = (at.u16(self)?, usize::from(at.u16(self)?));
            let name = at.bytes(self, length)?;
            let size = at.u32(self)? as usize;
            total += length + size.min(limits::XATTRS) + 32;
            if size > limits::XATTRS || total > limits::XATTRS {
                return Err(Error::new(Kind::Limit, "read the squashfs: too many attributes"));
            }
            let value = at.bytes(self, size)?;
            let value = match kind & 0x100 != 0 {
                false => value,
                // The value lies elsewhere, as several files have it.
                true => {
                    let mut other = Cursor::of(table, number(&value, 0, 8))?;
                    let size = other.u32(self)? as usize;
                    total += size.min(limits::XATTRS);
                    if size > limits::XATTRS || total > limits::XATTRS {
                        return Err(Error::new(Kind::Limit, "read the squashfs: too many attributes"));
                    }
                    other.bytes(self, size)?
                }
            };
            let prefix: &[u8] = match kind & 0xff {
                0 => b"user.",
                1 => b"trusted.",
                2 => b"security.",
                _ => return Err(bad("an attribute of an unknown kind")),
            };
            found.push(([prefix, &name].concat(), value));
        }
        found.sort();
        Ok(found)
    }
}
