//! Capabilities: the five sets of capabilities(7).

use crate::error::check;
use crate::{Result, errno};

/// A set of capabilities, bit n for number n.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Capabilities(pub u64);

/// The names by number; the kernel of 5.9 and later knows all of them.
const NAMES: [&str; 41] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

impl Capabilities {
    /// No capability.
    pub const NONE: Capabilities = Capabilities(0);

    /// The capability called `name`, with or without `CAP_`, in any case.
    pub fn named(name: &str) -> Option<Capabilities> {
        let upper = name.to_ascii_uppercase();
        let bare = upper.strip_prefix("CAP_").unwrap_or(&upper);
        let number = NAMES.iter().position(|known| &known[4..] == bare)?;
        Some(Capabilities(1 << number))
    }

    /// Every capability this crate has a name for.
    pub fn all_known() -> Capabilities {
        Capabilities((1 << NAMES.len()) - 1)
    }

    /// Whether all of `other` is in this set.
    pub fn contains(self, other: Capabilities) -> bool {
        self.0 & other.0 == other.0
    }

    /// The names of this set, in order.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        NAMES.iter().enumerate().filter(move |(n, _)| self.0 & (1 << n) != 0).map(|(_, name)| *name)
    }
}

impl std::ops::BitOr for Capabilities {
    type Output = Capabilities;
    fn bitor(self, other: Capabilities) -> Capabilities {
        Capabilities(self.0 | other.0)
    }
}

impl std::ops::BitAnd for Capabilities {
    type Output = Capabilities;
    fn bitand(self, other: Capabilities) -> Capabilities {
        Capabilities(self.0 & other.0)
    }
}

impl std::fmt::Debug for Capabilities {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// Effective, permitted and inheritable set of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sets {
    /// In force.
    pub effective: Capabilities,
    /// May be put in force.
    pub permitted: Capabilities,
    /// A file's inheritable set may keep these.
    pub inheritable: Capabilities,
}

#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Data {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// _LINUX_CAPABILITY_VERSION_3: 64-bit sets as two halves.
const VERSION: u32 = 0x2008_0522;

/// This thread's sets, capget(2).
///
/// # Errors
/// None in practice.
pub fn capget() -> Result<Sets> {
    let mut header = Header { version: VERSION, pid: 0 };
    let mut data = [Data::default(); 2];
    check(
        // SAFETY: version 3 takes a header and two data structs; both are live and writable.
        unsafe { libc::syscall(libc::SYS_capget, std::ptr::from_mut(&mut header), data.as_mut_ptr()) },
        "capget",
        String::new,
    )?;
    let join =
        |half: fn(&Data) -> u32| Capabilities(u64::from(half(&data[0])) | u64::from(half(&data[1])) << 32);
    Ok(Sets {
        effective: join(|d| d.effective),
        permitted: join(|d| d.permitted),
        inheritable: join(|d| d.inheritable),
    })
}

/// Replaces this thread's sets, capset(2).
///
/// # Errors
/// EPERM for a permitted or inheritable capability the thread may not have.
pub fn capset(sets: &Sets) -> Result<()> {
    let mut header = Header { version: VERSION, pid: 0 };
    let half = |shift: u32| Data {
        effective: (sets.effective.0 >> shift) as u32,
        permitted: (sets.permitted.0 >> shift) as u32,
        inheritable: (sets.inheritable.0 >> shift) as u32,
    };
    let data = [half(0), half(32)];
    check(
        // SAFETY: version 3 takes a header and two data structs; both are live.
        unsafe { libc::syscall(libc::SYS_capset, std::ptr::from_mut(&mut header), data.as_ptr()) },
        "capset",
        || format!("`{sets:x?}`"),
    )?;
    Ok(())
}

fn cap_prctl(option: i32, name: &'static str, second: libc::c_ulong, third: libc::c_ulong) -> Result<i32> {
    // SAFETY: the capability options of prctl(2) take plain numbers.
    let done = unsafe { libc::prctl(option, second, third, 0 as libc::c_ulong, 0 as libc::c_ulong) };
    check(done.into(), name, || format!("`{}`", if third == 0 { second } else { third }))?;
    Ok(done)
}

