//! The store of snapshots: what is there, and the roots of containers.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use taru_oci::{Digest, limits};
use taru_stdx::fs::{Sync, read_bounded, replace};
use taru_stdx::{Context, Error, Kind, Result};

use crate::driver::{Driver, DriverKind, Rootfs};
use crate::layout::{self, DRIVER, Info, LAYERS, LOCKS, ROOTS, STAGING, ensure, sync_dir};
use crate::lower::Lower;
use crate::staging::{Staging, collect};
use crate::worker::{WorkerIds, Workers};
use crate::{ids, inherit};
use taru_mount::idmap::IdMaps;

/// Whose the ids in the store are.
#[derive(Debug, Clone)]
pub enum Ids {
    /// Files have the ids that images say; for root. Containers with other ids see them through id-mapped mounts.
    Host,
    /// Files have an ordinary user's own and subordinate ids: what `0` of an image is outside, and so on. A single id in
    /// each map: all files are that user's.
    Subordinate(IdMaps),
}

/// The name of a container's root.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key(String);

impl Key {
    /// The root of the container `id`: letters, digits, `_`, `-` and, but for the first, `.`.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for another name.
    pub fn container(id: &str) -> Result<Key> {
        let is_ok = |(at, b): (usize, u8)| {
            b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-') || (b == b'.' && at > 0)
        };
        if id.is_empty() || id.len() > 200 || !id.bytes().enumerate().all(is_ok) {
            return Err(Error::invalid(format!("name a container's root `{}`", id.escape_debug())));
        }
        Ok(Key(id.to_owned()))
    }
}

impl Key {
    /// The container's id.
    pub fn name(&self) -> &str {
        &self.0
    }
}

/// The store.
pub struct Snapshots {
    pub(crate) dir: PathBuf,
    pub(crate) driver: Box<dyn Driver>,
    pub(crate) workers: Workers,
    pub(crate) squash: bool,
}

impl Snapshots {
    /// Opens the store in `dir`, makes it where it is not there, and removes what processes that died left half done.
    ///
    /// # Errors
    /// [`Kind::State`] where another driver's layers are in it, or files of ids that are not the user's any more;
    /// [`Kind::Unsupported`] or [`Kind::Permission`] where a new one would be of a driver that cannot be had here; any error of
    /// the file system.
    pub fn open(dir: &Path, driver: DriverKind, ids: Ids) -> Result<Snapshots> {
        let named = dir.join(DRIVER);
        let is_new = match read_bounded(&named, 100) {
            Ok(name) if name.trim_ascii() == driver.name().as_bytes() => false,
            Ok(name) => {
                let name = name.escape_ascii();
                return Err(Error::new(
                    Kind::State,
                    format!(
                        "open `{}` with the driver `{}`: it is kept by `{name}`",
                        dir.display(),
                        driver.name()
                    ),
                ));
            }
            Err(e) if e.kind() == Kind::NotFound => true,
            Err(e) => return Err(e),
        };
        if is_new {
            driver.require(dir, matches!(ids, Ids::Host))?;
        }
        if let Some(parent) = dir.parent() {
            fs::create_dir_all(parent).context(|| format!("make the directory `{}`", parent.display()))?;
        }
        ensure(dir, 0o755)?;
        for (name, mode) in [(LAYERS, 0o700), (ROOTS, 0o711), (STAGING, 0o700), (LOCKS, 0o700)] {
            ensure(&dir.join(name), mode)?;
        }
        if is_new {
            replace(&named, driver.name().as_bytes(), 0o600, Sync::Durable)?;
        }
        let squash = matches!(&ids, Ids::Subordinate(maps)
            if matches!(maps.uids[..], [one] if one.length == 1) || matches!(maps.gids[..], [one] if one.length == 1));
        let mut more = None;
        let workers = match ids {
            Ids::Host => WorkerIds::Host,
            Ids::Subordinate(maps) => {
                more = ids::check(dir, &maps)?.then(|| maps.clone());
                WorkerIds::Mapped(maps)
            }
        };
        let dir = fs::canonicalize(dir).context(|| format!("open `{}`", dir.display()))?;
        let workers = Workers { program: None, ids: workers, special: driver.special() };
        collect(&dir.join(STAGING), &workers)?;
        let store = Snapshots { dir, driver: driver.driver(), workers, squash };
        if let Some(maps) = more {
            store.renew(&maps)?;
        }
        Ok(store)
    }

    /// Has the disposable child be `program`, which calls [`crate::worker_main`], and not this very executable.
    #[must_use]
    pub fn with_worker(mut self, program: &Path) -> Snapshots {
        self.workers.program = Some(program.to_owned());
        self
    }

    /// What the ids of an ordinary user's files are in images; none for root, whose files have those.
    pub fn ids(&self) -> Option<&IdMaps> {
        match &self.workers.ids {
            WorkerIds::Host => None,
            WorkerIds::Mapped(maps) => Some(maps),
        }
    }

    /// Whether the layer is there; if so it is whole.
    pub fn has(&self, chain: &Digest) -> bool {
        layout::layer(&self.dir, chain).is_dir()
    }

