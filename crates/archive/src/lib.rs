//! Images as files: what docker save writes, OCI archives, root file systems of other tools.
//!
//! ```text
//! load, load_directory                 archives of images, directories     ──> content
//! import, import_unified, import_split root file systems, system containers ──> content, as images of one layer
//! bootstrap                            packages of a distribution, busybox  ──> content, likewise
//! save, save_directory                 content ──> archives and directories
//! LayerWriter                          the tar of a layer ──> content, packed and hashed in one pass
//! ```
//! All of it reads and writes streams, as pipes are; what is needed in memory does not grow with an image. The formats are drawn
//! where they are read: `load`, `save`, `root::system`, `squashfs`, `tar`. What is read comes from strangers: see `tar` and
//! `load` for what is refused, [`taru_oci::limits`] for the bounds.

mod bootstrap;
mod decompress;
mod image;
mod load;
mod pack;
mod path;
mod root;
mod save;
mod squashfs;
mod tree;

pub use bootstrap::{Bootstrap, bootstrap};
pub use image::About;
pub use load::{Loaded, load, load_directory};
pub use pack::{LayerWriter, StoredLayer};
pub use root::{import, import_split, import_unified};
pub use save::{Format, Sizes, save, save_directory};
