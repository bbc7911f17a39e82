//! Layers that were found broken are made anew by whoever wants them next.
//!
//! | who | what becomes of a layer that `taru store check` or `taru image verify` found broken |
//! |---|---|
//! | `taru pull`, `taru load` | it is unpacked anew; that this cannot be done is an error: what they say is here is whole |
//! | `taru run`, `taru image mount` | it is unpacked anew; where that cannot be done, it is used as it is, with a note |
//! | `taru store check --repair` | it is unpacked anew, or removed where its blob is missing |
//!
//! Their marks cost one call a layer: nobody else pays for the check. What stands on a layer keeps it as it is, since its
//! files are mounted there.

use taru_content::Lease;
use taru_oci::Digest;
use taru_stdx::{Error, Kind, Result};

use super::find::Found;
use super::progress::Progress;
use super::{HOLD, MOUNT_HOLD, unpack};
use crate::Engine;

/// Has those of `layers` renewed that were found broken.
///
/// # Errors
/// [`Kind::State`] if something stands on one.
pub(super) fn renew(engine: &Engine, layers: &mut [unpack::Layer]) -> Result<()> {
    let snapshots = &engine.images()?.snapshots;
    for layer in layers.iter_mut().filter(|layer| snapshots.is_broken(&layer.chain)) {
        in_use(engine, &layer.chain)?;
        layer.renew = true;
    }
    Ok(())
}

/// As [`unpack::ensure`]; what a check found broken is renewed where that can be done, and told of where not.
///
/// # Errors
/// As [`unpack::ensure`].
pub(super) fn ensure(engine: &Engine, lease: &Lease, found: &Found, progress: &dyn Progress) -> Result<()> {
    let images = engine.images()?;
    let mut layers = unpack::plan(&found.document, &found.config)?;
    for layer in layers.iter_mut().filter(|layer| images.snapshots.is_broken(&layer.chain)) {
        let Some(blob) = found.document.layers.get(layer.at) else { continue };
        let renewable = match lease.protect_blob(&blob.digest)? {
            Some(_) => in_use(engine, &layer.chain),
            None => Err(no_blob(&layer.chain, &found.name)),
        };
        match renewable {
            Ok(()) => layer.renew = true,
            // What is still whole of it may do for what is run.
            Err(e) => progress.say(&e.chain().to_string()),
        }
    }
    unpack::ensure_layers(images, lease, found, &layers, progress)
}

fn what(chain: &Digest) -> String {
    format!("unpack the broken layer `{chain}` again")
}

/// That the layer cannot be made anew from what is here.
fn no_blob(chain: &Digest, image: &str) -> Error {
    let text = format!("{}: its blob is missing", what(chain));
    Error::new(Kind::NotFound, text).hint(format!("`taru pull {image}` brings it back"))
}

/// Whether the files of the layer may be taken away.
///
/// # Errors
/// [`Kind::State`] if a container runs on it, or it is mounted.
pub(crate) fn in_use(engine: &Engine, chain: &Digest) -> Result<()> {
    let what = || what(chain);
    for hold in engine.images()?.content.holders(chain)? {
        let mount = hold.strip_prefix(MOUNT_HOLD);
        if let Some(place) = mount.and_then(|name| name.get(name.find('/')?..)) {
            return Err(Error::new(Kind::State, format!("{}: it is mounted on `{place}`", what()))
                .hint(format!("`taru image unmount {place}` first")));
        }
        let Some(id) = hold.strip_prefix(HOLD) else { continue };
        let Ok(record) = engine.store.find(id) else { continue };
        if record.may_run(&engine.dirs.bundle(id), &engine.starter.boot)? {
            let text = format!("{}: container `{}` runs on it", what(), record.name);
            return Err(Error::new(Kind::State, text).hint(format!("`taru stop {}` first", record.name)));
        }
    }
    Ok(())
}
