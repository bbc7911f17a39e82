//! A tree on disk reached by handles: the directories above the current path are kept open ([`crate::levels`]).
//!
//! All calls are relative to an open directory and a single name, so that nothing is resolved twice.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use taru_stdx::{Context, Result};
use taru_sys::fs::{self, AtFlags, Device, FileType, MountId, OpenFlags, Stat};
use taru_sys::{errno, xattr};
use taru_tar::Xattrs;

use crate::levels::{Found, Levels, Obstacle, Walk, missing};

/// An open tree.
pub(crate) struct Tree {
    levels: Levels<Open>,
}

/// An open directory of it.
struct Open {
    fd: OwnedFd,
    gives_group: bool,
}

/// A component as a path for a call.
pub(crate) fn name(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

impl Open {
    fn new(fd: OwnedFd) -> taru_sys::Result<Open> {
        let gives_group = fs::fstat(fd.as_fd())?.mode & 0o2000 != 0;
        Ok(Open { fd, gives_group })
    }
}

/// Steps on disk; given what makes a directory.
struct OnDisk<M>(M);

impl<M: FnMut(BorrowedFd<'_>, &[u8], Obstacle) -> Result<()>> Walk<Open> for OnDisk<M> {
    fn look(&mut self, dir: &Open, part: &[u8]) -> Result<Found<Open>> {
        let what = || "look at what is there";
        let flags = OpenFlags::PATH | OpenFlags::DIRECTORY | OpenFlags::NOFOLLOW;
        let fd = match fs::openat(dir.fd.as_fd(), name(part), flags, 0) {
            Err(e) if e.errno() == errno::NOENT => return Ok(Found::Obstacle(Obstacle::Absent)),
            Err(e) if [errno::NOTDIR, errno::LOOP].contains(&e.errno()) => {
                let stat = stat(dir.fd.as_fd(), part).context(what)?;
                if stat.file_type() == FileType::Symlink {
                    let target = fs::readlinkat(dir.fd.as_fd(), name(part)).context(what)?;
                    return Ok(Found::Link(target.as_os_str().as_bytes().to_vec()));
                }
                return Ok(match is_whiteout(&stat) {
                    true => Found::Obstacle(Obstacle::Whiteout),
                    false => Found::Other,
                });
            }
            opened => opened.context(|| format!("open `{}`", part.escape_ascii()))?,
        };
        Ok(Found::Directory(Open::new(fd).context(what)?))
    }

    fn make(&mut self, dir: &Open, path: &[u8], obstacle: Obstacle) -> Result<()> {
        (self.0)(dir.fd.as_fd(), path, obstacle)
    }
}

impl Tree {
    /// The tree below `root`.
    pub(crate) fn new(root: OwnedFd) -> Result<Tree> {
        Ok(Tree { levels: Levels::new(Open::new(root).context(|| "look at the root")?) })
    }

    /// The current directory.
    pub(crate) fn dir(&self) -> BorrowedFd<'_> {
        self.levels.current().fd.as_fd()
    }

    /// Whether what is made in the current directory takes over its group.
    pub(crate) fn gives_group(&self) -> bool {
        self.levels.current().gives_group
    }

    /// Makes the directory `path` the current one and returns where it really is, if symbolic links led elsewhere.
    /// Where something is missing, `make` is called with the place's directory, path and what is there; it makes a
    /// directory.
    pub(crate) fn enter(
        &mut self,
        path: &[u8],
        make: impl FnMut(BorrowedFd<'_>, &[u8], Obstacle) -> Result<()>,
    ) -> Result<Option<Vec<u8>>> {
        self.levels.enter(path, &mut OnDisk(make))
    }

    /// As [`Tree::enter`], where nothing may be missing.
    pub(crate) fn enter_existing(&mut self, path: &[u8]) -> Result<Option<Vec<u8>>> {
        self.enter(path, |_, path, _| Err(missing(path)))
    }

    /// What `component` of the current directory is like; of a link, the link.
    pub(crate) fn stat(&self, component: &[u8]) -> taru_sys::Result<Stat> {
        stat(self.dir(), component)
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

/// Extended attributes of what has the path `path`, those that `keep` is true of, sorted.
pub(crate) fn xattrs_of(path: &Path, keep: impl Fn(&[u8]) -> bool) -> taru_sys::Result<Xattrs> {
    let names = match xattr::llistxattr(path) {
        Err(e) if [errno::NOTSUP, errno::NOENT].contains(&e.errno()) => return Ok(Vec::new()),
        names => names?,
    };
    let mut all = Vec::new();
    for attribute in names.iter().filter(|attribute| keep(attribute.as_bytes())) {
        match xattr::lgetxattr(path, attribute) {
            Err(e) if e.errno() == errno::NODATA => {}
            value => all.push((attribute.as_bytes().to_vec(), value?)),
        }
    }
    all.sort();
    Ok(all)
}

fn stat(dir: BorrowedFd<'_>, component: &[u8]) -> taru_sys::Result<Stat> {
    fs::statx(dir, name(component), AtFlags::SYMLINK_NOFOLLOW, MountId::Reused)
}

/// Whether a file system or a kind of file just does not have this attribute.
pub(crate) fn is_refused(attribute: &OsStr, number: taru_sys::Errno) -> bool {
    number == errno::NOTSUP || (number == errno::PERM && attribute.as_bytes().starts_with(b"user."))
}

/// Whether it is overlay's mark of something that is gone: a character device 0:0.
pub(crate) fn is_whiteout(stat: &Stat) -> bool {
    stat.file_type() == FileType::CharDevice && stat.rdev == Device::new(0, 0)
}
