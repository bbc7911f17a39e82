//! Advisory locks of an open file description: flock(2).

use std::os::fd::{AsRawFd, BorrowedFd};

use crate::error::check;
use crate::{Result, errno};

/// Takes the exclusive lock of `fd` if it is free: `true` if it is now ours, `false` if another open
/// file description holds it. Works on directories.
///
/// The lock belongs to the open file description: a child made by fork(2) that still has the
/// descriptor keeps it after our close(2). [`unlock`] gives it up for all of them.
///
/// # Errors
/// Those of flock(2).
pub fn try_lock(fd: BorrowedFd<'_>) -> Result<bool> {
    match flock(fd, libc::LOCK_EX | libc::LOCK_NB) {
        // EWOULDBLOCK is EAGAIN on Linux.
        Err(e) if e.errno() == errno::AGAIN => Ok(false),
        other => other.map(|()| true),
    }
}

/// Takes the exclusive lock of `fd`, waiting for whoever has it.
///
/// # Errors
/// Those of flock(2).
pub fn lock(fd: BorrowedFd<'_>) -> Result<()> {
    loop {
        match flock(fd, libc::LOCK_EX) {
            Err(e) if e.errno() == errno::INTR => {}
            other => return other,
        }
    }
}

/// Takes a lock of `fd` that others may have as well, waiting for whoever has the exclusive one.
///
/// # Errors
/// Those of flock(2).
pub fn lock_shared(fd: BorrowedFd<'_>) -> Result<()> {
    loop {
        match flock(fd, libc::LOCK_SH) {
            Err(e) if e.errno() == errno::INTR => {}
            other => return other,
        }
    }
}

/// Gives up the lock of `fd`, whoever else has the descriptor.
///
/// # Errors
/// Those of flock(2).
pub fn unlock(fd: BorrowedFd<'_>) -> Result<()> {
    flock(fd, libc::LOCK_UN)
}

fn flock(fd: BorrowedFd<'_>, operation: libc::c_int) -> Result<()> {
    // SAFETY: flock takes a descriptor, open for as long as `fd` is borrowed, and a plain number.
    let value = unsafe { libc::flock(fd.as_raw_fd(), operation) };
    check(value.into(), "flock", || format!("descriptor {}", fd.as_raw_fd())).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::fd::AsFd;

    #[test]
    fn a_lock_is_given_up_for_every_copy_of_the_descriptor() {
        let dir = std::env::temp_dir().join(format!("taru-sys-flock-{}", std::process::id()));
        std::fs::create_dir(&dir).unwrap();
        let (one, two) = (File::open(&dir).unwrap(), File::open(&dir).unwrap());
        assert!(try_lock(one.as_fd()).unwrap());
        assert!(!try_lock(two.as_fd()).unwrap());
        let copy = one.try_clone().unwrap();
        unlock(one.as_fd()).unwrap();
        assert!(try_lock(two.as_fd()).unwrap());
        drop(copy);
        std::fs::remove_dir(&dir).unwrap();
    }
}
