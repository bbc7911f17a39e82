//! The tar format as layers use it: read strictly and within bounds, written reproducibly.
//!
//! ```text
//! [x header, PAX records] [L/K header, long name] header  content, filled up to 512  ...  two blocks of zeros
//! ```
//! Formats: ustar and PAX (POSIX.1-2017, pax, "ustar Interchange Format"), GNU tar's long names, numbers and
//! sparse files, star's and libarchive's extended attributes. What two readers could understand in two ways
//! is refused: a size that differs between a header and its PAX records, names given twice, unknown types.

mod header;
mod pax;
mod reader;
mod sparse;
mod writer;

pub(crate) use reader::{Content, Entry, Kind, Reader};
pub(crate) use sparse::Piece;
pub(crate) use writer::Writer;

/// Extended attributes: name and value, in order of the names.
pub(crate) type Xattrs = Vec<(Vec<u8>, Vec<u8>)>;
