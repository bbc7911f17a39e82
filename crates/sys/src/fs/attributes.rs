//! Attributes of a file and the right to it: mode, owner, times, space, access.

use std::os::fd::{AsRawFd, BorrowedFd};
use std::path::Path;

use super::{AtFlags, quoted};
use crate::error::check;
use crate::flags::flags;
use crate::path::with_c;
use crate::{Error, Result, errno};

flags! {
    /// fallocate(2)'s modes; empty is: reserve and grow.
    pub struct FallocateMode: u32 {
        /// Reserve past the end without growing.
        KEEP_SIZE = libc::FALLOC_FL_KEEP_SIZE;
        /// Make a hole (with `KEEP_SIZE`).
        PUNCH_HOLE = libc::FALLOC_FL_PUNCH_HOLE;
        /// Turn the range into zeros.
        ZERO_RANGE = libc::FALLOC_FL_ZERO_RANGE;
    }
}

/// Sets the permission bits of `path` below `dir` (fchmodat2(2), kernel 6.6; fchmodat(2) where `flags` is
/// empty).
///
/// # Errors
/// As fchmodat(2); `ENOSYS` with flags before 6.6; `EOPNOTSUPP` for a symbolic link.
pub fn fchmodat(dir: BorrowedFd<'_>, path: &Path, mode: u32, flags: AtFlags) -> Result<()> {
    with_c(path, "fchmodat", |c| {
        // SAFETY: `dir` is open (or AT_FDCWD) and `c` NUL-terminated. The older call takes no flags.
        let value = unsafe {
            if flags.is_empty() {
                libc::syscall(libc::SYS_fchmodat, dir.as_raw_fd(), c.as_ptr(), mode)
            } else {
                libc::syscall(libc::SYS_fchmodat2, dir.as_raw_fd(), c.as_ptr(), mode, flags.bits())
            }
        };
        check(value, "fchmodat", || quoted(path)).map(drop)
    })
}

/// Sets the permission bits of the open file `fd`, which may not be an [`OpenFlags::PATH`] handle (fchmod(2)).
///
/// # Errors
/// As fchmod(2).
pub fn fchmod(fd: BorrowedFd<'_>, mode: u32) -> Result<()> {
    // SAFETY: `fd` is open.
    check(unsafe { libc::fchmod(fd.as_raw_fd(), mode) }.into(), "fchmod", || "").map(drop)
}

/// Gives `path` below `dir` a new owner and group; `None` leaves it (fchownat(2)).
/// With [`AtFlags::EMPTY_PATH`] it also works on an [`OpenFlags::PATH`] handle.
///
/// # Errors
/// As fchownat(2).
pub fn fchownat(
    dir: BorrowedFd<'_>,
    path: &Path,
    uid: Option<u32>,
    gid: Option<u32>,
    flags: AtFlags,
) -> Result<()> {
    with_c(path, "fchownat", |c| {
        // SAFETY: `dir` is open (or AT_FDCWD) and `c` NUL-terminated.
        let value = unsafe {
            libc::fchownat(
                dir.as_raw_fd(),
                c.as_ptr(),
                uid.unwrap_or(u32::MAX),
                gid.unwrap_or(u32::MAX),
                flags.bits() as i32,
            )
        };
        check(value.into(), "fchownat", || quoted(path)).map(drop)
    })
}

/// Sets access and modification time of `path` below `dir`: seconds and nanoseconds since 1970
/// (utimensat(2)).
///
/// # Errors
/// As utimensat(2).
pub fn utimensat(
    dir: BorrowedFd<'_>,
    path: &Path,
    atime: (i64, u32),
    mtime: (i64, u32),
    flags: AtFlags,
) -> Result<()> {
    let times = [atime, mtime].map(|(s, ns)| libc::timespec { tv_sec: s, tv_nsec: ns.into() });
    with_c(path, "utimensat", |c| {
        // SAFETY: `dir` is open (or AT_FDCWD), `c` NUL-terminated, `times` an array of two.
        let value =
            unsafe { libc::utimensat(dir.as_raw_fd(), c.as_ptr(), times.as_ptr(), flags.bits() as i32) };
        check(value.into(), "utimensat", || quoted(path)).map(drop)
    })
}

