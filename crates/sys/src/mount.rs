//! Mounting: the new calls (kernel 5.2 and later), which work on mounts held by descriptors, and the
//! classic mount(2) and umount2(2).
//!
//! ```text
//! fsopen -> fsconfig... -> fsconfig_create -> fsmount ─┐
//! open_tree(CLONE) ────────────────────────────────────┴─> mount_setattr -> move_mount
//!         a mount nobody sees yet                            still unseen     now it stands
//! ```

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::Path;

use crate::error::check;
use crate::flags::flags;
use crate::fs::{AtFlags, quoted, two};
use crate::path::{bytes_with_c, with_c};
use crate::{Error, Result, errno};

/// Since kernel 6.15; the C library's table does not have it on every machine.
const SYS_OPEN_TREE_ATTR: libc::c_long = 467;

flags! {
    /// The attributes of a mount: `MOUNT_ATTR_*` of mount_setattr(2). Of the four ways to keep access
    /// times exactly one holds; their bits together are [`Attr::ATIME`], and `RELATIME` is zero.
    pub struct Attr: u64 {
        /// Nothing is written through this mount.
        RDONLY = libc::MOUNT_ATTR_RDONLY;
        /// Set-id bits and file capabilities have no effect.
        NOSUID = libc::MOUNT_ATTR_NOSUID;
        /// Devices cannot be opened.
        NODEV = libc::MOUNT_ATTR_NODEV;
        /// Programs cannot be executed.
        NOEXEC = libc::MOUNT_ATTR_NOEXEC;
        /// The mask of the access time modes: clear it whenever one of them is set.
        ATIME = libc::MOUNT_ATTR__ATIME;
        /// Access times relative to changes (the kernel's default).
        RELATIME = libc::MOUNT_ATTR_RELATIME;
        /// No access times.
        NOATIME = libc::MOUNT_ATTR_NOATIME;
        /// Every access.
        STRICTATIME = libc::MOUNT_ATTR_STRICTATIME;
        /// No access times of directories.
        NODIRATIME = libc::MOUNT_ATTR_NODIRATIME;
        /// Ids are mapped by a user namespace (5.12).
        IDMAP = libc::MOUNT_ATTR_IDMAP;
        /// Symbolic links are not followed (5.14).
        NOSYMFOLLOW = libc::MOUNT_ATTR_NOSYMFOLLOW;
    }
}

flags! {
    /// open_tree(2)'s own flags; the `AT_*` ones stand beside them.
    pub struct OpenTree: u32 {
        /// A detached copy of the mount; without it just a handle on the place.
        CLONE = libc::OPEN_TREE_CLONE;
        /// An empty path means the descriptor itself.
        EMPTY_PATH = libc::AT_EMPTY_PATH;
        /// With `CLONE`: and of every mount below.
        RECURSIVE = libc::AT_RECURSIVE;
        /// The last component, if a symbolic link, itself.
        SYMLINK_NOFOLLOW = libc::AT_SYMLINK_NOFOLLOW;
        /// Do not trigger an automount.
        NO_AUTOMOUNT = libc::AT_NO_AUTOMOUNT;
    }
}

flags! {
    /// move_mount(2)'s flags: `F` for the source, `T` for the target.
    pub struct MoveMount: u32 {
        /// An empty source path means its descriptor.
        F_EMPTY_PATH = libc::MOVE_MOUNT_F_EMPTY_PATH;
        /// Follow a link at the source's end.
        F_SYMLINKS = libc::MOVE_MOUNT_F_SYMLINKS;
        /// An empty target path means its descriptor.
        T_EMPTY_PATH = libc::MOVE_MOUNT_T_EMPTY_PATH;
        /// Follow a link at the target's end.
        T_SYMLINKS = libc::MOVE_MOUNT_T_SYMLINKS;
        /// The target takes over the source's peer group (5.15).
        SET_GROUP = libc::MOVE_MOUNT_SET_GROUP;
        /// Put it below the mount that stands there (6.5).
        BENEATH = libc::MOVE_MOUNT_BENEATH;
    }
}

flags! {
    /// fspick(2)'s flags.
    pub struct FsPick: u32 {
        /// The last component, if a symbolic link, itself.
        SYMLINK_NOFOLLOW = libc::FSPICK_SYMLINK_NOFOLLOW;
        /// Do not trigger an automount.
        NO_AUTOMOUNT = libc::FSPICK_NO_AUTOMOUNT;
        /// An empty path means the descriptor itself.
        EMPTY_PATH = libc::FSPICK_EMPTY_PATH;
    }
}

