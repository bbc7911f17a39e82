//! The manifest of a layer: what its tar left on disk, a line an entry, in the order of a walk.
//!
//! ```text
//! PATH TAB KIND TAB MODE TAB UID TAB GID TAB SECONDS.NANOSECONDS TAB DETAIL TAB NAME=HEX,NAME=HEX
//! end TAB LINES TAB SHA256-OF-THE-LINES
//! ```
//! | kind | is | detail |
//! |---|---|---|
//! | `d` | a directory | |
//! | `o` | a directory that hides the one below (opaque) | |
//! | `i` | a directory that the tar does not name, only what lies in it; gone once its parent layer is known | |
//! | `f` | a file | size, SHA-256 |
//! | `s` | a sparse file | size, SHA-256 of its blocks that are not zero, see [`crate::hash`] |
//! | `h` | a further name of a file | that file's path |
//! | `l` | a symbolic link | its text |
//! | `c` `b` | a device | MAJOR:MINOR |
//! | `p` | a fifo | |
//! | `w` | a whiteout: what is below is gone | |
//!
//! The root is the empty path. Bytes up to blank, `%`, `=`, `,` and DEL are written `%XX`. Lines are sorted as a
//! walk meets them: a directory, all that is below it, the next ([`order`]).

mod file;
mod packed;
mod record;
mod sort;

pub(crate) use file::{Lines, ManifestWriter, Search};
pub(crate) use record::{Hash, Kind, Record, order};
pub(crate) use sort::Sorter;
