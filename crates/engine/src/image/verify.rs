//! `taru image verify`: whether an image is what it says, and signed by whom it must be.
//!
//! Three looks, each on its own, so that one fault does not hide another: the signature in the registry, every blob in the
//! store, every file of the unpacked layers.

use std::io::Read;
use std::path::PathBuf;

use taru_oci::{Descriptor, Hasher, Platform, Reference};
use taru_registry::Policy;
use taru_stdx::{Context, Error, Kind, Result};

use super::find::{self, Found};
use super::{Images, names};
use crate::Engine;

/// How much is read at a time.
const CHUNK: usize = 1 << 20;

/// What was found about the signature.
#[derive(Debug)]
pub enum Signature {
    /// One is wanted, and there is a good one.
    Good,
    /// The policy wants none.
    NotWanted,
    /// It is refused, or could not be looked for.
    Bad(Error),
}

/// What was found.
#[derive(Debug)]
pub struct Report {
    /// The image.
    pub found: Found,
    /// Its signature.
    pub signature: Signature,
    /// How many blobs were read.
    pub blobs: u64,
    /// How many layers were compared file by file.
    pub layers: u64,
    /// Layers that are not unpacked; a run unpacks them.
    pub packed: u64,
    /// What is wrong, a line each.
    pub faults: Vec<String>,
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_well(&self) -> bool {
        self.faults.is_empty() && !matches!(self.signature, Signature::Bad(_))
    }
}

/// Looks at the image `key`. With `keys`, files with public keys, one of them must have signed it; without, the host's policy counts.
///
/// # Errors
/// [`Kind::NotFound`] if there is no such image; the stores cannot be read. What is wrong with the image is in the report.
pub fn verify(engine: &Engine, key: &str, platform: Option<&Platform>, keys: &[PathBuf]) -> Result<Report> {
    let images = engine.images()?;
    let lease = images.content.lease(&format!("verify {key}"))?;
    let found = find::find(images, key, platform)?;
    lease.protect_blob(&found.target.digest)?;
    let mut report = Report {
        signature: signature(engine, key, &found, keys)?,
        found,
        blobs: 0,
        layers: 0,
        packed: 0,
        faults: Vec::new(),
    };
    let found = &report.found;
    let mut parts = vec![&found.target, &found.manifest, &found.document.config];
    parts.extend(&found.document.layers);
    parts.sort_by(|a, b| a.digest.cmp(&b.digest));
    parts.dedup_by(|a, b| a.digest == b.digest);
    for part in parts {
        report.blobs += 1;
        if let Err(e) = blob(images, part) {
            report.faults.push(format!("blob {}: {}", part.digest, e.chain()));
        }
    }
    for chain in found.chain() {
        if !images.snapshots.has(&chain) {
            report.packed += 1;
            continue;
        }
        report.layers += 1;
        for broken in images.snapshots.check(&chain)? {
            let path =
                broken.path.map_or_else(|| "its list of files".to_owned(), |p| p.display().to_string());
            report.faults.push(format!("layer {}: {}: {}", chain.short(), path.escape_debug(), broken.why));
        }
    }
    Ok(report)
}

fn signature(engine: &Engine, key: &str, found: &Found, keys: &[PathBuf]) -> Result<Signature> {
    let policy = match keys {
        [] => names::policy()?,
        keys => Policy::signed_by(keys),
    };
    let Some(name) = name(engine, key, found)? else {
        let e = Error::invalid(format!("verify `{key}`: it has no name that says where signatures are"))
            .hint(format!("`taru image tag {key} REGISTRY/NAME` gives it one"));
        return Ok(if keys.is_empty() { Signature::NotWanted } else { Signature::Bad(e) });
    };
    if policy.accepts_unseen(&name) {
        return Ok(Signature::NotWanted);
    }
    let either = [found.target.clone(), found.manifest.clone()];
    Ok(match policy.check_any(engine.registry()?, &name, &either) {
        Ok(()) => Signature::Good,
        Err(e) => Signature::Bad(e),
    })
}

/// The name that signatures are looked for beside: as typed, or for an id one of the image's.
fn name(engine: &Engine, key: &str, found: &Found) -> Result<Option<Reference>> {
    let mut names: Vec<Reference> = Vec::new();
    for record in engine.images()?.content.images()? {
        if record.descriptor.digest == found.target.digest {
            names.extend(record.name);
        }
    }
    let typed = key.parse::<Reference>().ok().filter(|typed| names.contains(typed));
    Ok(typed.or_else(|| names.into_iter().next()))
}

/// Reads a blob and compares it with its digest.
fn blob(images: &Images, part: &Descriptor) -> Result<()> {
    let (mut file, _) = images.content.open_blob(&part.digest)?;
    let mut hasher = Hasher::new(part.digest.algorithm());
    let mut chunk = vec![0; CHUNK];
    let mut size = 0u64;
    loop {
        let read = file.read(&mut chunk).context(|| "read it")?;
        if read == 0 {
            break;
        }
        size += read as u64;
        hasher.update(chunk.get(..read).unwrap_or_default());
    }
    if size != part.size {
        return Err(Error::new(Kind::Invalid, format!("{size} bytes, {} wanted", part.size)));
    }
    match hasher.finish() {
        digest if digest == part.digest => Ok(()),
        _ => Err(Error::invalid("another content")),
    }
}