flags! {
    /// mount(2)'s flags, of the mount, of its file system and of the call in one word.
    pub struct MountFlags: u64 {
        /// Read-only.
        RDONLY = libc::MS_RDONLY;
        /// Set-id bits have no effect.
        NOSUID = libc::MS_NOSUID;
        /// Devices cannot be opened.
        NODEV = libc::MS_NODEV;
        /// Programs cannot be executed.
        NOEXEC = libc::MS_NOEXEC;
        /// Writes are synchronous.
        SYNCHRONOUS = libc::MS_SYNCHRONOUS;
        /// Change an existing mount.
        REMOUNT = libc::MS_REMOUNT;
        /// Mandatory locks (gone in 5.15).
        MANDLOCK = libc::MS_MANDLOCK;
        /// Changes of directories are synchronous.
        DIRSYNC = libc::MS_DIRSYNC;
        /// Symbolic links are not followed (5.10).
        NOSYMFOLLOW = libc::MS_NOSYMFOLLOW;
        /// No access times.
        NOATIME = libc::MS_NOATIME;
        /// No access times of directories.
        NODIRATIME = libc::MS_NODIRATIME;
        /// Bind.
        BIND = libc::MS_BIND;
        /// Move.
        MOVE = libc::MS_MOVE;
        /// And everything below.
        REC = libc::MS_REC;
        /// No message in the kernel's log.
        SILENT = libc::MS_SILENT;
        /// ACLs.
        POSIXACL = libc::MS_POSIXACL;
        /// Propagation: cannot be bound.
        UNBINDABLE = libc::MS_UNBINDABLE;
        /// Propagation: none.
        PRIVATE = libc::MS_PRIVATE;
        /// Propagation: receives.
        SLAVE = libc::MS_SLAVE;
        /// Propagation: receives and sends.
        SHARED = libc::MS_SHARED;
        /// Access times relative to changes.
        RELATIME = libc::MS_RELATIME;
        /// Inode versions are kept.
        I_VERSION = libc::MS_I_VERSION;
        /// Every access.
        STRICTATIME = libc::MS_STRICTATIME;
        /// Times are written late.
        LAZYTIME = libc::MS_LAZYTIME;
    }
}

flags! {
    /// umount2(2)'s flags.
    pub struct UmountFlags: u32 {
        /// Abort what hangs (network file systems).
        FORCE = libc::MNT_FORCE;
        /// Take it out of the tree now, clean up when it is no longer used.
        DETACH = libc::MNT_DETACH;
        /// Only if unused since the last such call.
        EXPIRE = libc::MNT_EXPIRE;
        /// Not through a symbolic link at the end.
        NOFOLLOW = libc::UMOUNT_NOFOLLOW;
    }
}

/// How mounts and unmounts travel between copies of a mount (mount_namespaces(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Propagation {
    /// To all peers and from them.
    Shared,
    /// From the master only.
    Slave,
    /// Not at all.
    Private,
    /// Not at all, and it cannot be bound.
    Unbindable,
}

impl Propagation {
    /// The flag of mount(2) and mount_setattr(2).
    pub const fn flag(self) -> MountFlags {
        match self {
            Propagation::Shared => MountFlags::SHARED,
            Propagation::Slave => MountFlags::SLAVE,
            Propagation::Private => MountFlags::PRIVATE,
            Propagation::Unbindable => MountFlags::UNBINDABLE,
        }
    }
}

/// mount_setattr(2)'s argument: what to set, what to clear, what else to change.
#[derive(Debug, Clone, Copy, Default)]
pub struct MountAttr<'fd> {
    /// Attributes to set.
    pub set: Attr,
    /// Attributes to clear, before the others are set.
    pub clear: Attr,
    /// The new propagation, if any.
    pub propagation: Option<Propagation>,
    /// The user namespace whose map is used; set together with [`Attr::IDMAP`].
    pub userns: Option<BorrowedFd<'fd>>,
}