flags! {
    /// What [`faccessat`] asks for; empty asks for existence.
    pub struct Access: u32 {
        /// May be read.
        READ = libc::R_OK;
        /// May be written.
        WRITE = libc::W_OK;
        /// May be executed, or searched.
        EXECUTE = libc::X_OK;
    }
}

/// Whether this process may do `access` on `path` below `dir` (faccessat2(2), kernel 5.8; faccessat(2)
/// where `flags` is empty).
///
/// # Errors
/// `EACCES` where it may not, `EROFS`; as faccessat(2).
pub fn faccessat(dir: BorrowedFd<'_>, path: &Path, access: Access, flags: AtFlags) -> Result<()> {
    with_c(path, "faccessat", |c| {
        // SAFETY: `dir` is open (or AT_FDCWD) and `c` NUL-terminated. The older call takes no flags.
        let value = unsafe {
            if flags.is_empty() {
                libc::syscall(libc::SYS_faccessat, dir.as_raw_fd(), c.as_ptr(), access.bits())
            } else {
                libc::syscall(libc::SYS_faccessat2, dir.as_raw_fd(), c.as_ptr(), access.bits(), flags.bits())
            }
        };
        check(value, "faccessat", || quoted(path)).map(drop)
    })
}

/// Reserves or frees `length` bytes of the open file from `offset` (fallocate(2)).
///
/// # Errors
/// As fallocate(2): `EOPNOTSUPP` where the file system cannot.
pub fn fallocate(fd: BorrowedFd<'_>, mode: FallocateMode, offset: u64, length: u64) -> Result<()> {
    let number = |n: u64| {
        libc::off64_t::try_from(n).map_err(|_| Error::new("fallocate", format!("{n}"), errno::INVAL))
    };
    let (offset, length) = (number(offset)?, number(length)?);
    // SAFETY: `fd` is open; the rest are numbers.
    let value = unsafe { libc::fallocate64(fd.as_raw_fd(), mode.bits() as i32, offset, length) };
    check(value.into(), "fallocate", || "").map(drop)
}

/// Where data begins in the open file at `offset` or behind it (lseek(2) with SEEK_DATA). Moves the file's offset.
///
/// # Errors
/// `ENXIO` where there is none up to the file's end.
pub fn seek_data(fd: BorrowedFd<'_>, offset: u64) -> Result<u64> {
    seek(fd, offset, libc::SEEK_DATA)
}

/// Where a hole, or the file's end, begins at `offset` or behind it (lseek(2) with SEEK_HOLE). Moves the file's offset.
///
/// # Errors
/// `ENXIO` where `offset` is behind the end.
pub fn seek_hole(fd: BorrowedFd<'_>, offset: u64) -> Result<u64> {
    seek(fd, offset, libc::SEEK_HOLE)
}

fn seek(fd: BorrowedFd<'_>, offset: u64, whence: libc::c_int) -> Result<u64> {
    let offset = i64::try_from(offset).map_err(|_| Error::new("lseek", format!("{offset}"), errno::INVAL))?;
    // SAFETY: `fd` is open; the rest are numbers.
    let value = unsafe { libc::lseek64(fd.as_raw_fd(), offset, whence) };
    check(value as libc::c_long, "lseek", || format!("{offset}")).map(|at| at as u64)
}

/// Sets access and modification time of the open file `fd`, as [`utimensat`] (futimens(3)).
///
/// # Errors
/// As utimensat(2).
pub fn futimens(fd: BorrowedFd<'_>, atime: (i64, u32), mtime: (i64, u32)) -> Result<()> {
    let times = [atime, mtime].map(|(s, ns)| libc::timespec { tv_sec: s, tv_nsec: ns.into() });
    // SAFETY: `fd` is open, `times` an array of two.
    check(unsafe { libc::futimens(fd.as_raw_fd(), times.as_ptr()) }.into(), "futimens", || "").map(drop)
}
