//! The file system that a file lies on: fstatfs(2), and making it write.

use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};

use crate::Result;
use crate::error::check;
use crate::flags::flags;

/// The type of a file system: statfs(2)'s magic number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FsType(pub u64);

#[allow(missing_docs, reason = "the names are those of /proc/filesystems")]
impl FsType {
    pub const PROC: FsType = FsType(0x9fa0);
    pub const SYSFS: FsType = FsType(0x6265_6572);
    pub const TMPFS: FsType = FsType(0x0102_1994);
    pub const RAMFS: FsType = FsType(0x8584_58f6);
    pub const DEVPTS: FsType = FsType(0x1cd1);
    pub const CGROUP: FsType = FsType(0x27_e0eb);
    pub const CGROUP2: FsType = FsType(0x6367_7270);
    pub const NSFS: FsType = FsType(0x6e73_6673);
    pub const OVERLAY: FsType = FsType(0x794c_7630);
    pub const SECURITYFS: FsType = FsType(0x7363_6673);
    pub const SELINUX: FsType = FsType(0xf97c_ff8c);
    pub const BPF: FsType = FsType(0xcafe_4a11);
    pub const EXT4: FsType = FsType(0xef53);
    pub const BTRFS: FsType = FsType(0x9123_683e);
    pub const XFS: FsType = FsType(0x5846_5342);
    pub const NFS: FsType = FsType(0x6969);
    pub const FUSE: FsType = FsType(0x6573_5546);
}

/// What statfs(2) tells of a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Statfs {
    /// Its type.
    pub kind: FsType,
    /// The mount's flags; the bits `ST_*` of statvfs(3) are those of mount(2) for the common ones.
    pub flags: StatfsFlags,
    /// Bytes in a block.
    pub block_size: u64,
    /// Blocks in all.
    pub blocks: u64,
    /// Free blocks.
    pub blocks_free: u64,
    /// Blocks free for ordinary users.
    pub blocks_available: u64,
    /// Inodes in all.
    pub files: u64,
    /// Free inodes.
    pub files_free: u64,
}

flags! {
    /// The flags of a mount as statfs(2) shows them.
    pub struct StatfsFlags: u64 {
        /// Read-only: the mount, its file system, or both.
        RDONLY = 1;
        /// Set-id bits have no effect.
        NOSUID = 2;
        /// Devices cannot be opened.
        NODEV = 4;
        /// Programs cannot be executed.
        NOEXEC = 8;
        /// Writes are synchronous.
        SYNCHRONOUS = 16;
        /// Mandatory locking (gone in 5.15).
        MANDLOCK = 64;
        /// Access times are not kept.
        NOATIME = 1024;
        /// Access times of directories are not kept.
        NODIRATIME = 2048;
        /// Access times are kept relative to changes.
        RELATIME = 4096;
        /// Symbolic links are not followed (5.10).
        NOSYMFOLLOW = 8192;
    }
}

/// Tells of the file system that `fd` lies on; `fd` may be an [`OpenFlags::PATH`] handle (fstatfs(2)).
///
/// # Errors
/// As fstatfs(2).
pub fn fstatfs(fd: BorrowedFd<'_>) -> Result<Statfs> {
    let mut raw = MaybeUninit::<libc::statfs64>::zeroed();
    // SAFETY: `fd` is open; `raw` is writable, of the C library's layout, and zeroed, so initialised.
    let raw = unsafe {
        check(libc::fstatfs64(fd.as_raw_fd(), raw.as_mut_ptr()).into(), "fstatfs", || "")?;
        raw.assume_init()
    };
    Ok(Statfs {
        // Some magic numbers have the top bit of an int set and come sign-extended on some machines.
        kind: FsType(raw.f_type as u64 & 0xffff_ffff),
        flags: StatfsFlags::from_bits(raw.f_flags as u64 & !0x20),
        block_size: raw.f_bsize as u64,
        blocks: raw.f_blocks,
        blocks_free: raw.f_bfree,
        blocks_available: raw.f_bavail,
        files: raw.f_files,
        files_free: raw.f_ffree,
    })
}

/// Starts writing all that is cached, and waits for it (sync(2)).
pub fn sync() {
    // SAFETY: takes nothing and cannot fail.
    unsafe { libc::sync() }
}

/// As [`sync`], for the file system `fd` lies on (syncfs(2)); `fd` may not be an [`OpenFlags::PATH`] handle.
///
/// # Errors
/// As syncfs(2); write errors since kernel 5.8.
pub fn syncfs(fd: BorrowedFd<'_>) -> Result<()> {
    // SAFETY: `fd` is open.
    check(unsafe { libc::syncfs(fd.as_raw_fd()) }.into(), "syncfs", || "").map(drop)
}

/// Starts writing `length` bytes of the file from `offset` to its disk, and waits for none (sync_file_range(2) with
/// `SYNC_FILE_RANGE_WRITE` alone). No promise: a later fsync(2) finds less to do.
///
/// # Errors
/// As sync_file_range(2): `ESPIPE` where it is no file.
pub fn sync_file_range(fd: BorrowedFd<'_>, offset: u64, length: u64) -> Result<()> {
    let (offset, length) = (offset.cast_signed(), length.cast_signed());
    // SAFETY: `fd` is open; the rest are numbers.
    let value = unsafe { libc::sync_file_range(fd.as_raw_fd(), offset, length, libc::SYNC_FILE_RANGE_WRITE) };
    check(value.into(), "sync_file_range", || "").map(drop)
}
