//! Root file systems become images of one layer.
//!
//! ```text
//! import         a tar, compressed or not           as it is, its diff id computed on the way
//!                a squashfs                         written anew as a tar
//! import_unified, import_split   system containers, as Incus, LXD and LXC have them: see `system`
//! ```
//! gzip and zstd are what layers may have: such a tar is stored to the byte as it came. Others are packed anew. The tar is
//! walked on the way, entry by entry to its end: half a root file system is no image.

mod import;
mod spool;
mod system;
mod yaml;

pub use import::import;
pub use system::{import_split, import_unified};
