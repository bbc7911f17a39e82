//! Files and directories: openat2(2) and the `*at` family, statx(2), statfs(2), links, roots.
//!
//! Every call takes a directory descriptor and a path below it; [`CWD`] stands for the working
//! directory, and an empty path with [`AtFlags::EMPTY_PATH`] for the descriptor itself. Descriptors
//! that come back are close-on-exec.

mod attributes;
pub mod btrfs;
mod copy;
mod name;
mod node;
mod open;
mod root;
mod stat;
mod statfs;

use std::os::fd::BorrowedFd;
use std::path::Path;

use crate::flags::flags;

pub use attributes::{
    Access, FallocateMode, faccessat, fallocate, fchmod, fchmodat, fchownat, futimens, seek_data, seek_hole,
    utimensat,
};
pub use copy::{clone_file, copy_file_range};
pub use name::{RenameFlags, Unlink, linkat, readlinkat, renameat2, symlinkat, unlinkat};
pub use node::{Device, FileType, mkdirat, mknodat};
pub use open::{How, OpenFlags, Resolve, openat, openat2};
pub use root::{chdir, chroot, fchdir, getcwd, pivot_root};
pub use stat::{MountId, Stat, fstat, statx};
pub use statfs::{FsType, Statfs, StatfsFlags, fstatfs, sync, sync_file_range, syncfs};

/// The working directory, where a call wants a directory (`AT_FDCWD`).
// SAFETY: AT_FDCWD is -100: not -1, never closed, and valid in every `*at` call for ever.
pub const CWD: BorrowedFd<'static> = unsafe { BorrowedFd::borrow_raw(libc::AT_FDCWD) };

flags! {
    /// The `AT_*` flags of the calls below.
    pub struct AtFlags: u32 {
        /// An empty path means the descriptor itself.
        EMPTY_PATH = libc::AT_EMPTY_PATH;
        /// The last component, if a symbolic link, itself.
        SYMLINK_NOFOLLOW = libc::AT_SYMLINK_NOFOLLOW;
        /// linkat: follow the last component.
        SYMLINK_FOLLOW = libc::AT_SYMLINK_FOLLOW;
        /// Do not trigger an automount.
        NO_AUTOMOUNT = libc::AT_NO_AUTOMOUNT;
        /// The whole tree (mount calls).
        RECURSIVE = libc::AT_RECURSIVE;
        /// faccessat: with the effective ids.
        EACCESS = libc::AT_EACCESS;
    }
}

pub(crate) fn quoted(path: &Path) -> String {
    if path.as_os_str().is_empty() { String::new() } else { format!("`{}`", path.display()) }
}

pub(crate) fn two(first: &Path, second: &Path) -> String {
    format!("`{}` `{}`", first.display(), second.display())
}
