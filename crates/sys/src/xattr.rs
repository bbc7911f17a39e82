//! Extended attributes (xattr(7)): of an open file, or of a path without following its last link.

use std::ffi::{CStr, OsStr, OsString};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::error::check;
use crate::flags::flags;
use crate::path::{bytes_with_c, with_c};
use crate::{Error, Result, errno};

/// The kernel's bound on a value and on a list of names (`XATTR_SIZE_MAX`, `XATTR_LIST_MAX`).
const MAX: usize = 65536;

flags! {
    /// setxattr(2)'s flags; empty makes or replaces.
    pub struct SetFlags: u32 {
        /// Fail where it exists.
        CREATE = libc::XATTR_CREATE;
        /// Fail where it does not.
        REPLACE = libc::XATTR_REPLACE;
    }
}

/// The value of attribute `name` of the open file (fgetxattr(2)); not of an `O_PATH` handle.
///
/// # Errors
/// `ENODATA` where there is none; as fgetxattr(2).
pub fn fgetxattr(fd: BorrowedFd<'_>, name: &OsStr) -> Result<Vec<u8>> {
    bytes_with_c(name.as_bytes(), "fgetxattr", |n| {
        // SAFETY: `n` is NUL-terminated; `buffer`, when not null, is writable for `size` bytes.
        filled(
            "fgetxattr",
            || shown(name),
            |buffer, size| unsafe { libc::fgetxattr(fd.as_raw_fd(), n.as_ptr(), buffer.cast(), size) },
        )
    })
}

/// The value of attribute `name` of `path` itself, be it a symbolic link (lgetxattr(2)).
///
/// # Errors
/// As [`fgetxattr`].
pub fn lgetxattr(path: &Path, name: &OsStr) -> Result<Vec<u8>> {
    with_c(path, "lgetxattr", |p| {
        bytes_with_c(name.as_bytes(), "lgetxattr", |n| {
            // SAFETY: both strings are NUL-terminated; `buffer`, when not null, is writable for `size` bytes.
            filled(
                "lgetxattr",
                || shown(name),
                |buffer, size| unsafe { libc::lgetxattr(p.as_ptr(), n.as_ptr(), buffer.cast(), size) },
            )
        })
    })
}

/// Sets attribute `name` of the open file (fsetxattr(2)).
///
/// # Errors
/// As fsetxattr(2).
pub fn fsetxattr(fd: BorrowedFd<'_>, name: &OsStr, value: &[u8], flags: SetFlags) -> Result<()> {
    bytes_with_c(name.as_bytes(), "fsetxattr", |n| {
        let (data, size) = (value.as_ptr().cast(), value.len());
        // SAFETY: `n` is NUL-terminated, `data` readable for `size` bytes.
        let done = unsafe { libc::fsetxattr(fd.as_raw_fd(), n.as_ptr(), data, size, flags.bits() as i32) };
        check(done.into(), "fsetxattr", || shown(name)).map(drop)
    })
}

/// Sets attribute `name` of `path` itself (lsetxattr(2)).
///
/// # Errors
/// As lsetxattr(2).
pub fn lsetxattr(path: &Path, name: &OsStr, value: &[u8], flags: SetFlags) -> Result<()> {
    with_c(path, "lsetxattr", |p| {
        bytes_with_c(name.as_bytes(), "lsetxattr", |n| {
            let (data, size) = (value.as_ptr().cast(), value.len());
            // SAFETY: both strings are NUL-terminated, `data` is readable for `size` bytes.
            let done = unsafe { libc::lsetxattr(p.as_ptr(), n.as_ptr(), data, size, flags.bits() as i32) };
            check(done.into(), "lsetxattr", || shown(name)).map(drop)
        })
    })
}

/// Removes attribute `name` of the open file (fremovexattr(2)).
///
/// # Errors
/// `ENODATA` where there is none; as fremovexattr(2).
pub fn fremovexattr(fd: BorrowedFd<'_>, name: &OsStr) -> Result<()> {
    bytes_with_c(name.as_bytes(), "fremovexattr", |n| {
        // SAFETY: `fd` is open, `n` NUL-terminated.
        let done = unsafe { libc::fremovexattr(fd.as_raw_fd(), n.as_ptr()) };
        check(done.into(), "fremovexattr", || shown(name)).map(drop)
    })
}

/// The names of the open file's attributes (flistxattr(2)).
///
/// # Errors
/// As flistxattr(2).
pub fn flistxattr(fd: BorrowedFd<'_>) -> Result<Vec<OsString>> {
    // SAFETY: `buffer`, when not null, is writable for `size` bytes.
    let list = filled("flistxattr", String::new, |buffer, size| unsafe {
        libc::flistxattr(fd.as_raw_fd(), buffer.cast(), size)
    })?;
    Ok(names(&list))
}

/// The names of the attributes of `path` itself (llistxattr(2)).
///
/// # Errors
/// As llistxattr(2).
pub fn llistxattr(path: &Path) -> Result<Vec<OsString>> {
    let list = with_c(path, "llistxattr", |p| {
        // SAFETY: `p` is NUL-terminated; `buffer`, when not null, is writable for `size` bytes.
        filled(
            "llistxattr",
            || crate::fs::quoted(path),
            |buffer, size| unsafe { libc::llistxattr(p.as_ptr(), buffer.cast(), size) },
        )
    })?;
    Ok(names(&list))
}

/// Asks for the size, then for the bytes; again when it grew in between.
fn filled(
    call: &'static str,
    operands: impl Fn() -> String,
    ask: impl Fn(*mut u8, usize) -> libc::ssize_t,
) -> Result<Vec<u8>> {
    for _ in 0..8 {
        let size = check(ask(std::ptr::null_mut(), 0) as libc::c_long, call, &operands)? as usize;
        let mut buffer = vec![0u8; size.min(MAX)];
        if buffer.is_empty() {
            return Ok(buffer);
        }
        match check(ask(buffer.as_mut_ptr(), buffer.len()) as libc::c_long, call, &operands) {
            Ok(length) => {
                buffer.truncate(length as usize);
                return Ok(buffer);
            }
            Err(e) if e.errno() == errno::RANGE => {}
            Err(e) => return Err(e),
        }
    }
    Err(Error::new(call, operands(), errno::AGAIN))
}

fn names(list: &[u8]) -> Vec<OsString> {
    let mut rest = list;
    let mut all = Vec::new();
    while let Ok(name) = CStr::from_bytes_until_nul(rest) {
        all.push(OsStr::from_bytes(name.to_bytes()).to_owned());
        rest = rest.get(name.to_bytes_with_nul().len()..).unwrap_or_default();
    }
    all
}

fn shown(name: &OsStr) -> String {
    format!("`{}`", name.to_string_lossy())
}
