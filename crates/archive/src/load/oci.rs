//! What an OCI layout leads to: from `index.json` down to each blob, all of it into the store.

use std::collections::HashMap;

use taru_content::{Content, Lease};
use taru_oci::{Descriptor, Digest, Document, Image, Index, limits, media};
use taru_stdx::{Context, Error, Kind, Result};

use super::names;

/// Where the blobs of a layout come from.
pub(crate) trait Source {
    /// The document that `descriptor` points to, verified, or `None` if the layout has it not.
    fn document(&mut self, descriptor: &Descriptor, limit: u64) -> Result<Option<Vec<u8>>>;
    /// Sees to it that the blob is in the store, verified and held; `false` if the layout has it not.
    fn blob(&mut self, descriptor: &Descriptor) -> Result<bool>;
}

/// What the walk down a layout found.
pub(crate) struct Walk<'a> {
    content: &'a Content,
    lease: &'a Lease,
    source: &'a mut dyn Source,
    /// Documents that were looked at, and whether they are there.
    seen: HashMap<Digest, bool>,
    /// The configuration behind each manifest that was loaded.
    pub(crate) configs: HashMap<Digest, Digest>,
}

/// Verifies the file `oci-layout`.
///
/// # Errors
/// [`Kind::Invalid`] if it is none; [`Kind::Unsupported`] for another version than 1.
pub(crate) fn marker(bytes: &[u8]) -> Result<()> {
    #[derive(serde::Deserialize)]
    struct Marker {
        #[serde(rename = "imageLayoutVersion")]
        version: String,
    }
    let what = "read `oci-layout`";
    let marker: Marker = serde_json::from_slice(bytes).map_err(|e| Error::invalid(what).because(e))?;
    if !marker.version.starts_with("1.") {
        let text = format!("{what}: layout version `{}`", marker.version.escape_debug());
        return Err(Error::new(Kind::Unsupported, text));
    }
    Ok(())
}

impl<'a> Walk<'a> {
    pub(crate) fn new(content: &'a Content, lease: &'a Lease, source: &'a mut dyn Source) -> Walk<'a> {
        Walk { content, lease, source, seen: HashMap::new(), configs: HashMap::new() }
    }

    /// Loads all images of `index`, the text of `index.json`, and adds them to `found`.
    ///
    /// # Errors
    /// Those of [`super::load`].
    pub(crate) fn index(&mut self, index: &[u8], found: &mut names::Found) -> Result<()> {
        let what = || "read `index.json`";
        let Document::Index(index) = Document::parse(index, "").context(what)? else {
            return Err(Error::invalid(format!("{}: not an index", what())));
        };
        for descriptor in &index.manifests {
            let (name, label) = names::of(descriptor)?;
            if !self.descend(descriptor, 0)? {
                return Err(absent(descriptor));
            }
            found.add(descriptor, name.into_iter().collect(), label)?;
        }
        Ok(())
    }

    /// Loads what `descriptor` points to; `false` if it is not there.
    fn descend(&mut self, descriptor: &Descriptor, depth: usize) -> Result<bool> {
        if let Some(is_there) = self.seen.get(&descriptor.digest) {
            return Ok(*is_there);
        }
        if depth > limits::INDEX_DEPTH {
            let text = format!("load the archive: an index more than {} deep", limits::INDEX_DEPTH);
            return Err(Error::new(Kind::Limit, text));
        }
        if self.seen.len() > limits::INDEX_ENTRIES {
            let text = format!("load the archive: more than {} manifests", limits::INDEX_ENTRIES);
            return Err(Error::new(Kind::Limit, text));
        }
        let Some(bytes) = self.source.document(descriptor, limits::MANIFEST)? else {
            self.seen.insert(descriptor.digest.clone(), false);
            return Ok(false);
        };
        let what = || format!("read the manifest `{}`", descriptor.digest);
        match Document::parse(&bytes, &descriptor.media_type).context(what)? {
            Document::Manifest(manifest) => self.manifest(descriptor, &manifest)?,
            Document::Index(index) => self.children(descriptor, &index, depth)?,
        }
        self.content.put(self.lease, &bytes, descriptor.digest.algorithm())?;
        self.seen.insert(descriptor.digest.clone(), true);
        Ok(true)
    }

    /// Loads those of an index's manifests that are there: `save` of one platform leaves the others out.
    fn children(&mut self, descriptor: &Descriptor, index: &Index, depth: usize) -> Result<()> {
        let mut any = index.manifests.is_empty();
        for child in &index.manifests {
            any |= self.descend(child, depth + 1)?;
        }
        if any {
            Ok(())
        } else {
            Err(Error::invalid(format!("load `{}`: no image of it is there", descriptor.digest)))
        }
    }

    fn manifest(&mut self, descriptor: &Descriptor, manifest: &taru_oci::Manifest) -> Result<()> {
        let is_image = media::is_config(&manifest.config.media_type);
        let config = self.source.document(&manifest.config, limits::CONFIG)?;
        let config = config.ok_or_else(|| absent(&manifest.config))?;
        if is_image {
            let what = || format!("read the configuration `{}`", manifest.config.digest);
            let image = Image::parse(&config).context(what)?;
            agree(&image.rootfs.diff_ids, &manifest.layers)
                .context(|| format!("load `{}`", descriptor.digest))?;
            self.configs.insert(descriptor.digest.clone(), manifest.config.digest.clone());
        }
        self.content.put(self.lease, &config, manifest.config.digest.algorithm())?;
        for layer in &manifest.layers {
            if is_image && media::layer(&layer.media_type) == media::Layer::Foreign {
                let text = format!("load the layer `{}`: its content is kept elsewhere", layer.digest);
                return Err(Error::new(Kind::Unsupported, text));
            }
            if !self.source.blob(layer)? {
                return Err(absent(layer));
            }
        }
        Ok(())
    }
}

fn absent(descriptor: &Descriptor) -> Error {
    Error::invalid(format!("load the archive: `{}` is missing in it", descriptor.digest))
}

/// Whether a configuration and a manifest can speak of the same layers: as many, and those that are not compressed have
/// the diff id for their digest. The others are verified when they are unpacked.
fn agree(diff_ids: &[Digest], layers: &[Descriptor]) -> Result<()> {
    if diff_ids.len() != layers.len() {
        let text = format!("{} layers and {} diff ids", layers.len(), diff_ids.len());
        return Err(Error::invalid(text));
    }
    for (diff_id, layer) in diff_ids.iter().zip(layers) {
        let is_plain = media::layer(&layer.media_type) == media::Layer::Tar(media::Compression::None);
        if is_plain && diff_id.algorithm() == layer.digest.algorithm() && *diff_id != layer.digest {
            let text = format!("the layer `{}` has the diff id `{diff_id}`", layer.digest);
            return Err(Error::invalid(text));
        }
    }
    Ok(())
}
