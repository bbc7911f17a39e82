//! The content of one file in another: shared where the file system can, copied by the kernel else.

use std::os::fd::{AsRawFd, BorrowedFd};

use crate::Result;
use crate::error::check;

/// Makes `to` share all content of `from` until one of them is written to (ioctl_ficlone(2)).
///
/// # Errors
/// `EOPNOTSUPP`, `EINVAL`, `ENOTTY` where the file system cannot; `EXDEV` between two.
pub fn clone_file(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<()> {
    // SAFETY: FICLONE takes a descriptor by its number.
    let done = unsafe { libc::ioctl(to.as_raw_fd(), libc::FICLONE as _, from.as_raw_fd()) };
    check(done.into(), "ioctl(FICLONE)", || "").map(drop)
}

/// Copies up to `length` bytes from `from` at `from_offset` to `to` at `to_offset` (copy_file_range(2)); gives how many,
/// none at the end of `from`.
///
/// # Errors
/// As copy_file_range(2): `EXDEV`, `EINVAL`, `EOPNOTSUPP` where the file systems cannot.
pub fn copy_file_range(
    from: BorrowedFd<'_>,
    from_offset: u64,
    to: BorrowedFd<'_>,
    to_offset: u64,
    length: usize,
) -> Result<usize> {
    let (mut from_offset, mut to_offset) = (from_offset as i64, to_offset as i64);
    // SAFETY: both descriptors are open, both offsets live and writable.
    let value = unsafe {
        libc::copy_file_range(from.as_raw_fd(), &mut from_offset, to.as_raw_fd(), &mut to_offset, length, 0)
    };
    check(value as libc::c_long, "copy_file_range", || "").map(|copied| copied as usize)
}