/// The number of the highest capability the running kernel has.
pub fn last() -> u32 {
    // A kernel newer than this crate has more; beyond the last one the call fails with EINVAL.
    let mut number = NAMES.len() as u32 - 1;
    while number > 0 && cap_prctl(libc::PR_CAPBSET_READ, "prctl(PR_CAPBSET_READ)", number.into(), 0).is_err()
    {
        number -= 1;
    }
    while number < 63
        && cap_prctl(libc::PR_CAPBSET_READ, "prctl(PR_CAPBSET_READ)", (number + 1).into(), 0).is_ok()
    {
        number += 1;
    }
    number
}

/// The bounding set of this thread, PR_CAPBSET_READ for each number.
pub fn bounding() -> Capabilities {
    let mut set = 0;
    for number in 0..64 {
        match cap_prctl(libc::PR_CAPBSET_READ, "prctl(PR_CAPBSET_READ)", number, 0) {
            Ok(1) => set |= 1 << number,
            Ok(_) => {}
            Err(_) => break,
        }
    }
    Capabilities(set)
}

/// Takes every capability that is not in `keep` out of the bounding set, PR_CAPBSET_DROP.
///
/// # Errors
/// EPERM without CAP_SETPCAP.
pub fn limit_bounding(keep: Capabilities) -> Result<()> {
    for number in 0..64u64 {
        if keep.0 & (1 << number) != 0 {
            continue;
        }
        match cap_prctl(libc::PR_CAPBSET_DROP, "prctl(PR_CAPBSET_DROP)", number, 0) {
            // Past the kernel's last capability.
            Err(e) if e.errno() == errno::INVAL => break,
            Err(e) => return Err(e),
            Ok(_) => {}
        }
    }
    Ok(())
}

/// Makes the ambient set exactly `set`, PR_CAP_AMBIENT (since 4.3). Each must be permitted and inheritable.
///
/// # Errors
/// EPERM for one that is not.
pub fn replace_ambient(set: Capabilities) -> Result<()> {
    const NAME: &str = "prctl(PR_CAP_AMBIENT)";
    cap_prctl(libc::PR_CAP_AMBIENT, NAME, libc::PR_CAP_AMBIENT_CLEAR_ALL as libc::c_ulong, 0)?;
    for number in (0..64).filter(|n| set.0 & (1 << n) != 0) {
        cap_prctl(libc::PR_CAP_AMBIENT, NAME, libc::PR_CAP_AMBIENT_RAISE as libc::c_ulong, number)?;
    }
    Ok(())
}

/// The ambient set of this thread.
pub fn ambient() -> Capabilities {
    let is_set = |number: u64| {
        let is_set = libc::PR_CAP_AMBIENT_IS_SET as libc::c_ulong;
        matches!(cap_prctl(libc::PR_CAP_AMBIENT, "prctl(PR_CAP_AMBIENT)", is_set, number), Ok(1))
    };
    Capabilities((0..64).filter(|n| is_set(*n)).fold(0, |set, n| set | 1 << n))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_agree_with_the_kernel() {
        assert_eq!(Capabilities::named("CAP_SYS_ADMIN"), Some(Capabilities(1 << 21)));
        assert_eq!(Capabilities::named("checkpoint_restore"), Some(Capabilities(1 << 40)));
        assert_eq!(Capabilities::named("CAP_NOPE"), None);
        assert_eq!(Capabilities(0b11).names().collect::<Vec<_>>(), ["CAP_CHOWN", "CAP_DAC_OVERRIDE"]);
        let text = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = |key: &str| {
            let line = text.lines().find(|l| l.starts_with(key)).unwrap();
            Capabilities(u64::from_str_radix(line.split_whitespace().nth(1).unwrap(), 16).unwrap())
        };
        let sets = capget().unwrap();
        assert_eq!(sets.effective, line("CapEff"));
        assert_eq!(sets.permitted, line("CapPrm"));
        assert_eq!(sets.inheritable, line("CapInh"));
        assert_eq!(bounding(), line("CapBnd"));
        assert_eq!(ambient(), line("CapAmb"));
        let kernel: u32 =
            std::fs::read_to_string("/proc/sys/kernel/cap_last_cap").unwrap().trim().parse().unwrap();
        assert_eq!(last(), kernel);
    }
}
