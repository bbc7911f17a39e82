//! The tar format as images use it: read strictly and within bounds, as a stream; written reproducibly.
//!
//! ```text
//! [x header, records] [L/K header, long name]  header  content, padded to 512   ...   two blocks of zeros   zeros
//!  └ PAX: key=value    └ GNU                    └ ustar, or GNU's: name, type, size
//! ```
//! Formats: ustar and PAX (POSIX.1-2017, pax, "ustar Interchange Format"), GNU tar's long names, numbers and sparse
//! files, star's and libarchive's extended attributes, ACLs in words.
//!
//! What the library `tar` does: where the fields of a header and of GNU's sparse maps lie, types, names with their
//! prefix, numbers in octal and base 256, checksums, the headers that are written.
//!
//! What is ours, as a library reads whatever can be read:
//! * What two readers could take for two things is refused: a size that PAX and the header tell differently, a long
//!   name in GNU's way and PAX's, a record twice, a number that is cut to fit, types that nobody knows, bytes behind
//!   the end, global headers that change entries.
//! * Bounds ([`taru_oci::limits`]) on all that is kept in memory.
//! * The records of PAX: the library's iterator divides them at line feeds, and values of attributes have those in
//!   them (a capability of `0x0a`); what is in such a value would become a record.
//! * Sparse maps by PAX records, which the library does not read, and times before 1970.
//! * The stream: content stays in the buffer of the [`std::io::BufRead`] below, and nothing is allocated for a block.
//! * Names are bytes, written as they are: the library leaves `./` out, and takes no `..`.
//!
//! Nothing here looks at a file system: what a name means is the caller's to say.

mod acl;
mod entry;
mod header;
mod pax;
mod reader;
mod sparse;
mod writer;

pub use entry::{Entry, Kind, Xattrs, text};
pub use reader::{Content, Reader};
pub use sparse::Piece;
pub use writer::Writer;

/// Everything in a tar is a multiple of this.
pub const BLOCK: usize = 512;

/// The largest number that the eleven octal digits of a size or a time can say.
pub(crate) const LARGEST: u64 = 0o77_777_777_777;

/// Whether `start`, the first bytes of some content, could be those of a tar: a header with a right checksum, or the
/// zeros of an empty one.
pub fn is_start(start: &[u8]) -> bool {
    let Some(block) = start.first_chunk::<BLOCK>() else { return false };
    *block == [0; BLOCK] || header::Header::new(block).is_ok()
}
