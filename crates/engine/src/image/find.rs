//! Finding an image in the store: by a name as people write it, or by the beginning of its id.
//!
//! An image's id is the digest of what its name leads to (an index or a manifest): the same that
//! `NAME@sha256:...` fetches from a registry.

use taru_oci::{Descriptor, Digest, Document, Image, Index, Manifest, Platform, Reference, limits, media};
use taru_stdx::{Context, Error, Kind, Result};

use super::Images;

/// An image that is in the store, whole for one platform.
#[derive(Debug, Clone)]
pub struct Found {
    /// As it was asked for, for people.
    pub name: String,
    /// What its name leads to: an index, or the manifest itself.
    pub target: Descriptor,
    /// The manifest for the platform.
    pub manifest: Descriptor,
    /// The same, read.
    pub document: Manifest,
    /// Its configuration.
    pub config: Image,
}

impl Found {
    /// The chain id of each layer, the lowest first.
    pub fn chain(&self) -> Vec<Digest> {
        taru_oci::document::chain_ids(&self.config.rootfs.diff_ids)
    }

    /// The chain id of its uppermost layer.
    pub fn top(&self) -> Option<Digest> {
        self.chain().pop()
    }
}

/// The image that `key` names, for `platform` or this host.
///
/// # Errors
/// [`Kind::NotFound`] if the store has none of that name, or not for that platform; [`Kind::Invalid`] if several ids
/// begin so.
pub fn find(images: &Images, key: &str, platform: Option<&Platform>) -> Result<Found> {
    let target = target(images, key)?;
    open(images, key, target, platform)
}

/// What `key` leads to.
///
/// # Errors
/// As [`find`].
pub fn target(images: &Images, key: &str) -> Result<Descriptor> {
    let what = || format!("find image `{}`", key.escape_debug());
    let name = key.parse::<Reference>();
    if let Ok(name) = &name
        && let Some(target) = images.content.resolve(name)?
    {
        return Ok(target);
    }
    // A digest behind a name is an id too, as long as some name leads to it.
    let digest = name.as_ref().ok().and_then(Reference::digest);
    let mut found = with_id(images, digest.map_or(key, Digest::hex))?;
    match (found.pop(), found.is_empty()) {
        (Some(target), true) => Ok(target),
        (Some(_), false) => {
            Err(Error::invalid(format!("{}: several ids begin with it", what())).hint("type more of the id"))
        }
        (None, _) => match name {
            Err(e) => Err(e).context(what),
            Ok(name) => {
                Err(Error::new(Kind::NotFound, format!("{}: no such image in the store", what())).hint(
                    format!("`taru pull {}` fetches it; `taru images` lists what is there", name.familiar()),
                ))
            }
        },
    }
}

/// Whether `key` is no name that a registry could be asked by, but the id of an image in the store, or its beginning.
///
/// # Errors
/// Any error of the store.
pub(crate) fn is_id(images: &Images, key: &str) -> Result<bool> {
    if let Ok(name) = key.parse::<Reference>()
        && (name.digest().is_some() || images.content.resolve(&name)?.is_some())
    {
        return Ok(false);
    }
    Ok(!with_id(images, key)?.is_empty())
}

/// The images whose ids begin with `id`.
fn with_id(images: &Images, id: &str) -> Result<Vec<Descriptor>> {
    let id = id.strip_prefix("sha256:").unwrap_or(id);
    let mut found: Vec<Descriptor> = Vec::new();
    if id.len() < 3 || !id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return Ok(found);
    }
    for record in images.content.images()? {
        let is_known = found.iter().any(|f| f.digest == record.descriptor.digest);
        if record.descriptor.digest.hex().starts_with(id) && !is_known {
            found.push(record.descriptor);
        }
    }
    Ok(found)
}

