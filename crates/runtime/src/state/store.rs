//! The directory of all records.

use std::fs::DirBuilder;
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use taru_stdx::fs::{Sync, replace};
use taru_stdx::{Context, Error, Kind, Result};

use super::id::check_id;
use super::lock::Lock;
use super::record::{CONFIG, Record, START, STATE, State, save};

/// The state directory.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
}

/// What [`Store::list`] finds under one id.
pub type Listed = (String, Result<Record>);

impl Store {
    /// The store in the directory `root`. Nothing is read or made yet.
    pub fn open(root: impl Into<PathBuf>) -> Store {
        Store { root: root.into() }
    }

    /// The directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where compiled seccomp filters are kept: a name that is no container's id.
    pub fn seccomp_cache(&self) -> PathBuf {
        self.root.join("@seccomp")
    }

    /// Makes `id` ours, exclusively, and locks it. Dropped without [`Reservation::commit`], it is free again.
    ///
    /// What a killed `create` left before it wrote a record is taken over.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for an id that cannot be one, [`Kind::Exists`] if there is such a container,
    /// [`Kind::Permission`] if others may write into the state directory.
    pub fn reserve(&self, id: &str) -> Result<Reservation> {
        check_id(id)?;
        let dir = self.root.join(id);
        let exists = || {
            Error::new(Kind::Exists, format!("container with given ID already exists: `{id}`"))
                .hint(format!("choose another id, or remove it: taru-runtime delete {id}"))
        };
        // Others can lock what we have just made: a `list` that looks at it, a `delete --force` that removes
        // it, a `create` that takes it over. All are short.
        let mut is_own = false;
        for _ in 0..100 {
            let made = self.make(&dir)?;
            is_own |= made;
            let lock = match Lock::attempt(&dir) {
                Ok(Some(lock)) => lock,
                Ok(None) if !is_own => return Err(exists()),
                Ok(None) => {
                    std::thread::sleep(Duration::from_millis(1));
                    continue;
                }
                Err(e) if e.kind() == Kind::NotFound => continue, // removed meanwhile
                Err(e) => return Err(e),
            };
            if lock.is_removed() {
                continue;
            }
            // Also in a directory that we made: between that and our lock, another may have taken it over and
            // be done already.
            let is_taken = dir.join(STATE).symlink_metadata().is_ok();
            if is_taken || (!made && !self.is_ours(&lock)?) {
                return Err(exists());
            }
            let reservation = Reservation { dir, id: id.to_owned(), lock: Some(lock) };
            self.check_root()?;
            if !made {
                empty(&reservation.dir)?;
            }
            return Ok(reservation);
        }
        Err(exists())
    }

    /// The record of the container `id`.
    ///
    /// # Errors
    /// [`Kind::NotFound`] if there is none; [`Kind::Busy`] if its `create` has not written it yet;
    /// [`Kind::State`] if that was killed; what makes a record unreadable.
    pub fn load(&self, id: &str) -> Result<Record> {
        check_id(id)?;
        let dir = self.root.join(id);
        match Record::read(dir.clone(), id).map_err(|e| self.foreign(e))? {
            Some(record) => Ok(record),
            None if !dir.is_dir() => Err(self.no_such(id)),
            None => self.load_unwritten(dir, id),
        }
    }

    /// The record of a container that had none yet when it was looked at.
    fn load_unwritten(&self, dir: PathBuf, id: &str) -> Result<Record> {
        let lock = match Lock::attempt(&dir) {
            Ok(Some(lock)) => lock,
            Ok(None) => return Err(Error::new(Kind::Busy, format!("container `{id}` is being created"))),
            Err(e) if e.kind() == Kind::NotFound => return Err(self.no_such(id)),
            Err(e) => return Err(e),
        };
        // Its creator may have come to its end since.
        match Record::read(dir, id)? {
            Some(record) => Ok(record),
            None if lock.is_removed() => Err(self.no_such(id)),
            None => Err(Error::new(
                Kind::State,
                format!("container `{id}` was left half made by a killed create"),
            )
            .hint(format!("`taru-runtime delete --force {id}` removes what is left"))),
        }
    }

