//! [`RootDir`]: a directory that is the root of every path given to it.
//!
//! A path costs one openat2(2) with `RESOLVE_IN_ROOT|RESOLVE_NO_MAGICLINKS`; where the kernel lacks the
//! call, or a parent is missing and to be made, [`crate::walk`] takes over.

use std::ffi::OsString;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path};
use std::sync::atomic::{AtomicBool, Ordering};

use taru_stdx::{Context, Error, Kind, Result};
use taru_sys::fs::{self, AtFlags, CWD, Device, FileType, How, OpenFlags, Resolve, Stat, Unlink};
use taru_sys::{Errno, errno};

use crate::remove;
use crate::walk::{Last, Missing, Place, walk};

/// What resolves paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolver {
    /// openat2(2) in one call; our own steps where it does not exist.
    Kernel,
    /// Our own steps always: slower, for tests and for a sandbox that lies about openat2.
    Steps,
}

/// A directory as the root of paths: `/`, `..` and links in them stay inside it. Mounts below it are
/// crossed; procfs' links that jump are refused.
///
/// Errors name the path as it was given. The handle keeps the directory itself: renaming it, or mounting
/// something over it, changes nothing.
#[derive(Debug)]
pub struct RootDir {
    fd: OwnedFd,
    resolver: Resolver,
}

/// Set once openat2 was found missing, so that each further path costs no vain call.
static NO_OPENAT2: AtomicBool = AtomicBool::new(false);

impl RootDir {
    /// The directory at `path`, which is resolved in the ordinary way: the caller vouches for it.
    ///
    /// # Errors
    /// [`Kind::NotFound`] and others of open(2).
    pub fn open(path: &Path) -> Result<RootDir> {
        let fd = fs::openat(CWD, path, OpenFlags::PATH | OpenFlags::DIRECTORY, 0)
            .map_err(|e| e.errno())
            .context(|| format!("open the root `{}`", path.display()))?;
        Ok(RootDir::from_fd(fd))
    }

    /// The directory that `fd` is open on.
    pub fn from_fd(fd: OwnedFd) -> RootDir {
        RootDir { fd, resolver: Resolver::Kernel }
    }

    /// The same root with another way to resolve.
    #[must_use]
    pub fn with_resolver(self, resolver: Resolver) -> RootDir {
        RootDir { resolver, ..self }
    }

    /// The root's own descriptor, an `O_PATH` one if [`RootDir::open`] made it.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// An `O_PATH` handle on what `path` leads to; a link as the last component is followed.
    ///
    /// # Errors
    /// [`Kind::NotFound`], and others of path_resolution(7).
    pub fn resolve(&self, path: &Path) -> Result<OwnedFd> {
        self.find(path, OpenFlags::PATH).context(|| named("resolve", path))
    }

    /// As [`RootDir::resolve`], but a link as the last component is itself what is found.
    ///
    /// # Errors
    /// As [`RootDir::resolve`].
    pub fn resolve_nofollow(&self, path: &Path) -> Result<OwnedFd> {
        self.find(path, OpenFlags::PATH | OpenFlags::NOFOLLOW).context(|| named("resolve", path))
    }

    /// The directory below `path` as a root of its own.
    ///
    /// # Errors
    /// As [`RootDir::resolve`].
    pub fn subdir(&self, path: &Path) -> Result<RootDir> {
        let flags = OpenFlags::PATH | OpenFlags::DIRECTORY;
        let fd = self.find(path, flags).context(|| named("open the directory", path))?;
        Ok(RootDir { fd, resolver: self.resolver })
    }

    /// Opens `path`. A file that [`OpenFlags::CREATE`] or `TMPFILE` makes gets 0666 less the umask.
    ///
    /// Somebody else's tree can hold a fifo anywhere: without [`OpenFlags::NONBLOCK`] opening it waits.
    ///
    /// # Errors
    /// As openat2(2).
    pub fn open_file(&self, path: &Path, flags: OpenFlags) -> Result<File> {
        self.find(path, flags).map(File::from).context(|| named("open", path))
    }