impl MountAttr<'_> {
    fn to_raw(self) -> RawAttr {
        RawAttr {
            set: self.set.bits(),
            clear: self.clear.bits(),
            propagation: self.propagation.map_or(0, |p| p.flag().bits()),
            userns: self.userns.map_or(0, |fd| fd.as_raw_fd() as u64),
        }
    }
}

/// `struct mount_attr` of linux/mount.h, version 0.
#[repr(C)]
struct RawAttr {
    set: u64,
    clear: u64,
    propagation: u64,
    userns: u64,
}

/// A new context for a file system of type `fstype` (fsopen(2), kernel 5.2).
///
/// # Errors
/// `ENODEV` for an unknown type; `EPERM` without `CAP_SYS_ADMIN`.
pub fn fsopen(fstype: &str) -> Result<OwnedFd> {
    bytes_with_c(fstype.as_bytes(), "fsopen", |c| {
        // SAFETY: `c` is NUL-terminated; a value that is not -1 is a new descriptor owned by nobody else.
        unsafe {
            let fd = check(libc::syscall(libc::SYS_fsopen, c.as_ptr(), 1 /* CLOEXEC */), "fsopen", || {
                format!("`{fstype}`")
            })?;
            Ok(OwnedFd::from_raw_fd(fd as i32))
        }
    })
}

/// The context of the file system mounted at `path` below `dir`, to reconfigure it (fspick(2)).
///
/// # Errors
/// As fspick(2).
pub fn fspick(dir: BorrowedFd<'_>, path: &Path, flags: FsPick) -> Result<OwnedFd> {
    let bits = flags.bits() | libc::FSPICK_CLOEXEC;
    with_c(path, "fspick", |c| {
        // SAFETY: `dir` is open (or AT_FDCWD), `c` NUL-terminated; the descriptor is new.
        unsafe {
            let fd =
                check(libc::syscall(libc::SYS_fspick, dir.as_raw_fd(), c.as_ptr(), bits), "fspick", || {
                    quoted(path)
                })?;
            Ok(OwnedFd::from_raw_fd(fd as i32))
        }
    })
}

// enum fsconfig_command of linux/mount.h.
const SET_FLAG: u32 = 0;
const SET_STRING: u32 = 1;
const SET_FD: u32 = 5;
const CMD_CREATE: u32 = 6;
const CMD_RECONFIGURE: u32 = 7;

/// Sets the option `key`, which takes no value.
///
/// # Errors
/// As fsconfig(2): `EINVAL` for an option the file system does not know; see [`fs_log`].
pub fn fsconfig_flag(context: BorrowedFd<'_>, key: &str) -> Result<()> {
    fsconfig(context, SET_FLAG, Some(key), None, 0)
}

/// Sets the option `key` to `value`; `source` is an option too.
///
/// # Errors
/// As fsconfig(2): `EINVAL` for a bad option or a value longer than 255 bytes; see [`fs_log`].
pub fn fsconfig_string(context: BorrowedFd<'_>, key: &str, value: &str) -> Result<()> {
    fsconfig(context, SET_STRING, Some(key), Some(value), 0)
}

/// Sets the option `key` to the open file `value`; few options take one.
///
/// # Errors
/// As fsconfig(2): `EINVAL` where the option does not take a descriptor; see [`fs_log`].
pub fn fsconfig_fd(context: BorrowedFd<'_>, key: &str, value: BorrowedFd<'_>) -> Result<()> {
    fsconfig(context, SET_FD, Some(key), None, value.as_raw_fd())
}

/// Makes the file system of this context, or finds the existing one with the same options.
///
/// # Errors
/// As fsconfig(2); see [`fs_log`] for the file system's own words.
pub fn fsconfig_create(context: BorrowedFd<'_>) -> Result<()> {
    fsconfig(context, CMD_CREATE, None, None, 0)
}

/// Applies the options to the file system that [`fspick`] found.
///
/// # Errors
/// As fsconfig(2); see [`fs_log`].
pub fn fsconfig_reconfigure(context: BorrowedFd<'_>) -> Result<()> {
    fsconfig(context, CMD_RECONFIGURE, None, None, 0)
}

