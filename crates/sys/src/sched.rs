//! Limits and priorities: rlimits, scheduling policy, CPU affinity, I/O priority, memory policy.

use crate::Result;
use crate::error::check;
use crate::process::Pid;

/// Resource limit names of setrlimit(2) and their numbers.
const RLIMITS: [(&str, u32); 16] = [
    ("RLIMIT_CPU", libc::RLIMIT_CPU),
    ("RLIMIT_FSIZE", libc::RLIMIT_FSIZE),
    ("RLIMIT_DATA", libc::RLIMIT_DATA),
    ("RLIMIT_STACK", libc::RLIMIT_STACK),
    ("RLIMIT_CORE", libc::RLIMIT_CORE),
    ("RLIMIT_RSS", libc::RLIMIT_RSS),
    ("RLIMIT_NPROC", libc::RLIMIT_NPROC),
    ("RLIMIT_NOFILE", libc::RLIMIT_NOFILE),
    ("RLIMIT_MEMLOCK", libc::RLIMIT_MEMLOCK),
    ("RLIMIT_AS", libc::RLIMIT_AS),
    ("RLIMIT_LOCKS", libc::RLIMIT_LOCKS),
    ("RLIMIT_SIGPENDING", libc::RLIMIT_SIGPENDING),
    ("RLIMIT_MSGQUEUE", libc::RLIMIT_MSGQUEUE),
    ("RLIMIT_NICE", libc::RLIMIT_NICE),
    ("RLIMIT_RTPRIO", libc::RLIMIT_RTPRIO),
    ("RLIMIT_RTTIME", libc::RLIMIT_RTTIME),
];

/// A kind of resource limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resource(u32);

impl Resource {
    /// How many descriptors a process may have, or rather one more than the highest.
    pub const NOFILE: Resource = Resource(libc::RLIMIT_NOFILE);

    /// The resource called `name`: `RLIMIT_NOFILE`, or `nofile` in any case.
    pub fn named(name: &str) -> Option<Resource> {
        let upper = name.to_ascii_uppercase();
        let bare = upper.strip_prefix("RLIMIT_").unwrap_or(&upper);
        RLIMITS.iter().find(|(known, _)| &known[7..] == bare).map(|(_, number)| Resource(*number))
    }

    /// Its name, `RLIMIT_NOFILE`.
    pub fn name(self) -> &'static str {
        RLIMITS.iter().find(|(_, number)| *number == self.0).map_or("RLIMIT_?", |(name, _)| name)
    }
}

/// A soft and a hard limit; [`u64::MAX`] is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// In force.
    pub soft: u64,
    /// The ceiling of the soft one.
    pub hard: u64,
}

/// Replaces (where `new` is given) and returns a limit of process `pid` (0 is the caller), prlimit(2).
///
/// # Errors
/// EPERM for a higher hard limit without CAP_SYS_RESOURCE, EINVAL for soft over hard.
pub fn prlimit(pid: Pid, resource: Resource, new: Option<Limit>) -> Result<Limit> {
    let raw = new.map(|l| libc::rlimit64 { rlim_cur: l.soft, rlim_max: l.hard });
    let mut old = libc::rlimit64 { rlim_cur: 0, rlim_max: 0 };
    let new_pointer = raw.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    check(
        // SAFETY: the new limit is null or live, the old one is live and writable.
        unsafe {
            libc::syscall(libc::SYS_prlimit64, pid.0, resource.0, new_pointer, std::ptr::from_mut(&mut old))
        },
        "prlimit",
        || format!("`{}`", resource.name()),
    )?;
    Ok(Limit { soft: old.rlim_cur, hard: old.rlim_max })
}

/// The arguments of sched_setattr(2).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Attributes {
    size: u32,
    /// `SCHED_...`.
    pub policy: u32,
    /// `SCHED_FLAG_...`.
    pub flags: u64,
    /// -20 to 19.
    pub nice: i32,
    /// For FIFO and RR.
    pub priority: u32,
    /// Nanoseconds, for DEADLINE.
    pub runtime: u64,
    /// Nanoseconds, for DEADLINE.
    pub deadline: u64,
    /// Nanoseconds, for DEADLINE.
    pub period: u64,
}

/// Policies of sched_setattr(2), each at its number.
const POLICIES: [&str; 7] =
    ["SCHED_OTHER", "SCHED_FIFO", "SCHED_RR", "SCHED_BATCH", "SCHED_ISO", "SCHED_IDLE", "SCHED_DEADLINE"];

/// The number of a policy of sched_setattr(2) by name, `SCHED_BATCH`.
pub fn policy_named(name: &str) -> Option<u32> {
    POLICIES.iter().position(|known| *known == name).map(|number| number as u32)
}

