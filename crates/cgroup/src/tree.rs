//! Walking the groups below a group, however deep a container nested them: by handles and `..`, so that neither the
//! length of a path nor the number of open files is a bound. A cgroup file system has no symbolic links.

use std::ffi::OsString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Instant;

use taru_sys::dir::getdents64;
use taru_sys::fs::{FileType, OpenFlags, Unlink, openat, unlinkat};
use taru_sys::{Error, Result, errno};

use crate::dir::{Dir, is_gone};

/// Calls `visit` with the directory of `top` and with each one below it, parents first. Those that vanish meanwhile
/// are left out.
pub(crate) fn walk<E: From<Error>>(
    top: &Dir,
    visit: &mut dyn FnMut(BorrowedFd<'_>) -> std::result::Result<(), E>,
) -> std::result::Result<(), E> {
    let Some(mut at) = there(enter(top.as_fd(), Path::new(".")))? else { return Ok(()) };
    visit(at.as_fd())?;
    // The children still to be visited, a list for each level.
    let mut levels = vec![children(at.as_fd())?];
    while let Some(level) = levels.last_mut() {
        match level.pop() {
            Some(name) => {
                let Some(child) = there(enter(at.as_fd(), Path::new(&name)))? else { continue };
                at = child;
                visit(at.as_fd())?;
                levels.push(children(at.as_fd())?);
            }
            None => {
                levels.pop();
                if !levels.is_empty() {
                    // A group removed under our feet has lost its parent; the caller looks again.
                    let Some(parent) = there(enter(at.as_fd(), Path::new("..")))? else { return Ok(()) };
                    at = parent;
                }
            }
        }
    }
    Ok(())
}

/// Removes all directories below `top`, deepest first.
///
/// # Errors
/// EBUSY for the first that has processes, or when `deadline` is over: somebody makes groups as fast as they are removed.
pub(crate) fn remove_below(top: &Dir, deadline: Instant) -> Result<()> {
    let Some(mut at) = there(enter(top.as_fd(), Path::new(".")))? else { return Ok(()) };
    let mut names: Vec<OsString> = Vec::new();
    loop {
        if Instant::now() >= deadline {
            return Err(Error::new("rmdir", format!("below `{}`", top.path().display()), errno::BUSY));
        }
        let mut deeper = None;
        for name in children(at.as_fd())? {
            match rmdir(at.as_fd(), Path::new(&name)) {
                Err(e) if e.errno() == errno::BUSY => {
                    deeper = Some(name);
                    break;
                }
                other => other?,
            }
        }
        if let Some(name) = deeper {
            // Busy by groups below it, or by processes: which, is seen when it has no groups any more.
            if let Some(child) = there(enter(at.as_fd(), Path::new(&name)))? {
                at = child;
                names.push(name);
            }
            continue;
        }
        let Some(name) = names.pop() else { return Ok(()) };
        let Some(parent) = there(enter(at.as_fd(), Path::new("..")))? else { return Ok(()) };
        at = parent;
        rmdir(at.as_fd(), Path::new(&name))?;
    }
}

/// Removes one directory; one that is gone is no error.
pub(crate) fn rmdir(dir: BorrowedFd<'_>, name: &Path) -> Result<()> {
    match unlinkat(dir, name, Unlink::Directory) {
        Err(e) if e.errno() == errno::NOENT => Ok(()),
        other => other,
    }
}

fn enter(dir: BorrowedFd<'_>, name: &Path) -> Result<OwnedFd> {
    openat(dir, name, OpenFlags::RDONLY | OpenFlags::DIRECTORY | OpenFlags::NOFOLLOW, 0)
}

fn there<T>(opened: Result<T>) -> Result<Option<T>> {
    match opened {
        Ok(opened) => Ok(Some(opened)),
        Err(e) if is_gone(e.errno()) => Ok(None),
        Err(e) => Err(e),
    }
}

/// The names of the directories in `dir`.
fn children(dir: BorrowedFd<'_>) -> Result<Vec<OsString>> {
    let mut names = Vec::new();
    loop {
        let Some(entries) = there(getdents64(dir))? else { return Ok(names) };
        if entries.is_empty() {
            return Ok(names);
        }
        names
            .extend(entries.into_iter().filter(|e| e.file_type == Some(FileType::Directory)).map(|e| e.name));
    }
}