fn fsconfig(
    context: BorrowedFd<'_>,
    command: u32,
    key: Option<&str>,
    value: Option<&str>,
    aux: i32,
) -> Result<()> {
    let operands = || match (key, value) {
        (Some(k), Some(v)) => format!("`{k}={v}`"),
        (Some(k), None) => format!("`{k}`"),
        (None, _) => String::new(),
    };
    let call = |k: *const libc::c_char, v: *const libc::c_char| {
        // SAFETY: `context` is open; each pointer is null or a NUL-terminated string that outlives the call.
        let done = unsafe { libc::syscall(libc::SYS_fsconfig, context.as_raw_fd(), command, k, v, aux) };
        check(done, "fsconfig", operands).map(drop)
    };
    match (key, value) {
        (None, _) => call(std::ptr::null(), std::ptr::null()),
        (Some(k), None) => bytes_with_c(k.as_bytes(), "fsconfig", |k| call(k.as_ptr(), std::ptr::null())),
        (Some(k), Some(v)) => bytes_with_c(k.as_bytes(), "fsconfig", |k| {
            bytes_with_c(v.as_bytes(), "fsconfig", |v| call(k.as_ptr(), v.as_ptr()))
        }),
    }
}

/// What the file system said since the last reading of this context's log: errors first as they came,
/// without the leading `e `, warnings and notes marked so. At most 32 lines.
///
/// Never fails: a context without a message has none to give.
pub fn fs_log(context: BorrowedFd<'_>) -> Vec<String> {
    let mut lines = Vec::new();
    while lines.len() < 32 {
        let mut buffer = [0u8; 1024];
        // SAFETY: `context` is open, `buffer` writable for its length.
        let got = unsafe { libc::read(context.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len()) };
        // ENODATA is the end, EMSGSIZE a message longer than the buffer, which stays in the way.
        let Ok(length) = usize::try_from(got) else { break };
        let text = String::from_utf8_lossy(buffer.get(..length).unwrap_or_default());
        let text = text.trim_end();
        lines.push(match text.split_once(' ') {
            Some(("e", rest)) => rest.to_owned(),
            Some(("w", rest)) => format!("warning: {rest}"),
            Some(("i", rest)) => format!("note: {rest}"),
            _ => text.to_owned(),
        });
    }
    lines
}

/// The detached mount of a context's file system (fsmount(2)).
///
/// # Errors
/// As fsmount(2).
pub fn fsmount(context: BorrowedFd<'_>, attributes: Attr) -> Result<OwnedFd> {
    // SAFETY: `context` is open; the descriptor is new.
    unsafe {
        let fd = check(
            libc::syscall(libc::SYS_fsmount, context.as_raw_fd(), libc::FSMOUNT_CLOEXEC, attributes.bits()),
            "fsmount",
            || "",
        )?;
        Ok(OwnedFd::from_raw_fd(fd as i32))
    }
}

/// A handle on `path` below `dir`, or with [`OpenTree::CLONE`] a detached copy of what is mounted there
/// (open_tree(2), kernel 5.2).
///
/// # Errors
/// As open_tree(2): `EINVAL` for an unbindable mount, or one of another mount namespace.
pub fn open_tree(dir: BorrowedFd<'_>, path: &Path, flags: OpenTree) -> Result<OwnedFd> {
    let bits = flags.bits() | libc::O_CLOEXEC as u32;
    with_c(path, "open_tree", |c| {
        // SAFETY: `dir` is open (or AT_FDCWD), `c` NUL-terminated; the descriptor is new.
        unsafe {
            let fd = check(
                libc::syscall(libc::SYS_open_tree, dir.as_raw_fd(), c.as_ptr(), bits),
                "open_tree",
                || quoted(path),
            )?;
            Ok(OwnedFd::from_raw_fd(fd as i32))
        }
    })
}

/// As [`open_tree`], changing the copy's attributes in the same step (kernel 6.15): the only way to give
/// an id-mapped mount's copy another map.
///
/// # Errors
/// `ENOSYS` before 6.15; as open_tree(2) and mount_setattr(2).
pub fn open_tree_attr(
    dir: BorrowedFd<'_>,
    path: &Path,
    flags: OpenTree,
    attr: &MountAttr<'_>,
) -> Result<OwnedFd> {
    let bits = flags.bits() | libc::O_CLOEXEC as u32;
    let raw = attr.to_raw();
    with_c(path, "open_tree_attr", |c| {
        // SAFETY: `dir` is open (or AT_FDCWD), `c` NUL-terminated, `raw` a struct of the size given; the
        // descriptor is new.
        unsafe {
            let fd = check(
                libc::syscall(
                    SYS_OPEN_TREE_ATTR,
                    dir.as_raw_fd(),
                    c.as_ptr(),
                    bits,
                    &raw const raw,
                    size_of::<RawAttr>(),
                ),
                "open_tree_attr",
                || quoted(path),
            )?;
            Ok(OwnedFd::from_raw_fd(fd as i32))
        }
    })
}

