//! `taru store check`: whether everything in the stores is what it says, and what to do where it is not.
//!
//! Every blob is hashed again, every unpacked layer is compared file by file with what was written when it was unpacked.
//! A repair removes what is broken, and unpacks layers again from their blobs; blobs that are gone come back with the
//! next pull.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use taru_content::Report;
use taru_oci::{Digest, Reference};
use taru_snapshot::Broken;
use taru_stdx::{Error, Result};

use super::progress::Progress;
use super::{Images, find, unpack};
use crate::Engine;

/// What was found.
#[derive(Debug)]
pub struct Checked {
    /// Blobs and records.
    pub content: Report,
    /// How many layers were compared.
    pub layers: u64,
    /// Layers that are not what they must be.
    pub broken: Vec<BrokenLayer>,
}

/// A layer that is not what it must be.
#[derive(Debug)]
pub struct BrokenLayer {
    /// Its chain id.
    pub chain: Digest,
    /// Images that have it.
    pub images: Vec<String>,
    /// Each path that is wrong, and what is wrong with it.
    pub files: Vec<Broken>,
    /// What became of it in a repair; nothing without.
    pub repaired: Option<std::result::Result<(), Error>>,
}

impl Checked {
    /// Whether nothing is wrong, or all that was is no more.
    pub fn is_well(&self) -> bool {
        self.content.is_well() && self.broken.iter().all(|layer| matches!(layer.repaired, Some(Ok(()))))
    }
}

/// Checks everything; with `repair`, mends what can be mended here.
///
/// # Errors
/// The stores cannot be read. What is wrong with what is in them is in the report.
pub fn check(engine: &Engine, repair: bool, progress: &dyn Progress) -> Result<Checked> {
    let images = engine.images()?;
    // Nothing is collected meanwhile that is being read.
    let lease = images.content.lease("check the store")?;
    let read = AtomicU64::new(0);
    let told = |bytes: u64| {
        const STEP: u64 = 1 << 30;
        let before = read.fetch_add(bytes, Ordering::Relaxed);
        if before / STEP != (before + bytes) / STEP {
            progress.say(&format!("{} GiB of blobs are verified", (before + bytes) / STEP));
        }
    };
    let content = images.content.check(repair, &told)?;
    let mut checked = Checked { content, layers: 0, broken: Vec::new() };
    for chain in images.snapshots.layers()? {
        lease.protect_layer(&chain)?;
        let files = match images.snapshots.check(&chain) {
            // Removed meanwhile.
            Err(e) if e.kind() == taru_stdx::Kind::NotFound && !images.snapshots.has(&chain) => continue,
            // What cannot be compared is broken, too.
            Err(e) => vec![Broken { path: None::<PathBuf>, why: e.chain().to_string() }],
            Ok(files) => files,
        };
        checked.layers += 1;
        if !files.is_empty() {
            let images = users(images, &chain)?;
            checked.broken.push(BrokenLayer { chain, images, files, repaired: None });
        }
    }
    if repair && !checked.broken.is_empty() {
        mend(images, &lease, &mut checked, progress)?;
    }
    Ok(checked)
}

/// Names of the images that have a layer.
fn users(images: &Images, chain: &Digest) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for record in images.content.images()? {
        let name =
            record.name.as_ref().map_or_else(|| record.descriptor.digest.to_string(), Reference::familiar);
        // An image that cannot be opened is named by the check of the blobs.
        let Ok(found) = find::open(images, &name, record.descriptor, None) else { continue };
        if found.chain().contains(chain) {
            names.push(name);
        }
    }
    Ok(names)
}

/// Removes broken layers, and unpacks them again with the images that have them.
fn mend(
    images: &Images,
    lease: &taru_content::Lease,
    checked: &mut Checked,
    progress: &dyn Progress,
) -> Result<()> {
    for layer in &checked.broken {
        images.snapshots.remove_layer(&layer.chain)?;
    }
    let mut failed: Option<Error> = None;
    for record in images.content.images()? {
        let name =
            record.name.as_ref().map_or_else(|| record.descriptor.digest.to_string(), Reference::familiar);
        let Ok(found) = find::open(images, &name, record.descriptor, None) else { continue };
        // All of its layers: one in the middle may be what was removed.
        let layers = unpack::plan(&found.document, &found.config)?;
        if layers.iter().all(|layer| images.snapshots.has(&layer.chain)) {
            continue;
        }
        for layer in &layers {
            lease.protect_layer(&layer.chain)?;
        }
        if let Err(e) = unpack::unpack(images, &found.document, &layers, &|_, _| Ok(()), progress) {
            failed = Some(e.hint(format!("`taru pull {name}` brings back what is missing")));
        }
    }
    for layer in &mut checked.broken {
        let is_there = images.snapshots.has(&layer.chain);
        layer.repaired = Some(match (is_there || layer.images.is_empty(), failed.take()) {
            (true, e) => {
                failed = e;
                Ok(())
            }
            (false, Some(e)) => Err(e),
            (false, None) => Err(Error::new(
                taru_stdx::Kind::NotFound,
                format!("unpack the layer `{}` again: its blob is missing", layer.chain),
            )),
        });
    }
    Ok(())
}
