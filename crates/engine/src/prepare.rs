//! From a record to a bundle the runtime can be given: everything a start needs on disk.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, chown};
use std::path::{Path, PathBuf};

use serde_json::value::RawValue;
use taru_runtime::spec::{CONFIG, IdMapping};
use taru_snapshot::{Key, Rootfs};
use taru_stdx::fs::{Sync, replace};
use taru_stdx::{Context, Error, Kind, Result};

use crate::bundle::{self, Facts};
use crate::config::{ContainerConfig, Root, Userns};
use crate::image::tree;
use crate::record::Record;
use crate::told::Detail;
use crate::{Engine, dirs, host_etc, host_root, idmap, memory, names, user};

/// The largest passwd(5) or group(5) of a container that is read.
const ACCOUNTS_LIMIT: u64 = 1 << 20;

/// The directory of a container's volumes, numbered in the order of its configuration.
const VOLUMES: &str = "volumes";
/// The file beside them that says that they may be filled by half: it goes once the container ran.
const FILLING: &str = ".filling";
/// The file that whoever starts, enters or removes an ended container has locked.
const LOCK: &str = "lock";

/// Whether a container of this configuration is to have host ids of its own.
pub(crate) fn needs_own_ids(engine: &Engine, config: &ContainerConfig) -> bool {
    engine.caller.uid == 0 && config.userns == Userns::Private
}

/// Makes the bundle of `record`. What a start that was killed left of it is removed first.
///
/// # Errors
/// A user that the container does not know, a device that is not there, any error of the file system.
pub fn bundle(engine: &Engine, record: &Record) -> Result<PathBuf> {
    bundle_at(engine, record, &engine.dirs.bundle(&record.id), &record.id)
}

/// As [`bundle`], in the directory `dir`, for a container that the runtime is to know as `id`.
///
/// # Errors
/// As [`bundle`].
pub(crate) fn bundle_at(engine: &Engine, record: &Record, dir: &Path, id: &str) -> Result<PathBuf> {
    place(engine, dir)?;
    fill(engine, record, dir, id, root_of_image(engine, record)?)?;
    Ok(dir.to_owned())
}

/// Makes the empty directory of a bundle.
pub(crate) fn place(engine: &Engine, dir: &Path) -> Result<()> {
    dirs::remove(dir)?;
    dirs::ensure(&dir.join("rootfs"))?;
    // The runtime, which keeps its state beside, may have made it, for itself alone.
    dirs::open_up(engine.dirs.run())
}

/// The container's root, if that is an image's. Some storage drivers make a copy of it, which takes its time.
pub(crate) fn root_of_image(engine: &Engine, record: &Record) -> Result<Option<Rootfs>> {
    let config = record.config()?;
    let Root::Image { chain, .. } = &config.root else { return Ok(None) };
    let maps = idmap::choose(&engine.caller, config.userns, record.uid_base)?;
    tree::prepare(engine, record, chain.as_ref(), &maps).map(Some)
}