/// Puts the mount `from_path` below `from` on `to_path` below `to` (move_mount(2), kernel 5.2).
///
/// # Errors
/// As move_mount(2): `EINVAL` for a target in another mount namespace.
pub fn move_mount(
    from: BorrowedFd<'_>,
    from_path: &Path,
    to: BorrowedFd<'_>,
    to_path: &Path,
    flags: MoveMount,
) -> Result<()> {
    with_c(from_path, "move_mount", |f| {
        with_c(to_path, "move_mount", |t| {
            // SAFETY: both descriptors are open (or AT_FDCWD), both strings NUL-terminated.
            let done = unsafe {
                libc::syscall(
                    libc::SYS_move_mount,
                    from.as_raw_fd(),
                    f.as_ptr(),
                    to.as_raw_fd(),
                    t.as_ptr(),
                    flags.bits(),
                )
            };
            check(done, "move_mount", || quoted(to_path)).map(drop)
        })
    })
}

/// Changes the attributes of the mount at `path` below `dir`, with [`AtFlags::RECURSIVE`] also of all
/// below it, all or none (mount_setattr(2), kernel 5.12).
///
/// # Errors
/// `ENOSYS` before 5.12; `EPERM` for an attribute locked by a user namespace; as mount_setattr(2).
pub fn mount_setattr(dir: BorrowedFd<'_>, path: &Path, flags: AtFlags, attr: &MountAttr<'_>) -> Result<()> {
    let raw = attr.to_raw();
    with_c(path, "mount_setattr", |c| {
        // SAFETY: `dir` is open (or AT_FDCWD), `c` NUL-terminated, `raw` a struct of the size given.
        let done = unsafe {
            libc::syscall(
                libc::SYS_mount_setattr,
                dir.as_raw_fd(),
                c.as_ptr(),
                flags.bits(),
                &raw const raw,
                size_of::<RawAttr>(),
            )
        };
        check(done, "mount_setattr", || quoted(path)).map(drop)
    })
}

/// The classic call (mount(2)).
///
/// # Errors
/// As mount(2).
pub fn mount(
    source: Option<&Path>,
    target: &Path,
    fstype: Option<&str>,
    flags: MountFlags,
    data: Option<&str>,
) -> Result<()> {
    let c_string = |bytes: &[u8]| {
        std::ffi::CString::new(bytes).map_err(|_| Error::new("mount", quoted(target), errno::INVAL))
    };
    let source_c = source.map(|s| c_string(s.as_os_str().as_encoded_bytes())).transpose()?;
    let fstype_c = fstype.map(|s| c_string(s.as_bytes())).transpose()?;
    let data_c = data.map(|s| c_string(s.as_bytes())).transpose()?;
    let pointer = |c: &Option<std::ffi::CString>| c.as_ref().map_or(std::ptr::null(), |c| c.as_ptr());
    with_c(target, "mount", |t| {
        // SAFETY: every pointer is null or a NUL-terminated string that outlives the call.
        let done = unsafe {
            libc::mount(
                pointer(&source_c),
                t.as_ptr(),
                pointer(&fstype_c),
                flags.bits() as libc::c_ulong,
                pointer(&data_c).cast(),
            )
        };
        let operands = || source.map_or_else(|| quoted(target), |s| two(s, target));
        check(done.into(), "mount", operands).map(drop)
    })
}

/// Unmounts what stands at `target` (umount2(2)). There is no form that takes a descriptor: change into
/// it and unmount `"."`, or name it through a trusted `/proc/self/fd`.
///
/// # Errors
/// As umount2(2): `EBUSY`, `EINVAL` where nothing is mounted or the mount is locked.
pub fn umount2(target: &Path, flags: UmountFlags) -> Result<()> {
    with_c(target, "umount2", |t| {
        // SAFETY: `t` is NUL-terminated.
        let done = unsafe { libc::umount2(t.as_ptr(), flags.bits() as i32) };
        check(done.into(), "umount2", || quoted(target)).map(drop)
    })
}
