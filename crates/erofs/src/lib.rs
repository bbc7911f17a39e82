//! Images of the file system erofs, written as their files come by.
//!
//! The format is the kernel's: Documentation/filesystems/erofs.rst, fs/erofs/erofs_fs.h. Of what it offers, this is used:
//!
//! ```text
//! block 0                       blocks 1 ...
//! [ 1024: superblock | root ]   [ inodes ][ content ][ inodes ][ content ] ...   [ directories ]
//!                                 └ 64 bytes, attributes, a short content or the last part of a longer one
//! ```
//! * Blocks of 4096 bytes, nothing compressed. An inode is named by its place: its number is the offset in units of 32
//!   bytes. The root's has 16 bits, so its inode lies behind the superblock.
//! * Extended inodes (64 bytes) alone: the compact ones have neither times nor large ids.
//! * A content's whole blocks lie somewhere, in a row; its last part lies behind the inode, if both fit into a block
//!   (`FLAT_INLINE`), or with the rest (`FLAT_PLAIN`). Of a sparse file chunks that are holes lie nowhere (`CHUNK_BASED`).
//! * Extended attributes lie behind their inode.
//! * A directory is blocks of entries, sorted by the bytes of their names, `.` and `..` among them.
//!
//! Metadata and data may be mixed (erofs.rst), so that a file is in the image once its content has come: what is kept in
//! memory is names and where they lead, and the attributes of directories, which are written last. Of one tree, whatever
//! came in one order makes one image: there is no time and no chance in it.
//!
//! [`verify`] tells whether a file is such an image, and refuses all else that the format has.
//!
//! Whatever an image has no room for, and more names than the memory that was granted, is [`taru_stdx::Kind::Limit`].

mod content;
mod directories;
mod file;
mod format;
mod image;
mod names;
mod output;
mod read;
mod tree;
mod verify;
mod xattr;

pub use content::Open;
pub use file::{Attributes, FileType, Inode};
pub use format::BLOCK;
pub use image::Image;
pub use read::{Extent, Stat};
pub use tree::{Dir, Entry};
pub use verify::verify;
