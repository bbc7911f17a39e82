//! Namespaces: made with unshare(2) or clone3(2), joined with setns(2).

use std::os::fd::{AsRawFd, BorrowedFd};

use crate::error::check;
use crate::{Errno, Error, Result};

/// A set of namespace kinds, as clone3(2), unshare(2) and setns(2) take them.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Namespaces(u64);

#[allow(missing_docs, reason = "the names are namespaces(7)'s")]
impl Namespaces {
    pub const NONE: Namespaces = Namespaces(0);
    pub const MOUNT: Namespaces = Namespaces(libc::CLONE_NEWNS as u64);
    pub const UTS: Namespaces = Namespaces(libc::CLONE_NEWUTS as u64);
    pub const IPC: Namespaces = Namespaces(libc::CLONE_NEWIPC as u64);
    pub const PID: Namespaces = Namespaces(libc::CLONE_NEWPID as u64);
    pub const NETWORK: Namespaces = Namespaces(libc::CLONE_NEWNET as u64);
    pub const USER: Namespaces = Namespaces(libc::CLONE_NEWUSER as u64);
    pub const CGROUP: Namespaces = Namespaces(libc::CLONE_NEWCGROUP as u64);
    pub const TIME: Namespaces = Namespaces(0x80);
    /// All eight.
    pub const ALL: Namespaces = Namespaces(
        Self::MOUNT.0
            | Self::UTS.0
            | Self::IPC.0
            | Self::PID.0
            | Self::NETWORK.0
            | Self::USER.0
            | Self::CGROUP.0
            | Self::TIME.0,
    );

    /// The kernel's bits.
    pub fn bits(self) -> u64 {
        self.0
    }

    /// Whether all of `other` is in this set.
    pub fn contains(self, other: Namespaces) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether no kind is in this set.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// This set less `other`.
    #[must_use]
    pub fn without(self, other: Namespaces) -> Namespaces {
        Namespaces(self.0 & !other.0)
    }

    /// The single kinds in this set with the names that /proc/PID/ns gives them.
    pub fn names(self) -> impl Iterator<Item = (Namespaces, &'static str)> {
        [
            (Self::USER, "user"),
            (Self::MOUNT, "mnt"),
            (Self::UTS, "uts"),
            (Self::IPC, "ipc"),
            (Self::NETWORK, "net"),
            (Self::PID, "pid"),
            (Self::CGROUP, "cgroup"),
            (Self::TIME, "time"),
        ]
        .into_iter()
        .filter(move |(kind, _)| self.contains(*kind))
    }
}

impl std::ops::BitOr for Namespaces {
    type Output = Namespaces;
    fn bitor(self, other: Namespaces) -> Namespaces {
        Namespaces(self.0 | other.0)
    }
}

impl std::ops::BitOrAssign for Namespaces {
    fn bitor_assign(&mut self, other: Namespaces) {
        self.0 |= other.0;
    }
}

impl std::fmt::Display for Namespaces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = self.names().map(|(_, name)| name).collect();
        f.write_str(&names.join(","))
    }
}

/// Moves this process into new namespaces, unshare(2). A new pid or time namespace holds only later children.
///
/// # Errors
/// EPERM without the right, ENOSPC at the limit of nested or counted namespaces, EINVAL for a kind
/// this kernel lacks or with several threads.
pub fn unshare(namespaces: Namespaces) -> Result<()> {
    // SAFETY: unshare(2) takes a plain number. CLONE_VM, CLONE_FILES and the like are not in the set.
    check(unsafe { libc::syscall(libc::SYS_unshare, namespaces.0) }, "unshare", || {
        format!("`{namespaces}`")
    })?;
    Ok(())
}

/// Joins namespaces, setns(2): `fd` is one namespace's file, or a pidfd (since 5.8), whose process's
/// namespaces of all the given kinds are joined at once.
///
/// # Errors
/// EPERM without the right over the target, EINVAL for a wrong kind, several threads, or one's own user namespace.
pub fn setns(fd: BorrowedFd<'_>, namespaces: Namespaces) -> Result<()> {
    // SAFETY: setns(2) takes an open descriptor and a number.
    check(unsafe { libc::syscall(libc::SYS_setns, fd.as_raw_fd(), namespaces.0) }, "setns", || {
        format!("`{namespaces}`")
    })?;
    Ok(())
}

/// The kind of the namespace that `fd` refers to, ioctl NS_GET_NSTYPE (since 4.11).
///
/// # Errors
/// ENOTTY if `fd` is not a namespace file.
pub fn kind_of(fd: BorrowedFd<'_>) -> Result<Namespaces> {
    const NS_GET_NSTYPE: libc::c_ulong = 0xb703;
    // SAFETY: NS_GET_NSTYPE takes no argument and writes no memory.
    let bits = check(
        libc::c_long::from(unsafe { libc::ioctl(fd.as_raw_fd(), NS_GET_NSTYPE as _) }),
        "ioctl(NS_GET_NSTYPE)",
        String::new,
    )?;
    let kind = Namespaces(bits as u64);
    if Namespaces::ALL.contains(kind) {
        Ok(kind)
    } else {
        Err(Error::new("ioctl(NS_GET_NSTYPE)", "", Errno(libc::EINVAL)))
    }
}

/// Names the UTS namespace's host, sethostname(2).
///
/// # Errors
/// EINVAL for a name over 64 bytes, EPERM without the right.
pub fn sethostname(name: &str) -> Result<()> {
    // SAFETY: pointer and length are of one live string.
    let done = unsafe { libc::sethostname(name.as_ptr().cast(), name.len()) };
    check(done.into(), "sethostname", || format!("`{name}`"))?;
    Ok(())
}

/// Names the UTS namespace's NIS domain, setdomainname(2).
///
/// # Errors
/// As [`sethostname`].
pub fn setdomainname(name: &str) -> Result<()> {
    // SAFETY: pointer and length are of one live string.
    let done = unsafe { libc::setdomainname(name.as_ptr().cast(), name.len()) };
    check(done.into(), "setdomainname", || format!("`{name}`"))?;
    Ok(())
}