    /// What `path` is, after a link as the last component.
    ///
    /// # Errors
    /// As [`RootDir::resolve`].
    pub fn metadata(&self, path: &Path) -> Result<Stat> {
        let what = || named("look at", path);
        fs::fstat(self.find(path, OpenFlags::PATH).context(what)?.as_fd()).context(what)
    }

    /// What `path` is, links included.
    ///
    /// # Errors
    /// As [`RootDir::resolve`].
    pub fn symlink_metadata(&self, path: &Path) -> Result<Stat> {
        let what = || named("look at", path);
        let fd = self.find(path, OpenFlags::PATH | OpenFlags::NOFOLLOW).context(what)?;
        fs::fstat(fd.as_fd()).context(what)
    }

    /// Whether `path` exists, after links. What cannot be reached does not.
    pub fn exists(&self, path: &Path) -> bool {
        self.find(path, OpenFlags::PATH).is_ok()
    }

    /// The text of the link `path`.
    ///
    /// # Errors
    /// [`Kind::Invalid`] where it is no link.
    pub fn read_link(&self, path: &Path) -> Result<std::path::PathBuf> {
        let what = || named("read the link", path);
        let fd = self.find(path, OpenFlags::PATH | OpenFlags::NOFOLLOW).context(what)?;
        fs::readlinkat(fd.as_fd(), Path::new("")).map_err(|e| e.errno()).context(what)
    }

    /// The content of the regular file `path`, at most `limit` bytes. Never waits on a fifo and never
    /// reads a device, whatever the tree's owner put there.
    ///
    /// # Errors
    /// [`Kind::Limit`] if it is larger; [`Kind::Invalid`] if it is not a regular file.
    pub fn read_bounded(&self, path: &Path, limit: u64) -> Result<Vec<u8>> {
        let what = || named("read", path);
        // Looked at before it is opened: opening alone makes some devices act.
        let handle = self.find(path, OpenFlags::PATH).context(what)?;
        regular(&fs::fstat(handle.as_fd()).context(what)?, what)?;
        let flags = OpenFlags::RDONLY | OpenFlags::NONBLOCK | OpenFlags::NOCTTY;
        let file = File::from(self.find(path, flags).context(what)?);
        regular(&fs::fstat(file.as_fd()).context(what)?, what)?;
        taru_stdx::fs::read_file_bounded(&file, limit, what)
    }

    /// Makes the directory `path` and all that is missing above it, each with `mode` less the umask, and
    /// gives an `O_PATH` handle on it. Links are followed inside the root, also to what does not exist yet.
    /// Two processes that do this at once both succeed.
    ///
    /// # Errors
    /// As mkdir(2); [`Kind::System`] with `ENOTDIR` where something else stands in the way.
    pub fn create_dir_all(&self, path: &Path, mode: u32) -> Result<OwnedFd> {
        let what = || named("create the directory", path);
        let flags = OpenFlags::PATH | OpenFlags::DIRECTORY;
        match self.find(path, flags) {
            Err(errno::NOENT) => {}
            done => return done.context(what),
        }
        if let Some(made) = self.create_last_dir(path, mode).context(what)? {
            return Ok(made);
        }
        let place = self.steps(path, Last::Follow, Missing::MakeAll(mode)).context(what)?;
        place.found.ok_or(errno::NOENT).context(what)
    }

