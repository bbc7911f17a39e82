//! Names of files: links, renames, removals.

use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use super::{AtFlags, quoted, two};
use crate::Result;
use crate::error::check;
use crate::flags::flags;
use crate::path::with_c;

flags! {
    /// renameat2(2)'s flags.
    pub struct RenameFlags: u32 {
        /// Fail where the new name exists.
        NOREPLACE = libc::RENAME_NOREPLACE;
        /// Swap both names.
        EXCHANGE = libc::RENAME_EXCHANGE;
        /// Leave a whiteout at the old name.
        WHITEOUT = libc::RENAME_WHITEOUT;
    }
}

/// Makes the symbolic link `path` below `dir`, with the text `target` (symlinkat(2)).
///
/// # Errors
/// As symlinkat(2).
pub fn symlinkat(target: &Path, dir: BorrowedFd<'_>, path: &Path) -> Result<()> {
    with_c(target, "symlinkat", |t| {
        with_c(path, "symlinkat", |c| {
            // SAFETY: both strings are NUL-terminated, `dir` is open (or AT_FDCWD).
            let value = unsafe { libc::symlinkat(t.as_ptr(), dir.as_raw_fd(), c.as_ptr()) };
            check(value.into(), "symlinkat", || quoted(path)).map(drop)
        })
    })
}

/// Gives the file `old` below `old_dir` the further name `new` below `new_dir` (linkat(2)).
///
/// # Errors
/// As linkat(2).
pub fn linkat(
    old_dir: BorrowedFd<'_>,
    old: &Path,
    new_dir: BorrowedFd<'_>,
    new: &Path,
    flags: AtFlags,
) -> Result<()> {
    with_c(old, "linkat", |o| {
        with_c(new, "linkat", |n| {
            // SAFETY: both strings are NUL-terminated, both descriptors open (or AT_FDCWD).
            let value = unsafe {
                libc::linkat(
                    old_dir.as_raw_fd(),
                    o.as_ptr(),
                    new_dir.as_raw_fd(),
                    n.as_ptr(),
                    flags.bits() as i32,
                )
            };
            check(value.into(), "linkat", || two(old, new)).map(drop)
        })
    })
}

/// What [`unlinkat`] removes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unlink {
    /// Anything but a directory.
    File,
    /// An empty directory.
    Directory,
}

/// Removes the name `path` below `dir` (unlinkat(2)).
///
/// # Errors
/// As unlinkat(2): `EISDIR`, `ENOTDIR` where the type is the other one, `EBUSY` on a mount point.
pub fn unlinkat(dir: BorrowedFd<'_>, path: &Path, what: Unlink) -> Result<()> {
    let flags = match what {
        Unlink::File => 0,
        Unlink::Directory => libc::AT_REMOVEDIR,
    };
    with_c(path, "unlinkat", |c| {
        // SAFETY: `dir` is open (or AT_FDCWD) and `c` NUL-terminated.
        let value = unsafe { libc::unlinkat(dir.as_raw_fd(), c.as_ptr(), flags) };
        check(value.into(), "unlinkat", || quoted(path)).map(drop)
    })
}

/// Renames `old` below `old_dir` to `new` below `new_dir` (renameat2(2)).
///
/// # Errors
/// As renameat2(2).
pub fn renameat2(
    old_dir: BorrowedFd<'_>,
    old: &Path,
    new_dir: BorrowedFd<'_>,
    new: &Path,
    flags: RenameFlags,
) -> Result<()> {
    with_c(old, "renameat2", |o| {
        with_c(new, "renameat2", |n| {
            // SAFETY: both strings are NUL-terminated, both descriptors open (or AT_FDCWD).
            let value = unsafe {
                libc::syscall(
                    libc::SYS_renameat2,
                    old_dir.as_raw_fd(),
                    o.as_ptr(),
                    new_dir.as_raw_fd(),
                    n.as_ptr(),
                    flags.bits(),
                )
            };
            check(value, "renameat2", || two(old, new)).map(drop)
        })
    })
}

/// The text of the symbolic link `path` below `dir`; an empty path reads the link that `dir` itself is
/// an [`OpenFlags::PATH`] handle of (readlinkat(2)).
///
/// # Errors
/// As readlinkat(2): `EINVAL` (or `ENOENT` with an empty path) where it is no link.
pub fn readlinkat(dir: BorrowedFd<'_>, path: &Path) -> Result<PathBuf> {
    with_c(path, "readlinkat", |c| {
        // PATH_MAX bounds every link's text on Linux, so one call is enough.
        let mut text = vec![0u8; libc::PATH_MAX as usize];
        // SAFETY: `c` is NUL-terminated, `text` is writable for the length given.
        let value =
            unsafe { libc::readlinkat(dir.as_raw_fd(), c.as_ptr(), text.as_mut_ptr().cast(), text.len()) };
        let length = check(value as libc::c_long, "readlinkat", || quoted(path))?;
        text.truncate(length as usize);
        Ok(PathBuf::from(std::ffi::OsString::from_vec(text)))
    })
}