/// Makes all that is in a bundle over the root `tree`, and gives the document's text.
pub(crate) fn fill(
    engine: &Engine,
    record: &Record,
    dir: &Path,
    id: &str,
    tree: Option<Rootfs>,
) -> Result<Vec<u8>> {
    let config = record.config()?;
    let kept = engine.dirs.container(&record.id);
    let maps = idmap::choose(&engine.caller, config.userns, record.uid_base)?;
    let hostname = config.hostname.clone().unwrap_or_else(|| record.short_id().to_owned());
    let host = match &config.root {
        Root::Host => {
            host_root::etc_layer(&dir.join(bundle::ETC), &hostname, maps.root())?;
            let etc = host_etc::layer(dir.join(bundle::HOST_ETC), engine.caller.uid == 0)?;
            Some(host_root::prepare(&engine.dirs.host_roots(), maps.root(), etc)?)
        }
        Root::Directory { .. } => None,
        Root::Image { .. } => {
            host_root::etc_layer(&dir.join(bundle::ETC), &hostname, maps.root())?;
            host_root::resolv_conf(&dir.join(bundle::ETC), maps.root())?;
            None
        }
    };
    let volumes = volumes(engine, &kept, config)?;
    if config.keep && tree.is_none() {
        for name in ["upper", "work", "etc/upper", "etc/work"] {
            let path = kept.join(name);
            // The upper ones' modes are those of `/` and `/etc` in the container.
            dirs::ensure_mode(&path, 0o755)?;
            let (uid, gid) = maps.root();
            chown(&path, Some(uid), Some(gid))
                .context(|| format!("give `{}` to {uid}:{gid}", path.display()))?;
        }
    }
    let user = find_user(config, tree.as_ref())?;
    check_user(&user, &maps)?;
    let facts = Facts {
        id,
        bundle: dir,
        kept: &kept,
        maps: &maps,
        by_root: engine.caller.uid == 0,
        host: host.as_ref(),
        tree: tree.as_ref(),
        volumes: &volumes,
        user: &user,
        hostname: &hostname,
        seccomp: Some(seccomp(config)?),
        cgroup: (engine.caller.uid == 0)
            .then(|| format!("{}/{id}", config.cgroup_parent.trim_end_matches('/'))),
        devices: &devices(config)?,
        counts_pids: engine.caller.uid == 0 && counts_pids(),
    };
    let spec = bundle::spec(config, &facts);
    let text = serde_json::to_vec(&spec).context(|| "write the bundle")?;
    replace(&dir.join(CONFIG), &text, 0o600, Sync::Atomic)?;
    (engine.say)(Detail::Every, &format!("bundle in `{}`", dir.display()));
    Ok(text)
}

/// The system calls it may use: the default profile for its capabilities.
fn seccomp(config: &ContainerConfig) -> Result<Box<RawValue>> {
    let profile = taru_seccomp::default_profile(bundle::bounding(config));
    RawValue::from_string(profile.to_json()).context(|| "write the seccomp profile")
}

/// Who the program runs as; a name is looked up in the container's own files, never followed out of them.
fn find_user(config: &ContainerConfig, tree: Option<&Rootfs>) -> Result<user::User> {
    let wanted = match &config.user {
        None => return Ok(user::User { uid: 0, gid: 0, groups: Vec::new(), home: "/root".to_owned() }),
        Some(wanted) => wanted,
    };
    let root = match (&config.root, tree) {
        (Root::Image { .. }, tree) => tree.cloned(),
        (Root::Host, _) => Some(Rootfs::Directory { path: "/".into() }),
        (Root::Directory { path, .. }, _) => Some(Rootfs::Directory { path: path.clone() }),
    };
    let read = |path: &str| match root.as_ref().map(|root| root.read_bounded(Path::new(path), ACCOUNTS_LIMIT))
    {
        None => Ok(Vec::new()),
        Some(Err(e)) if e.kind() == Kind::NotFound => Ok(Vec::new()),
        Some(read) => read,
    };
    user::find(wanted, &read("etc/passwd")?, &read("etc/group")?)
}

/// Whether the ids that the program runs with are some of this host's: an ordinary user may have one only.
fn check_user(user: &user::User, maps: &idmap::IdMaps) -> Result<()> {
    let has = |map: &[IdMapping], id: u32| {
        map.is_empty() || map.iter().any(|m| (m.container_id..m.container_id + m.size).contains(&id))
    };
    if has(&maps.uids, user.uid) && has(&maps.gids, user.gid) {
        return Ok(());
    }
    let text = format!("run as {}:{}: you have no such ids to give", user.uid, user.gid);
    Err(Error::new(Kind::Permission, text)
        .hint("/etc/subuid and /etc/subgid grant them, and newuidmap (of uidmap or shadow-utils) maps them")
        .hint("without: `--user 0`, which is you outside"))
}

