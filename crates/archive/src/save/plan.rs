//! What is to be written: the documents and blobs that images lead to.

use std::collections::BTreeMap;

use serde::Serialize;
use taru_content::Content;
use taru_oci::{Descriptor, Digest, Document, Image, Index, Manifest, Platform, Reference, limits, media};
use taru_stdx::{Context, Error, Kind, Result};

/// The tag or name (OCI image specification, annotations.md). podman takes it for the whole name, and so it is.
const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The whole name, for containerd and Docker.
const IMAGE_NAME: &str = "io.containerd.image.name";

/// Every blob that some images lead to.
#[derive(Default)]
pub(super) struct Blobs {
    /// Digest and size, in the order of the digests.
    pub(super) all: BTreeMap<Digest, u64>,
}

impl Blobs {
    /// Adds all that is there of `descriptor`.
    ///
    /// # Errors
    /// [`Kind::NotFound`] if a part of a manifest is not there, or no manifest of an index.
    pub(super) fn add(&mut self, content: &Content, descriptor: &Descriptor, depth: usize) -> Result<()> {
        if self.all.contains_key(&descriptor.digest) {
            return Ok(());
        }
        let mut parts = Vec::new();
        match document(content, descriptor)? {
            Document::Index(index) => {
                if depth > limits::INDEX_DEPTH {
                    let text = format!("save `{}`: an index too deep", descriptor.digest);
                    return Err(Error::new(Kind::Limit, text));
                }
                for child in present(content, &index)? {
                    self.add(content, child, depth + 1)?;
                }
            }
            Document::Manifest(manifest) => {
                parts.push(manifest.config);
                parts.extend(manifest.layers);
            }
        }
        for part in &parts {
            match content.has(&part.digest)? {
                Some(size) if size == part.size => self.all.insert(part.digest.clone(), size),
                _ => return Err(absent(descriptor, &part.digest)),
            };
        }
        self.all.insert(descriptor.digest.clone(), descriptor.size);
        Ok(())
    }
}

fn absent(of: &Descriptor, part: &Digest) -> Error {
    Error::new(Kind::NotFound, format!("save `{}`: `{part}` is not in the store", of.digest))
}

/// Reads the manifest or index that `descriptor` points to.
pub(super) fn document(content: &Content, descriptor: &Descriptor) -> Result<Document> {
    let bytes = content.read(descriptor, limits::MANIFEST)?;
    Document::parse(&bytes, &descriptor.media_type).context(|| format!("read `{}`", descriptor.digest))
}

/// The children of an index that are in the store.
fn present<'a>(content: &Content, index: &'a Index) -> Result<Vec<&'a Descriptor>> {
    let mut found = Vec::new();
    for child in &index.manifests {
        if content.has(&child.digest)?.is_some() {
            found.push(child);
        }
    }
    match found.is_empty() && !index.manifests.is_empty() {
        true => Err(Error::new(Kind::NotFound, "save an index: no image of it is in the store")),
        false => Ok(found),
    }
}

/// The one image behind `descriptor` that a reader without indexes gets: this host's, else the first that is there.
/// `None` if it is an artifact.
pub(super) fn image(
    content: &Content,
    descriptor: &Descriptor,
) -> Result<Option<(Manifest, Image, Vec<u8>)>> {
    let mut descriptor = descriptor.clone();
    for _ in 0..=limits::INDEX_DEPTH {
        match document(content, &descriptor)? {
            Document::Manifest(manifest) => {
                if !media::is_config(&manifest.config.media_type) {
                    return Ok(None);
                }
                let config = content.read(&manifest.config, limits::CONFIG)?;
                let what = || format!("read the configuration of `{}`", descriptor.digest);
                let image = Image::parse(&config).context(what)?;
                if image.rootfs.diff_ids.len() != manifest.layers.len() {
                    let text = format!("{}: it has another number of layers", what());
                    return Err(Error::invalid(text));
                }
                return Ok(Some((*manifest, image, config)));
            }
            Document::Index(index) => {
                let there: Vec<Descriptor> = present(content, &index)?.into_iter().cloned().collect();
                let there = Index { manifests: there, ..*index };
                let Some(first) = there.manifests.first() else { return Ok(None) };
                descriptor = there.choose(&Platform::host()).unwrap_or(first).clone();
            }
        }
    }
    Err(Error::new(Kind::Limit, format!("save `{}`: an index too deep", descriptor.digest)))
}

/// An item of `manifest.json`.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Item {
    pub(super) config: String,
    pub(super) repo_tags: Vec<String>,
    pub(super) layers: Vec<String>,
}

/// `index.json`: each image under each of its names.
pub(super) fn index<'a>(images: impl Iterator<Item = (&'a [Reference], &'a Descriptor)>) -> Result<Vec<u8>> {
    let mut manifests = Vec::new();
    for (names, descriptor) in images {
        let mut plain =
            Descriptor::new(descriptor.media_type.clone(), descriptor.digest.clone(), descriptor.size);
        plain.platform.clone_from(&descriptor.platform);
        if names.is_empty() {
            manifests.push(plain.clone());
        }
        for name in names {
            let mut named = plain.clone();
            named.annotations.insert(REF_NAME.to_owned(), name.to_string());
            named.annotations.insert(IMAGE_NAME.to_owned(), name.to_string());
            manifests.push(named);
        }
    }
    let index =
        Index { schema_version: 2, media_type: Some(media::INDEX.to_owned()), manifests, ..Index::default() };
    serde_json::to_vec(&index).context(|| "write `index.json`")
}

/// The names that a descriptor of `index.json` has there.
pub(super) fn name_of(descriptor: &Descriptor) -> Option<&str> {
    let annotations = &descriptor.annotations;
    annotations.get(IMAGE_NAME).or_else(|| annotations.get(REF_NAME)).map(String::as_str)
}
