//! `docker save`'s archive: layers as plain tars, named by their diff ids.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read, Write};
use std::sync::Mutex;
use std::sync::mpsc::sync_channel;

use taru_content::Content;
use taru_oci::document::chain_ids;
use taru_oci::media::{self, Compression};
use taru_oci::{Descriptor, Digest, Manifest, Reference};
use taru_stdx::{Context, Error, Kind, Result};
use taru_tar::Writer;

use super::plan::{self, Item};
use super::{MARKER, Sizes, Verified, blob, blob_path, directories, document};
use crate::decompress::{self, Ahead, Found};

/// Bytes that a layer is decompressed before it is its turn; two such are in memory.
const EARLY: usize = 8 << 20;

/// A layer to be written.
struct Layer {
    digest: Digest,
    compression: Compression,
    diff_id: Digest,
    /// Bytes of its tar, if that is known.
    size: Option<u64>,
}

impl Layer {
    /// Whether it may be decompressed while the one before it is written: gzip is what takes its time.
    fn can_begin_early(&self) -> bool {
        self.size.is_some() && self.compression == Compression::Gzip
    }
}

struct Image<'a> {
    names: &'a [Reference],
    config: Vec<u8>,
    config_digest: Digest,
    diff_ids: Vec<Digest>,
}

pub(super) fn write<W: Write>(
    tar: &mut Writer<W>,
    content: &Content,
    images: &[(Vec<Reference>, Descriptor)],
    sizes: &Sizes<'_>,
) -> Result<()> {
    let (planned, layers) = plan(content, images, sizes)?;
    let mut digests: Vec<&Digest> = layers.iter().map(|layer| &layer.diff_id).collect();
    digests.extend(planned.iter().map(|image| &image.config_digest));
    directories(tar, &digests)?;
    let mut written = BTreeSet::new();
    for image in &planned {
        if written.insert(image.config_digest.clone()) {
            let size = image.config.len() as u64;
            blob(tar, &image.config_digest, size, image.config.as_slice())?;
        }
    }
    let sizes = write_layers(tar, content, layers)?;
    write_documents(tar, &planned, &sizes, written)
}

/// The images, and each layer of theirs once.
fn plan<'a>(
    content: &Content,
    images: &'a [(Vec<Reference>, Descriptor)],
    sizes: &Sizes<'_>,
) -> Result<(Vec<Image<'a>>, Vec<Layer>)> {
    let mut planned = Vec::new();
    let mut layers = Vec::new();
    let mut seen = BTreeSet::new();
    for (names, descriptor) in images {
        let (manifest, image, config) = plan::image(content, descriptor)?.ok_or_else(|| {
            let text = format!("save `{}` for Docker: it is an artifact, no image", descriptor.digest);
            Error::new(Kind::Unsupported, text).hint("an OCI archive takes it")
        })?;
        let chains = chain_ids(&image.rootfs.diff_ids);
        for ((layer, diff_id), chain) in manifest.layers.iter().zip(&image.rootfs.diff_ids).zip(&chains) {
            let media::Layer::Tar(compression) = media::layer(&layer.media_type) else {
                let text = format!("save the layer `{}`: its type is `{}`", layer.digest, layer.media_type);
                return Err(Error::new(Kind::Unsupported, text));
            };
            if seen.insert(diff_id.clone()) {
                let size = sizes(chain, diff_id);
                layers.push(Layer {
                    digest: layer.digest.clone(),
                    compression,
                    diff_id: diff_id.clone(),
                    size,
                });
            }
        }
        planned.push(Image {
            names,
            config_digest: manifest.config.digest,
            config,
            diff_ids: image.rootfs.diff_ids,
        });
    }
    Ok((planned, layers))
}

