//! A tree reached by handles: the directories above the current path are kept open.
//!
//! Symbolic links on the way are followed by hand, inside the tree: one that leads out of it is refused. All calls are
//! relative to an open directory and a single name, so that nothing is resolved twice.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use taru_stdx::{Context, Error, Result};
use taru_sys::fs::{self, AtFlags, Device, FileType, MountId, OpenFlags, Stat};
use taru_sys::{errno, xattr};

use crate::name::{join, normal};

/// Symbolic links on one path, as the kernel has it.
pub(crate) const MAX_LINKS: u32 = 40;

/// An open tree.
pub(crate) struct Tree {
    root: Level,
    /// The directories below the root that lead to the current one.
    levels: Vec<Level>,
}

struct Level {
    name: Vec<u8>,
    fd: OwnedFd,
    gives_group: bool,
}

/// A component as a path for a call.
pub(crate) fn name(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

/// What stands in the way of a path.
pub(crate) enum Obstacle {
    /// Nothing is there.
    Absent,
    /// A whiteout.
    Whiteout,
}

impl Level {
    fn open(dir: BorrowedFd<'_>, component: &[u8]) -> taru_sys::Result<Level> {
        let flags = OpenFlags::PATH | OpenFlags::DIRECTORY | OpenFlags::NOFOLLOW;
        let fd = fs::openat(dir, name(component), flags, 0)?;
        let gives_group = fs::fstat(fd.as_fd())?.mode & 0o2000 != 0;
        Ok(Level { name: component.to_vec(), fd, gives_group })
    }
}

impl Tree {
    /// The tree below `root`.
    pub(crate) fn new(root: OwnedFd) -> Result<Tree> {
        let gives_group = fs::fstat(root.as_fd()).context(|| "look at the root")?.mode & 0o2000 != 0;
        Ok(Tree { root: Level { name: Vec::new(), fd: root, gives_group }, levels: Vec::new() })
    }

    /// The current directory.
    pub(crate) fn dir(&self) -> BorrowedFd<'_> {
        self.levels.last().unwrap_or(&self.root).fd.as_fd()
    }

    /// Whether what is made in the current directory takes over its group.
    pub(crate) fn gives_group(&self) -> bool {
        self.levels.last().unwrap_or(&self.root).gives_group
    }

    /// The current directory's path.
    fn path(&self) -> Vec<u8> {
        self.levels.iter().map(|level| &level.name[..]).collect::<Vec<_>>().join(&b'/')
    }

    /// Makes the directory `path` the current one and returns where it really is, if symbolic links led elsewhere.
    /// Where something is missing, `make` is called with the place's directory, path and what is there; it makes a
    /// directory.
    pub(crate) fn enter(
        &mut self,
        path: &[u8],
        mut make: impl FnMut(BorrowedFd<'_>, &[u8], Obstacle) -> Result<()>,
    ) -> Result<Option<Vec<u8>>> {
        let mut led = None;
        let mut links = 0;
        loop {
            let target = led.as_deref().unwrap_or(path);
            match self.try_enter(target, &mut make)? {
                None => return Ok(led),
                Some(elsewhere) => led = Some(elsewhere),
            }
            links += 1;
            if links > MAX_LINKS {
                return Err(Error::invalid(format!("enter `{}`: too many links", path.escape_ascii())));
            }
        }
    }

    /// As far as no symbolic link is in the way; else where it leads.
    fn try_enter(
        &mut self,
        path: &[u8],
        make: &mut impl FnMut(BorrowedFd<'_>, &[u8], Obstacle) -> Result<()>,
    ) -> Result<Option<Vec<u8>>> {
        let parts: Vec<&[u8]> = path.split(|&b| b == b'/').filter(|part| !part.is_empty()).collect();
        let same = self.levels.iter().zip(&parts).take_while(|(level, part)| level.name == **part).count();
        self.levels.truncate(same);
        for (at, part) in parts.iter().enumerate().skip(same) {
            let what = || format!("enter `{}`", path.escape_ascii());
            let level = match Level::open(self.dir(), part) {
                Err(e) if e.errno() == errno::NOENT => {
                    make(self.dir(), &join(&self.path(), part), Obstacle::Absent)?;
                    Level::open(self.dir(), part).context(what)?
                }
                Err(e) if [errno::NOTDIR, errno::LOOP].contains(&e.errno()) => {
                    let stat = self.stat(part).context(what)?;
                    if stat.file_type() == FileType::Symlink {
                        let target = fs::readlinkat(self.dir(), name(part)).context(what)?;
                        let target = target.as_os_str().as_bytes();
                        let rest = parts.get(at + 1..).unwrap_or_default().join(&b'/');
                        let from = if target.starts_with(b"/") { Vec::new() } else { self.path() };
                        let led = normal(&join(&from, target)).context(what)?;
                        return Ok(Some(if rest.is_empty() { led } else { join(&led, &rest) }));
                    }
                    if !is_whiteout(&stat) {
                        return Err(Error::invalid(format!("{}: something else is in the way", what())));
                    }
                    make(self.dir(), &join(&self.path(), part), Obstacle::Whiteout)?;
                    Level::open(self.dir(), part).context(what)?
                }
                opened => opened.context(what)?,
            };
            self.levels.push(level);
        }
        Ok(None)
    }

    /// As [`Tree::enter`], where nothing may be missing.
    pub(crate) fn enter_existing(&mut self, path: &[u8]) -> Result<Option<Vec<u8>>> {
        self.enter(path, |_, missing, _| {
            Err(Error::new(
                taru_stdx::Kind::NotFound,
                format!("enter `{}`: it does not exist", missing.escape_ascii()),
            ))
        })
    }

    /// What `component` of the current directory is like; of a link, the link.
    pub(crate) fn stat(&self, component: &[u8]) -> taru_sys::Result<Stat> {
        fs::statx(self.dir(), name(component), AtFlags::SYMLINK_NOFOLLOW, MountId::Reused)
    }

    /// Sets extended attributes of `component` of the current directory, whatever it is. Gives those that cannot be there.
    pub(crate) fn set_xattrs<'x>(
        &self,
        component: &[u8],
        xattrs: impl Iterator<Item = &'x (Vec<u8>, Vec<u8>)>,
    ) -> Result<Vec<Vec<u8>>> {
        let mut is_here = false;
        let mut refused = Vec::new();
        for (attribute, value) in xattrs {
            let shown = || format!("set `{}`", attribute.escape_ascii());
            // There is no call for "this name in that directory" before 6.13: by the working directory.
            if !is_here {
                fs::fchdir(self.dir()).context(shown)?;
                is_here = true;
            }
            let os = OsStr::from_bytes(attribute);
            match xattr::lsetxattr(name(component), os, value, xattr::SetFlags::empty()) {
                // Not here: the file system has none, or (EPERM) links and devices have none of users.
                Err(e) if is_refused(os, e.errno()) => refused.push(attribute.clone()),
                done => done.context(shown)?,
            }
        }
        Ok(refused)
    }
}

/// Whether a file system or a kind of file just does not have this attribute.
pub(crate) fn is_refused(attribute: &OsStr, number: taru_sys::Errno) -> bool {
    number == errno::NOTSUP || (number == errno::PERM && attribute.as_bytes().starts_with(b"user."))
}

/// Whether it is overlay's mark of something that is gone: a character device 0:0.
pub(crate) fn is_whiteout(stat: &Stat) -> bool {
    stat.file_type() == FileType::CharDevice && stat.rdev == Device::new(0, 0)
}
