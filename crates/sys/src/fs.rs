//! Files and directories: openat2(2) and the `*at` family, statx(2), statfs(2), links, roots.
//!
//! Every call takes a directory descriptor and a path below it; [`CWD`] stands for the working
//! directory, and an empty path with [`AtFlags::EMPTY_PATH`] for the descriptor itself. Descriptors
//! that come back are close-on-exec.

use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use crate::error::check;
use crate::flags::flags;
use crate::path::with_c;
use crate::{Error, Result, errno};

/// The working directory, where a call wants a directory (`AT_FDCWD`).
// SAFETY: AT_FDCWD is -100: not -1, never closed, and valid in every `*at` call for ever.
pub const CWD: BorrowedFd<'static> = unsafe { BorrowedFd::borrow_raw(libc::AT_FDCWD) };

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

flags! {
    /// renameat2(2)'s flags.
    pub struct RenameFlags: u32 {
        /// Fail where the new name exists.
        NOREPLACE = libc::RENAME_NOREPLACE;
        /// Swap both names.
        EXCHANGE = libc::RENAME_EXCHANGE;
        /// Leave a whiteout at the old name.
        WHITEOUT = libc::RENAME_WHITEOUT;
    }
}

flags! {
    /// fallocate(2)'s modes; empty is: reserve and grow.
    pub struct FallocateMode: u32 {
        /// Reserve past the end without growing.
        KEEP_SIZE = libc::FALLOC_FL_KEEP_SIZE;
        /// Make a hole (with `KEEP_SIZE`).
        PUNCH_HOLE = libc::FALLOC_FL_PUNCH_HOLE;
        /// Turn the range into zeros.
        ZERO_RANGE = libc::FALLOC_FL_ZERO_RANGE;
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

    /// The device that stat(2)'s number means (major(3), minor(3)).
    pub const fn from_raw(raw: u64) -> Device {
        Device { major: libc::major(raw), minor: libc::minor(raw) }
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

/// Makes the symbolic link `path` below `dir`, with the text `target` (symlinkat(2)).
///
/// # Errors
/// As symlinkat(2).
pub fn symlinkat(target: &Path, dir: BorrowedFd<'_>, path: &Path) -> Result<()> {
    with_c(target, "symlinkat", |t| {
        with_c(path, "symlinkat", |c| {
            // SAFETY: both strings are NUL-terminated, `dir` is open (or AT_FDCWD).
            let value = unsafe { libc::symlinkat(t.as_ptr(), dir.as_raw_fd(), c.as_ptr()) };
            check(value.into(), "symlinkat", || quoted(path)).map(drop)
        })
    })
}

/// Gives the file `old` below `old_dir` the further name `new` below `new_dir` (linkat(2)).
///
/// # Errors
/// As linkat(2).
pub fn linkat(
    old_dir: BorrowedFd<'_>,
    old: &Path,
    new_dir: BorrowedFd<'_>,
    new: &Path,
    flags: AtFlags,
) -> Result<()> {
    with_c(old, "linkat", |o| {
        with_c(new, "linkat", |n| {
            // SAFETY: both strings are NUL-terminated, both descriptors open (or AT_FDCWD).
            let value = unsafe {
                libc::linkat(
                    old_dir.as_raw_fd(),
                    o.as_ptr(),
                    new_dir.as_raw_fd(),
                    n.as_ptr(),
                    flags.bits() as i32,
                )
            };
            check(value.into(), "linkat", || two(old, new)).map(drop)
        })
    })
}

/// What [`unlinkat`] removes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unlink {
    /// Anything but a directory.
    File,
    /// An empty directory.
    Directory,
}

/// Removes the name `path` below `dir` (unlinkat(2)).
///
/// # Errors
/// As unlinkat(2): `EISDIR`, `ENOTDIR` where the type is the other one, `EBUSY` on a mount point.
pub fn unlinkat(dir: BorrowedFd<'_>, path: &Path, what: Unlink) -> Result<()> {
    let flags = match what {
        Unlink::File => 0,
        Unlink::Directory => libc::AT_REMOVEDIR,
    };
    with_c(path, "unlinkat", |c| {
        // SAFETY: `dir` is open (or AT_FDCWD) and `c` NUL-terminated.
        let value = unsafe { libc::unlinkat(dir.as_raw_fd(), c.as_ptr(), flags) };
        check(value.into(), "unlinkat", || quoted(path)).map(drop)
    })
}

/// Renames `old` below `old_dir` to `new` below `new_dir` (renameat2(2)).
///
/// # Errors
/// As renameat2(2).
pub fn renameat2(
    old_dir: BorrowedFd<'_>,
    old: &Path,
    new_dir: BorrowedFd<'_>,
    new: &Path,
    flags: RenameFlags,
) -> Result<()> {
    with_c(old, "renameat2", |o| {
        with_c(new, "renameat2", |n| {
            // SAFETY: both strings are NUL-terminated, both descriptors open (or AT_FDCWD).
            let value = unsafe {
                libc::syscall(
                    libc::SYS_renameat2,
                    old_dir.as_raw_fd(),
                    o.as_ptr(),
                    new_dir.as_raw_fd(),
                    n.as_ptr(),
                    flags.bits(),
                )
            };
            check(value, "renameat2", || two(old, new)).map(drop)
        })
    })
}

/// The text of the symbolic link `path` below `dir`; an empty path reads the link that `dir` itself is
/// an [`OpenFlags::PATH`] handle of (readlinkat(2)).
///
/// # Errors
/// As readlinkat(2): `EINVAL` (or `ENOENT` with an empty path) where it is no link.
pub fn readlinkat(dir: BorrowedFd<'_>, path: &Path) -> Result<PathBuf> {
    with_c(path, "readlinkat", |c| {
        // PATH_MAX bounds every link's text on Linux, so one call is enough.
        let mut text = vec![0u8; libc::PATH_MAX as usize];
        // SAFETY: `c` is NUL-terminated, `text` is writable for the length given.
        let value =
            unsafe { libc::readlinkat(dir.as_raw_fd(), c.as_ptr(), text.as_mut_ptr().cast(), text.len()) };
        let length = check(value as libc::c_long, "readlinkat", || quoted(path))?;
        text.truncate(length as usize);
        Ok(PathBuf::from(std::ffi::OsString::from_vec(text)))
    })
}

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
        rdev: Device::new(raw.stx_rdev_major, raw.stx_rdev_minor),
        mtime: (raw.stx_mtime.tv_sec, raw.stx_mtime.tv_nsec),
        mount_id: (raw.stx_mask & id_bit != 0).then_some(raw.stx_mnt_id),
        is_mount_root: (raw.stx_attributes_mask & root != 0).then_some(raw.stx_attributes & root != 0),
    })
}

