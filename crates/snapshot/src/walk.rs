//! A tree walked in the order of a manifest: a directory, all that is below it, the next.
//!
//! Memory is that of the names of the directories on the way. No link is followed.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use taru_stdx::{Context, Result};
use taru_sys::fs::{self, AtFlags, MountId, OpenFlags, Stat};
use taru_sys::{dir, errno, xattr};
use taru_tar::Xattrs;

use crate::name::{join, split};
use crate::tree::{name, xattrs_of};

/// Something in the tree.
#[derive(Debug)]
pub(crate) struct Found {
    /// Below the tree's root; empty for the root.
    pub(crate) path: Vec<u8>,
    pub(crate) stat: Stat,
}

/// A walk under way.
pub(crate) struct Walk {
    /// The root, until it was given.
    root: Option<OwnedFd>,
    levels: Vec<Level>,
    /// The directory given last, to be entered next.
    pending: Option<(OwnedFd, Vec<u8>)>,
}

struct Level {
    fd: OwnedFd,
    path: Vec<u8>,
    /// The last comes first.
    names: Vec<OsString>,
}

impl Walk {
    pub(crate) fn new(root: OwnedFd) -> Walk {
        Walk { root: Some(root), levels: Vec::new(), pending: None }
    }

    /// The next entry; the root is the first.
    pub(crate) fn next(&mut self) -> Result<Option<Found>> {
        if let Some(root) = self.root.take() {
            let stat = fs::fstat(root.as_fd()).context(|| "look at the root")?;
            self.pending = Some((root, Vec::new()));
            return Ok(Some(Found { path: Vec::new(), stat }));
        }
        if let Some((fd, path)) = self.pending.take() {
            let what = || format!("list `{}`", path.escape_ascii());
            let mut names = Vec::new();
            loop {
                let entries = dir::getdents64(fd.as_fd()).context(what)?;
                if entries.is_empty() {
                    break;
                }
                names.extend(entries.into_iter().map(|entry| entry.name));
            }
            names.sort_by(|a, b| b.cmp(a));
            self.levels.push(Level { fd, path, names });
        }
        while let Some(level) = self.levels.last_mut() {
            let Some(next) = level.names.pop() else {
                self.levels.pop();
                continue;
            };
            let path = join(&level.path, next.as_bytes());
            let what = || format!("look at `{}`", path.escape_ascii());
            let stat = match fs::statx(
                level.fd.as_fd(),
                Path::new(&next),
                AtFlags::SYMLINK_NOFOLLOW,
                MountId::Reused,
            ) {
                // A container may be running.
                Err(e) if e.errno() == errno::NOENT => continue,
                stat => stat.context(what)?,
            };
            if stat.is_dir() {
                let flags = OpenFlags::DIRECTORY | OpenFlags::NOFOLLOW;
                let fd = fs::openat(level.fd.as_fd(), Path::new(&next), flags, 0).context(what)?;
                self.pending = Some((fd, path.clone()));
            }
            return Ok(Some(Found { path, stat }));
        }
        Ok(None)
    }

    /// Does not enter the directory that was given last.
    pub(crate) fn skip(&mut self) {
        self.pending = None;
    }

    /// The directory of what was given last.
    fn dir(&self) -> BorrowedFd<'_> {
        self.levels.last().map_or(fs::CWD, |level| level.fd.as_fd())
    }

    /// Makes the directory of what was given last the working directory (before 6.13 no call reads attributes of a link by
    /// descriptor), and gives its name there.
    fn enter<'f>(&self, found: &'f Found) -> taru_sys::Result<&'f Path> {
        let (_, last) = split(&found.path);
        match &self.pending {
            Some((root, path)) if path.is_empty() => fs::fchdir(root).map(|()| Path::new(".")),
            _ => fs::fchdir(self.dir()).map(|()| name(last)),
        }
    }

    /// Opens what was given last, a file.
    pub(crate) fn open(&self, found: &Found) -> Result<File> {
        let (_, last) = split(&found.path);
        // Not waiting, should a fifo have come in its place.
        let flags = OpenFlags::NOFOLLOW | OpenFlags::NONBLOCK;
        let fd = fs::openat(self.dir(), name(last), flags, 0);
        fd.map(File::from).context(|| format!("open `{}`", found.path.escape_ascii()))
    }

    /// The text of what was given last, a symbolic link.
    pub(crate) fn read_link(&self, found: &Found) -> Result<Vec<u8>> {
        let (_, last) = split(&found.path);
        let text = fs::readlinkat(self.dir(), name(last));
        text.map(|text| text.into_os_string().into_vec())
            .context(|| format!("read the link `{}`", found.path.escape_ascii()))
    }

    /// Extended attributes of what was given last, those that `keep` is true of, sorted.
    pub(crate) fn xattrs(&self, found: &Found, keep: impl Fn(&[u8]) -> bool) -> Result<Xattrs> {
        let what = || format!("read the attributes of `{}`", found.path.escape_ascii());
        let path = self.enter(found).context(what)?;
        xattrs_of(path, keep).context(what)
    }

    /// One attribute of what was given last.
    pub(crate) fn xattr(&self, found: &Found, attribute: &str) -> Option<Vec<u8>> {
        let path = self.enter(found).ok()?;
        xattr::lgetxattr(path, OsStr::new(attribute)).ok()
    }
}
