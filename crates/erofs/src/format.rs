//! The structs on disk, little-endian, as fs/erofs/erofs_fs.h has them.

/// Bytes of a block.
pub const BLOCK: u64 = 4096;
/// What inodes are aligned to, and counted in.
pub(crate) const SLOT: u64 = 32;
/// Bytes of an extended inode.
pub(crate) const INODE: usize = 64;
/// Where in the inode the number of its names lies.
pub(crate) const LINKS_AT: u64 = 44;
/// Where the superblock is.
pub(crate) const SUPER_AT: usize = 1024;
/// Bytes of the superblock.
pub(crate) const SUPER: usize = 128;
/// Where the root's inode is: behind the superblock.
pub(crate) const ROOT_AT: u64 = 1152;
/// The block of a chunk that is a hole.
pub(crate) const HOLE: u32 = u32::MAX;
/// Bytes of an entry of a directory, without its name.
pub(crate) const DIRENT: usize = 12;

const MAGIC: u32 = 0xe0f5_e1e2;
/// The superblock has a checksum; times are those of the last change of the content.
const COMPATIBLE: u32 = 0x1 | 0x2;
/// There are files of chunks.
const CHUNKED: u32 = 0x4;

/// Where a content lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// From this block on.
    Plain(u32),
    /// From this block on, but for its last part, which lies behind the inode.
    Inline(u32),
    /// In chunks of `BLOCK << bits` bytes; the block of each is told behind the inode.
    Chunks(u8),
    /// Nowhere: a device's numbers.
    Device(u32),
}

/// An inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Node {
    /// With the type.
    pub mode: u16,
    pub size: u64,
    pub layout: Layout,
    /// Bytes of attributes behind it.
    pub xattrs: usize,
    pub uid: u32,
    pub gid: u32,
    pub mtime: (i64, u32),
    pub links: u32,
}

impl Node {
    /// As it is on disk; `number` is its own.
    pub(crate) fn to_bytes(self, number: u64) -> [u8; INODE] {
        let (layout, word) = match self.layout {
            Layout::Plain(block) => (0, block),
            Layout::Inline(block) => (2, block),
            Layout::Chunks(bits) => (4, u32::from(bits)),
            Layout::Device(device) => (0, device),
        };
        // The header has 12 bytes, but counts as one of 4.
        let units = if self.xattrs == 0 { 0 } else { (self.xattrs - 12) / 4 + 1 };
        let mut bytes = [0; INODE];
        let mut put = |at: usize, part: &[u8]| bytes[at..at + part.len()].copy_from_slice(part);
        put(0, &(1u16 | layout << 1).to_le_bytes());
        put(2, &(units as u16).to_le_bytes());
        put(4, &self.mode.to_le_bytes());
        put(8, &self.size.to_le_bytes());
        put(16, &word.to_le_bytes());
        // For programs that know numbers of 32 bits alone.
        put(20, &(number as u32).to_le_bytes());
        put(24, &self.uid.to_le_bytes());
        put(28, &self.gid.to_le_bytes());
        put(32, &self.mtime.0.to_le_bytes());
        put(40, &self.mtime.1.to_le_bytes());
        put(LINKS_AT as usize, &self.links.to_le_bytes());
        bytes
    }

    /// What [`Node::to_bytes`] made.
    pub(crate) fn from_bytes(bytes: &[u8; INODE]) -> Node {
        fn number<const N: usize>(bytes: &[u8; INODE], at: usize) -> [u8; N] {
            let mut part = [0; N];
            part.copy_from_slice(&bytes[at..at + N]);
            part
        }
        let short = |at| u16::from_le_bytes(number(bytes, at));
        let word = |at| u32::from_le_bytes(number(bytes, at));
        let mode = short(4);
        let layout = match (short(0) >> 1, mode >> 12) {
            (_, 0o2 | 0o6) => Layout::Device(word(16)),
            (2, _) => Layout::Inline(word(16)),
            (4, _) => Layout::Chunks(bytes[16]),
            _ => Layout::Plain(word(16)),
        };
        let units = usize::from(short(2));
        Node {
            mode,
            size: u64::from_le_bytes(number(bytes, 8)),
            layout,
            xattrs: if units == 0 { 0 } else { 12 + (units - 1) * 4 },
            uid: word(24),
            gid: word(28),
            mtime: (i64::from_le_bytes(number(bytes, 32)), word(40)),
            links: word(LINKS_AT as usize),
        }
    }
}

/// The superblock's part of block 0, all else of which is there: with the checksum over both.
pub(crate) fn put_super(block: &mut [u8], inodes: u64, blocks: u32, is_chunked: bool, uuid: &[u8; 16]) {
    let sum = {
        let Some((_, from)) = block.split_at_mut_checked(SUPER_AT) else { return };
        let mut put = |at: usize, part: &[u8]| from[at..at + part.len()].copy_from_slice(part);
        put(0, &MAGIC.to_le_bytes());
        put(8, &COMPATIBLE.to_le_bytes());
        put(12, &[BLOCK.trailing_zeros() as u8]);
        put(14, &((ROOT_AT / SLOT) as u16).to_le_bytes());
        put(16, &inodes.to_le_bytes());
        put(36, &blocks.to_le_bytes());
        put(48, uuid);
        put(80, &(if is_chunked { CHUNKED } else { 0 }).to_le_bytes());
        crc32c(from)
    };
    block[SUPER_AT + 4..SUPER_AT + 8].copy_from_slice(&sum.to_le_bytes());
}

/// What a superblock says that is not known without it: how many inodes there are, whether there are files of chunks.
pub(crate) fn counted(bytes: &[u8; SUPER]) -> (u64, bool) {
    let mut inodes = [0; 8];
    inodes.copy_from_slice(&bytes[16..24]);
    (u64::from_le_bytes(inodes), bytes[80] & CHUNKED as u8 != 0)
}

/// A device's number as inodes have it: 12 bits of the driver, 20 of which one. `None` for one that does not fit.
pub(crate) fn device(major: u32, minor: u32) -> Option<u32> {
    (major < 1 << 12 && minor < 1 << 20).then_some(minor & 0xff | major << 8 | (minor & !0xff) << 12)
}

/// Driver and number of a device of an inode.
pub(crate) fn numbers(device: u32) -> (u32, u32) {
    (device >> 8 & 0xfff, device & 0xff | device >> 12 & !0xff)
}

/// The checksum of Castagnoli, without the inversion at its end, as the kernel's `crc32c()` has it.
fn crc32c(bytes: &[u8]) -> u32 {
    bytes.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| sum >> 1 ^ if sum & 1 == 1 { 0x82f6_3b78 } else { 0 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_castagnolis() {
        // RFC 3720, B.4, which inverts at the end.
        assert_eq!(!crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(!crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn an_inode_is_read_as_written() {
        for layout in [Layout::Plain(7), Layout::Inline(8), Layout::Chunks(9)] {
            let node = Node {
                mode: 0o104_755,
                size: 1 << 40,
                layout,
                xattrs: 12 + 40,
                uid: u32::MAX - 1,
                gid: 7,
                mtime: (-5, 999_999_999),
                links: 3,
            };
            assert_eq!(Node::from_bytes(&node.to_bytes(99)), node);
        }
        for (major, minor) in [(0, 0), (1, 3), (4095, (1 << 20) - 1), (8, 300)] {
            assert_eq!(numbers(device(major, minor).unwrap()), (major, minor));
        }
        assert_eq!((device(4096, 0), device(0, 1 << 20)), (None, None));
        // As makedev(3) has it.
        assert_eq!(device(1, 3), Some(0x103));
    }
}