    /// The usual case of [`RootDir::create_dir_all`]: only the last component is missing. `None` where
    /// it takes more.
    fn create_last_dir(&self, path: &Path, mode: u32) -> std::result::Result<Option<OwnedFd>, Errno> {
        let (Some(parent), Some(Component::Normal(name))) = (path.parent(), path.components().next_back())
        else {
            return Ok(None);
        };
        let flags = OpenFlags::PATH | OpenFlags::DIRECTORY;
        let opened = match parent.as_os_str().is_empty() {
            true => None,
            false => match self.find(parent, flags) {
                Ok(dir) => Some(dir),
                Err(_) => return Ok(None),
            },
        };
        let dir = opened.as_ref().map_or(self.as_fd(), |dir| dir.as_fd());
        match fs::mkdirat(dir, Path::new(name), mode) {
            // EEXIST: a link to what does not exist, or somebody was faster.
            Err(e) if e.errno() == errno::EXIST => return Ok(None),
            done => done.map_err(|e| e.errno())?,
        }
        // Whoever swaps it for a link meanwhile gets the long way, which resolves it inside the root.
        Ok(fs::openat(dir, Path::new(name), flags | OpenFlags::NOFOLLOW, 0).ok())
    }

    /// Makes sure that `path` is a file, to mount one there: a regular, empty one with `mode` less the umask
    /// is made where nothing is, directories above it with 0755. Gives an `O_PATH` handle on it.
    ///
    /// # Errors
    /// [`Kind::Invalid`] where a directory is there already; as mknod(2).
    pub fn create_file(&self, path: &Path, mode: u32) -> Result<OwnedFd> {
        let what = || named("create the file", path);
        for _ in 0..16 {
            let found = match self.find(path, OpenFlags::PATH) {
                Err(errno::NOENT) => {
                    self.steps(path, Last::Follow, Missing::MakeParents(0o755)).context(what)?
                }
                done => {
                    let fd = done.context(what)?;
                    if fs::fstat(fd.as_fd()).context(what)?.is_dir() {
                        return Err(errno::ISDIR).context_as(Kind::Invalid, what);
                    }
                    return Ok(fd);
                }
            };
            let (None, Some(name)) = (&found.found, &found.name) else { continue };
            let name = Path::new(name);
            match fs::mknodat(found.dir.as_fd(), name, FileType::Regular, mode, Device::default()) {
                Err(e) if e.errno() == errno::EXIST => {}
                done => {
                    done.map_err(|e| e.errno()).context(what)?;
                    let flags = OpenFlags::PATH | OpenFlags::NOFOLLOW;
                    return fs::openat(found.dir.as_fd(), name, flags, 0)
                        .map_err(|e| e.errno())
                        .context(what);
                }
            }
        }
        Err(errno::AGAIN).context_as(Kind::Busy, what)
    }

    /// Makes the special file `path` with exactly `mode`, whatever the umask; the directory above must exist.
    ///
    /// # Errors
    /// [`Kind::Exists`]; [`Kind::Permission`] for a device in a user namespace.
    pub fn mknod(&self, path: &Path, kind: FileType, mode: u32, device: Device) -> Result<OwnedFd> {
        let what = || named("make the node", path);
        let (dir, name) = self.parent(path)?;
        let name = Path::new(&name);
        fs::mknodat(dir.as_fd(), name, kind, mode, device).map_err(|e| e.errno()).context(what)?;
        let node = fs::openat(dir.as_fd(), name, OpenFlags::PATH | OpenFlags::NOFOLLOW, 0)
            .map_err(|e| e.errno())
            .context(what)?;
        let stat = fs::fstat(node.as_fd()).context(what)?;
        if stat.file_type() != kind || stat.nlink != 1 {
            return Err(Error::new(Kind::State, format!("{}: it was replaced meanwhile", what())));
        }
        if stat.permissions() != mode & 0o7777 {
            chmod(node.as_fd(), dir.as_fd(), name, mode).context(what)?;
        }
        Ok(node)
    }

    /// Makes the link `path` with the text `target`; the directory above must exist.
    ///
    /// # Errors
    /// [`Kind::Exists`]; as symlink(2).
    pub fn symlink(&self, target: &Path, path: &Path) -> Result<()> {
        let (dir, name) = self.parent(path)?;
        fs::symlinkat(target, dir.as_fd(), Path::new(&name))
            .map_err(|e| e.errno())
            .context(|| named("make the link", path))
    }

