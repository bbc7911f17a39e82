//! A layer's changes, as overlay would stack them, carried out on a copy of what is below. Runs in the disposable child.
//!
//! Whatever overlay shows of both, the copy is in the end: so all drivers have the same trees. Files are renamed, not copied.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use taru_rootdir::RootDir;
use taru_stdx::{Context, Result};
use taru_sys::fs::{self, AtFlags, MountId, OpenFlags, RenameFlags, Stat, Unlink};
use taru_sys::{dir, errno, xattr};

use crate::attribute::{OPAQUE, is_kept};
use crate::tree::is_whiteout;

/// Merges the directory `changes` of `root`, which is removed, into `root`.
pub(crate) fn merge(root: &OwnedFd, changes: &str) -> Result<()> {
    let from = open(root.as_fd(), Path::new(changes))?;
    // Before it is emptied, which gives it another time.
    let stat = fs::fstat(from.as_fd()).context(|| "look at what is merged")?;
    if is_opaque(from.as_fd()) {
        empty(root.as_fd(), changes)?;
    }
    directory(from.as_fd(), root.as_fd())?;
    fs::unlinkat(root.as_fd(), Path::new(changes), Unlink::Directory).context(|| "remove what was merged")?;
    attributes(from.as_fd(), &stat, root.as_fd())
}

fn open(at: BorrowedFd<'_>, name: &Path) -> Result<OwnedFd> {
    let flags = OpenFlags::DIRECTORY | OpenFlags::NOFOLLOW;
    fs::openat(at, name, flags, 0).context(|| format!("open `{}`", name.display()))
}

/// What is there; `None` if nothing is.
fn look(at: BorrowedFd<'_>, name: &Path) -> Result<Option<Stat>> {
    match fs::statx(at, name, AtFlags::SYMLINK_NOFOLLOW, MountId::Reused) {
        Err(e) if e.errno() == errno::NOENT => Ok(None),
        stat => stat.map(Some).context(|| format!("look at `{}`", name.display())),
    }
}

fn remove(at: BorrowedFd<'_>, name: &Path) -> Result<()> {
    RootDir::from_fd(at.try_clone_to_owned().context(|| "remove what was replaced")?).remove_all(name)
}

/// Whether the directory hides all that is below.
fn is_opaque(dir: BorrowedFd<'_>) -> bool {
    xattr::fgetxattr(dir, OPAQUE.as_ref()).is_ok_and(|value| value == b"y")
}

/// Removes all that is in `root` but for `kept`.
fn empty(root: BorrowedFd<'_>, kept: &str) -> Result<()> {
    loop {
        dir::rewind(root).context(|| "list what is hidden")?;
        let entries = dir::getdents64(root).context(|| "list what is hidden")?;
        let mut is_empty = true;
        for entry in entries.iter().filter(|entry| entry.name != *kept) {
            is_empty = false;
            remove(root, Path::new(&entry.name))?;
        }
        if is_empty {
            return Ok(());
        }
    }
}

/// Merges what is in `from` into `to`, and leaves `from` empty.
fn directory(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<()> {
    loop {
        dir::rewind(from).context(|| "list the changes")?;
        let entries = dir::getdents64(from).context(|| "list the changes")?;
        if entries.is_empty() {
            return Ok(());
        }
        for entry in entries {
            let name = Path::new(&entry.name);
            let Some(stat) = look(from, name)? else { continue };
            one(from, to, name, &stat).context(|| format!("merge `{}`", name.display()))?;
        }
    }
}

fn one(from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &Path, stat: &Stat) -> Result<()> {
    let was = look(to, name)?;
    if is_whiteout(stat) {
        remove(to, name)?;
        return fs::unlinkat(from, name, Unlink::File).context(|| "remove the whiteout");
    }
    if !stat.is_dir() {
        if was.is_some_and(|was| was.is_dir()) {
            remove(to, name)?;
        }
        return fs::renameat2(from, name, to, name, RenameFlags::empty()).context(|| "move it");
    }
    let source = open(from, name)?;
    if was.is_some_and(|was| is_opaque(source.as_fd()) || !was.is_dir()) {
        remove(to, name)?;
    }
    match fs::mkdirat(to, name, 0o700) {
        Err(e) if e.errno() == errno::EXIST => {}
        made => made.context(|| "make the directory")?,
    }
    let target = open(to, name)?;
    directory(source.as_fd(), target.as_fd())?;
    fs::unlinkat(from, name, Unlink::Directory).context(|| "remove what was merged")?;
    attributes(source.as_fd(), stat, target.as_fd())
}

/// Gives the directory `to` what `from` has.
fn attributes(from: BorrowedFd<'_>, stat: &Stat, to: BorrowedFd<'_>) -> Result<()> {
    let what = || "set the directory's attributes";
    let here = Path::new("");
    fs::fchownat(to, here, Some(stat.uid), Some(stat.gid), AtFlags::EMPTY_PATH).context(what)?;
    fs::fchmod(to, stat.permissions()).context(what)?;
    let kept = |fd: BorrowedFd<'_>| -> Result<Vec<_>> {
        match xattr::flistxattr(fd) {
            Err(e) if e.errno() == errno::NOTSUP => Ok(Vec::new()),
            names => Ok(names.context(what)?.into_iter().filter(|name| is_kept(name.as_bytes())).collect()),
        }
    };
    let new = kept(from)?;
    for name in kept(to)?.iter().filter(|name| !new.contains(name)) {
        xattr::fremovexattr(to, name).context(what)?;
    }
    for name in &new {
        let value = xattr::fgetxattr(from, name).context(what)?;
        xattr::fsetxattr(to, name, &value, xattr::SetFlags::empty()).context(what)?;
    }
    fs::futimens(to, stat.mtime, stat.mtime).context(what)
}
