//! `taru store check`: whether everything in the stores is what it says, and what to do where it is not.
//!
//! Every blob is hashed again, every unpacked layer is compared file by file with what was written when it was unpacked.
//! A repair removes blobs that are broken, which come back with the next pull, and unpacks broken layers again: those whose
//! blob is there and that no running container stands on.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use taru_content::{Lease, Report};
use taru_oci::{Descriptor, Digest, Reference};
use taru_snapshot::Broken;
use taru_stdx::{Context, Error, Kind, Result};

use crate::Engine;
use crate::config::Root;
use crate::image::find::{self, Found};
use crate::image::progress::Progress;
use crate::image::{broken, unpack};
use crate::reconcile;

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
pub fn check(engine: &mut Engine, repair: bool, progress: &dyn Progress) -> Result<Checked> {
    let owners = owners(engine)?;
    let engine = &*engine;
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
            Err(e) if e.kind() == Kind::NotFound && !images.snapshots.has(&chain) => continue,
            // What cannot be compared is broken, too.
            Err(e) => vec![Broken { path: None::<PathBuf>, why: e.chain().to_string() }],
            Ok(files) => files,
        };
        checked.layers += 1;
        if !files.is_empty() {
            let images = owners.iter().filter(|o| o.found.chain().contains(&chain)).map(|o| o.name.clone());
            checked.broken.push(BrokenLayer { images: images.collect(), chain, files, repaired: None });
        }
    }
    if repair {
        for layer in &mut checked.broken {
            layer.repaired = Some(mend(engine, &lease, &owners, &layer.chain, progress));
        }
    }
    Ok(checked)
}

/// Whose layers are checked: an image, by its name, or a container, whose image may have no name any more.
struct Owner {
    name: String,
    found: Found,
}

/// Every image and every container of one that can be opened; what cannot is named by the check of the blobs.
fn owners(engine: &mut Engine) -> Result<Vec<Owner>> {
    let containers = reconcile::all(engine, |_, _| {})?;
    let images = engine.images()?;
    let mut owners = Vec::new();
    for record in images.content.images()? {
        let id = || record.descriptor.digest.to_string();
        let name = record.name.as_ref().map_or_else(id, Reference::familiar);
        if let Ok(found) = find::open(images, &name, record.descriptor, None) {
            owners.push(Owner { name, found });
        }
    }
    for (record, _) in containers {
        let Ok(config) = record.config() else { continue };
        let Root::Image { manifest, .. } = &config.root else { continue };
        let Some(size) = images.content.has(manifest)? else { continue };
        let descriptor = Descriptor::new("", manifest.clone(), size);
        if let Ok(found) = find::open(images, &record.name, descriptor, None) {
            let name = format!("container {}", record.name);
            owners.push(Owner { name, found });
        }
    }
    Ok(owners)
}

/// Unpacks a broken layer again. It is taken away only once it is known that this can be done.
fn mend(
    engine: &Engine,
    lease: &Lease,
    owners: &[Owner],
    chain: &Digest,
    progress: &dyn Progress,
) -> std::result::Result<(), Error> {
    let what = || format!("unpack the layer `{chain}` again");
    let images = engine.images()?;
    broken::in_use(engine, chain)?;
    let Some(owner) = owners.iter().find(|owner| owner.found.chain().contains(chain)) else {
        // Of no image, it is nobody's, and what collects would remove it too.
        return images.snapshots.remove_layer(chain);
    };
    let layers = unpack::plan(&owner.found.document, &owner.found.config)?;
    let layer = layers.into_iter().find(|layer| layer.chain == *chain);
    let blob = layer.as_ref().and_then(|layer| owner.found.document.layers.get(layer.at));
    let (Some(layer), Some(blob)) = (layer, blob) else {
        return Err(Error::new(Kind::System, format!("{}: no image has it", what())));
    };
    // Its bytes were verified just before; what was broken is gone.
    if lease.protect_blob(&blob.digest)?.is_none() {
        return Err(Error::new(Kind::NotFound, format!("{}: its blob is missing", what()))
            .hint(format!("pull or load {} again, and repair again", owner.name)));
    }
    images.snapshots.remove_layer(chain)?;
    unpack::unpack(images, &owner.found.document, &[layer], &|_, _| Ok(()), progress).context(what)
}
