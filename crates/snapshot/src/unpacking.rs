//! Layers from blobs: several at a time, visible from the bottom up, each only once it is verified and durable.
//!
//! ```text
//! staging/N/tree or image, manifest ── diff id right, all below is there ──> syncfs ──> rename to layers/CHAIN ──> fsync layers/
//! ```
//! That is a round: of all layers, unless one's blob is long in coming. A round holds the lock of its lowest layer: whoever
//! wants any of its layers wants that one, too. It is an economy alone; two that unpack the same layer harm nobody, and
//! the first to rename is the one that counts.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use taru_oci::{Algorithm, Digest, document};
use taru_rootdir::RootDir;
use taru_stdx::{Context, Error, Kind, Result};
use taru_sys::fs::{OpenFlags, sync_file_range};
use taru_sys::xattr;

use crate::attribute::TRUSTED_OPAQUE;
use crate::driver::{DriverKind, Images};
use crate::inherit::{self, Below};
use crate::layout::{self, IMAGE, Info, LAYERS, LOCKS, MANIFEST, file_name, sync_dir};
use crate::lock::Lock;
use crate::share;
use crate::staging::Staging;
use crate::store::Snapshots;
use crate::unpack::IMAGE_MEMORY;
use crate::worker::{ImageOf, Job, Report, Root};

/// Waits for a file; given a function that tells whether it waits in vain.
type Await<'b> = dyn Fn(&dyn Fn() -> bool) -> Result<File> + Send + Sync + 'b;

/// Where the bytes of a layer come from.
pub enum Blob<'b> {
    /// A file that is there.
    There(File),
    /// One that is still on its way: called when it is this layer's turn, this waits for it. It is given a function that
    /// tells whether it waits in vain, since another layer has failed.
    Awaited(Box<Await<'b>>),
}

impl From<File> for Blob<'_> {
    fn from(file: File) -> Self {
        Blob::There(file)
    }
}

/// A layer to be unpacked.
pub struct Unpack<'b> {
    /// Its chain id, its name in the store.
    pub chain: Digest,
    /// The chain id of the layer below it.
    pub parent: Option<Digest>,
    /// The digest that the uncompressed tar must have.
    pub diff_id: Digest,
    /// The blob, read from its start; how it is compressed is told by its first bytes.
    pub blob: Blob<'b>,
}

/// Layers at work at a time: each uses two cores.
const AT_A_TIME: usize = 2;
/// Layers of a round, each of which holds a descriptor until it is visible.
const ROUND: usize = 64;
/// Bytes of a blob from which on a crowd of small files in it is worth an image.
const CROWDED_BLOB: u64 = 4 << 20;
/// How long a round waits for a blob while it could end: others wait for its layers.
const PATIENCE: Duration = Duration::from_millis(500);

/// What the threads of a round know of each other.
#[derive(Default)]
struct State {
    next: usize,
    /// Threads that wait for nothing but their own work.
    working: usize,
    /// Since when none of them does.
    idle: Option<Instant>,
    /// The round ends with what is staged.
    is_over: bool,
    /// Layers on disk and complete, not yet visible: the lowest ones, without a gap.
    staged: BTreeMap<usize, Staging>,
    failed: Option<(usize, Error)>,
}

impl State {
    fn is_ending(&self) -> bool {
        self.is_over || self.failed.is_some()
    }

    /// A thread has work.
    fn begin(&mut self) {
        self.working += 1;
        self.idle = None;
    }

    /// It has none, or waits.
    fn pause(&mut self) {
        self.working -= 1;
        self.idle = None;
    }
}

struct Batch<'b> {
    store: &'b Snapshots,
    layers: &'b [Unpack<'b>],
    /// The blob of the first.
    first: &'b File,
    state: Mutex<State>,
    changed: Condvar,
}

