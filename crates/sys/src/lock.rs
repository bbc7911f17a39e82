//! Advisory locks of single bytes of a file, owned by the open file description: fcntl(2)'s `F_OFD_*` (since 3.15).
//!
//! Unlike flock(2) one file carries as many locks as it has bytes (which need not exist), and unlike the older record
//! locks of fcntl(2) they belong to a descriptor, not to the process: two threads with two descriptors exclude each other,
//! and closing another descriptor of the same file gives nothing up. A lock ends with the last descriptor of its
//! description, so also with the process, however that ends.

use std::os::fd::{AsRawFd, BorrowedFd};

use crate::error::check;
use crate::{Result, errno};

/// What a lock excludes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Every other lock.
    Exclusive,
    /// Exclusive ones. The descriptor must be open for reading.
    Shared,
}

/// Locks `length` bytes from `start` (0: all that follow), waiting for whoever has them.
///
/// # Errors
/// Those of fcntl(2).
pub fn lock(fd: BorrowedFd<'_>, start: u64, length: u64, mode: Mode) -> Result<()> {
    loop {
        match set(fd, libc::F_OFD_SETLKW, start, length, kind(mode)) {
            Err(e) if e.errno() == errno::INTR => {}
            other => return other.map(drop),
        }
    }
}

/// As [`lock`], but `false` at once where another open file description is in the way.
///
/// # Errors
/// Those of fcntl(2).
pub fn try_lock(fd: BorrowedFd<'_>, start: u64, length: u64, mode: Mode) -> Result<bool> {
    match set(fd, libc::F_OFD_SETLK, start, length, kind(mode)) {
        Err(e) if e.errno() == errno::AGAIN || e.errno() == errno::ACCES => Ok(false),
        other => other.map(|_| true),
    }
}

/// Whether another open file description has a lock on any of `length` bytes from `start` (0: all that follow).
///
/// # Errors
/// Those of fcntl(2).
pub fn is_locked(fd: BorrowedFd<'_>, start: u64, length: u64) -> Result<bool> {
    let found = set(fd, libc::F_OFD_GETLK, start, length, libc::F_WRLCK)?;
    Ok(found.l_type != libc::F_UNLCK as libc::c_short)
}

fn kind(mode: Mode) -> libc::c_int {
    match mode {
        Mode::Exclusive => libc::F_WRLCK,
        Mode::Shared => libc::F_RDLCK,
    }
}

fn set(
    fd: BorrowedFd<'_>,
    command: libc::c_int,
    start: u64,
    length: u64,
    kind: libc::c_int,
) -> Result<libc::flock> {
    let mut lock = libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: start.cast_signed(),
        l_len: length.cast_signed(),
        // Has to be 0 for locks of a description.
        l_pid: 0,
    };
    // SAFETY: the descriptor is open for as long as `fd` is borrowed; the command takes a struct flock, which is ours
    // and outlives the call.
    let value = unsafe { libc::fcntl(fd.as_raw_fd(), command, &raw mut lock) };
    check(value.into(), "fcntl", || format!("descriptor {}", fd.as_raw_fd()))?;
    Ok(lock)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::fd::AsFd;

    #[test]
    fn bytes_are_locked_by_description() {
        let path = std::env::temp_dir().join(format!("taru-sys-lock-{}", std::process::id()));
        let open =
            || File::options().read(true).write(true).create(true).truncate(false).open(&path).unwrap();
        let (one, two, three) = (open(), open(), open());
        assert!(try_lock(one.as_fd(), 0, 1, Mode::Shared).unwrap());
        assert!(try_lock(two.as_fd(), 0, 1, Mode::Shared).unwrap());
        assert!(!try_lock(three.as_fd(), 0, 1, Mode::Exclusive).unwrap());
        assert!(try_lock(three.as_fd(), 7, 1, Mode::Exclusive).unwrap());
        assert!(is_locked(one.as_fd(), 7, 1).unwrap());
        assert!(!is_locked(one.as_fd(), 8, 1).unwrap());
        assert!(!is_locked(three.as_fd(), 7, 1).unwrap(), "one's own lock is not in one's way");
        drop(one);
        assert!(!try_lock(three.as_fd(), 0, 1, Mode::Exclusive).unwrap());
        drop(two);
        lock(three.as_fd(), 0, 0, Mode::Exclusive).unwrap();
        std::fs::remove_file(&path).unwrap();
    }
}