/// Opens what `target` leads to: for `platform`, else for this host, else for whatever platform is there.
///
/// # Errors
/// As [`find`]; an image of which a part is missing is [`Kind::NotFound`] too.
pub fn open(images: &Images, name: &str, target: Descriptor, platform: Option<&Platform>) -> Result<Found> {
    let what = || format!("open image `{}`", name.escape_debug());
    let (manifest, document) = match platform {
        Some(platform) => manifest(images, &target, &|index| index.choose(platform).cloned(), 0),
        None => manifest(images, &target, &|index| choose_there(images, index), 0),
    }
    .context(what)?;
    let config = config(images, &document).context(what)?;
    if let Some(wanted) = platform
        && config.platform().suits(wanted).is_none()
    {
        return Err(Error::new(Kind::NotFound, format!("{}: it is for `{}`", what(), config.platform()))
            .hint(format!("`taru pull --platform {wanted} {name}` fetches the other one")));
    }
    Ok(Found { name: name.to_owned(), target, manifest, document, config })
}

/// The manifest for this host, or another that is in the store. One of which a part is missing, as a pull that was killed
/// leaves it, counts only where none is whole.
fn choose_there(images: &Images, index: &Index) -> Result<Descriptor> {
    let host = index.choose(&Platform::host());
    let mut incomplete = None;
    // What hangs beside an image is for `unknown/unknown`.
    let others = index.manifests.iter().filter(|m| m.platform.as_ref().is_none_or(|p| p.os != "unknown"));
    for descriptor in host.iter().copied().chain(others) {
        if images.content.has(&descriptor.digest)?.is_none() {
            continue;
        }
        if images.content.missing(descriptor).is_ok_and(|missing| missing.is_empty()) {
            return Ok(descriptor.clone());
        }
        incomplete = incomplete.or(Some(descriptor));
    }
    incomplete.map_or_else(|| host.cloned(), |descriptor| Ok(descriptor.clone()))
}

fn manifest(
    images: &Images,
    at: &Descriptor,
    choose: &dyn Fn(&Index) -> Result<Descriptor>,
    depth: usize,
) -> Result<(Descriptor, Manifest)> {
    let bytes = images.content.read(at, limits::MANIFEST)?;
    match Document::parse(&bytes, &at.media_type)? {
        Document::Manifest(manifest) => Ok((at.clone(), *manifest)),
        Document::Index(_) if depth >= limits::INDEX_DEPTH => {
            Err(Error::new(Kind::Limit, "read the index: an index in an index in an index"))
        }
        Document::Index(index) => manifest(images, &choose(&index)?, choose, depth + 1),
    }
}

/// The configuration of an image that can be run.
///
/// # Errors
/// [`Kind::Unsupported`] for an artifact that is no image; [`Kind::Invalid`] for one that contradicts itself.
pub fn config(images: &Images, manifest: &Manifest) -> Result<Image> {
    check_kind(manifest)?;
    let config = Image::parse(&images.content.read(&manifest.config, limits::CONFIG)?)?;
    config.agree_with(manifest.layers.len())?;
    Ok(config)
}

/// Whether `manifest` is of an image that can be run.
///
/// # Errors
/// [`Kind::Unsupported`] if not, saying what it is.
pub(crate) fn check_kind(manifest: &Manifest) -> Result<()> {
    let own = &manifest.config.media_type;
    if !media::is_config(own) {
        let kind = manifest.artifact_type.as_deref().unwrap_or(own);
        let text = format!("read the image: it is an artifact of type `{kind}`, no image to be run");
        return Err(Error::new(Kind::Unsupported, text));
    }
    for layer in &manifest.layers {
        match media::layer(&layer.media_type) {
            media::Layer::Tar(_) => {}
            media::Layer::Foreign => {
                return Err(Error::new(
                    Kind::Unsupported,
                    format!("read the image: layer `{}` is kept elsewhere (foreign)", layer.digest),
                )
                .hint("it is one of Windows, or of a publisher who must not distribute it"));
            }
            media::Layer::Unknown => {
                let text = format!("read the image: layer `{}` is `{}`", layer.digest, layer.media_type);
                return Err(Error::new(Kind::Unsupported, text));
            }
        }
    }
    Ok(())
}