/// Whether this host has the controller of processes.
fn counts_pids() -> bool {
    Path::new("/sys/fs/cgroup/pids").exists()
        || std::fs::read_to_string("/sys/fs/cgroup/cgroup.controllers")
            .is_ok_and(|c| c.split(' ').any(|c| c.trim() == "pids"))
}

/// The numbers of the block devices that the limits name.
fn devices(config: &ContainerConfig) -> Result<BTreeMap<PathBuf, (u32, u32)>> {
    let limits = &config.limits;
    let lists = [&limits.read_bps, &limits.write_bps, &limits.read_iops, &limits.write_iops];
    let mut numbers = BTreeMap::new();
    for rate in lists.into_iter().flatten() {
        let meta =
            std::fs::metadata(&rate.path).context(|| format!("limit device `{}`", rate.path.display()))?;
        if !meta.file_type().is_block_device() {
            let text = format!("limit device `{}`: not a block device", rate.path.display());
            return Err(Error::invalid(text).hint("`lsblk -p` lists them"));
        }
        let number = meta.rdev();
        // makedev(3): 12 bits of the minor number stand on either side of the major's.
        let major = ((number >> 8) & 0xfff) | ((number >> 32) & !0xfff);
        let minor = (number & 0xff) | ((number >> 12) & !0xff);
        numbers.insert(rate.path.clone(), (major as u32, minor as u32));
    }
    Ok(numbers)
}

/// Its volumes: those that were filled as they are, else new ones. What a start that failed wrote is thrown away.
fn volumes(engine: &Engine, kept: &Path, config: &ContainerConfig) -> Result<Vec<bundle::Volume>> {
    if config.volumes.is_empty() {
        return Ok(Vec::new());
    }
    let dir = kept.join(VOLUMES);
    let is_fresh = !dir.exists() || dir.join(FILLING).exists();
    if is_fresh {
        remove_tree(engine, &dir)?;
        dirs::ensure(&dir)?;
        replace(&dir.join(FILLING), b"", 0o600, Sync::Atomic)?;
    }
    (0..config.volumes.len())
        .map(|n| {
            let path = dir.join(n.to_string());
            dirs::ensure(&path)?;
            Ok(bundle::Volume { path, is_fresh })
        })
        .collect()
}

/// Notes that the volumes of a container have what they begin with: it runs, or ran.
///
/// # Errors
/// Any error of the file system.
pub fn filled(engine: &Engine, record: &Record) -> Result<()> {
    let dir = engine.dirs.container(&record.id).join(VOLUMES);
    if !record.config().is_ok_and(|c| c.keep && !c.volumes.is_empty()) {
        return Ok(());
    }
    let what = || format!("note that the volumes of `{}` are filled", record.name);
    match std::fs::remove_file(dir.join(FILLING)) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        other => other.context(what)?,
    }
    // A mark that came back with a power cut would have them emptied.
    File::open(&dir).and_then(|dir| dir.sync_all()).context(what)
}

/// Removes a directory of a container's and all below it. An ordinary user's containers write files with ids that
/// only a user namespace has.
fn remove_tree(engine: &Engine, dir: &Path) -> Result<()> {
    if !dir.exists() {
        return Ok(());
    }
    match engine.caller.uid {
        0 => dirs::remove(dir),
        _ => engine.images()?.snapshots.remove_tree(dir),
    }
}

/// Removes everything of a container but its record.
///
/// # Errors
/// All that could not be removed.
pub fn remove_all(engine: &Engine, record: &Record) -> Result<()> {
    let id = &record.id;
    let removed = [
        remove_made(engine, record),
        // Only steps of builds have one, but a record that is damaged does not tell.
        memory::remove(engine, id),
        tree::remove(engine, record),
        remove_tree(engine, &engine.dirs.container(id).join(VOLUMES)),
        dirs::remove(&engine.dirs.container(id)),
        // Last: without its bundle, one whose starter lives would be taken for one that is about to start.
        remove_running(engine, id),
    ];
    let errors = removed.into_iter().filter_map(Result::err).collect();
    Error::all(errors).map_or(Ok(()), Err)
}

