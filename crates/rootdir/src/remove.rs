//! Removing a tree by descriptors: no link is followed, no mount entered, no depth too deep.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use taru_sys::dir::{getdents64, rewind};
use taru_sys::fs::{self, FileType, OpenFlags, RenameFlags, Unlink};
use taru_sys::{Error, Result, errno};

/// Each level holds a descriptor; a tree deeper than this is cut, see [`Removal::enter`].
const MAX_DEPTH: usize = 64;

/// Removes `name` in `dir` and all below it; that it does not exist is no error.
pub(crate) fn tree(dir: BorrowedFd<'_>, name: &OsStr) -> Result<()> {
    match fs::unlinkat(dir, Path::new(name), Unlink::File) {
        Err(e) if e.errno() == errno::ISDIR => {}
        Err(e) if e.errno() == errno::NOENT => return Ok(()),
        done => return done,
    }
    let top = open(dir, name)?;
    let mount = fs::fstat(top.as_fd())?.mount_id;
    if mount != fs::fstat(dir)?.mount_id {
        return Err(Error::new("unlinkat", format!("`{}`", name.display()), errno::BUSY));
    }
    let removal = Removal { top: top.as_fd(), mount, moved: std::cell::Cell::new(0) };
    removal.empty(top.as_fd(), 0)?;
    fs::unlinkat(dir, Path::new(name), Unlink::Directory)
}

fn open(dir: BorrowedFd<'_>, name: &OsStr) -> Result<OwnedFd> {
    fs::openat(dir, Path::new(name), OpenFlags::DIRECTORY | OpenFlags::NOFOLLOW, 0)
}

struct Removal<'t> {
    /// The tree's own directory.
    top: BorrowedFd<'t>,
    /// The mount it lies on.
    mount: Option<u64>,
    /// How many deep directories were moved up.
    moved: std::cell::Cell<u64>,
}

impl Removal<'_> {
    /// Removes all entries of `dir`, which lies `depth` levels below the top.
    fn empty(&self, dir: BorrowedFd<'_>, depth: usize) -> Result<()> {
        loop {
            // From the start again each time: an offset has no meaning once entries before it are gone.
            rewind(dir)?;
            let entries = getdents64(dir)?;
            if entries.is_empty() {
                return Ok(());
            }
            for entry in entries {
                if entry.file_type != Some(FileType::Directory) {
                    match fs::unlinkat(dir, Path::new(&entry.name), Unlink::File) {
                        Err(e) if e.errno() == errno::ISDIR => {}
                        Err(e) if e.errno() == errno::NOENT => continue,
                        Err(e) => return Err(e),
                        Ok(()) => continue,
                    }
                }
                self.enter(dir, &entry.name, depth)?;
            }
        }
    }

    /// Empties and removes the directory `name` in `dir`. One that lies too deep is moved to the top
    /// instead, where the next round finds it: so the descriptors held are bounded, and nothing is lost,
    /// since all of it is being removed.
    fn enter(&self, dir: BorrowedFd<'_>, name: &OsStr, depth: usize) -> Result<()> {
        if depth >= MAX_DEPTH {
            self.moved.set(self.moved.get() + 1);
            let up = OsString::from(format!(".taru-remove-{}-{}", std::process::id(), self.moved.get()));
            return fs::renameat2(dir, Path::new(name), self.top, Path::new(&up), RenameFlags::NOREPLACE);
        }
        let below = match open(dir, name) {
            // Gone, or no longer a directory: the next round of `empty` sees what is there now.
            Err(e) if [errno::NOENT, errno::NOTDIR, errno::LOOP].contains(&e.errno()) => return Ok(()),
            opened => opened?,
        };
        if fs::fstat(below.as_fd())?.mount_id != self.mount {
            return Err(Error::new("unlinkat", format!("`{}`", name.display()), errno::BUSY));
        }
        self.empty(below.as_fd(), depth + 1)?;
        match fs::unlinkat(dir, Path::new(name), Unlink::Directory) {
            Err(e) if e.errno() == errno::NOENT => Ok(()),
            done => done,
        }
    }
}
