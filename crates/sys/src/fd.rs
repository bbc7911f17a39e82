//! Descriptors: closed in ranges, duplicated, piped; sealed memory.

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use crate::error::check;
use crate::{Errno, Result};

/// Marks every descriptor from `first` on close-on-exec, close_range(2) with CLOSE_RANGE_CLOEXEC (since 5.11).
///
/// # Errors
/// EINVAL or ENOSYS on an older kernel.
pub fn cloexec_from(first: u32) -> Result<()> {
    const CLOSE_RANGE_CLOEXEC: u32 = 4;
    check(
        // SAFETY: only flags of descriptors change; every owner keeps what it owns.
        unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, CLOSE_RANGE_CLOEXEC) },
        "close_range",
        || format!("`{first}-`"),
    )?;
    Ok(())
}

/// Closes every descriptor but those below `first` and `keep`, close_range(2) (since 5.9).
///
/// For a process that was just cloned and ends by execve(2) or `exit_now`: objects that it has from its
/// parent's frames own what is closed here, and must neither be used nor dropped any more.
///
/// # Errors
/// ENOSYS on an older kernel.
pub fn close_all_but(first: u32, keep: &[BorrowedFd<'_>]) -> Result<()> {
    let mut kept: Vec<u32> = keep.iter().map(|fd| fd.as_raw_fd() as u32).filter(|fd| *fd >= first).collect();
    kept.sort_unstable();
    kept.dedup();
    let mut from = first;
    for end in kept.into_iter().map(Some).chain([None]) {
        let last = end.map_or(u32::MAX, |fd| fd.wrapping_sub(1));
        if end.is_none_or(|fd| fd > from) {
            check(
                // SAFETY: by the caller's word nobody uses what was left open here.
                unsafe { libc::syscall(libc::SYS_close_range, from, last, 0) },
                "close_range",
                || format!("`{from}-{last}`"),
            )?;
        }
        from = end.map_or(from, |fd| fd + 1);
    }
    Ok(())
}

/// Marks `fd` close-on-exec or not.
///
/// # Errors
/// None for an open descriptor.
pub fn set_cloexec(fd: BorrowedFd<'_>, cloexec: bool) -> Result<()> {
    let flag = if cloexec { libc::FD_CLOEXEC } else { 0 };
    // SAFETY: F_SETFD takes a number.
    check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFD, flag) }.into(), "fcntl(F_SETFD)", String::new)?;
    Ok(())
}

/// Whether `fd` is close-on-exec; `None` if the number is no open descriptor.
pub fn is_cloexec(number: i32) -> Option<bool> {
    // SAFETY: F_GETFD takes nothing and only reads flags; a closed number gives EBADF.
    let flags = unsafe { libc::fcntl(number, libc::F_GETFD) };
    (flags >= 0).then_some(flags & libc::FD_CLOEXEC != 0)
}

/// Keeps the descriptor with this number, handed down by whoever executed this process, open over execve(2).
///
/// # Errors
/// EBADF if there is none.
pub fn keep_inherited(number: i32) -> Result<()> {
    // SAFETY: F_SETFD takes a number and changes a flag only.
    check(unsafe { libc::fcntl(number, libc::F_SETFD, 0) }.into(), "fcntl(F_SETFD)", || {
        format!("`{number}`")
    })?;
    Ok(())
}

/// Whether what `fd` was opened for includes writing.
pub fn is_writable(fd: BorrowedFd<'_>) -> bool {
    // SAFETY: F_GETFL takes nothing.
    let flags = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) };
    flags >= 0 && flags & libc::O_ACCMODE != libc::O_RDONLY
}