    /// Removes the file, the link or the empty directory `path`.
    ///
    /// # Errors
    /// [`Kind::NotFound`]; as unlink(2) and rmdir(2).
    pub fn remove(&self, path: &Path) -> Result<()> {
        let (dir, name) = self.parent(path)?;
        let name = Path::new(&name);
        let done = match fs::unlinkat(dir.as_fd(), name, Unlink::File) {
            // POSIX allows EPERM for a directory, Linux says EISDIR.
            Err(e) if e.errno() == errno::ISDIR => fs::unlinkat(dir.as_fd(), name, Unlink::Directory),
            done => done,
        };
        done.map_err(|e| e.errno()).context(|| named("remove", path))
    }

    /// Removes `path` and all below it; that it does not exist is no error. Links are removed, not
    /// followed, and what is mounted below stays untouched.
    ///
    /// # Errors
    /// [`Kind::Busy`] where something is mounted below; as unlink(2).
    pub fn remove_all(&self, path: &Path) -> Result<()> {
        let (dir, name) = match self.parent(path) {
            Err(e) if e.kind() == Kind::NotFound => return Ok(()),
            found => found?,
        };
        remove::tree(dir.as_fd(), &name).map_err(|e| e.errno()).context(|| named("remove", path))
    }

    /// Renames `from` to `to`, replacing what is there.
    ///
    /// # Errors
    /// As rename(2).
    pub fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        let (from_dir, from_name) = self.parent(from)?;
        let (to_dir, to_name) = self.parent(to)?;
        fs::renameat2(
            from_dir.as_fd(),
            Path::new(&from_name),
            to_dir.as_fd(),
            Path::new(&to_name),
            fs::RenameFlags::empty(),
        )
        .map_err(|e| e.errno())
        .context(|| format!("rename `{}` to `{}`", from.display(), to.display()))
    }

    /// An `O_PATH` handle on the directory that holds `path`, and its last component as it stands: the two
    /// things every call that makes or removes a name wants.
    ///
    /// # Errors
    /// [`Kind::Invalid`] where the path has no last component (`/`, `a/..`); as [`RootDir::resolve`].
    pub fn parent(&self, path: &Path) -> Result<(OwnedFd, OsString)> {
        let Some(Component::Normal(name)) = path.components().next_back() else {
            return Err(Error::invalid(format!("find the parent of `{}`: no file name", path.display())));
        };
        let parent = path.parent().unwrap_or(Path::new("/"));
        let flags = OpenFlags::PATH | OpenFlags::DIRECTORY;
        let dir = self.find(parent, flags).context(|| named("find the parent of", path))?;
        Ok((dir, name.to_owned()))
    }

    /// Opens `path` inside the root with the resolver at hand.
    fn find(&self, path: &Path, flags: OpenFlags) -> std::result::Result<OwnedFd, Errno> {
        let path = if path.as_os_str().is_empty() { Path::new("/") } else { path };
        if self.resolver == Resolver::Kernel && !NO_OPENAT2.load(Ordering::Relaxed) {
            match in_root(self.as_fd(), path, flags) {
                Err(errno::NOSYS | errno::PERM) if !has_openat2() => {
                    NO_OPENAT2.store(true, Ordering::Relaxed);
                }
                // `..` raced with a rename every time: our own steps cannot be disturbed that way.
                Err(errno::AGAIN) => {}
                done => return done,
            }
        }
        self.find_by_steps(path, flags)
    }

    fn find_by_steps(&self, path: &Path, flags: OpenFlags) -> std::result::Result<OwnedFd, Errno> {
        let no_follow =
            flags.contains(OpenFlags::NOFOLLOW) || flags.contains(OpenFlags::CREATE | OpenFlags::EXCL);
        let last = if no_follow { Last::NoFollow } else { Last::Follow };
        for _ in 0..16 {
            let place = self.steps(path, last, Missing::Fail)?;
            if flags.contains(OpenFlags::PATH) {
                let found = place.found.ok_or(errno::NOENT)?;
                let wants_dir = flags.contains(OpenFlags::DIRECTORY);
                if wants_dir && !fs::fstat(found.as_fd()).map_err(|e| e.errno())?.is_dir() {
                    return Err(errno::NOTDIR);
                }
                return Ok(found);
            }
            if place.found.is_none() {
                if !flags.contains(OpenFlags::CREATE) {
                    return Err(errno::NOENT);
                }
                if path.as_os_str().as_encoded_bytes().ends_with(b"/") {
                    return Err(errno::ISDIR);
                }
            }
            // The steps ended at no link; if one is there now, it came meanwhile: look again.
            let name = place.name.as_deref().map_or(Path::new("."), Path::new);
            match fs::openat(place.dir.as_fd(), name, flags | OpenFlags::NOFOLLOW, 0o666) {
                Err(e) if e.errno() == errno::LOOP && !no_follow => {}
                done => return done.map_err(|e| e.errno()),
            }
        }
        Err(errno::LOOP)
    }

    fn steps(&self, path: &Path, last: Last, missing: Missing) -> std::result::Result<Place, Errno> {
        walk(self.as_fd(), path, last, missing).map_err(|e| e.errno())
    }
}

