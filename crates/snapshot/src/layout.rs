//! The directory of snapshots.
//!
//! ```text
//! STATE/snapshot/
//!   driver                 the driver's name: another one does not find its layers here
//!   ids                    an ordinary user's maps (crate::ids)
//!   layers/sha256-HEX/     a layer by its chain id: there, so whole and durable            0700
//!     tree/                its files, or
//!     image                its files in an image of erofs (the driver `erofs`)              0600
//!     manifest             what they must be (crate::manifest)
//!     layer.json           its parent, its diff id, its size
//!     broken               only if a check found that it is not what it must be (crate::broken)
//!   roots/ID/              what a container changes; layer.json names its topmost layer     0711
//!   staging/NAME/          being made or removed, locked by its owner (flock); else garbage
//!   locks/sha256-HEX       held while a layer and those above it are unpacked, so that it is done once
//! ```

use std::fs::File;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use taru_oci::Digest;
use taru_stdx::fs::{Sync, make_dir, read_bounded, replace};
use taru_stdx::{Context, Error, Result};

pub(crate) const LAYERS: &str = "layers";
pub(crate) const ROOTS: &str = "roots";
pub(crate) const STAGING: &str = "staging";
pub(crate) const LOCKS: &str = "locks";
pub(crate) const DRIVER: &str = "driver";
pub(crate) const IDS: &str = "ids";
/// A layer's files.
pub(crate) const TREE: &str = "tree";
/// In place of [`TREE`]: an image of them.
pub(crate) const IMAGE: &str = "image";
pub(crate) const MANIFEST: &str = "manifest";
const INFO: &str = "layer.json";

/// What is known of a layer, or of a container's root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Info {
    /// The layer below.
    pub(crate) parent: Option<Digest>,
    /// The digest of the uncompressed tar; none of a container.
    pub(crate) diff_id: Option<Digest>,
    /// Bytes of the uncompressed tar.
    pub(crate) size: u64,
    /// Entries in it.
    pub(crate) entries: u64,
    /// All files became those of the one id that there was.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) single: bool,
}

impl Info {
    pub(crate) fn read(dir: &Path) -> Result<Info> {
        let path = dir.join(INFO);
        let text = read_bounded(&path, 1 << 16)?;
        serde_json::from_slice(&text).map_err(|e| Error::invalid(format!("read `{}`: {e}", path.display())))
    }

    /// Written, not yet durable.
    pub(crate) fn write(&self, dir: &Path) -> Result<()> {
        let path = dir.join(INFO);
        let text = serde_json::to_vec(self).context(|| format!("write `{}`", path.display()))?;
        replace(&path, &text, 0o600, Sync::Atomic)
    }
}

/// A digest as a file name.
pub(crate) fn file_name(digest: &Digest) -> String {
    format!("{}-{}", digest.algorithm().name(), digest.hex())
}

/// The digest of a file name.
pub(crate) fn digest_of(name: &str) -> Option<Digest> {
    name.replacen('-', ":", 1).parse().ok()
}

/// Makes `dir` with `mode` where it is not there.
pub(crate) fn ensure(dir: &Path, mode: u32) -> Result<()> {
    match make_dir(dir, mode) {
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        made => made.context(|| format!("make the directory `{}`", dir.display())),
    }
}

/// Makes the names in `dir` durable.
pub(crate) fn sync_dir(dir: &Path) -> Result<()> {
    File::open(dir).and_then(|dir| dir.sync_all()).context(|| format!("sync `{}`", dir.display()))
}

/// The directory of the layer `chain`.
pub(crate) fn layer(root: &Path, chain: &Digest) -> PathBuf {
    root.join(LAYERS).join(file_name(chain))
}
