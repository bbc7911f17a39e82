//! Where a process's paths begin: its root and its working directory.

use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use super::{quoted, two};
use crate::Result;
use crate::error::check;
use crate::path::with_c;

/// Makes `new_root` this mount namespace's root and moves the old one to `put_old` (pivot_root(2)). Both
/// may be `"."`, which stacks the old root over the new; unmount it next.
///
/// # Errors
/// `EINVAL` where `new_root` is no mount point, the current root is the initramfs, or one of the mounts is
/// shared.
pub fn pivot_root(new_root: &Path, put_old: &Path) -> Result<()> {
    with_c(new_root, "pivot_root", |new| {
        with_c(put_old, "pivot_root", |old| {
            // SAFETY: both strings are NUL-terminated.
            let value = unsafe { libc::syscall(libc::SYS_pivot_root, new.as_ptr(), old.as_ptr()) };
            check(value, "pivot_root", || two(new_root, put_old)).map(drop)
        })
    })
}

/// Makes `path` this process's root (chroot(2)). The working directory stays where it is.
///
/// # Errors
/// As chroot(2).
pub fn chroot(path: &Path) -> Result<()> {
    with_c(path, "chroot", |c| {
        // SAFETY: `c` is NUL-terminated.
        check(unsafe { libc::chroot(c.as_ptr()) }.into(), "chroot", || quoted(path)).map(drop)
    })
}

/// Makes `path` the working directory (chdir(2)).
///
/// # Errors
/// As chdir(2).
pub fn chdir(path: &Path) -> Result<()> {
    with_c(path, "chdir", |c| {
        // SAFETY: `c` is NUL-terminated.
        check(unsafe { libc::chdir(c.as_ptr()) }.into(), "chdir", || quoted(path)).map(drop)
    })
}

/// Makes the open directory `dir` the working directory (fchdir(2)).
///
/// # Errors
/// As fchdir(2).
pub fn fchdir(dir: impl AsFd) -> Result<()> {
    // SAFETY: the descriptor is open.
    check(unsafe { libc::fchdir(dir.as_fd().as_raw_fd()) }.into(), "fchdir", || "").map(drop)
}

/// The working directory as the kernel names it (getcwd(2)). A directory outside the root starts with
/// `(unreachable)`, which the C library would report as `ENOENT`; here it is shown.
///
/// # Errors
/// `ENOENT` where it was removed.
pub fn getcwd() -> Result<PathBuf> {
    let mut text = vec![0u8; libc::PATH_MAX as usize];
    // SAFETY: `text` is writable for the length given.
    let value = unsafe { libc::syscall(libc::SYS_getcwd, text.as_mut_ptr(), text.len()) };
    let length = check(value, "getcwd", || "")?;
    // The kernel's length counts the terminating NUL.
    text.truncate((length as usize).saturating_sub(1));
    Ok(PathBuf::from(std::ffi::OsString::from_vec(text)))
}