impl AsFd for RootDir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn in_root(root: BorrowedFd<'_>, path: &Path, flags: OpenFlags) -> std::result::Result<OwnedFd, Errno> {
    let makes = flags.contains(OpenFlags::CREATE) || flags.contains(OpenFlags::TMPFILE);
    let mode = if makes { 0o666 } else { 0 };
    let how = How { flags, mode, resolve: Resolve::IN_ROOT | Resolve::NO_MAGICLINKS };
    let mut tries = 0;
    loop {
        match fs::openat2(root, path, how).map_err(|e| e.errno()) {
            // EAGAIN: something was renamed somewhere while a `..` was being resolved.
            Err(errno::AGAIN) if tries < 32 => tries += 1,
            done => return done,
        }
    }
}

/// Whether openat2 works at all: some sandboxes answer EPERM for a call they do not know.
fn has_openat2() -> bool {
    let how = How { flags: OpenFlags::PATH, ..How::default() };
    fs::openat2(CWD, Path::new("."), how).is_ok()
}

/// Sets the permission bits of a node held by an `O_PATH` handle.
fn chmod(
    node: BorrowedFd<'_>,
    dir: BorrowedFd<'_>,
    name: &Path,
    mode: u32,
) -> std::result::Result<(), Errno> {
    match fs::fchmodat(node, Path::new(""), mode, AtFlags::EMPTY_PATH) {
        // Before 6.6 by name, which follows a link put there meanwhile; so look that there is none.
        Err(e) if e.errno() == errno::NOSYS => {
            let same = |a: Stat, b: Stat| (a.device, a.ino) == (b.device, b.ino);
            let now = fs::statx(dir, name, AtFlags::SYMLINK_NOFOLLOW, fs::MountId::Reused);
            match (fs::fstat(node), now) {
                (Ok(a), Ok(b)) if same(a, b) => {
                    fs::fchmodat(dir, name, mode, AtFlags::empty()).map_err(|e| e.errno())
                }
                _ => Err(errno::AGAIN),
            }
        }
        done => done.map_err(|e| e.errno()),
    }
}

fn regular(stat: &Stat, what: impl Fn() -> String) -> Result<()> {
    if stat.file_type() == FileType::Regular {
        return Ok(());
    }
    Err(Error::invalid(format!("{}: not a regular file", what())))
}

fn named(verb: &str, path: &Path) -> String {
    format!("{verb} `{}`", path.display())
}
