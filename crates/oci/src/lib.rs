//! The documents that images are made of: pure data, read strictly and within bounds, with no I/O.
//!
//! ```text
//! reference ── names ──> descriptor ──> index ──(platform)──> manifest ──> config   (what to run, diff ids)
//!  (debian:12)            (digest,size)                               └──> layers   (compressed changes)
//! ```
//! Specifications: OCI image 1.1 (<https://github.com/opencontainers/image-spec>), OCI distribution 1.1, and Docker's
//! image manifest version 2 schema 2, whose documents differ in their media types only.
//!
//! All of it comes from strangers. What two readers could understand in two ways is refused: keys that
//! stand twice or are others' but for their case, an index that is a manifest too, a document whose own media type is not
//! the one it came under. What nobody misunderstands is taken as it comes: fields that are not known, `null` for what is empty.

mod bounded;
pub mod config;
pub mod descriptor;
pub mod digest;
pub mod document;
pub mod limits;
pub mod media;
pub mod platform;
pub mod reference;
mod scan;

pub use config::{Image, RunConfig};
pub use descriptor::Descriptor;
pub use digest::{Algorithm, Digest, HashWriter, Hasher};
pub use document::{Document, Index, Manifest};
pub use platform::Platform;
pub use reference::Reference;
