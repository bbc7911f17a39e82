//! Images: the use cases of `taru pull`, `taru images`, `taru run IMAGE` and their siblings.
//!
//! ```text
//! STATE/content/    documents and layers as they came, by digest (taru_content)
//! STATE/snapshot/   layers as directories, by chain id; what containers write above them (taru_snapshot)
//! ```
//! What a container needs is protected three times, without a gap: by a lease from the moment its image is looked
//! for, by its record, and by a hold `container/ID` that is made once the record is and goes after it.

use std::sync::OnceLock;

use taru_content::{Content, LayerStore};
use taru_oci::Digest;
use taru_registry::Client;
use taru_snapshot::Snapshots;
use taru_stdx::Result;

use crate::Engine;

pub mod bootstrap;
pub(crate) mod broken;
pub mod change;
pub mod find;
pub mod import;
pub mod list;
pub mod load;
pub mod login;
pub mod mount;
pub mod names;
pub mod platform;
pub mod progress;
pub mod pull;
pub mod push;
pub mod remove;
pub mod save;
pub mod start;
pub mod tree;
pub mod unpack;
pub mod usage;
pub mod verify;
pub mod wishes;

/// What the hold of a container is called, before its id.
pub const HOLD: &str = "container/";
/// What the hold of a mount (`mount/BOOT.NAMESPACE/DIR`) is called, before its place.
const MOUNT_HOLD: &str = "mount/";

/// The stores of images, open.
pub struct Images {
    /// Documents and layers as they came.
    pub content: Content,
    /// Layers as directories.
    pub snapshots: Snapshots,
}

impl std::fmt::Debug for Images {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Images")
    }
}

/// What is opened when it is first needed: a container without an image pays for none of it.
#[derive(Debug, Default)]
pub(crate) struct Lazy {
    images: OnceLock<Images>,
    client: OnceLock<Client>,
}

impl Engine {
    /// The stores of images.
    ///
    /// # Errors
    /// They cannot be opened.
    pub fn images(&self) -> Result<&Images> {
        if let Some(images) = self.lazy.images.get() {
            return Ok(images);
        }
        let state = self.dirs.state();
        crate::dirs::ensure(state)?;
        let content = Content::open(&state.join("content"))?;
        let snapshots = tree::open(self)?;
        Ok(self.lazy.images.get_or_init(|| Images { content, snapshots }))
    }

    /// The client of registries, set up as this user's and this host's files say.
    ///
    /// # Errors
    /// A file of settings cannot be read or understood.
    pub fn registry(&self) -> Result<&Client> {
        if let Some(client) = self.lazy.client.get() {
            return Ok(client);
        }
        let client = names::client()?;
        Ok(self.lazy.client.get_or_init(|| client))
    }
}

/// The layers on disk, as the collector of content sees them.
pub(crate) struct Layers<'a>(pub(crate) &'a Snapshots);

impl LayerStore for Layers<'_> {
    fn list(&self) -> Result<Vec<Digest>> {
        self.0.layers()
    }

    fn remove(&self, chain: &Digest) -> Result<u64> {
        // How much that frees is not counted.
        self.0.retire_layer(chain).map(|()| 0)
    }

    fn sweep(&self) -> Result<()> {
        self.0.sweep()
    }
}