/// The type of a file system: statfs(2)'s magic number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FsType(pub u64);

#[allow(missing_docs)] // the names are those of /proc/filesystems
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

/// Sets the permission bits of `path` below `dir` (fchmodat2(2), kernel 6.6; fchmodat(2) where `flags` is
/// empty).
///
/// # Errors
/// As fchmodat(2); `ENOSYS` with flags before 6.6; `EOPNOTSUPP` for a symbolic link.
pub fn fchmodat(dir: BorrowedFd<'_>, path: &Path, mode: u32, flags: AtFlags) -> Result<()> {
    with_c(path, "fchmodat", |c| {
        // SAFETY: `dir` is open (or AT_FDCWD) and `c` NUL-terminated. The older call takes no flags.
        let value = unsafe {
            if flags.is_empty() {
                libc::syscall(libc::SYS_fchmodat, dir.as_raw_fd(), c.as_ptr(), mode)
            } else {
                libc::syscall(libc::SYS_fchmodat2, dir.as_raw_fd(), c.as_ptr(), mode, flags.bits())
            }
        };
        check(value, "fchmodat", || quoted(path)).map(drop)
    })
}

/// Sets the permission bits of the open file `fd`, which may not be an [`OpenFlags::PATH`] handle (fchmod(2)).
///
/// # Errors
/// As fchmod(2).
pub fn fchmod(fd: BorrowedFd<'_>, mode: u32) -> Result<()> {
    // SAFETY: `fd` is open.
    check(unsafe { libc::fchmod(fd.as_raw_fd(), mode) }.into(), "fchmod", || "").map(drop)
}

/// Gives `path` below `dir` a new owner and group; `None` leaves it (fchownat(2)).
/// With [`AtFlags::EMPTY_PATH`] it also works on an [`OpenFlags::PATH`] handle.
///
/// # Errors
/// As fchownat(2).
pub fn fchownat(
    dir: BorrowedFd<'_>,
    path: &Path,
    uid: Option<u32>,
    gid: Option<u32>,
    flags: AtFlags,
) -> Result<()> {
    with_c(path, "fchownat", |c| {
        // SAFETY: `dir` is open (or AT_FDCWD) and `c` NUL-terminated.
        let value = unsafe {
            libc::fchownat(
                dir.as_raw_fd(),
                c.as_ptr(),
                uid.unwrap_or(u32::MAX),
                gid.unwrap_or(u32::MAX),
                flags.bits() as i32,
            )
        };
        check(value.into(), "fchownat", || quoted(path)).map(drop)
    })
}

/// Sets access and modification time of `path` below `dir`: seconds and nanoseconds since 1970
/// (utimensat(2)).
///
/// # Errors
/// As utimensat(2).
pub fn utimensat(
    dir: BorrowedFd<'_>,
    path: &Path,
    atime: (i64, u32),
    mtime: (i64, u32),
    flags: AtFlags,
) -> Result<()> {
    let times = [atime, mtime].map(|(s, ns)| libc::timespec { tv_sec: s, tv_nsec: ns.into() });
    with_c(path, "utimensat", |c| {
        // SAFETY: `dir` is open (or AT_FDCWD), `c` NUL-terminated, `times` an array of two.
        let value =
            unsafe { libc::utimensat(dir.as_raw_fd(), c.as_ptr(), times.as_ptr(), flags.bits() as i32) };
        check(value.into(), "utimensat", || quoted(path)).map(drop)
    })
}

