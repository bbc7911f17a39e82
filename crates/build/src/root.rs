//! Root file systems in a build: layers by their chain ids, and their files.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use taru_archive::LayerWriter;
use taru_content::Lease;
use taru_engine::image::Images;
use taru_oci::{Digest, document, media};
use taru_snapshot::{Key, Rootfs, Snapshots, Unpack};
use taru_stdx::{Context, Error, Kind, Result};

use crate::assembly::Assembly;
use crate::cache::Layer;
use crate::tree::Tree;

/// A root file system: its layers, the lowest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Root {
    /// The layers.
    pub layers: Vec<Layer>,
}

impl Root {
    /// The chain id of its uppermost layer.
    pub(crate) fn top(&self) -> Option<&Digest> {
        self.layers.last().map(|layer| &layer.chain)
    }

    /// Sees that all its layers are on disk, and keeps them there with `lease`.
    ///
    /// # Errors
    /// As [`Snapshots::unpack`].
    pub(crate) fn ensure(&self, images: &Images, lease: &Lease) -> Result<()> {
        let mut missing = Vec::new();
        for (at, layer) in self.layers.iter().enumerate() {
            lease.protect_layer(&layer.chain)?;
            if images.snapshots.has(&layer.chain) {
                continue;
            }
            let parent = at.checked_sub(1).and_then(|below| self.layers.get(below));
            missing.push(Unpack {
                chain: layer.chain.clone(),
                parent: parent.map(|p| p.chain.clone()),
                diff_id: layer.diff_id.clone(),
                blob: images.content.open_blob(&layer.descriptor.digest)?.0.into(),
            });
        }
        match missing.is_empty() {
            true => Ok(()),
            false => images.snapshots.unpack(&missing, &|_, _| {}),
        }
    }

    /// Its files. The layers must be on disk.
    ///
    /// # Errors
    /// Any error of the file system.
    pub(crate) fn files(&self, snapshots: &Snapshots) -> Result<Files> {
        files(self.top(), snapshots)
    }
}

/// The files of a root, readable while this lives.
#[derive(Debug)]
pub(crate) struct Files {
    /// The tree.
    pub tree: Arc<Tree>,
}

static COUNT: AtomicU64 = AtomicU64::new(0);

/// The files of the layer `chain` and those below.
///
/// # Errors
/// Any error of the file system.
pub(crate) fn files(chain: Option<&Digest>, snapshots: &Snapshots) -> Result<Files> {
    let tree = match chain {
        None => Tree::empty(),
        Some(chain) => Tree::layers(&layer_dirs(chain, snapshots)?)?,
    };
    Ok(Files { tree: Arc::new(tree) })
}

/// The directory of the layer `chain`.
///
/// # Errors
/// Any error of the file system.
pub(crate) fn layer_dir(chain: &Digest, snapshots: &Snapshots) -> Result<PathBuf> {
    let dirs = layer_dirs(chain, snapshots)?;
    dirs.into_iter()
        .next()
        .ok_or_else(|| Error::new(Kind::State, format!("find the layer `{chain}` on disk")))
}

/// The directories of the layer `chain` and those below, the uppermost first. The store tells what a root is made of once
/// there is one.
fn layer_dirs(chain: &Digest, snapshots: &Snapshots) -> Result<Vec<PathBuf>> {
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let key = Key::container(&format!("build-{}-{number}", std::process::id()))?;
    snapshots.remove(&key)?;
    snapshots.prepare(&key, Some(chain), (0, 0), false)?;
    let rootfs = snapshots.mounts(&key);
    snapshots.remove(&key)?;
    match rootfs? {
        Rootfs::Overlay { lower, .. } => Ok(lower),
        Rootfs::Directory { .. } => {
            Err(Error::new(Kind::Unsupported, "build an image: this storage driver keeps no layers apart"))
        }
    }
}

/// Stores what was assembled as a layer above `parent`.
///
/// # Errors
/// Any error of reading its files and of writing.
pub(crate) fn store(
    assembly: Assembly,
    parent: Option<&Digest>,
    clamp: Option<i64>,
    images: &Images,
    lease: &Lease,
) -> Result<Layer> {
    let mut writer = LayerWriter::new(&images.content, lease, media::Compression::Gzip)?;
    assembly.write(&mut writer, clamp)?;
    let stored = writer.finish().context(|| "store a layer")?;
    let chain = document::chain_id(parent, &stored.diff_id);
    Ok(Layer { descriptor: stored.descriptor, diff_id: stored.diff_id, chain, key: None, created: None })
}
