//! Loading: from an archive or a directory into the store.
//!
//! ```text
//! docker save before 25        docker save, podman save        OCI archive or directory
//!   HEX.json                     blobs/sha256/HEX                blobs/sha256/HEX
//!   ID/layer.tar                 manifest.json                   index.json
//!   ID/{json,VERSION}            index.json, oci-layout          oci-layout
//!   manifest.json                repositories
//!   repositories
//! ```
//! `manifest.json`: `[{"Config": "HEX.json", "RepoTags": ["a:1"], "Layers": ["ID/layer.tar"]}]`; a path may be that of a
//! symbolic or hard link to another entry. `index.json`: an index whose descriptors carry the names as annotations.
//!
//! The stream cannot be sought in and entries come in any order, so each is taken for what its first bytes say: a layer
//! (a tar, gzip, zstd) goes to the store at once and its digest is computed on the way; anything else is a document,
//! kept in memory up to a limit, and refused by its header alone if it is too large for one. What belongs to what
//! is decided at the end. An archive that has both documents is read by `index.json`, and refused if `manifest.json` tells
//! another story.
//!
//! Names are returned, not given: tagging is the caller's.

mod archive;
mod directory;
mod docker;
mod names;
mod oci;

use taru_content::{Content, Lease};
use taru_oci::{Descriptor, Reference};
use taru_stdx::Result;

pub use directory::load_directory;

/// An image that is in the store now, held by the lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// The full names that the archive has for it.
    pub names: Vec<Reference>,
    /// What the archive calls it if that is no full name: a bare tag (`org.opencontainers.image.ref.name`).
    pub label: Option<String>,
    /// Its manifest or index.
    pub descriptor: Descriptor,
}

/// Loads every image of the archive that `reader` has, compressed or not, into `content`, held by `lease`.
///
/// `reader` is read to its end by a thread of its own if it is compressed. After an error what was stored until then is held
/// by nothing but the lease: it goes with the next collection.
///
/// # Errors
/// [`taru_stdx::Kind::Invalid`] if it is no archive of images, is cut, or contradicts itself; [`taru_stdx::Kind::Limit`]
/// above a bound of [`taru_oci::limits`]; any error of the store.
pub fn load<R: std::io::Read + Send + 'static>(
    reader: R,
    content: &Content,
    lease: &Lease,
) -> Result<Vec<Loaded>> {
    archive::load(reader, content, lease)
}

/// `images`, of which there is one at least.
fn some(images: Vec<Loaded>) -> Result<Vec<Loaded>> {
    match images.is_empty() {
        true => Err(taru_stdx::Error::invalid("load the archive: there is no image in it")),
        false => Ok(images),
    }
}