/// Removes what is left of containers that have no record. That of a container in the foreground reaches the disk at
/// leisure: after a power cut, what it wrote may be there without it.
///
/// # Errors
/// All that could not be removed; the records cannot be read.
pub fn remove_unrecorded(engine: &Engine) -> Result<()> {
    let mut ids = BTreeSet::new();
    for dir in [engine.dirs.container(""), engine.dirs.bundle("")] {
        let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
        ids.extend(entries.filter_map(|entry| entry.file_name().into_string().ok()));
    }
    let images = engine.images()?;
    ids.extend(images.snapshots.roots()?.iter().map(|key| key.name().to_owned()));
    let mut errors = Vec::new();
    // A container's record is made before its directories and goes after them: of what was listed first and has none
    // now, nobody makes anything any more.
    for id in ids.iter().filter(|id| names::is_id(id)) {
        if engine.store.has(id)? {
            continue;
        }
        let removed = [
            unmake(engine, id),
            Key::container(id).and_then(|key| images.snapshots.remove(&key)),
            remove_tree(engine, &engine.dirs.container(id).join(VOLUMES)),
            dirs::remove(&engine.dirs.container(id)),
        ];
        errors.extend(removed.into_iter().filter_map(Result::err));
    }
    Error::all(errors).map_or(Ok(()), Err)
}

/// Locks a container that keeps its files and does not run: two overlays over one upper directory are not defined, so
/// that it is started, entered or removed by one at a time. It is let go of with the file.
///
/// # Errors
/// [`Kind::Busy`] if somebody else has it.
pub(crate) fn lock(engine: &Engine, record: &Record) -> Result<File> {
    let what = || format!("lock container `{}`", record.name);
    let path = kept_dir(engine, &record.id)?.join(LOCK);
    let mut options = File::options();
    let file = options.read(true).write(true).create(true).truncate(false).open(&path).context(what)?;
    if taru_sys::flock::try_lock(file.as_fd()).context(what)? {
        return Ok(file);
    }
    Err(Error::new(Kind::Busy, format!("{}: another taru starts it, or copies its files", what())))
}

/// What the runtime knows a container by that was made ready for its files alone (`inside`).
pub(crate) fn made_id(record: &Record) -> String {
    format!("{}.files", record.short_id())
}

/// Removes what a taru that was killed has left of such a container.
///
/// # Errors
/// As [`unmake`].
pub(crate) fn remove_made(engine: &Engine, record: &Record) -> Result<()> {
    unmake(engine, &made_id(record))
}

/// Removes a container that the runtime knows as `id`, with its bundle, if it is there.
///
/// # Errors
/// The runtime or the file system cannot.
pub(crate) fn unmake(engine: &Engine, id: &str) -> Result<()> {
    let gone = match engine.dirs.runtime().join(id).exists() {
        true => engine.runtime.call(&["delete", "--force", id]).map(drop),
        false => Ok(()),
    };
    gone.and(dirs::remove(&engine.dirs.bundle(id)))
}

/// Removes what lives as long as the container runs.
///
/// # Errors
/// Any error of the file system.
pub(crate) fn remove_running(engine: &Engine, id: &str) -> Result<()> {
    dirs::remove(&engine.dirs.bundle(id))
}

/// Opens the directory of what outlives the run and makes it first.
///
/// # Errors
/// Any error of the file system.
pub(crate) fn kept_dir(engine: &Engine, id: &str) -> Result<PathBuf> {
    let dir = engine.dirs.container(id);
    dirs::ensure(&dir)?;
    // Its name is on the disk before its container is acknowledged.
    let parent = dir.parent().unwrap_or(Path::new("/"));
    File::open(parent).and_then(|f| f.sync_all()).context(|| format!("sync `{}`", parent.display()))?;
    Ok(dir)
}
