//! eventfd(2): a counter that can be waited for.

use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use crate::error::{Result, check};

/// A new counter at zero, close-on-exec and non-blocking: read(2) takes the count (8 bytes, native order) or
/// fails with EAGAIN.
///
/// # Errors
/// eventfd2(2)'s.
pub fn eventfd() -> Result<OwnedFd> {
    // SAFETY: no pointer is passed.
    let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
    let fd = check(fd.into(), "eventfd2", String::new)?;
    // SAFETY: the call succeeded, so this is a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}
