//! An entry of a tar without its content.

use crate::sparse::Piece;

/// Extended attributes: name and value, in order of the names.
pub type Xattrs = Vec<(Vec<u8>, Vec<u8>)>;

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A regular file, its content following.
    File {
        /// Bytes of the file, holes included.
        size: u64,
        /// Of a sparse file, where what is stored lies.
        pieces: Option<Vec<Piece>>,
    },
    /// A further name of an earlier entry.
    Link {
        /// That entry's name.
        target: Vec<u8>,
    },
    /// A symbolic link.
    Symlink {
        /// Its text.
        target: Vec<u8>,
    },
    /// A character device.
    Character {
        /// The driver.
        major: u32,
        /// Which one.
        minor: u32,
    },
    /// A block device.
    Block {
        /// The driver.
        major: u32,
        /// Which one.
        minor: u32,
    },
    /// A named pipe.
    Fifo,
}

impl Kind {
    /// A regular file of `size` bytes without holes.
    pub fn file(size: u64) -> Kind {
        Kind::File { size, pieces: None }
    }
}

/// An entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// As it stands there: not checked for where it leads. A directory's may end with a slash.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// Permissions, set-id bits and the sticky one.
    pub mode: u32,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// When it was changed: seconds since 1970, and nanoseconds after that second.
    pub mtime: (i64, u32),
    /// Extended attributes.
    pub xattrs: Xattrs,
    /// Other PAX records that may mean something to somebody, such as ACLs of other systems.
    pub records: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Entry {
    /// An entry owned by root, of 1970.
    pub fn new(kind: Kind, path: impl Into<Vec<u8>>, mode: u32) -> Entry {
        Entry {
            path: path.into(),
            kind,
            mode,
            uid: 0,
            gid: 0,
            mtime: (0, 0),
            xattrs: Vec::new(),
            records: Vec::new(),
        }
    }

    /// Its name for a message.
    pub fn name(&self) -> String {
        text(&self.path)
    }

    /// Bytes of content that follow it: of a sparse file, those of its pieces.
    pub fn stored(&self) -> u64 {
        match &self.kind {
            Kind::File { size, pieces: None } => *size,
            Kind::File { pieces: Some(pieces), .. } => pieces.iter().map(|piece| piece.length).sum(),
            _ => 0,
        }
    }
}

/// Bytes of an archive for a message: printable, and no longer than a line.
pub fn text(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let short: String = text.chars().take(120).collect();
    let dots = if short.len() < text.len() { "..." } else { "" };
    format!("{}{dots}", short.escape_debug())
}