/// Writes the layers and returns their sizes.
fn write_layers<W: Write>(
    tar: &mut Writer<W>,
    content: &Content,
    layers: Vec<Layer>,
) -> Result<BTreeMap<Digest, u64>> {
    let mut sizes = BTreeMap::new();
    let mut opened = Vec::new();
    for layer in &layers {
        opened.push(content.open_blob(&layer.digest)?);
    }
    // The decompressor of zstd remembers up to 32 MiB: there is one at a time.
    let zstd = Mutex::new(());
    let alone = |layer: &Layer| (layer.compression == Compression::Zstd).then(|| zstd.lock());
    std::thread::scope(|scope| {
        // One layer is measured while the one before it is written.
        let (sender, measured) = sync_channel::<Result<u64>>(1);
        let (layers, opened, alone) = (&layers, &opened, &alone);
        scope.spawn(move || {
            for (layer, (file, size)) in layers.iter().zip(opened) {
                let size = match (layer.compression, layer.size) {
                    (Compression::None, _) => Ok(*size),
                    (_, Some(size)) => Ok(size),
                    (compression, None) => {
                        let _alone = alone(layer);
                        measure(layer, compression, file)
                    }
                };
                let failed = size.is_err();
                if sender.send(size).is_err() || failed {
                    return;
                }
            }
        });
        let mut next = None;
        for (number, layer) in layers.iter().enumerate() {
            let died = || Error::new(Kind::System, "measure the layers: the thread died");
            let size = measured.recv().map_err(|_| died())??;
            let _alone = alone(layer);
            let plain = next.take().map_or_else(|| open(content, layer), Ok)?;
            // A second processor begins with the next layer, unless it measures that one.
            let following = layers.get(number + 1).filter(|following| following.can_begin_early());
            next = following.map(|following| open(content, following)).transpose()?;
            blob(tar, &layer.diff_id, size, plain)?;
            sizes.insert(layer.diff_id.clone(), size);
        }
        Ok(sizes)
    })
}

/// A layer's tar, which is decompressed ahead of whoever reads it.
fn open(content: &Content, layer: &Layer) -> Result<Box<dyn Read>> {
    let (file, _) = content.open_blob(&layer.digest)?;
    if layer.compression == Compression::None {
        return Ok(Box::new(file));
    }
    let plain = decompress::layer(Found::Layer(layer.compression), file)?;
    Ok(Box::new(if layer.can_begin_early() { Ahead::by(EARLY, plain) } else { Ahead::new(plain) }))
}

/// Bytes of a layer's tar, which is verified.
fn measure(layer: &Layer, compression: Compression, file: &File) -> Result<u64> {
    let what = || format!("read the layer `{}`", layer.digest);
    let mut plain = Verified::new(decompress::layer(Found::Layer(compression), file)?, &layer.diff_id);
    let size = io::copy(&mut plain, &mut io::sink()).context(what)?;
    plain.finish().map(|()| size)
}

/// Writes the manifests and the documents that lead to them.
fn write_documents<W: Write>(
    tar: &mut Writer<W>,
    images: &[Image<'_>],
    sizes: &BTreeMap<Digest, u64>,
    mut written: BTreeSet<Digest>,
) -> Result<()> {
    let mut items = Vec::new();
    let mut manifests = Vec::new();
    let mut repositories: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for image in images {
        let layer = |diff_id: &Digest| {
            Descriptor::new(media::LAYER, diff_id.clone(), sizes.get(diff_id).copied().unwrap_or_default())
        };
        let config = Descriptor::new(media::CONFIG, image.config_digest.clone(), image.config.len() as u64);
        let manifest = Manifest::new(config, image.diff_ids.iter().map(layer).collect());
        let bytes = serde_json::to_vec(&manifest).context(|| "write the manifest")?;
        let descriptor = Descriptor::of(media::MANIFEST, &bytes);
        if written.insert(descriptor.digest.clone()) {
            blob(tar, &descriptor.digest, descriptor.size, bytes.as_slice())?;
        }
        items.push(Item {
            config: blob_path(&image.config_digest),
            repo_tags: image.names.iter().map(Reference::to_string).collect(),
            layers: image.diff_ids.iter().map(blob_path).collect(),
        });
        for name in image.names {
            if let (Some(tag), Some(top)) = (name.tag(), image.diff_ids.last()) {
                repositories.entry(name.name()).or_default().insert(tag.to_owned(), top.hex().to_owned());
            }
        }
        manifests.push((image.names, descriptor));
    }
    document(tar, "oci-layout", MARKER)?;
    document(tar, "index.json", &plan::index(manifests.iter().map(|(names, d)| (*names, d)))?)?;
    document(tar, "manifest.json", &serde_json::to_vec(&items).context(|| "write `manifest.json`")?)?;
    if !repositories.is_empty() {
        let repositories = serde_json::to_vec(&repositories).context(|| "write `repositories`")?;
        document(tar, "repositories", &repositories)?;
    }
    Ok(())
}
