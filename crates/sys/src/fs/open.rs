//! Opening: openat2(2) with its restrictions, openat(2).

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::Path;

use super::quoted;
use crate::Result;
use crate::error::check;
use crate::flags::flags;
use crate::path::with_c;

flags! {
    /// How a file is opened: open(2)'s `O_*`. Close-on-exec is always added.
    pub struct OpenFlags: u32 {
        /// For reading; the value is zero, so it is what remains when neither of the next two is given.
        RDONLY = libc::O_RDONLY;
        /// For writing.
        WRONLY = libc::O_WRONLY;
        /// For both.
        RDWR = libc::O_RDWR;
        /// Make the file where there is none.
        CREATE = libc::O_CREAT;
        /// With `CREATE`: fail where there is one.
        EXCL = libc::O_EXCL;
        /// Cut the file to length 0.
        TRUNC = libc::O_TRUNC;
        /// Every write goes to the end.
        APPEND = libc::O_APPEND;
        /// Do not wait: neither here for a fifo's other end, nor later.
        NONBLOCK = libc::O_NONBLOCK;
        /// Only a directory.
        DIRECTORY = libc::O_DIRECTORY;
        /// Not through a symbolic link as the last component; with `PATH` the link itself.
        NOFOLLOW = libc::O_NOFOLLOW;
        /// A handle on the place, not on its content: no permission on the file needed, no side effect.
        PATH = libc::O_PATH;
        /// A terminal does not become the controlling one.
        NOCTTY = libc::O_NOCTTY;
        /// Do not touch the access time (owner only).
        NOATIME = libc::O_NOATIME;
        /// Each write reaches the disk before it returns.
        SYNC = libc::O_SYNC;
        /// A file without a name in the given directory. Contains `DIRECTORY`.
        TMPFILE = libc::O_TMPFILE;
    }
}

flags! {
    /// What a path may not do on its way: openat2(2)'s `RESOLVE_*` (kernel 5.6).
    pub struct Resolve: u64 {
        /// Not over a mount point, bind mounts included.
        NO_XDEV = libc::RESOLVE_NO_XDEV;
        /// Not through procfs' links that jump (`/proc/PID/fd/N`, `exe`, `root`, `cwd`, `ns/*`).
        NO_MAGICLINKS = libc::RESOLVE_NO_MAGICLINKS;
        /// Not through any symbolic link.
        NO_SYMLINKS = libc::RESOLVE_NO_SYMLINKS;
        /// Never above the starting directory; an absolute path or link is an error.
        BENEATH = libc::RESOLVE_BENEATH;
        /// The starting directory is the root: of absolute paths, of links, of `..`.
        IN_ROOT = libc::RESOLVE_IN_ROOT;
        /// Only what the kernel has in its cache: `EAGAIN` rather than wait (kernel 5.12).
        CACHED = libc::RESOLVE_CACHED;
    }
}

/// openat2(2)'s argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct How {
    /// How to open; close-on-exec is added.
    pub flags: OpenFlags,
    /// Permission bits of a file that is made; must be 0 where none can be.
    pub mode: u32,
    /// What the path may not do.
    pub resolve: Resolve,
}

/// Opens `path` below `dir` under the restrictions of `how` (openat2(2), kernel 5.6).
///
/// # Errors
/// `ENOSYS` before 5.6; `EAGAIN` when something on the path was renamed while `..` was being resolved;
/// `EXDEV`, `ELOOP` where a restriction was met.
pub fn openat2(dir: BorrowedFd<'_>, path: &Path, how: How) -> Result<OwnedFd> {
    /// `struct open_how` of linux/openat2.h, version 0.
    #[repr(C)]
    struct OpenHow {
        flags: u64,
        mode: u64,
        resolve: u64,
    }
    let how = OpenHow {
        flags: u64::from(how.flags.bits()) | libc::O_CLOEXEC as u64,
        mode: u64::from(how.mode),
        resolve: how.resolve.bits(),
    };
    with_c(path, "openat2", |c| {
        // SAFETY: `dir` is open (or AT_FDCWD), `c` is NUL-terminated, `how` is a plain struct of the size
        // given; all outlive the call. A value that is not -1 is a new descriptor owned by nobody else.
        unsafe {
            let fd = check(
                libc::syscall(
                    libc::SYS_openat2,
                    dir.as_raw_fd(),
                    c.as_ptr(),
                    &raw const how,
                    size_of::<OpenHow>(),
                ),
                "openat2",
                || quoted(path),
            )?;
            Ok(OwnedFd::from_raw_fd(fd as i32))
        }
    })
}

/// Opens `path` below `dir` (openat(2)); follows symbolic links wherever they lead.
///
/// # Errors
/// As openat(2).
pub fn openat(dir: BorrowedFd<'_>, path: &Path, flags: OpenFlags, mode: u32) -> Result<OwnedFd> {
    let bits = flags.bits() as i32 | libc::O_CLOEXEC;
    with_c(path, "openat", |c| {
        // SAFETY: `dir` is open (or AT_FDCWD) and `c` NUL-terminated; a value that is not -1 is a new
        // descriptor owned by nobody else.
        unsafe {
            let fd = libc::openat(dir.as_raw_fd(), c.as_ptr(), bits, mode);
            check(fd.into(), "openat", || quoted(path))?;
            Ok(OwnedFd::from_raw_fd(fd))
        }
    })
}
