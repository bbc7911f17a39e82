//! btrfs' subvolumes: directories that are snapshotted and removed as a whole (btrfs-subvolume(8), linux/btrfs.h).

use std::ffi::OsStr;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;

use crate::error::check;
use crate::{Error, Result, errno};

/// The number of every subvolume's root directory.
pub const ROOT_INODE: u64 = 256;

/// `struct btrfs_ioctl_vol_args`.
#[repr(C)]
struct VolArgs {
    fd: i64,
    name: [u8; 4088],
}

/// `_IOW(0x94, number, struct btrfs_ioctl_vol_args)`.
const fn request(number: u32) -> u32 {
    (1 << 30) | ((size_of::<VolArgs>() as u32) << 16) | (0x94 << 8) | number
}

fn act(parent: BorrowedFd<'_>, number: u32, call: &'static str, name: &OsStr, fd: i64) -> Result<()> {
    let bytes = name.as_bytes();
    let mut args = VolArgs { fd, name: [0; 4088] };
    match args.name.get_mut(..bytes.len()) {
        Some(place) if bytes.len() < 4088 && !bytes.contains(&0) => place.copy_from_slice(bytes),
        _ => return Err(Error::new(call, format!("`{}`", name.display()), errno::NAMETOOLONG)),
    }
    // SAFETY: the struct is live, NUL-terminated and of the size that the request names.
    let done = unsafe { libc::ioctl(parent.as_raw_fd(), request(number) as _, &raw const args) };
    check(done.into(), call, || format!("`{}`", name.display())).map(drop)
}

/// Makes the empty subvolume `name` in `parent`.
///
/// # Errors
/// `ENOTTY` where it is no btrfs; `EEXIST`.
pub fn create_subvolume(parent: BorrowedFd<'_>, name: &OsStr) -> Result<()> {
    act(parent, 14, "ioctl(BTRFS_IOC_SUBVOL_CREATE)", name, 0)
}

/// Makes the subvolume `name` in `parent` with all content of the subvolume `source`, writable.
///
/// # Errors
/// As [`create_subvolume`]; `EINVAL` where `source` is no subvolume.
pub fn snapshot(source: BorrowedFd<'_>, parent: BorrowedFd<'_>, name: &OsStr) -> Result<()> {
    act(parent, 1, "ioctl(BTRFS_IOC_SNAP_CREATE)", name, source.as_raw_fd().into())
}

/// Removes the subvolume `name` in `parent` and all in it.
///
/// # Errors
/// `EPERM` without the right (mount option `user_subvol_rm_allowed`).
pub fn destroy_subvolume(parent: BorrowedFd<'_>, name: &OsStr) -> Result<()> {
    act(parent, 15, "ioctl(BTRFS_IOC_SNAP_DESTROY)", name, 0)
}
