//! What a file is: its type, its device number, and nodes of both (mkdirat(2), mknodat(2)).

use std::os::fd::{AsRawFd, BorrowedFd};
use std::path::Path;

use super::quoted;
use crate::Result;
use crate::error::check;
use crate::path::with_c;

/// A device number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Device {
    /// Which driver.
    pub major: u32,
    /// Which of the driver's devices.
    pub minor: u32,
}

impl Device {
    /// The device `major:minor`.
    pub const fn new(major: u32, minor: u32) -> Device {
        Device { major, minor }
    }

    /// The number as stat(2) and mknod(2) have it (makedev(3)).
    pub const fn to_raw(self) -> u64 {
        libc::makedev(self.major, self.minor)
    }
}

impl std::fmt::Display for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.major, self.minor)
    }
}

/// The type of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FileType {
    /// A regular file.
    Regular,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
    /// A named pipe.
    Fifo,
    /// A unix socket.
    Socket,
    /// Without a type of its own: an anonymous inode (epoll, a pidfd before 6.9).
    Other,
}

impl FileType {
    /// The type in stat(2)'s mode.
    pub const fn of_mode(mode: u32) -> FileType {
        match mode & libc::S_IFMT {
            libc::S_IFREG => FileType::Regular,
            libc::S_IFDIR => FileType::Directory,
            libc::S_IFLNK => FileType::Symlink,
            libc::S_IFCHR => FileType::CharDevice,
            libc::S_IFBLK => FileType::BlockDevice,
            libc::S_IFIFO => FileType::Fifo,
            libc::S_IFSOCK => FileType::Socket,
            _ => FileType::Other,
        }
    }

    const fn to_mode(self) -> u32 {
        match self {
            FileType::Regular => libc::S_IFREG,
            FileType::Directory => libc::S_IFDIR,
            FileType::Symlink => libc::S_IFLNK,
            FileType::CharDevice => libc::S_IFCHR,
            FileType::BlockDevice => libc::S_IFBLK,
            FileType::Fifo => libc::S_IFIFO,
            FileType::Socket => libc::S_IFSOCK,
            FileType::Other => 0,
        }
    }
}

/// Makes the directory `path` below `dir` with `mode` less the umask (mkdirat(2)).
///
/// # Errors
/// As mkdirat(2).
pub fn mkdirat(dir: BorrowedFd<'_>, path: &Path, mode: u32) -> Result<()> {
    with_c(path, "mkdirat", |c| {
        // SAFETY: `dir` is open (or AT_FDCWD) and `c` NUL-terminated.
        let value = unsafe { libc::mkdirat(dir.as_raw_fd(), c.as_ptr(), mode) };
        check(value.into(), "mkdirat", || quoted(path)).map(drop)
    })
}

/// Makes the special (or regular) file `path` below `dir` with `mode` less the umask (mknodat(2)).
/// `device` matters for devices only.
///
/// # Errors
/// As mknodat(2): `EPERM` for a device in a user namespace other than the first.
pub fn mknodat(dir: BorrowedFd<'_>, path: &Path, kind: FileType, mode: u32, device: Device) -> Result<()> {
    with_c(path, "mknodat", |c| {
        let mode = (mode & 0o7777) | kind.to_mode();
        // SAFETY: `dir` is open (or AT_FDCWD) and `c` NUL-terminated.
        let value = unsafe { libc::mknodat(dir.as_raw_fd(), c.as_ptr(), mode, device.to_raw()) };
        check(value.into(), "mknodat", || quoted(path)).map(drop)
    })
}
