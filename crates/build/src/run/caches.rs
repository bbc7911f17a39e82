//! Cache mounts: directories that outlive a build, and the locks by which steps share them.
//!
//! ```text
//! STATE/build/mounts/NAME/       NAME: of the mount's id and origin; NAME.1, NAME.2: private copies
//! ├── lock                       shared, or exclusive, for as long as a step uses it
//! └── tree/                      what is mounted; it appears whole, with its first files
//! ```

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, Permissions};
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use taru_engine::Engine;
use taru_rootdir::RootDir;
use taru_stdx::{Context, Error, Kind, Result};
use taru_sys::fs::{CWD, RenameFlags, renameat2};
use taru_sys::{errno, flock};

use super::Around;
use super::bound::{Bound, copy_tree};
use super::kept::Kept;
use super::key::cache_name;
use crate::dockerfile::MountKind;
use crate::scratch::Scratch;
use crate::stage::{Mount, Sharing};

/// The caches of a step, locked until this is dropped; by [`cache_name`].
pub(super) struct Caches(BTreeMap<String, Locked>);

/// A cache's directory, and the lock on it.
struct Locked {
    dir: PathBuf,
    _lock: File,
}

impl Caches {
    /// Locks those that `mounts` name below `all`, each once, as the strictest of its mounts says.
    ///
    /// In the order of their names, and before anything else: of two steps that wait for each other's, neither would end.
    pub(super) fn lock(mounts: &[Mount], all: &Path) -> Result<Caches> {
        let mut locked = BTreeMap::new();
        for (name, (sharing, id)) in wanted(mounts) {
            let cache = lock(all, &name, sharing).context(|| format!("open the cache `{id}`"))?;
            locked.insert(name, cache);
        }
        Ok(Caches(locked))
    }

    /// Where what `mount` shows of its cache is; a cache that is not there is made, with the files of `first`.
    pub(super) fn open(
        &self,
        engine: &Engine,
        mount: &Mount,
        first: Bound,
        around: &Around<'_>,
        kept: &mut Kept,
    ) -> Result<PathBuf> {
        let what = || format!("open the cache `{}`", mount.id);
        let Some(Locked { dir, .. }) = self.0.get(&cache_name(mount)) else {
            return Err(Error::new(Kind::State, format!("{}: it is not locked", what())));
        };
        let tree = dir.join("tree");
        if !tree.exists() {
            make(&tree, engine, mount, first, around, kept)?;
        }
        let inside = RootDir::open(&tree)?;
        let part = if mount.from.is_none() { Path::new(&mount.source) } else { Path::new("/") };
        if part != Path::new("/") && engine.caller.uid != 0 {
            // What leads there can be another place by the time that it is mounted.
            let e = Error::new(Kind::Unsupported, format!("{}: a part of it, as an ordinary user", what()));
            return Err(e.hint("leave `source` out: the whole cache can be mounted"));
        }
        kept.path(inside.create_dir_all(part, 0o755).context(what)?)
    }
}

/// Empties the caches below `all` that no step uses now; tells how many had anything.
///
/// The directory and its lock stay: who waits for it finds a cache without its first files, and makes it.
///
/// # Errors
/// Any error of the file system; of an ordinary user's those too that only its subordinate users may remove.
pub(crate) fn empty(all: &Path) -> Result<u64> {
    let mut emptied = 0;
    for entry in std::fs::read_dir(all).context(|| format!("list `{}`", all.display()))? {
        let dir = entry.context(|| format!("list `{}`", all.display()))?.path();
        let what = || format!("lock `{}`", dir.display());
        let lock = match File::options().write(true).open(dir.join("lock")) {
            // Somebody makes it just now.
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
            opened => opened.context(what)?,
        };
        if flock::try_lock(lock.as_fd()).context(what)? && dir.join("tree").exists() {
            RootDir::open(&dir)?.remove_all(Path::new("tree"))?;
            emptied += 1;
        }
    }
    Ok(emptied)
}

/// The caches of `mounts` by their names: how each is locked, and its id.
fn wanted(mounts: &[Mount]) -> BTreeMap<String, (Sharing, &str)> {
    let mut wanted: BTreeMap<String, (Sharing, &str)> = BTreeMap::new();
    for mount in mounts.iter().filter(|mount| mount.kind == MountKind::Cache) {
        let (sharing, _) = wanted.entry(cache_name(mount)).or_insert((mount.sharing, &mount.id));
        *sharing = mount.sharing.max(*sharing);
    }
    wanted
}

/// Makes a cache's directory where it is not there, and locks it: `shared` with others, `locked` after them, `private` the
/// first that is free.
fn lock(all: &Path, name: &str, sharing: Sharing) -> Result<Locked> {
    for number in 0..u32::MAX {
        let dir = match number {
            0 => all.join(name),
            n => all.join(format!("{name}.{n}")),
        };
        let what = || format!("lock `{}`", dir.display());
        match DirBuilder::new().mode(0o700).create(&dir) {
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
            made => made.context(what)?,
        }
        let lock =
            File::options().create(true).truncate(false).write(true).open(dir.join("lock")).context(what)?;
        match sharing {
            Sharing::Shared => flock::lock_shared(lock.as_fd()).context(what)?,
            Sharing::Locked => flock::lock(lock.as_fd()).context(what)?,
            Sharing::Private if !flock::try_lock(lock.as_fd()).context(what)? => continue,
            Sharing::Private => {}
        }
        return Ok(Locked { dir, _lock: lock });
    }
    Err(Error::new(Kind::Limit, format!("lock `{name}`: too many private copies")))
}

/// Makes the tree of a cache beside, and gives it its place when it is whole.
fn make(
    tree: &Path,
    engine: &Engine,
    mount: &Mount,
    first: Bound,
    around: &Around<'_>,
    kept: &mut Kept,
) -> Result<()> {
    let what = || format!("open the cache `{}`", mount.id);
    let staged = Scratch::new(&around.cache.tmp())?;
    let new = staged.path().join("tree");
    if first.has_files() {
        let path = first.unpack(engine, false, around, kept)?;
        // `/.` resolves the handle itself; no link inside is followed.
        copy_tree(&path.join("."), &new, what)?;
    } else {
        DirBuilder::new().create(&new).context(what)?;
        let mode = Permissions::from_mode(mount.mode.unwrap_or(0o755));
        std::fs::set_permissions(&new, mode).context(what)?;
        if engine.caller.uid == 0 {
            std::os::unix::fs::chown(&new, Some(mount.uid), Some(mount.gid)).context(what)?;
        }
    }
    match renameat2(CWD, &new, CWD, tree, RenameFlags::NOREPLACE) {
        // Whoever else made it at the same time was as good, and may have mounted it, empty as it is.
        Err(e) if matches!(e.errno(), errno::EXIST | errno::NOTEMPTY) => Ok(()),
        moved => moved.context(what),
    }
}