/// Takes over a descriptor that was handed down by number, as LISTEN_FDS and `--console` do. `None` if it is not open.
pub fn inherited(number: i32) -> Option<OwnedFd> {
    is_cloexec(number)?;
    // SAFETY: the number is an open descriptor, and by the caller's word it was handed to this
    // process by its parent, so that no Rust object owns it yet.
    Some(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Makes standard stream `number` (0, 1 or 2) a copy of `fd`, dup3(2).
///
/// # Errors
/// EBUSY in a race with open(2), which one thread does not have.
pub fn replace_standard(fd: BorrowedFd<'_>, number: i32) -> Result<()> {
    debug_assert!((0..=2).contains(&number));
    if fd.as_raw_fd() == number {
        return set_cloexec(fd, false);
    }
    // SAFETY: the standard streams are not owned by any object that could close them later.
    check(unsafe { libc::dup3(fd.as_raw_fd(), number, 0) }.into(), "dup3", || format!("`{number}`"))?;
    Ok(())
}

/// A pipe, close-on-exec: the reading end, then the writing end.
///
/// # Errors
/// EMFILE, ENFILE.
pub fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    let mut ends = [-1; 2];
    // SAFETY: pipe2 writes two descriptors into the array.
    check(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) }.into(), "pipe2", String::new)?;
    // SAFETY: both were just made and nobody else owns them.
    Ok(unsafe { (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) })
}

/// Sets or clears O_NONBLOCK of the open file behind `fd`.
///
/// # Errors
/// None for an open descriptor.
pub fn set_nonblocking(fd: BorrowedFd<'_>, nonblocking: bool) -> Result<()> {
    // SAFETY: F_GETFL takes nothing.
    let flags =
        check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) }.into(), "fcntl(F_GETFL)", String::new)?;
    let flags = flags as i32;
    let wanted = if nonblocking { flags | libc::O_NONBLOCK } else { flags & !libc::O_NONBLOCK };
    check(
        // SAFETY: F_SETFL takes a number.
        unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, wanted) }.into(),
        "fcntl(F_SETFL)",
        String::new,
    )?;
    Ok(())
}

/// A file in memory that may be sealed, memfd_create(2) with MFD_ALLOW_SEALING, close-on-exec.
///
/// # Errors
/// EMFILE, ENOMEM; EACCES where `vm.memfd_noexec` forbids executable ones.
pub fn memfd_create(name: &CStr, executable: bool) -> Result<OwnedFd> {
    const MFD_EXEC: u32 = 0x10;
    let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    let create = |flags: u32| {
        // SAFETY: the name is a live C string.
        let fd = unsafe { libc::syscall(libc::SYS_memfd_create, name.as_ptr(), flags) };
        check(fd, "memfd_create", || format!("`{}`", name.to_string_lossy()))
    };
    let fd = match create(if executable { flags | MFD_EXEC } else { flags }) {
        // MFD_EXEC is known since 6.3; before, every memfd is executable.
        Err(e) if executable && e.errno() == Errno(libc::EINVAL) => create(flags)?,
        other => other?,
    };
    // SAFETY: the descriptor was just made and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// Seals a memory file for ever against writing, growing, shrinking and further seals; on kernels that
/// know it (6.3) also against a change of its executable bit.
///
/// # Errors
/// EPERM if it is sealed already, EBUSY while it is mapped for writing.
pub fn seal(fd: BorrowedFd<'_>) -> Result<()> {
    const F_SEAL_EXEC: i32 = 0x20;
    let seals = libc::F_SEAL_SEAL | libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_WRITE;
    let add = |seals: i32| {
        // SAFETY: F_ADD_SEALS takes a number.
        let done = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_ADD_SEALS, seals) };
        check(done.into(), "fcntl(F_ADD_SEALS)", || format!("`{seals:#x}`"))
    };
    match add(seals | F_SEAL_EXEC) {
        Err(e) if e.errno() == Errno(libc::EINVAL) => add(seals).map(drop),
        other => other.map(drop),
    }
}

/// Whether the file is sealed against writing.
pub fn is_sealed(fd: BorrowedFd<'_>) -> bool {
    // SAFETY: F_GET_SEALS takes nothing; other files than memory files give EINVAL.
    let seals = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GET_SEALS) };
    seals >= 0 && seals & libc::F_SEAL_WRITE != 0
}
