//! The tar format, strictly and as a stream: archives of images come from strangers, through pipes.
//!
//! ```text
//! [x header, records]  header  content, padded to 512   ...   two blocks of zeros   zeros
//!  └ PAX: key=value      └ ustar: name, type, size
//! [L header, name]     GNU: a long name; K: a long target
//! ```
//! A library reads whatever can be read; here what two readers could read in two ways is refused: a size that the PAX
//! record and the header tell differently (the header's, fitting, is what another reader goes by), a long name in
//! GNU's way and PAX's at once, a record twice, types that nobody knows, bytes behind the end. The end is required:
//! an archive without its two blocks of zeros has been cut.
//!
//! Names are bytes. This module looks at no file: what a name means is its caller's to say.

mod header;
mod reader;
mod writer;

pub(crate) use header::BLOCK;
pub(crate) use reader::Reader;
pub(crate) use writer::Writer;

/// Whether `start`, the first bytes of some content, could be those of a tar archive: a header with a right checksum,
/// or the zeros of an empty one.
pub(crate) fn is_start(start: &[u8]) -> bool {
    match <[u8; BLOCK]>::try_from(start.get(..BLOCK).unwrap_or_default()) {
        Ok(block) if block == [0; BLOCK] => true,
        Ok(block) => header::Header::new(block).is_ok(),
        Err(_) => false,
    }
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A regular file, its content following.
    File,
    /// Another name for an entry before it.
    HardLink,
    /// A symbolic link.
    Symlink,
    /// A character device.
    Character,
    /// A block device.
    Block,
    /// A directory.
    Directory,
    /// A named pipe.
    Fifo,
    /// A file in GNU's old sparse form, whose map stands in the header: can be passed over, not rewritten.
    OldSparse,
}

/// An entry without its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) kind: Kind,
    pub(crate) path: Vec<u8>,
    /// The target of a link.
    pub(crate) link: Vec<u8>,
    pub(crate) mode: u32,
    pub(crate) uid: u64,
    pub(crate) gid: u64,
    /// Bytes of content that follow.
    pub(crate) size: u64,
    /// Seconds after 1970.
    pub(crate) modified: u64,
    pub(crate) device: (u32, u32),
    /// PAX records that none of the above is: extended attributes, sparse maps, finer times.
    pub(crate) records: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Entry {
    /// An entry owned by root, of 1970, without content.
    pub(crate) fn new(kind: Kind, path: impl Into<Vec<u8>>, mode: u32) -> Entry {
        Entry {
            kind,
            path: path.into(),
            link: Vec::new(),
            mode,
            uid: 0,
            gid: 0,
            size: 0,
            modified: 0,
            device: (0, 0),
            records: Vec::new(),
        }
    }

    /// Its name for a message.
    pub(crate) fn name(&self) -> String {
        text(&self.path)
    }
}

/// Bytes of an archive for a message: printable, and no longer than a line.
pub(crate) fn text(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let short: String = text.chars().take(120).collect();
    let dots = if short.len() < text.len() { "..." } else { "" };
    format!("{}{dots}", short.escape_debug())
}
