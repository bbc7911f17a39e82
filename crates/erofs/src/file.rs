//! What a file in an image is.

/// The name and the value of an extended attribute.
pub(crate) type Xattr = (Vec<u8>, Vec<u8>);

/// What a file has besides its content.
#[derive(Debug, Clone, Copy)]
pub struct Attributes<'x> {
    /// Permissions, set-id bits and the sticky one.
    pub mode: u32,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// Seconds since 1970, and nanoseconds after that second.
    pub mtime: (i64, u32),
    /// Extended attributes, no name twice.
    pub xattrs: &'x [(Vec<u8>, Vec<u8>)],
}

/// What an inode is that is no directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FileType {
    /// A regular file.
    Regular,
    /// A symbolic link.
    Symlink,
    /// A character device.
    Character,
    /// A block device.
    Block,
    /// A named pipe.
    Fifo,
}

impl FileType {
    /// As modes have it, above the permissions.
    pub(crate) fn of_mode(self) -> u16 {
        match self {
            FileType::Regular => 0o10 << 12,
            FileType::Symlink => 0o12 << 12,
            FileType::Character => 0o2 << 12,
            FileType::Block => 0o6 << 12,
            FileType::Fifo => 0o1 << 12,
        }
    }

    /// As directories have it.
    pub(crate) fn of_entry(self) -> u8 {
        match self {
            FileType::Regular => 1,
            FileType::Character => 3,
            FileType::Block => 4,
            FileType::Fifo => 5,
            FileType::Symlink => 7,
        }
    }

    pub(crate) fn named(of_entry: u8) -> FileType {
        match of_entry {
            1 => FileType::Regular,
            3 => FileType::Character,
            4 => FileType::Block,
            5 => FileType::Fifo,
            _ => FileType::Symlink,
        }
    }
}

/// Something in an image that is no directory. Names are given to it by [`Image::insert`] and [`Image::link`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Inode {
    pub(crate) number: u64,
    /// What it is.
    pub file_type: FileType,
}