flags! {
    /// What [`faccessat`] asks for; empty asks for existence.
    pub struct Access: u32 {
        /// May be read.
        READ = libc::R_OK;
        /// May be written.
        WRITE = libc::W_OK;
        /// May be executed, or searched.
        EXECUTE = libc::X_OK;
    }
}

/// Whether this process may do `access` on `path` below `dir` (faccessat2(2), kernel 5.8; faccessat(2)
/// where `flags` is empty).
///
/// # Errors
/// `EACCES` where it may not, `EROFS`; as faccessat(2).
pub fn faccessat(dir: BorrowedFd<'_>, path: &Path, access: Access, flags: AtFlags) -> Result<()> {
    with_c(path, "faccessat", |c| {
        // SAFETY: `dir` is open (or AT_FDCWD) and `c` NUL-terminated. The older call takes no flags.
        let value = unsafe {
            if flags.is_empty() {
                libc::syscall(libc::SYS_faccessat, dir.as_raw_fd(), c.as_ptr(), access.bits())
            } else {
                libc::syscall(libc::SYS_faccessat2, dir.as_raw_fd(), c.as_ptr(), access.bits(), flags.bits())
            }
        };
        check(value, "faccessat", || quoted(path)).map(drop)
    })
}

/// Makes `new_root` this mount namespace's root and moves the old one to `put_old` (pivot_root(2)). Both
/// may be `"."`, which stacks the old root over the new; unmount it next.
///
/// # Errors
/// `EINVAL` where `new_root` is no mount point, the current root is the initramfs, or one of the mounts is
/// shared.
pub fn pivot_root(new_root: &Path, put_old: &Path) -> Result<()> {
    with_c(new_root, "pivot_root", |new| {
        with_c(put_old, "pivot_root", |old| {
            // SAFETY: both strings are NUL-terminated.
            let value = unsafe { libc::syscall(libc::SYS_pivot_root, new.as_ptr(), old.as_ptr()) };
            check(value, "pivot_root", || two(new_root, put_old)).map(drop)
        })
    })
}

/// Makes `path` this process's root (chroot(2)). The working directory stays where it is.
///
/// # Errors
/// As chroot(2).
pub fn chroot(path: &Path) -> Result<()> {
    with_c(path, "chroot", |c| {
        // SAFETY: `c` is NUL-terminated.
        check(unsafe { libc::chroot(c.as_ptr()) }.into(), "chroot", || quoted(path)).map(drop)
    })
}

/// Makes `path` the working directory (chdir(2)).
///
/// # Errors
/// As chdir(2).
pub fn chdir(path: &Path) -> Result<()> {
    with_c(path, "chdir", |c| {
        // SAFETY: `c` is NUL-terminated.
        check(unsafe { libc::chdir(c.as_ptr()) }.into(), "chdir", || quoted(path)).map(drop)
    })
}

/// Makes the open directory `dir` the working directory (fchdir(2)).
///
/// # Errors
/// As fchdir(2).
pub fn fchdir(dir: impl AsFd) -> Result<()> {
    // SAFETY: the descriptor is open.
    check(unsafe { libc::fchdir(dir.as_fd().as_raw_fd()) }.into(), "fchdir", || "").map(drop)
}

/// The working directory as the kernel names it (getcwd(2)). A directory outside the root starts with
/// `(unreachable)`, which the C library would report as `ENOENT`; here it is shown.
///
/// # Errors
/// `ENOENT` where it was removed.
pub fn getcwd() -> Result<PathBuf> {
    let mut text = vec![0u8; libc::PATH_MAX as usize];
    // SAFETY: `text` is writable for the length given.
    let value = unsafe { libc::syscall(libc::SYS_getcwd, text.as_mut_ptr(), text.len()) };
    let length = check(value, "getcwd", || "")?;
    // The kernel's length counts the terminating NUL.
    text.truncate((length as usize).saturating_sub(1));
    Ok(PathBuf::from(std::ffi::OsString::from_vec(text)))
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

/// Reserves or frees `length` bytes of the open file from `offset` (fallocate(2)).
///
/// # Errors
/// As fallocate(2): `EOPNOTSUPP` where the file system cannot.
pub fn fallocate(fd: BorrowedFd<'_>, mode: FallocateMode, offset: u64, length: u64) -> Result<()> {
    let number = |n: u64| {
        libc::off64_t::try_from(n).map_err(|_| Error::new("fallocate", format!("{n}"), errno::INVAL))
    };
    let (offset, length) = (number(offset)?, number(length)?);
    // SAFETY: `fd` is open; the rest are numbers.
    let value = unsafe { libc::fallocate64(fd.as_raw_fd(), mode.bits() as i32, offset, length) };
    check(value.into(), "fallocate", || "").map(drop)
}

pub(crate) fn quoted(path: &Path) -> String {
    if path.as_os_str().is_empty() { String::new() } else { format!("`{}`", path.display()) }
}

pub(crate) fn two(first: &Path, second: &Path) -> String {
    format!("`{}` `{}`", first.display(), second.display())
}
