//! Resolution by our own steps: for kernels without openat2(2), and to make what is missing on the way.
//!
//! Each step opens one component with `O_PATH|O_NOFOLLOW` on the directory reached so far. A link's text
//! is put in front of what is left; `..` goes back to the directory we came from, by its descriptor, never
//! by the kernel's `..`. So whatever is renamed meanwhile, no step leaves the root.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

use taru_sys::fs::{self, FileType, OpenFlags};
use taru_sys::{Error, Result, errno};

/// As the kernel's `MAXSYMLINKS`.
const MAX_LINKS: u32 = 40;
/// How often a name may vanish between two calls before that is an attack.
const MAX_RACES: u32 = 64;

/// What happens to a link as the last component.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Last {
    Follow,
    NoFollow,
}

/// What happens to a missing component.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    /// All but the last must exist.
    Fail,
    /// All but the last are made.
    MakeParents(u32),
    /// All are made.
    MakeAll(u32),
}

/// Where a path leads.
pub(crate) struct Place {
    /// The directory that holds the last component.
    pub(crate) dir: OwnedFd,
    /// The last component; `None` where the path is the root or ends with `..`.
    pub(crate) name: Option<OsString>,
    /// An `O_PATH` handle on it; `None` where it does not exist.
    pub(crate) found: Option<OwnedFd>,
}

/// Resolves `path` with `root` as its root.
pub(crate) fn walk(root: BorrowedFd<'_>, path: &Path, last: Last, missing: Missing) -> Result<Place> {
    let mut walk = Walk {
        root,
        above: Vec::new(),
        left: Vec::new(),
        wants_dir: false,
        links: 0,
        races: 0,
        last,
        missing,
    };
    walk.put_in_front(path);
    walk.run(path)
}

struct Walk<'r> {
    root: BorrowedFd<'r>,
    /// The directories passed, from below the root to the current one.
    above: Vec<OwnedFd>,
    /// The components left, the next one at the end.
    left: Vec<OsString>,
    /// Whether the path, or a link at its end, ended with a slash.
    wants_dir: bool,
    links: u32,
    races: u32,
    last: Last,
    missing: Missing,
}

impl Walk<'_> {
    fn run(&mut self, path: &Path) -> Result<Place> {
        let fail = |number| Error::new("walk", format!("`{}`", path.display()), number);
        while let Some(name) = self.left.pop() {
            if name == ".." {
                self.above.pop();
                continue;
            }
            let is_last = self.left.is_empty();
            let flags = OpenFlags::PATH | OpenFlags::NOFOLLOW;
            let fd = match fs::openat(self.current(), Path::new(&name), flags, 0) {
                Ok(fd) => fd,
                Err(e) if e.errno() == errno::NOENT => {
                    if is_last && !matches!(self.missing, Missing::MakeAll(_)) {
                        return Ok(Place { dir: self.current_owned()?, name: Some(name), found: None });
                    }
                    self.make(&name).map_err(&fail)?;
                    self.left.push(name);
                    continue;
                }
                Err(e) => return Err(fail(e.errno())),
            };
            match fs::fstat(fd.as_fd())?.file_type() {
                FileType::Symlink if is_last && self.last == Last::NoFollow && !self.wants_dir => {
                    return Ok(Place { dir: self.current_owned()?, name: Some(name), found: Some(fd) });
                }
                FileType::Symlink => {
                    self.links += 1;
                    if self.links > MAX_LINKS {
                        return Err(fail(errno::LOOP));
                    }
                    let text = fs::readlinkat(fd.as_fd(), Path::new("")).map_err(|e| fail(e.errno()))?;
                    self.put_in_front(&text);
                }
                FileType::Directory if !is_last => self.above.push(fd),
                kind if is_last => {
                    let needs_dir = self.wants_dir || matches!(self.missing, Missing::MakeAll(_));
                    if needs_dir && kind != FileType::Directory {
                        return Err(fail(errno::NOTDIR));
                    }
                    return Ok(Place { dir: self.current_owned()?, name: Some(name), found: Some(fd) });
                }
                _ => return Err(fail(errno::NOTDIR)),
            }
        }
        // Nothing left: the path was the root, or ended with `..` or with a link to such a place.
        Ok(Place { dir: self.current_owned()?, name: None, found: Some(self.current_owned()?) })
    }

    fn current(&self) -> BorrowedFd<'_> {
        self.above.last().map_or(self.root, AsFd::as_fd)
    }

    fn current_owned(&self) -> Result<OwnedFd> {
        fs::openat(self.current(), Path::new("."), OpenFlags::PATH | OpenFlags::DIRECTORY, 0)
    }

    /// Makes the directory `name` here. That another process was faster is no error; that it goes on
    /// making and removing the name is.
    fn make(&mut self, name: &OsStr) -> std::result::Result<(), taru_sys::Errno> {
        let mode = match self.missing {
            Missing::Fail => return Err(errno::NOENT),
            Missing::MakeParents(mode) | Missing::MakeAll(mode) => mode,
        };
        self.races += 1;
        match fs::mkdirat(self.current(), Path::new(name), mode) {
            Ok(()) => Ok(()),
            Err(e) if e.errno() == errno::EXIST && self.races < MAX_RACES => Ok(()),
            Err(e) => Err(e.errno()),
        }
    }

    fn put_in_front(&mut self, path: &Path) {
        let ends_with_slash =
            path.as_os_str().as_bytes().ends_with(b"/") || path.as_os_str().as_bytes().ends_with(b"/.");
        if self.left.is_empty() && ends_with_slash {
            self.wants_dir = true;
        }
        if path.is_absolute() {
            self.above.clear();
        }
        let next = path.components().rev().filter_map(|c| match c {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some(OsString::from("..")),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
        });
        self.left.extend(next);
    }
}
