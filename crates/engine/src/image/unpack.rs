//! Layers of an image become layers on disk, where they are not yet.

use std::collections::BTreeMap;

use taru_content::Lease;
use taru_oci::{Digest, Image, Manifest, document, media};
use taru_snapshot::{Blob, Unpack};
use taru_stdx::{Context, Error, Kind, Result};

use super::Images;
use super::find::Found;
use super::progress::{Progress, Step};

/// A layer of an image.
#[derive(Debug, Clone)]
pub struct Layer {
    /// Its place in the manifest.
    pub at: usize,
    /// Its chain id.
    pub chain: Digest,
    /// That of the layer below.
    pub parent: Option<Digest>,
    /// The digest of its tar.
    pub diff_id: Digest,
    /// Whether it is unpacked anew though it is there, since it was found broken.
    pub renew: bool,
}

/// The layers of an image, the lowest first.
///
/// # Errors
/// [`Kind::Unsupported`] for a layer that is no tar.
pub fn plan(manifest: &Manifest, config: &Image) -> Result<Vec<Layer>> {
    let chain = document::chain_ids(&config.rootfs.diff_ids);
    let mut layers = Vec::new();
    for (at, ((descriptor, diff_id), own)) in
        manifest.layers.iter().zip(&config.rootfs.diff_ids).zip(&chain).enumerate()
    {
        let media::Layer::Tar(_) = media::layer(&descriptor.media_type) else {
            let text = format!("unpack layer `{}`: it is `{}`", descriptor.digest, descriptor.media_type);
            return Err(Error::new(Kind::Unsupported, text));
        };
        layers.push(Layer {
            at,
            chain: own.clone(),
            parent: at.checked_sub(1).and_then(|below| chain.get(below)).cloned(),
            diff_id: diff_id.clone(),
            renew: false,
        });
    }
    Ok(layers)
}

/// Waits until the blob of the layer at this place in the manifest is in the store. It is given a function that tells
/// whether it waits in vain.
pub type Wait<'w> = dyn Fn(usize, &dyn Fn() -> bool) -> Result<()> + Sync + 'w;

/// Unpacks those of `layers`, which follow one another, that are not on disk or to be renewed. Each begins when `wait` says that its blob is in
/// the store.
///
/// # Errors
/// [`Kind::Invalid`] for a layer that is not what its digest says, or tries to lead out of its root; any error of the
/// file system. Nothing of a layer that failed is left.
pub fn unpack(
    images: &Images,
    manifest: &Manifest,
    layers: &[Layer],
    wait: &Wait<'_>,
    progress: &dyn Progress,
) -> Result<()> {
    let is_wanted = |layer: &Layer| layer.renew || !images.snapshots.has(&layer.chain);
    // Between two layers that are wanted one may be there: the store wants such as follow one another.
    for some in layers.chunk_by(|one, other| is_wanted(one) == is_wanted(other)) {
        match some.first() {
            Some(first) if is_wanted(first) => unpack_all(images, manifest, some, wait, progress)?,
            _ => {
                for blob in some.iter().filter_map(|layer| manifest.layers.get(layer.at)) {
                    progress.end(Step::Unpack, &blob.digest, true);
                }
            }
        }
    }
    Ok(())
}

fn unpack_all(
    images: &Images,
    manifest: &Manifest,
    layers: &[Layer],
    wait: &Wait<'_>,
    progress: &dyn Progress,
) -> Result<()> {
    let mut wanted = Vec::new();
    let mut names = BTreeMap::new();
    for layer in layers {
        let Some(blob) = manifest.layers.get(layer.at) else { continue };
        names.insert(layer.chain.clone(), blob.digest.clone());
        wanted.push(Unpack {
            chain: layer.chain.clone(),
            parent: layer.parent.clone(),
            diff_id: layer.diff_id.clone(),
            blob: Blob::Awaited(Box::new(|is_vain| {
                wait(layer.at, is_vain)?;
                let (file, size) = images.content.open_blob(&blob.digest)?;
                progress.begin(Step::Unpack, &blob.digest, size);
                Ok(file)
            })),
        });
    }
    images.snapshots.unpack(&wanted, &|chain, bytes| {
        if let Some(blob) = names.get(chain) {
            progress.advance(Step::Unpack, blob, bytes);
        }
    })?;
    for blob in names.values() {
        progress.end(Step::Unpack, blob, false);
    }
    Ok(())
}

/// Sees that all layers of an image are on disk; `lease` protects them from here on.
///
/// # Errors
/// As [`unpack`]; [`Kind::NotFound`] if the blob of a missing layer is not in the store.
pub fn ensure(images: &Images, lease: &Lease, found: &Found, progress: &dyn Progress) -> Result<()> {
    ensure_layers(images, lease, found, &plan(&found.document, &found.config)?, progress)
}

/// As [`ensure`], for these layers of the image.
///
/// # Errors
/// As [`ensure`].
pub(super) fn ensure_layers(
    images: &Images,
    lease: &Lease,
    found: &Found,
    layers: &[Layer],
    progress: &dyn Progress,
) -> Result<()> {
    // Protected before they are looked for: what is found stays.
    for layer in layers {
        lease.protect_layer(&layer.chain)?;
    }
    if layers.iter().all(|layer| !layer.renew && images.snapshots.has(&layer.chain)) {
        return Ok(());
    }
    for layer in &found.document.layers {
        lease.protect_blob(&layer.digest)?;
    }
    unpack(images, &found.document, layers, &|_, _| Ok(()), progress)
        .context(|| format!("unpack image `{}`", found.name))
        .map_err(|e| match e.kind() {
            Kind::NotFound => e.hint(format!("`taru pull {}` brings back what is missing", found.name)),
            _ => e,
        })
}
