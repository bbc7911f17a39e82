//! `taru image mount`: the files of an image at a place of the host, read-only.
//!
//! Asked for by name, this is the only mount that taru makes in the host's own mount table. A hold `mount/BOOT.NAMESPACE/DIR`
//! keeps the layers; the collector lets go of it once nothing is mounted there any more, however it was unmounted. It knows
//! that of its own mount namespace, and of any after the host was restarted.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use taru_mount::{Attr, Layer, Mount, MountAttr, Overlay, Propagation, change, mountinfo};
use taru_oci::Platform;
use taru_rootdir::{Proc, RootDir};
use taru_snapshot::Lower;
use taru_stdx::{Context, Error, Kind, Result};
use taru_sys::mount::{UmountFlags, umount2};
use taru_sys::ns::{Namespaces, unshare};

use super::progress::Progress;
use super::{Images, MOUNT_HOLD as HOLD, broken, find};
use crate::Engine;

/// Mounts the image `key` read-only on `dir`.
///
/// # Errors
/// [`Kind::NotFound`]; [`Kind::Permission`] for an ordinary user; [`Kind::Busy`] where something is mounted.
pub fn mount(
    engine: &Engine,
    key: &str,
    platform: Option<&Platform>,
    dir: &Path,
    progress: &dyn Progress,
) -> Result<()> {
    let what = || format!("mount image `{key}` on `{}`", dir.display());
    if engine.caller.uid != 0 {
        return Err(Error::new(Kind::Permission, format!("{}: only root can", what()))
            .hint("`taru export` and `taru image save` need no mount"));
    }
    let images = engine.images()?;
    let dir = dir.canonicalize().context(what)?;
    let place = dir.to_str().ok_or_else(|| Error::invalid(format!("{}: not UTF-8", what())))?;
    if is_mounted(&dir)? {
        return Err(Error::new(Kind::Busy, format!("{}: something is mounted there", what())));
    }
    let lease = images.content.lease(&format!("mount {key}"))?;
    let found = find::find(images, key, platform)?;
    broken::ensure(engine, &lease, &found, progress)?;
    let top = found.top().ok_or_else(|| Error::invalid(format!("{}: it has no layers", what())))?;
    let name = format!("{HOLD}{}{place}", here(engine)?);
    let layers = images.snapshots.ancestors(&top)?;
    let hold = || images.content.hold(&name, std::slice::from_ref(&found.target.digest), &layers);
    hold()?;
    let attached = stack(&images.snapshots.trees(&top)?, &dir)
        .and_then(|mount| mount.attach(RootDir::open(&dir)?.as_fd()).map(drop))
        .context(what);
    match attached {
        // A collector that saw the hold before the mount has let go of it; the lease has kept the layers.
        Ok(()) => hold(),
        Err(e) => images.content.unhold(&name).and(Err(e)),
    }
}

/// This mount namespace, in this boot: `BOOT.INODE`.
fn here(engine: &Engine) -> Result<String> {
    let namespace = std::fs::metadata("/proc/self/ns/mnt").context(|| "look at the mount namespace")?;
    Ok(format!("{}.{}", engine.starter.boot, namespace.ino()))
}

/// What the mount, and each of its layers, may be used for.
const ATTRIBUTES: Attr = Attr::RDONLY.union(Attr::NODEV).union(Attr::NOSUID);

/// The detached, read-only mount of these layers, topmost first; to be attached to `dir`.
fn stack(layers: &[Lower], dir: &Path) -> Result<Mount> {
    match layers {
        // An overlay wants two layers, or one that can be written to.
        [only] => layer(only),
        _ if layers.iter().any(Lower::is_image) => aside(|| stack_images(layers, dir)),
        _ => overlay(layers.iter().map(|layer| Layer::Path(layer.path())).collect()),
    }
}

/// The detached mount of a layer.
fn layer(lower: &Lower) -> Result<Mount> {
    match lower {
        Lower::Directory(path) => {
            let mount = Mount::bind(RootDir::open(path)?.as_fd(), false)?;
            mount.attributes(ATTRIBUTES, Attr::default(), false)?;
            Ok(mount)
        }
        Lower::Image(path) => Mount::image(path, ATTRIBUTES),
    }
}

fn overlay(lower: Vec<Layer<'_>>) -> Result<Mount> {
    let mut overlay = Overlay::new(lower);
    overlay.options = vec![("userxattr", None)];
    overlay.mount(ATTRIBUTES)
}

/// Runs `act` in a mount namespace of its own, a copy of this one from which nothing comes back: a thread of its own, as
/// threads do not share what one of them enters.
fn aside<T: Send>(act: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let inside = || {
        unshare(Namespaces::MOUNT).context(|| "make a mount namespace")?;
        let private = MountAttr { propagation: Some(Propagation::Private), ..MountAttr::default() };
        change(RootDir::open(Path::new("/"))?.as_fd(), &private, true)?;
        act()
    };
    let ended = std::thread::scope(|scope| scope.spawn(inside).join());
    ended.map_err(|_| Error::new(Kind::System, "work in a mount namespace: the thread panicked"))?
}

/// An overlay takes layers that are attached, in its maker's mount namespace: theirs is one that ends with this. What holds
/// them then are copies of the overlay's own. By their paths: hundreds of them are more descriptors than many a process may
/// have.
fn stack_images(layers: &[Lower], dir: &Path) -> Result<Mount> {
    let room = Mount::fs("tmpfs", Some("taru"), &[("mode", Some("0700"))], Attr::default())?;
    let room = RootDir::from_fd(room.attach(RootDir::open(dir)?.as_fd())?);
    let mut paths = Vec::new();
    for (n, lower) in layers.iter().enumerate() {
        let name = n.to_string();
        layer(lower)?.attach(room.create_dir_all(Path::new(&name), 0o700)?)?;
        paths.push(dir.join(name));
    }
    overlay(paths.iter().map(|path| Layer::Path(path)).collect())
}

/// Unmounts what [`mount`] mounted on `dir`.
///
/// # Errors
/// [`Kind::NotFound`] if no image is mounted there; [`Kind::Busy`] while somebody uses it.
pub fn unmount(engine: &Engine, dir: &Path) -> Result<()> {
    let what = || format!("unmount `{}`", dir.display());
    let images = engine.images()?;
    let path = dir.canonicalize().context(what)?;
    let hold = format!("{HOLD}{}{}", here(engine)?, path.display());
    if !images.content.holds(&hold)?.contains(&hold) || !is_mounted(&path)? {
        return Err(Error::new(Kind::NotFound, format!("{}: no image is mounted there", what())));
    }
    umount2(&path, UmountFlags::NOFOLLOW).context(what)?;
    images.content.unhold(&hold)
}

/// Lets go of what is held for mounts that are gone.
///
/// # Errors
/// The mount table or the store cannot be read.
pub(super) fn release(engine: &Engine, images: &Images) -> Result<()> {
    let here = here(engine)?;
    for hold in images.content.holds(HOLD)? {
        let name = hold.strip_prefix(HOLD).unwrap_or(&hold);
        let gone = match name.strip_prefix(&here) {
            Some(place) => !is_mounted(Path::new(place))?,
            // Of another namespace nothing is known, but that a restart has taken it away.
            None => !name.starts_with(&engine.starter.boot),
        };
        if gone {
            images.content.unhold(&hold)?;
        }
    }
    Ok(())
}

/// Whether something is mounted on `dir` in this mount namespace.
fn is_mounted(dir: &Path) -> Result<bool> {
    Ok(mountinfo::read(&Proc::open()?)?.iter().any(|entry| entry.point == dir))
}