/// The bit of a flag of sched_setattr(2) by name, `SCHED_FLAG_RESET_ON_FORK`.
pub fn flag_named(name: &str) -> Option<u64> {
    Some(match name {
        "SCHED_FLAG_RESET_ON_FORK" => 0x01,
        "SCHED_FLAG_RECLAIM" => 0x02,
        "SCHED_FLAG_DL_OVERRUN" => 0x04,
        "SCHED_FLAG_KEEP_POLICY" => 0x08,
        "SCHED_FLAG_KEEP_PARAMS" => 0x10,
        "SCHED_FLAG_UTIL_CLAMP_MIN" => 0x20,
        "SCHED_FLAG_UTIL_CLAMP_MAX" => 0x40,
        _ => return None,
    })
}

/// Sets policy and parameters of the calling thread, sched_setattr(2) (since 3.14).
///
/// # Errors
/// EPERM without CAP_SYS_NICE where it takes that, EINVAL for parameters the policy does not have.
pub fn sched_setattr(attributes: &Attributes) -> Result<()> {
    let sized = Attributes { size: size_of::<Attributes>() as u32, ..*attributes };
    check(
        // SAFETY: the struct is live and its size field says how long it is.
        unsafe { libc::syscall(libc::SYS_sched_setattr, 0, std::ptr::from_ref(&sized), 0) },
        "sched_setattr",
        || format!("`{}`", POLICIES.get(attributes.policy as usize).unwrap_or(&"SCHED_?")),
    )?;
    Ok(())
}

/// Sets class and level of the calling thread, ioprio_set(2). Classes: 1 realtime, 2 best effort, 3 idle.
///
/// # Errors
/// EPERM for realtime without CAP_SYS_NICE or CAP_SYS_ADMIN, EINVAL for a level over 7.
pub fn ioprio_set(class: u32, level: u32) -> Result<()> {
    const WHO_PROCESS: libc::c_int = 1;
    check(
        // SAFETY: ioprio_set(2) takes numbers.
        unsafe { libc::syscall(libc::SYS_ioprio_set, WHO_PROCESS, 0, (class << 13) | level) },
        "ioprio_set",
        || format!("`{class}/{level}`"),
    )?;
    Ok(())
}

/// Has process `pid` (0 is the caller) run on the CPUs whose bits are set in `mask`, 64 a word.
///
/// # Errors
/// EINVAL if none of them is online and allowed.
pub fn sched_setaffinity(pid: Pid, mask: &[u64]) -> Result<()> {
    check(
        // SAFETY: pointer and length (in bytes) are of one live slice.
        unsafe { libc::syscall(libc::SYS_sched_setaffinity, pid.0, size_of_val(mask), mask.as_ptr()) },
        "sched_setaffinity",
        || format!("`{mask:x?}`"),
    )?;
    Ok(())
}

/// The bits of a mode (with its flags) of set_mempolicy(2) by name, `MPOL_BIND` or `MPOL_F_STATIC_NODES`.
pub fn memory_policy_named(name: &str) -> Option<u32> {
    Some(match name {
        "MPOL_DEFAULT" => 0,
        "MPOL_PREFERRED" => 1,
        "MPOL_BIND" => 2,
        "MPOL_INTERLEAVE" => 3,
        "MPOL_LOCAL" => 4,
        "MPOL_PREFERRED_MANY" => 5,
        "MPOL_WEIGHTED_INTERLEAVE" => 6,
        "MPOL_F_NUMA_BALANCING" => 1 << 13,
        "MPOL_F_RELATIVE_NODES" => 1 << 14,
        "MPOL_F_STATIC_NODES" => 1 << 15,
        _ => return None,
    })
}

/// Sets the memory policy of the calling thread for the nodes in `nodes`, 64 a word, set_mempolicy(2).
///
/// # Errors
/// EINVAL for nodes that are not online or do not fit the mode, ENOSYS on a kernel without NUMA.
pub fn set_mempolicy(mode: u32, nodes: &[u64]) -> Result<()> {
    // The kernel takes one bit less than it is told (an old mistake that became the interface).
    let bits = if nodes.is_empty() { 0 } else { nodes.len() * 64 + 1 };
    let pointer = if nodes.is_empty() { std::ptr::null() } else { nodes.as_ptr() };
    // SAFETY: null with length 0, or a live slice with as many bits as said.
    check(unsafe { libc::syscall(libc::SYS_set_mempolicy, mode, pointer, bits) }, "set_mempolicy", || {
        format!("`{mode:#x}`")
    })?;
    Ok(())
}