    /// Bytes of the uncompressed tar `diff_id` that the layer was unpacked of, if it is there.
    pub fn tar_size(&self, chain: &Digest, diff_id: &Digest) -> Option<u64> {
        let info = Info::read(&layout::layer(&self.dir, chain)).ok()?;
        (info.diff_id.as_ref() == Some(diff_id)).then_some(info.size)
    }

    /// All layers.
    ///
    /// # Errors
    /// Any error of the file system.
    pub fn layers(&self) -> Result<Vec<Digest>> {
        let dir = self.dir.join(LAYERS);
        let what = || format!("list `{}`", dir.display());
        let mut all = Vec::new();
        for entry in fs::read_dir(&dir).context(what)? {
            all.extend(entry.context(what)?.file_name().to_str().and_then(layout::digest_of));
        }
        all.sort();
        Ok(all)
    }

    /// The directories of a layer and those below it, topmost first.
    pub(crate) fn chain(&self, top: Option<&Digest>) -> Result<Vec<PathBuf>> {
        let mut all = Vec::new();
        let mut next = top.cloned();
        while let Some(chain) = next {
            let dir = layout::layer(&self.dir, &chain);
            next = Info::read(&dir).context(|| format!("find the layer `{chain}`"))?.parent;
            all.push(dir);
            if all.len() > limits::LAYERS {
                return Err(Error::new(Kind::Limit, format!("find the layers of `{chain}`: too many")));
            }
        }
        Ok(all)
    }

    /// Those of the directories of a layer and those below it that show, topmost first.
    fn shown(&self, top: Option<&Digest>) -> Result<Vec<PathBuf>> {
        let mut dirs = self.chain(top)?;
        if self.driver.is_cumulative() {
            dirs.truncate(1);
            return Ok(dirs);
        }
        inherit::shown(dirs)
    }

    /// The layers that together are what a container over the layer `top` sees first, topmost first: to be stacked
    /// by an overlay if there are several.
    ///
    /// # Errors
    /// [`Kind::NotFound`] without the layer.
    pub fn trees(&self, top: &Digest) -> Result<Vec<Lower>> {
        Ok(self.shown(Some(top))?.iter().map(|dir| Lower::of(dir)).collect())
    }

    /// Removes the layer. That nothing stands on it is the caller's to know. One that is not there is no error.
    ///
    /// # Errors
    /// Any error of the file system.
    pub fn remove_layer(&self, chain: &Digest) -> Result<()> {
        self.remove_dir(&layout::layer(&self.dir, chain))
    }

    /// Takes the layer away with one rename; its files go with the next [`Snapshots::sweep`]. That nothing stands on it is
    /// the caller's to know. One that is not there is no error.
    ///
    /// # Errors
    /// Any error of the file system.
    pub fn retire_layer(&self, chain: &Digest) -> Result<()> {
        // Without its lock what was taken away is garbage.
        self.take_away(&layout::layer(&self.dir, chain))
            .map(|taken| taken.into_iter().for_each(Staging::keep))
    }

    /// Removes the files of what was taken away, and what processes that died left half done.
    ///
    /// # Errors
    /// Any error of the file system.
    pub fn sweep(&self) -> Result<()> {
        collect(&self.dir.join(STAGING), &self.workers)
    }

    /// Makes the root of a container over the layer `parent`: an empty one without. `owner` is who root is in the container,
    /// as (uid, gid) outside; nobody else can reach the files. `durable`: it is on the disk when this returns; one of a container
    /// that a power cut ends for good needs not be, and so waits for no disk.
    ///
    /// # Errors
    /// [`Kind::Exists`] where it is there; [`Kind::NotFound`] without the layer; any error of the file system.
    pub fn prepare(
        &self,
        key: &Key,
        parent: Option<&Digest>,
        owner: (u32, u32),
        durable: bool,
    ) -> Result<()> {
        let target = self.root(key);
        let what = || format!("prepare the root of `{}`", key.0);
        if target.exists() {
            return Err(Error::new(Kind::Exists, format!("{}: it is there", what())));
        }
        let layers = self.chain(parent).context(what)?;
        let staging = self.stage()?;
        self.driver.prepare(&staging.path, &layers, owner, &self.workers).context(what)?;
        if self.workers.is_host() {
            // Root of the container passes, everybody else stays outside: set-uid files are in there.
            chown(&staging.path, None, Some(owner.1)).context(what)?;
        }
        fs::set_permissions(&staging.path, fs::Permissions::from_mode(0o710)).context(what)?;
        let info = Info { parent: parent.cloned(), diff_id: None, size: 0, entries: 0, single: false };
        info.write(&staging.path)?;
        if durable {
            self.sync()?;
        }
        fs::rename(&staging.path, &target).context(what)?;
        staging.keep();
        if durable { sync_dir(&self.dir.join(ROOTS)) } else { Ok(()) }
    }

