//! Root file systems in a build: layers by their chain ids, and their files.

use std::io::{Seek, Write};
use std::path::Path;
use std::sync::Arc;

use taru_archive::LayerWriter;
use taru_content::Lease;
use taru_engine::image::Images;
use taru_engine::image::find::Found;
use taru_oci::{Algorithm, Digest, HashWriter, document, media};
use taru_snapshot::{Snapshots, Unpack};
use taru_stdx::{Context, Result};

use crate::assembly::Assembly;
use crate::cache::Layer;
use crate::scratch::nameless;
use crate::tree::Tree;

/// A root file system: its layers, the lowest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Root {
    /// The layers.
    pub layers: Vec<Layer>,
}

impl Root {
    /// The root of an image.
    pub(crate) fn of(image: &Found) -> Root {
        let diff_ids = &image.config.rootfs.diff_ids;
        let layers = image.document.layers.iter().zip(diff_ids).zip(image.chain());
        let layers = layers.map(|((descriptor, diff_id), chain)| Layer {
            descriptor: descriptor.clone(),
            diff_id: diff_id.clone(),
            chain,
            key: None,
            created: None,
        });
        Root { layers: layers.collect() }
    }

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
    pub(crate) fn files(&self, snapshots: &Snapshots) -> Result<Arc<Tree>> {
        let tree = match self.top() {
            None => Tree::empty(),
            Some(top) => Tree::layers(&snapshots.trees(top)?, snapshots.ids())?,
        };
        Ok(Arc::new(tree))
    }
}

/// Unpacks what was assembled above `parent`, for as long as `lease` lives: it is in no image. Gives its chain id.
///
/// # Errors
/// Any error of reading its files and of writing.
pub(crate) fn unpack(
    assembly: Assembly,
    parent: Option<&Digest>,
    clamp: Option<i64>,
    snapshots: &Snapshots,
    lease: &Lease,
    tmp: &Path,
) -> Result<Digest> {
    let mut spool = nameless(tmp)?;
    let mut hashed = HashWriter::new(Algorithm::Sha256, &mut spool);
    assembly.write(&mut hashed, clamp)?;
    let (diff_id, _) = hashed.finish();
    let chain = document::chain_id(parent, &diff_id);
    lease.protect_layer(&chain)?;
    if !snapshots.has(&chain) {
        spool.rewind().context(|| "read what was assembled")?;
        let layer = Unpack { chain: chain.clone(), parent: parent.cloned(), diff_id, blob: spool.into() };
        snapshots.unpack(&[layer], &|_, _| {})?;
    }
    Ok(chain)
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
    store_tar(parent, images, lease, |writer| assembly.write(writer, clamp))
}

/// Stores the tar that `write` writes as a layer above `parent`.
///
/// # Errors
/// Those of `write`, and any error of writing.
pub(crate) fn store_tar(
    parent: Option<&Digest>,
    images: &Images,
    lease: &Lease,
    write: impl FnOnce(&mut dyn Write) -> Result<()>,
) -> Result<Layer> {
    let mut writer = LayerWriter::new(&images.content, lease, media::Compression::Gzip)?;
    write(&mut writer)?;
    let stored = writer.finish().context(|| "store a layer")?;
    let chain = document::chain_id(parent, &stored.diff_id);
    Ok(Layer { descriptor: stored.descriptor, diff_id: stored.diff_id, chain, key: None, created: None })
}
