//! Landlock (kernel 5.13): a process gives up, for ever and for its children, what it will not need.
//!
//! Whatever right this kernel can take away is taken away; rules give rights back below given directories.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use crate::Result;
use crate::error::check;
use crate::flags::flags;

flags! {
    /// Rights on files, `LANDLOCK_ACCESS_FS_*`.
    pub struct AccessFs: u64 {
        /// Execute a file.
        EXECUTE = 1 << 0;
        /// Open a file for writing.
        WRITE_FILE = 1 << 1;
        /// Open a file for reading.
        READ_FILE = 1 << 2;
        /// List a directory.
        READ_DIR = 1 << 3;
        /// Remove an empty directory.
        REMOVE_DIR = 1 << 4;
        /// Remove a file.
        REMOVE_FILE = 1 << 5;
        /// Make a character device.
        MAKE_CHAR = 1 << 6;
        /// Make a directory.
        MAKE_DIR = 1 << 7;
        /// Make a regular file.
        MAKE_REG = 1 << 8;
        /// Make a socket.
        MAKE_SOCK = 1 << 9;
        /// Make a fifo.
        MAKE_FIFO = 1 << 10;
        /// Make a block device.
        MAKE_BLOCK = 1 << 11;
        /// Make a symbolic link.
        MAKE_SYM = 1 << 12;
        /// Link or rename from one directory to another (ABI 2).
        REFER = 1 << 13;
        /// Truncate (ABI 3).
        TRUNCATE = 1 << 14;
        /// ioctl(2) on devices (ABI 5).
        IOCTL_DEV = 1 << 15;
    }
}

impl AccessFs {
    /// All rights on files that version `abi` of the interface knows.
    pub const fn all(abi: u32) -> AccessFs {
        AccessFs::from_bits(match abi {
            0 => 0,
            1 => (1 << 13) - 1,
            2 => (1 << 14) - 1,
            3 | 4 => (1 << 15) - 1,
            _ => (1 << 16) - 1,
        })
    }
}

/// Version of the interface that the kernel has; 0 where it has none, or Landlock is off.
pub fn abi() -> u32 {
    const CREATE_RULESET_VERSION: u32 = 1;
    let nothing = std::ptr::null::<u8>();
    // SAFETY: with this flag the kernel reads no memory.
    let version =
        unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, nothing, 0usize, CREATE_RULESET_VERSION) };
    u32::try_from(version).unwrap_or(0)
}

/// Takes from the calling thread all rights that version `abi` knows, but `rules`: these rights below these
/// directories. With 4 also TCP, with 6 signals and abstract sockets outside. Needs no_new_privs.
///
/// # Errors
/// As landlock_create_ruleset(2), landlock_add_rule(2) and landlock_restrict_self(2).
pub fn restrict(abi: u32, rules: &[(BorrowedFd<'_>, AccessFs)]) -> Result<()> {
    #[repr(C)]
    struct Ruleset {
        fs: u64,
        net: u64,
        scoped: u64,
    }
    #[repr(C, packed)]
    struct PathBeneath {
        allowed: u64,
        parent: i32,
    }
    const RULE_PATH_BENEATH: u32 = 1;
    let handled = AccessFs::all(abi);
    let ruleset = Ruleset {
        fs: handled.bits(),
        net: if abi >= 4 { 0b11 } else { 0 },
        scoped: if abi >= 6 { 0b11 } else { 0 },
    };
    // An older kernel takes a longer struct as long as what it does not know is zero.
    // SAFETY: the struct is live and of the size given.
    let fd = check(
        unsafe {
            libc::syscall(
                libc::SYS_landlock_create_ruleset,
                std::ptr::from_ref(&ruleset),
                size_of::<Ruleset>(),
                0,
            )
        },
        "landlock_create_ruleset",
        || "",
    )?;
    // SAFETY: the descriptor was just made and nobody else owns it.
    let fd = unsafe { OwnedFd::from_raw_fd(fd as i32) };
    for (dir, allowed) in rules {
        let rule = PathBeneath { allowed: (*allowed & handled).bits(), parent: dir.as_raw_fd() };
        check(
            // SAFETY: the rule is live and of the kernel's (packed) layout.
            unsafe {
                libc::syscall(
                    libc::SYS_landlock_add_rule,
                    fd.as_raw_fd(),
                    RULE_PATH_BENEATH,
                    std::ptr::from_ref(&rule),
                    0,
                )
            },
            "landlock_add_rule",
            || "",
        )?;
    }
    // SAFETY: takes a descriptor and flags.
    check(
        unsafe { libc::syscall(libc::SYS_landlock_restrict_self, fd.as_raw_fd(), 0) },
        "landlock_restrict_self",
        || "",
    )
    .map(drop)
}