    /// What is to be mounted as the root of the container.
    ///
    /// # Errors
    /// [`Kind::NotFound`] where there is none.
    pub fn mounts(&self, key: &Key) -> Result<Rootfs> {
        let dir = self.root(key);
        let info = Info::read(&dir).context(|| format!("find the root of `{}`", key.0))?;
        Ok(self.driver.mounts(&dir, &self.shown(info.parent.as_ref())?))
    }

    /// The topmost layer below the root of the container.
    ///
    /// # Errors
    /// [`Kind::NotFound`] where there is none.
    pub fn parent(&self, key: &Key) -> Result<Option<Digest>> {
        Info::read(&self.root(key))
            .context(|| format!("find the root of `{}`", key.0))
            .map(|info| info.parent)
    }

    /// Removes a directory that is not the store's own, and all below it, whatever ids of the store's its files have. One
    /// that is not there is no error.
    ///
    /// # Errors
    /// Any error of the file system.
    pub fn remove_tree(&self, dir: &Path) -> Result<()> {
        match self.workers.remove(dir) {
            Err(e) if e.kind() == Kind::NotFound => Ok(()),
            done => done,
        }
    }

    /// The chain ids of a layer and those below it, topmost first.
    ///
    /// # Errors
    /// [`Kind::NotFound`] without one of them.
    pub fn ancestors(&self, top: &Digest) -> Result<Vec<Digest>> {
        let mut all = Vec::new();
        let mut next = Some(top.clone());
        while let Some(chain) = next {
            let dir = layout::layer(&self.dir, &chain);
            next = Info::read(&dir).context(|| format!("find the layer `{chain}`"))?.parent;
            all.push(chain);
            if all.len() > limits::LAYERS {
                return Err(Error::new(Kind::Limit, format!("find the layers of `{top}`: too many")));
            }
        }
        Ok(all)
    }

    /// Removes the root of the container. One that is not there is no error.
    ///
    /// # Errors
    /// Any error of the file system.
    pub fn remove(&self, key: &Key) -> Result<()> {
        self.remove_dir(&self.root(key))
    }

    /// All roots of containers.
    ///
    /// # Errors
    /// Any error of the file system.
    pub fn roots(&self) -> Result<Vec<Key>> {
        let dir = self.dir.join(ROOTS);
        let what = || format!("list `{}`", dir.display());
        let mut all = Vec::new();
        for entry in fs::read_dir(&dir).context(what)? {
            let name = entry.context(what)?.file_name();
            all.extend(name.to_str().and_then(|name| Key::container(name).ok()));
        }
        Ok(all)
    }

    pub(crate) fn root(&self, key: &Key) -> PathBuf {
        self.dir.join(ROOTS).join(&key.0)
    }

    pub(crate) fn stage(&self) -> Result<Staging> {
        Staging::new(&self.dir.join(STAGING), &self.workers)
    }

    /// Makes all that was written durable.
    pub(crate) fn sync(&self) -> Result<()> {
        use std::os::fd::AsFd;
        let what = || format!("sync `{}`", self.dir.display());
        taru_sys::fs::syncfs(File::open(&self.dir).context(what)?.as_fd()).context(what)
    }

    /// Now that there are more ids: takes away layers that were unpacked with one, which come back with their owners when they
    /// are wanted next. As long as a container stands on one, this is to be done again.
    fn renew(&self, maps: &IdMaps) -> Result<()> {
        let mut used = BTreeSet::new();
        for key in self.roots()? {
            match self.parent(&key) {
                Ok(Some(top)) => used.extend(self.ancestors(&top)?),
                Ok(None) => {}
                // Removed meanwhile.
                Err(e) if e.kind() == Kind::NotFound => {}
                Err(e) => return Err(e),
            }
        }
        let mut is_done = true;
        for layer in self.layers()? {
            match self.is_single(&layer)? {
                true if used.contains(&layer) => is_done = false,
                true => self.retire_layer(&layer)?,
                false => {}
            }
        }
        if is_done { ids::keep(&self.dir, maps) } else { Ok(()) }
    }

    /// Whether the layer, or one below it, was unpacked with a single id.
    fn is_single(&self, layer: &Digest) -> Result<bool> {
        let mut next = Some(layer.clone());
        while let Some(chain) = next {
            match Info::read(&layout::layer(&self.dir, &chain)) {
                Ok(info) if info.single => return Ok(true),
                Ok(info) => next = info.parent,
                // Taken away just before.
                Err(e) if e.kind() == Kind::NotFound => return Ok(true),
                Err(e) => return Err(e),
            }
        }
        Ok(false)
    }

    /// Gone at once, its files a little later, even if this process is killed in between.
    fn remove_dir(&self, dir: &Path) -> Result<()> {
        if let Some(staging) = self.take_away(dir)? {
            self.workers.remove(&staging.path)?;
            staging.keep();
        }
        Ok(())
    }

    /// Renames `dir` into a directory of ours; `None` where it is not there.
    pub(crate) fn take_away(&self, dir: &Path) -> Result<Option<Staging>> {
        let staging = self.stage()?;
        match fs::rename(dir, staging.path.join("removed")) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            moved => moved.context(|| format!("remove `{}`", dir.display())).map(|()| Some(staging)),
        }
    }
}
