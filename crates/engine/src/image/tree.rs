//! The root of an image's container: layers below, and above them what is its own.

use std::path::Path;

use taru_mount::idmap::Range;
use taru_oci::Digest;
use taru_runtime::spec::IdMapping;
use taru_snapshot::{DriverKind, IdMaps as LayerMaps, Ids, Key, Lower, Rootfs, Snapshots};
use taru_stdx::{Error, Kind, Result};

use super::HOLD;
use crate::Engine;
use crate::config::{Root, Userns};
use crate::idmap::{self, IdMaps};
use crate::record::Record;

/// Opens the store of layers. An ordinary user's are that user's on disk, as containers see them; root's have the ids
/// that images say.
pub(super) fn open(engine: &Engine) -> Result<Snapshots> {
    let ids = match engine.caller.uid {
        0 => Ids::Host,
        _ => {
            let maps = idmap::choose(&engine.caller, Userns::Private, None)?;
            Ids::Subordinate(layer_maps(&maps))
        }
    };
    let dir = engine.dirs.state().join("snapshot");
    Snapshots::open(&dir, driver(&dir)?, ids)
}

/// How layers are kept: as `TARU_STORAGE_DRIVER` says, else as in the store that is there, else stacked by overlay. Another
/// one than that of the store is refused.
fn driver(store: &Path) -> Result<DriverKind> {
    let kept = || DriverKind::of_store(store).map(|kind| kind.unwrap_or(DriverKind::Overlay));
    let Ok(name) = std::env::var("TARU_STORAGE_DRIVER") else { return kept() };
    DriverKind::named(&name).ok_or_else(|| {
        Error::invalid(format!("use TARU_STORAGE_DRIVER=`{}`: no such driver", name.escape_debug()))
            .hint("overlay, erofs, dir or btrfs")
    })
}

fn layer_maps(maps: &IdMaps) -> LayerMaps {
    LayerMaps { uids: ranges(&maps.uids), gids: ranges(&maps.gids) }
}

/// The id maps of a container with users of its own; of one that has ended as well.
///
/// # Errors
/// The record is damaged.
pub(crate) fn maps(engine: &Engine, record: &Record) -> Result<Option<LayerMaps>> {
    let maps = idmap::choose(&engine.caller, record.config()?.userns, record.uid_base)?;
    Ok(maps.is_private().then(|| layer_maps(&maps)))
}

fn ranges(maps: &[IdMapping]) -> Vec<Range> {
    maps.iter().map(|m| Range::new(m.container_id, m.host_id, m.size)).collect()
}

/// The root of the container `record` above the layer `chain`: the one it had, else a new one.
pub(crate) fn prepare(
    engine: &Engine,
    record: &Record,
    chain: Option<&Digest>,
    maps: &IdMaps,
) -> Result<Rootfs> {
    let snapshots = &engine.images()?.snapshots;
    let key = Key::container(&record.id)?;
    match snapshots.prepare(&key, chain, maps.root(), record.config()?.is_durable()) {
        Err(e) if e.kind() == Kind::Exists => {}
        Err(e) if e.kind() == Kind::NotFound => {
            return Err(e.hint("a layer of its image is missing: `taru store check` tells which"));
        }
        done => done?,
    }
    let mut tree = snapshots.mounts(&key)?;
    if let Rootfs::Overlay { lower, upper, .. } = &mut tree
        && lower.is_empty()
    {
        // An image without layers: an overlay wants one below all the same.
        let empty = upper.with_file_name("empty");
        crate::dirs::ensure(&empty)?;
        lower.push(Lower::Directory(empty));
    }
    Ok(tree)
}

/// Removes the root of a container, if it has one here.
pub(crate) fn remove(engine: &Engine, record: &Record) -> Result<()> {
    if !may_be_of_image(engine, record) {
        return Ok(());
    }
    engine.images()?.snapshots.remove(&Key::container(&record.id)?)
}

/// Holds the image of a container that was just recorded, for as long as its record lives.
pub(crate) fn hold(engine: &Engine, record: &Record, durable: bool) -> Result<()> {
    let Root::Image { id, manifest, chain, .. } = &record.config()?.root else { return Ok(()) };
    let content = &engine.images()?.content;
    let name = format!("{HOLD}{}", record.id);
    let digests = [id.clone(), manifest.clone()];
    // Every layer: another image's manifest may be what leads to the lower ones now, and go.
    let layers = match chain {
        Some(top) => engine.images()?.snapshots.ancestors(top)?,
        None => Vec::new(),
    };
    if durable {
        content.hold(&name, &digests, &layers)
    } else {
        content.hold_lazily(&name, &digests, &layers)
    }
}

/// Lets go of what was held for a container.
pub(crate) fn unhold(engine: &Engine, record: &Record) -> Result<()> {
    if !may_be_of_image(engine, record) {
        return Ok(());
    }
    engine.images()?.content.unhold(&format!("{HOLD}{}", record.id))
}

/// Whether there may be something of a container in the stores of images. A damaged record may be of anything.
fn may_be_of_image(engine: &Engine, record: &Record) -> bool {
    match &record.config {
        Ok(config) => matches!(config.root, Root::Image { .. }),
        Err(_) => engine.dirs.state().join("snapshot").exists(),
    }
}