    /// All containers, sorted by id. One that cannot be loaded is there with the reason.
    ///
    /// A state directory that does not exist yet has none.
    ///
    /// # Errors
    /// An unreadable state directory.
    pub fn list(&self) -> Result<Vec<Listed>> {
        let what = || format!("read the state directory `{}`", self.root.display());
        let entries = match std::fs::read_dir(&self.root) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.context(what).map_err(|e| self.foreign(e))?,
        };
        let mut all = Vec::new();
        for entry in entries {
            let entry = entry.context(what)?;
            let Some(id) = entry.file_name().to_str().map(str::to_owned) else { continue };
            // Whatever is not a directory with an id's name was not made by us.
            if check_id(&id).is_err() || !entry.file_type().is_ok_and(|t| t.is_dir()) {
                continue;
            }
            match self.load(&id) {
                Err(e) if e.kind() == Kind::NotFound => {} // removed while we read
                found => all.push((id, found)),
            }
        }
        all.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(all)
    }

    /// Forgets the container `id`, whatever its directory holds. The caller has its lock.
    ///
    /// # Errors
    /// Any error of the file system.
    pub fn remove(&self, id: &str, lock: Lock) -> Result<()> {
        check_id(id)?;
        remove(&self.root.join(id))?;
        drop(lock);
        Ok(())
    }

    /// Takes the lock of `id` even where its record cannot be read, waiting up to ten seconds.
    ///
    /// # Errors
    /// [`Kind::Busy`] after that time; [`Kind::NotFound`] if there is no such container.
    pub fn lock(&self, id: &str) -> Result<Lock> {
        check_id(id)?;
        let dir = self.root.join(id);
        Lock::wait(Lock::open(&dir, id)?, &dir, id)
    }

    /// `true` if we made it, `false` if it was there.
    fn make(&self, dir: &Path) -> Result<bool> {
        let make = |dir: &Path| DirBuilder::new().mode(0o700).create(dir);
        let mut made = make(dir);
        if made.as_ref().is_err_and(|e| e.kind() == ErrorKind::NotFound) {
            DirBuilder::new()
                .mode(0o700)
                .recursive(true)
                .create(&self.root)
                .context(|| format!("make the state directory `{}`", self.root.display()))?;
            made = make(dir);
        }
        match made {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(false),
            Err(e) => Err(e).context(|| format!("make `{}`", dir.display())),
        }
    }

    /// Others who may write into the state directory could have us signal any process.
    fn check_root(&self) -> Result<()> {
        let root = self.root.metadata().context(|| format!("look at `{}`", self.root.display()))?;
        let (writable, sticky) = (root.mode() & 0o022 != 0, root.mode() & 0o1000 != 0);
        if writable && !sticky {
            let problem =
                format!("use the state directory `{}`: others may write into it", self.root.display());
            return Err(Error::new(Kind::Permission, problem)
                .hint("choose a directory of your own with --root, or `chmod go-w` this one"));
        }
        Ok(())
    }

    /// Whether the directory behind `lock` belongs to the owner of the state directory: in one like /tmp,
    /// a stranger can have made it.
    fn is_ours(&self, lock: &Lock) -> Result<bool> {
        let root = self.root.metadata().context(|| format!("look at `{}`", self.root.display()))?;
        Ok(lock.owner()? == root.uid())
    }

    /// A refusal to read means that the store is somebody else's.
    fn foreign(&self, e: Error) -> Error {
        if e.kind() != Kind::Permission {
            return e;
        }
        e.hint(format!("the containers in `{}` are another user's", self.root.display()))
    }

    fn no_such(&self, id: &str) -> Error {
        Error::new(Kind::NotFound, format!("container `{id}` does not exist"))
            .hint(format!("`taru-runtime --root {} list` shows which do", self.root.display()))
    }
}

/// An id that is ours: its directory is there and locked, its record not yet complete.
#[derive(Debug)]
pub struct Reservation {
    dir: PathBuf,
    id: String,
    lock: Option<Lock>,
}

impl Reservation {
    /// The container's directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What `start` will connect to.
    pub fn start_socket(&self) -> PathBuf {
        self.dir.join(START)
    }

    /// Keeps the bundle's document.
    ///
    /// # Errors
    /// Any error of the file system.
    pub fn save_config(&self, document: &[u8]) -> Result<()> {
        replace(&self.dir.join(CONFIG), document, 0o600, Sync::Atomic)
    }

    /// Writes the record as far as it is known: from here on `delete --force` can clean up after our death.
    ///
    /// # Errors
    /// Any error of the file system.
    pub fn save(&self, state: &State) -> Result<()> {
        save(&self.dir, state)
    }

    /// Writes the record as complete and gives up the lock: the container is created.
    ///
    /// # Errors
    /// Any error of the file system; the id is ours until this value goes.
    pub fn commit(&mut self, mut state: State) -> Result<Record> {
        let made = self.lock.as_ref().map(Lock::directory).transpose()?;
        state.complete = true;
        save(&self.dir, &state)?;
        self.lock = None;
        Ok(Record::new(self.dir.clone(), made, state))
    }

    /// The id.
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some(lock) = self.lock.take() {
            // The error that led here is the one to report; `delete --force` can still remove the rest.
            let _ = remove(&self.dir);
            drop(lock);
        }
    }
}

/// Removes a container's directory: the record last, so that a kill half-way leaves one that can be
/// deleted again.
fn remove(dir: &Path) -> Result<()> {
    empty(dir)?;
    std::fs::remove_dir(dir).context(|| format!("remove `{}`", dir.display()))
}

/// Removes all that is in `dir`, the record last.
fn empty(dir: &Path) -> Result<()> {
    for name in [START, CONFIG] {
        unlink(&dir.join(name))?;
    }
    let what = || format!("read `{}`", dir.display());
    for entry in std::fs::read_dir(dir).context(what)? {
        let entry = entry.context(what)?;
        if entry.file_name() == STATE {
            continue;
        }
        let path = entry.path();
        if entry.file_type().context(what)?.is_dir() {
            std::fs::remove_dir_all(&path).context(|| format!("remove `{}`", path.display()))?;
        } else {
            unlink(&path)?;
        }
    }
    unlink(&dir.join(STATE))
}

fn unlink(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != ErrorKind::NotFound => {
            Err(e).context(|| format!("remove `{}`", path.display()))
        }
        _ => Ok(()),
    }
}
