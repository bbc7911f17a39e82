//! What a file is like: statx(2).

use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::path::Path;

use super::{AtFlags, Device, FileType, quoted};
use crate::path::with_c;
use crate::{Error, Result};

/// What statx(2) tells of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// The file system's device number.
    pub device: Device,
    /// The file's number in it.
    pub ino: u64,
    /// Type and permission bits, as in stat(2).
    pub mode: u32,
    /// How many names it has.
    pub nlink: u32,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// Bytes.
    pub size: u64,
    /// What it takes, in units of 512 bytes.
    pub blocks: u64,
    /// The device it stands for, if it is one.
    pub rdev: Device,
    /// The last change of the content: seconds and nanoseconds since 1970.
    pub mtime: (i64, u32),
    /// The mount it was reached through (kernel 5.8; the unique id from 6.8 where asked for).
    pub mount_id: Option<u64>,
    /// Whether it is the root of a mount; `None` where the kernel does not tell (before 5.8).
    pub is_mount_root: Option<bool>,
}

impl Stat {
    /// The file's type.
    pub const fn file_type(&self) -> FileType {
        FileType::of_mode(self.mode)
    }

    /// Whether it is a directory.
    pub fn is_dir(&self) -> bool {
        self.file_type() == FileType::Directory
    }

    /// The permission bits, set-id and sticky bits included.
    pub const fn permissions(&self) -> u32 {
        self.mode & 0o7777
    }
}

/// Which id [`statx`] gives for the mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MountId {
    /// The one that stands in mountinfo and is used again after an unmount.
    #[default]
    Reused,
    /// The one that is never used again (kernel 6.8); [`Stat::mount_id`] is `None` before.
    Unique,
}

/// Tells of `path` below `dir`; with [`AtFlags::EMPTY_PATH`] and an empty path of `dir` itself (statx(2),
/// kernel 4.11).
///
/// # Errors
/// As statx(2).
pub fn statx(dir: BorrowedFd<'_>, path: &Path, flags: AtFlags, mount_id: MountId) -> Result<Stat> {
    with_c(path, "statx", |c| {
        statx_raw(dir, c, flags, mount_id).map_err(|e| Error::new("statx", quoted(path), e))
    })
}

/// Tells of the open file `fd`, which may be an [`OpenFlags::PATH`] handle.
///
/// # Errors
/// As statx(2).
pub fn fstat(fd: BorrowedFd<'_>) -> Result<Stat> {
    statx_raw(fd, c"", AtFlags::EMPTY_PATH, MountId::Reused).map_err(|e| Error::new("statx", "", e))
}

fn statx_raw(
    dir: BorrowedFd<'_>,
    path: &CStr,
    flags: AtFlags,
    mount_id: MountId,
) -> std::result::Result<Stat, taru_stdx::Errno> {
    let id_bit = match mount_id {
        MountId::Reused => libc::STATX_MNT_ID,
        MountId::Unique => libc::STATX_MNT_ID_UNIQUE,
    };
    let mut raw = MaybeUninit::<libc::statx>::zeroed();
    // SAFETY: `path` is NUL-terminated, `raw` is writable and of the kernel's layout; it was zeroed, so
    // that it is initialised whatever the kernel fills in.
    let raw = unsafe {
        // The raw call: std refers to the C library's function weakly, and a weak reference alone does not
        // bring it into a static, link-time optimised executable.
        let value = libc::syscall(
            libc::SYS_statx,
            dir.as_raw_fd(),
            path.as_ptr(),
            flags.bits(),
            libc::STATX_BASIC_STATS | id_bit,
            raw.as_mut_ptr(),
        );
        if value == -1 {
            return Err(crate::error::last());
        }
        raw.assume_init()
    };
    let root = libc::STATX_ATTR_MOUNT_ROOT as u64;
    Ok(Stat {
        device: Device::new(raw.stx_dev_major, raw.stx_dev_minor),
        ino: raw.stx_ino,
        mode: raw.stx_mode.into(),
        nlink: raw.stx_nlink,
        uid: raw.stx_uid,
        gid: raw.stx_gid,
        size: raw.stx_size,
        blocks: raw.stx_blocks,
        rdev: Device::new(raw.stx_rdev_major, raw.stx_rdev_minor),
        mtime: (raw.stx_mtime.tv_sec, raw.stx_mtime.tv_nsec),
        mount_id: (raw.stx_mask & id_bit != 0).then_some(raw.stx_mnt_id),
        is_mount_root: (raw.stx_attributes_mask & root != 0).then_some(raw.stx_attributes & root != 0),
    })
}