impl Snapshots {
    /// Unpacks those of `layers` that are not there or were found broken. They are in order, a layer behind its parent; the
    /// parent of the first is there. `progress` is told a layer's chain id and how many bytes of its blob have been read.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for a blob that is no layer, or not the one with this diff id, and for a chain id that is another's;
    /// [`Kind::Limit`] for more than `taru_oci::limits` allows; any error of the file system. Layers below the one that failed may be there.
    ///
    /// All whose blobs come in time become visible together, after one sync: a layer is not worth one of its own, which writes
    /// out whatever else is written on the same file system.
    pub fn unpack(&self, layers: &[Unpack<'_>], progress: &(dyn Fn(&Digest, u64) + Sync)) -> Result<()> {
        // Whoever next looks for the chain id gets what is stored under it, and asks no more.
        for layer in layers {
            let chain = document::chain_id(layer.parent.as_ref(), &layer.diff_id);
            if layer.chain != chain {
                let text = format!("unpack `{}`: the layer's chain id is `{chain}`", layer.chain);
                return Err(Error::invalid(text));
            }
        }
        let is_wanted = |layer: &Unpack<'_>| !self.has(&layer.chain) || self.is_broken(&layer.chain);
        let mut rest = layers;
        while let Some(wanted) = rest.iter().position(is_wanted) {
            rest = rest.get(wanted..).unwrap_or_default();
            let Some(first) = rest.first() else { break };
            // Before the lock: whoever has the blob needs not wait until it came here.
            let awaited;
            let blob = match &first.blob {
                Blob::There(file) => file,
                Blob::Awaited(wait) => {
                    awaited = wait(&|| false)?;
                    &awaited
                }
            };
            let _lock = Lock::take(&self.dir.join(LOCKS), &file_name(&first.chain))?;
            if !is_wanted(first) {
                continue;
            }
            if let Some(parent) = first.parent.as_ref().filter(|parent| !self.has(parent)) {
                let text = format!("unpack `{}`: no layer `{parent}`", first.chain);
                return Err(Error::new(Kind::NotFound, text));
            }
            self.round(rest.get(..ROUND).unwrap_or(rest), blob, progress)?;
        }
        Ok(())
    }

    /// Unpacks at least the first of `layers`, and what else is there in time.
    fn round(
        &self,
        layers: &[Unpack<'_>],
        first: &File,
        progress: &(dyn Fn(&Digest, u64) + Sync),
    ) -> Result<()> {
        let batch = Batch { store: self, layers, first, state: Mutex::default(), changed: Condvar::new() };
        std::thread::scope(|scope| {
            for _ in 0..AT_A_TIME.min(layers.len()) {
                scope.spawn(|| batch.work(progress));
            }
        });
        let State { staged, failed, .. } = batch.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        let committed = self.commit(layers, staged, failed.as_ref().map(|(at, _)| *at));
        match failed {
            Some((_, error)) => Err(error),
            None => committed,
        }
    }

    /// Makes the layers before `end` visible, after one sync for all.
    fn commit(
        &self,
        layers: &[Unpack<'_>],
        staged: BTreeMap<usize, Staging>,
        end: Option<usize>,
    ) -> Result<()> {
        let whole: Vec<_> =
            staged.into_iter().take_while(|(at, _)| end.is_none_or(|end| *at < end)).collect();
        if whole.is_empty() {
            return Ok(());
        }
        self.sync()?;
        for (at, staging) in whole {
            let Some(layer) = layers.get(at) else { continue };
            let target = layout::layer(&self.dir, &layer.chain);
            // The files of a broken one go once the new one is in its place.
            let _broken = self.take_broken(&layer.chain)?;
            match fs::rename(&staging.path, &target) {
                // Somebody else was faster; a directory that is not empty is not replaced.
                Err(_) if target.exists() => {}
                moved => {
                    moved.context(|| format!("keep the layer `{}`", layer.chain))?;
                    staging.keep();
                }
            }
        }
        sync_dir(&self.dir.join(LAYERS))
    }
}

impl Batch<'_> {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes layer after layer until there is none, or the round ends.
    fn work(&self, progress: &(dyn Fn(&Digest, u64) + Sync)) {
        loop {
            let at = {
                let mut state = self.state();
                if state.is_ending() {
                    return;
                }
                state.next += 1;
                state.next - 1
            };
            let Some(layer) = self.layers.get(at) else { return };
            let done =
                self.one(at, layer, progress).context(|| format!("unpack the layer `{}`", layer.diff_id));
            let mut state = self.state();
            match done {
                Ok(staging) => drop(state.staged.insert(at, staging)),
                // It waited, and will again in the next round.
                Err(_) if state.is_over => {}
                Err(error) => {
                    // The lowest counts: what is above may have failed for its sake.
                    if state.failed.as_ref().is_none_or(|(other, _)| at < *other) {
                        state.failed = Some((at, error));
                    }
                }
            }
            drop(state);
            self.changed.notify_all();
        }
    }

    /// Whether whoever waits for a blob does so in vain: the round ends.
    fn is_vain(&self) -> bool {
        let mut state = self.state();
        if state.working == 0 && !state.staged.is_empty() {
            let since = *state.idle.get_or_insert_with(Instant::now);
            state.is_over |= since.elapsed() >= PATIENCE;
            if state.is_over {
                self.changed.notify_all();
            }
        }
        state.is_ending()
    }

    fn one(
        &self,
        at: usize,
        layer: &Unpack<'_>,
        progress: &(dyn Fn(&Digest, u64) + Sync),
    ) -> Result<Staging> {
        let awaited;
        let blob = match &layer.blob {
            _ if at == 0 => self.first,
            Blob::There(file) => file,
            Blob::Awaited(wait) => {
                awaited = wait(&|| self.is_vain())?;
                &awaited
            }
        };
        self.state().begin();
        let done = self.unpack(at, layer, blob, progress);
        self.state().pause();
        done
    }

    fn unpack(
        &self,
        at: usize,
        layer: &Unpack<'_>,
        blob: &File,
        progress: &(dyn Fn(&Digest, u64) + Sync),
    ) -> Result<Staging> {
        let only_crowd = match self.store.driver.images() {
            Images::None => None,
            Images::All => Some(false),
            Images::Crowds => self.may_be_crowd(blob).then_some(true),
        };
        let image = only_crowd.map(|only_crowd| ImageOf { uuid: uuid(&layer.chain), only_crowd });
        if image.is_some()
            && let Some(staging) = self.unpack_as(image, at, layer, blob, progress)?
        {
            return Ok(staging);
        }
        let unpacked = self.unpack_as(None, at, layer, blob, progress)?;
        unpacked.ok_or_else(unexpected)
    }

    /// Whether it is worth to begin with an image: the blob is large, and images can be mounted here.
    fn may_be_crowd(&self, blob: &File) -> bool {
        let is_large = blob.metadata().is_ok_and(|blob| blob.len() >= CROWDED_BLOB);
        is_large && DriverKind::Erofs.require(&self.store.dir, self.store.workers.is_host()).is_ok()
    }

    /// As an image, or as files. `None`: an image has no room for it.
    fn unpack_as(
        &self,
        as_image: Option<ImageOf>,
        at: usize,
        layer: &Unpack<'_>,
        blob: &File,
        progress: &(dyn Fn(&Digest, u64) + Sync),
    ) -> Result<Option<Staging>> {
        let is_image = as_image.is_some();
        let staging = self.store.stage()?;
        let driver = &self.store.driver;
        // What holds all that is below begins with it.
        let parents = match driver.is_cumulative() {
            true => self.wait_for_parents(at, layer)?,
            false => Vec::new(),
        };
        // For an image, too, the child has a directory: an empty one.
        let tree = driver.begin(&staging.path, &parents, &self.store.workers)?;
        let file = |name: &str| {
            let path = staging.path.join(name);
            let mut options = File::options();
            options.read(true).write(true).create_new(true).mode(0o600);
            options.open(&path).context(|| format!("make `{}`", path.display()))
        };
        let (spill, raw) = (file("spill")?, file("raw")?);
        let image = if is_image { Some(file(IMAGE)?) } else { None };
        let is_host = self.store.workers.is_host();
        let job = Job::Unpack {
            sha512: layer.diff_id.algorithm() == Algorithm::Sha512,
            squash: self.store.squash,
            skip_devices: !is_host,
            image: as_image,
        };
        let fds: Vec<_> = [blob, &spill, &raw].into_iter().chain(&image).map(File::as_fd).collect();
        let mut worker = self.store.workers.start(Root::plain(&tree), job, &fds)?;
        let (diff_id, size, entries) = loop {
            let report = worker.report()?;
            // The disk need not wait for the sync of all that is left; what is refused here, that reports.
            if let Some(image) = &image {
                let _ = sync_file_range(image.as_fd(), 0, 0);
            }
            match report {
                Report::Progress(bytes) => progress(&layer.chain, bytes),
                Report::Unpacked { diff_id, size, entries } => break (diff_id, size, entries),
                Report::NoRoom if is_image => return Ok(None),
                _ => return Err(unexpected()),
            }
            if self.state().failed.is_some() {
                return Err(Error::new(Kind::State, "another layer failed"));
            }
        };
        if diff_id != layer.diff_id.to_string() {
            return Err(Error::invalid(format!("verify the diff id: it is `{diff_id}`"))
                .hint("the blob is not the layer that the image's configuration names"));
        }
        let below = Below::open(&self.wait_for_parents(at, layer)?)?;
        let adopted = file("adopted")?;
        let manifest = file(MANIFEST)?;
        let keep = adopted.try_clone().context(|| "keep a file open")?;
        let root = RootDir::open(&tree)?;
        // In an image they are set already.
        let marks = is_host && !driver.is_cumulative() && !is_image;
        inherit::complete(raw, &below, manifest, keep, |path| match marks {
            true => set_opaque(&root, path),
            false => Ok(()),
        })?;
        worker.adopt(&adopted)?;
        match worker.end()? {
            Report::Done => {}
            Report::NoRoom if is_image => return Ok(None),
            _ => return Err(unexpected()),
        }
        if let Some(image) = &image {
            // The child has ended: nobody writes to it any more, and no kernel has looked at it yet.
            taru_erofs::verify(image, &uuid(&layer.chain), IMAGE_MEMORY)?;
        }
        driver.end(&staging.path, &self.store.workers)?;
        if is_image {
            fs::remove_dir(&tree).context(|| format!("remove `{}`", tree.display()))?;
        } else if is_host && !driver.is_cumulative() {
            // Copies of whole trees share their content in the file system, if at all.
            share::share(&self.store.dir, &staging.path)?;
        }
        for name in ["spill", "raw", "adopted"] {
            fs::remove_file(staging.path.join(name)).context(|| format!("remove `{name}`"))?;
        }
        let (parent, diff_id) = (layer.parent.clone(), Some(layer.diff_id.clone()));
        Info { parent, diff_id, size, entries, single: self.store.squash }.write(&staging.path)?;
        Ok(Some(staging))
    }

    /// The directories of all layers below, topmost first, once they are complete.
    fn wait_for_parents(&self, at: usize, layer: &Unpack<'_>) -> Result<Vec<PathBuf>> {
        let mut state = self.state();
        state.pause();
        while !state.is_ending() && state.staged.range(..at).count() != at {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.begin();
        if state.staged.range(..at).count() != at {
            return Err(Error::new(Kind::State, "wait for the layer below: the round ended"));
        }
        let mut dirs: Vec<PathBuf> = state.staged.range(..at).rev().map(|(_, s)| s.path.clone()).collect();
        drop(state);
        let lowest = self.layers.first().unwrap_or(layer);
        dirs.extend(self.store.chain(lowest.parent.as_ref())?);
        Ok(dirs)
    }
}

fn unexpected() -> Error {
    Error::new(Kind::System, "hear from the worker: an unexpected message")
}

/// That of a layer's file system: overlay tells layers apart by it. The first half of its chain id.
fn uuid(chain: &Digest) -> [u8; 16] {
    let mut digits = chain.hex().bytes().map(|digit| char::from(digit).to_digit(16).unwrap_or(0) as u8);
    std::array::from_fn(|_| digits.next().unwrap_or(0) << 4 | digits.next().unwrap_or(0))
}

/// The mark for overlays whose users are the host's; the worker has no right to set it.
fn set_opaque(root: &RootDir, path: &[u8]) -> Result<()> {
    use std::os::unix::ffi::OsStrExt;
    let path = Path::new(std::ffi::OsStr::from_bytes(path));
    let what = || format!("make `{}` opaque", path.display());
    let dir = root.open_file(path, OpenFlags::DIRECTORY | OpenFlags::NOFOLLOW).context(what)?;
    xattr::fsetxattr(dir.as_fd(), TRUSTED_OPAQUE.as_ref(), b"y", xattr::SetFlags::empty()).context(what)
}
