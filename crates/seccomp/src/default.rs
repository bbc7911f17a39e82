//! The profile of a container that was given none: an allow-list.
//!
//! What is refused and why stands in `docs/seccomp.md`. In short: nothing that makes or enters namespaces,
//! mounts, loads code into the kernel or traces it (`bpf`, `perf_event_open`, `io_uring`, `userfaultfd`), no
//! keyrings, which know no namespaces, and only the socket families that ordinary programs use. A capability
//! opens the calls it is for.
//!
//! The profile uses only what an OCI configuration can say, so that it can be written down with
//! [`Profile::to_json`] and used by any runtime.

use taru_sys::caps::Capabilities;
use taru_sys::seccomp::flag;

use crate::arch::Arch;
use crate::profile::{Action, Arg, Op, Profile, Rule};

/// Calls that every container may make, with any arguments.
///
/// Names that only some architectures have stand beside their siblings.
#[rustfmt::skip]
const ALLOWED: &[&str] = &[
    // Files by name.
    "access", "chdir", "chmod", "chown", "chown32", "creat", "faccessat", "faccessat2", "fchdir", "fchmodat",
    "fchmodat2", "fchownat", "file_getattr", "file_setattr", "fstatat64", "futimesat", "getcwd", "getxattr",
    "getxattrat", "lchown", "lchown32", "lgetxattr", "link", "linkat", "listxattr", "listxattrat", "llistxattr",
    "lremovexattr", "lsetxattr", "lstat", "lstat64", "mkdir", "mkdirat", "mknod", "mknodat", "name_to_handle_at",
    "newfstatat", "oldlstat", "oldstat", "open", "openat", "openat2", "readlink", "readlinkat", "removexattr",
    "removexattrat", "rename", "renameat", "renameat2", "rmdir", "setxattr", "setxattrat", "stat", "stat64",
    "statfs", "statfs64", "statx", "symlink", "symlinkat", "truncate", "truncate64", "umask", "unlink",
    "unlinkat", "utime", "utimensat", "utimensat_time64", "utimes",
    // Open files.
    "_llseek", "arm_fadvise64_64", "arm_sync_file_range", "cachestat", "close", "close_range",
    "copy_file_range", "dup", "dup2", "dup3", "fadvise64", "fadvise64_64", "fallocate", "fchmod", "fchown",
    "fchown32", "fcntl", "fcntl64", "fdatasync", "fgetxattr", "flistxattr", "flock", "fremovexattr",
    "fsetxattr", "fstat", "fstat64", "fstatfs", "fstatfs64", "fsync", "ftruncate", "ftruncate64", "getdents",
    "getdents64", "ioctl", "lseek", "oldfstat", "pipe", "pipe2", "pread64", "preadv", "preadv2", "pwrite64",
    "pwritev", "pwritev2", "read", "readahead", "readdir", "readv", "sendfile", "sendfile64", "splice", "sync",
    "sync_file_range", "sync_file_range2", "syncfs", "tee", "vmsplice", "write", "writev",
    // Waiting for files, and being told of changes.
    "_newselect", "epoll_create", "epoll_create1", "epoll_ctl", "epoll_ctl_old", "epoll_pwait", "epoll_pwait2",
    "epoll_wait", "epoll_wait_old", "eventfd", "eventfd2", "fanotify_mark", "inotify_add_watch",
    "inotify_init", "inotify_init1", "inotify_rm_watch", "poll", "ppoll", "ppoll_time64", "pselect6",
    "pselect6_time64", "select", "signalfd", "signalfd4", "timerfd", "timerfd_create", "timerfd_gettime",
    "timerfd_gettime64", "timerfd_settime", "timerfd_settime64",
    // Asynchronous I/O of the old kind; io_uring is refused.
    "io_cancel", "io_destroy", "io_getevents", "io_pgetevents", "io_pgetevents_time64", "io_setup", "io_submit",
    // Memory.
    "brk", "get_mempolicy", "madvise", "map_shadow_stack", "membarrier", "memfd_create", "memfd_secret",
    "mincore", "mlock", "mlock2", "mlockall", "mmap", "mmap2", "mprotect", "mremap", "mseal", "msync", "munlock",
    "munlockall", "munmap", "pkey_alloc", "pkey_free", "pkey_mprotect", "process_madvise", "process_mrelease",
    "remap_file_pages", "cacheflush", "cachectl", "riscv_flush_icache",
    // Processes and threads. clone and unshare are below, clone3 cannot be judged by its arguments.
    "arch_prctl", "breakpoint", "execve", "execveat", "exit", "exit_group", "fork", "futex", "futex_requeue",
    "futex_time64", "futex_wait", "futex_waitv", "futex_wake", "get_robust_list", "get_thread_area", "getpgid",
    "getpgrp", "getpid", "getppid", "getsid", "gettid", "pidfd_open", "pidfd_send_signal", "prctl", "ptrace",
    "process_vm_readv", "process_vm_writev", "restart_syscall", "riscv_hwprobe", "rseq", "set_robust_list",
    "set_thread_area", "set_tid_address", "set_tls", "setpgid", "setsid", "uprobe", "uretprobe", "vfork",
    "wait4", "waitid", "waitpid",
    // Their scheduling and limits; the kernel asks for capabilities where it matters.
    "getcpu", "getpriority", "getrlimit", "getrusage", "ioprio_get", "ioprio_set", "nice", "prlimit64",
    "sched_get_priority_max", "sched_get_priority_min", "sched_getaffinity", "sched_getattr", "sched_getparam",
    "sched_getscheduler", "sched_rr_get_interval", "sched_rr_get_interval_time64", "sched_setaffinity",
    "sched_setattr", "sched_setparam", "sched_setscheduler", "sched_yield", "setpriority", "setrlimit", "times",
    "ugetrlimit",
    // Identity, and giving up rights.
    "capget", "capset", "getegid", "getegid32", "geteuid", "geteuid32", "getgid", "getgid32", "getgroups",
    "getgroups32", "getresgid", "getresgid32", "getresuid", "getresuid32", "getuid", "getuid32",
    "landlock_add_rule", "landlock_create_ruleset", "landlock_restrict_self", "lsm_get_self_attr",
    "lsm_list_modules", "lsm_set_self_attr", "seccomp", "setfsgid", "setfsgid32", "setfsuid", "setfsuid32",
    "setgid", "setgid32", "setgroups", "setgroups32", "setregid", "setregid32", "setresgid", "setresgid32",
    "setresuid", "setresuid32", "setreuid", "setreuid32", "setuid", "setuid32",
    // Signals.
    "alarm", "getitimer", "kill", "pause", "rt_sigaction", "rt_sigpending", "rt_sigprocmask", "rt_sigqueueinfo",
    "rt_sigreturn", "rt_sigsuspend", "rt_sigtimedwait", "rt_sigtimedwait_time64", "rt_tgsigqueueinfo",
    "setitimer", "sgetmask", "sigaction", "sigaltstack", "signal", "sigpending", "sigprocmask", "sigreturn",
    "sigsuspend", "ssetmask", "tgkill", "tkill",
    // Time. adjtimex reads for everybody, and the kernel asks for CAP_SYS_TIME to write.
    "adjtimex", "clock_getres", "clock_getres_time64", "clock_gettime", "clock_gettime64", "clock_nanosleep",
    "clock_nanosleep_time64", "gettimeofday", "nanosleep", "time", "timer_create", "timer_delete",
    "timer_getoverrun", "timer_gettime", "timer_gettime64", "timer_settime", "timer_settime64",
    // Sockets, once there is one: socket and socketpair are below.
    "accept", "accept4", "bind", "connect", "getpeername", "getsockname", "getsockopt", "listen", "recv",
    "recvfrom", "recvmmsg", "recvmmsg_time64", "recvmsg", "send", "sendmmsg", "sendmsg", "sendto", "setsockopt",
    "shutdown",
    // Queues, semaphores and shared memory; they live in the IPC namespace.
    "ipc", "mq_getsetattr", "mq_notify", "mq_open", "mq_timedreceive", "mq_timedreceive_time64", "mq_timedsend",
    "mq_timedsend_time64", "mq_unlink", "msgctl", "msgget", "msgrcv", "msgsnd", "semctl", "semget", "semop",
    "semtimedop", "semtimedop_time64", "shmat", "shmctl", "shmdt", "shmget",
    // The system, read only.
    "getrandom", "listmount", "olduname", "statmount", "sysinfo", "uname",
];

/// What a capability opens.
#[rustfmt::skip]
const BY_CAPABILITY: &[(&str, &[&str])] = &[
    ("SYS_ADMIN", &[
        "bpf", "clone", "clone3", "fanotify_init", "fsconfig", "fsmount", "fsopen", "fspick", "mount",
        "mount_setattr", "move_mount", "open_tree", "open_tree_attr", "perf_event_open", "pivot_root", "quotactl",
        "quotactl_fd", "setdomainname", "sethostname", "setns", "syslog", "umount", "umount2", "unshare",
    ]),
    ("SYS_PTRACE", &["kcmp", "pidfd_getfd"]),
    ("SYS_CHROOT", &["chroot"]),
    ("SYS_TIME", &["clock_adjtime", "clock_adjtime64", "clock_settime", "clock_settime64", "settimeofday", "stime"]),
    ("SYS_NICE", &["mbind", "migrate_pages", "move_pages", "set_mempolicy", "set_mempolicy_home_node"]),
    ("SYS_MODULE", &["delete_module", "finit_module", "init_module"]),
    ("SYS_BOOT", &["reboot"]),
    ("SYS_PACCT", &["acct"]),
    ("SYS_TTY_CONFIG", &["vhangup"]),
    ("SYS_RAWIO", &["ioperm", "iopl"]),
    ("SYSLOG", &["syslog"]),
    ("BPF", &["bpf"]),
    ("PERFMON", &["perf_event_open"]),
    ("DAC_READ_SEARCH", &["open_by_handle_at"]),
];

const ENOSYS: u32 = 38;
const EPROTONOSUPPORT: u32 = 93;
const EAFNOSUPPORT: u32 = 97;

/// All CLONE_NEW flags that clone(2) knows; CLONE_NEWTIME is one only for unshare(2).
const CLONE_NEW: u64 = 0x7e02_0000;
const CLONE_NEWTIME: u64 = 0x80;

/// Socket families of sys/socket.h.
const AF_UNIX: u64 = 1;
const AF_INET: u64 = 2;
const AF_INET6: u64 = 10;
const AF_NETLINK: u64 = 16;
const AF_PACKET: u64 = 17;

/// The default profile of a container with the capabilities `caps`.
///
/// ```
/// use taru_seccomp::{compile, default_profile};
/// use taru_sys::caps::Capabilities;
///
/// let program = compile(&default_profile(Capabilities::NONE))?;
/// assert!(program.filters().len() < 600);
/// # Ok::<(), taru_stdx::Error>(())
/// ```
pub fn default_profile(caps: Capabilities) -> Profile {
    let has = |name: &str| Capabilities::named(name).is_some_and(|cap| caps.contains(cap));
    let mut profile = Profile::new(Action::Errno);
    profile.architectures = match Arch::NATIVE {
        Arch::X86_64 => vec![Arch::X86_64, Arch::X86],
        Arch::Aarch64 => vec![Arch::Aarch64, Arch::Arm],
        other => vec![other],
    };
    profile.flags = flag::SPEC_ALLOW; // as without a word about flags in a profile from outside
    let rules = &mut profile.rules;
    rules.push(allow(ALLOWED));
    for (_, calls) in BY_CAPABILITY.iter().filter(|(cap, _)| has(cap)) {
        rules.push(allow(calls));
    }
    if !has("SYS_ADMIN") {
        // A new thread or process, but no namespace. The flags of clone3 are in memory, where a filter cannot
        // see them: with ENOSYS every libc takes clone.
        rules.push(allow_if(&["clone"], vec![arg(0, Op::MaskedEq, CLONE_NEW, 0)]));
        rules.push(allow_if(&["unshare"], vec![arg(0, Op::MaskedEq, CLONE_NEW | CLONE_NEWTIME, 0)]));
        rules.push(refuse(&["clone3"], ENOSYS, vec![]));
    }
    // 0 is Linux; 0x8 a 32-bit machine's name (linux32), 0x20000 the version 2.6 (uname26); all ones only
    // asks, with the argument zero- or sign-extended. The rest weakens the memory layout.
    for persona in [0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff, u64::MAX] {
        rules.push(allow_if(&["personality"], vec![arg(0, Op::Eq, persona, 0)]));
    }
    sockets(rules, &has);
    profile
}

/// Sockets by an allow-list of families. What is refused fails as on a kernel without it, so that programs
/// that try and fall back (audit, cryptography) do so.
fn sockets(rules: &mut Vec<Rule>, has: &dyn Fn(&str) -> bool) {
    // The 32-bit multiplexer takes the family from memory. Its users meet a kernel that has only the direct
    // calls (4.3). First, because a rule for `socket` would open it again.
    rules.push(refuse(&["socketcall"], ENOSYS, vec![]));
    let mut families = vec![AF_UNIX, AF_INET, AF_INET6, AF_NETLINK];
    if has("NET_RAW") {
        families.push(AF_PACKET);
    }
    for family in families.iter().filter(|family| **family != AF_NETLINK) {
        rules.push(allow_if(&["socket"], vec![arg(0, Op::Eq, *family, 0)]));
    }
    rules.push(allow_if(&["socketpair"], vec![arg(0, Op::Eq, AF_UNIX, 0)]));
    // NETLINK_ROUTE (0) is how libc lists interfaces. The others by the capability whose tools need them:
    // SOCK_DIAG (4), XFRM (6), NETFILTER (12) and GENERIC (16) set up networks, AUDIT (9) writes audit records.
    let mut protocols = vec![0];
    if has("NET_ADMIN") {
        protocols.extend([4, 6, 12, 16]);
    }
    if has("AUDIT_WRITE") || has("AUDIT_CONTROL") || has("AUDIT_READ") {
        protocols.push(9);
    }
    for protocol in &protocols {
        let netlink = vec![arg(0, Op::Eq, AF_NETLINK, 0), arg(2, Op::Eq, *protocol, 0)];
        rules.push(allow_if(&["socket"], netlink));
    }
    for other in complement(&protocols) {
        let netlink = vec![arg(0, Op::Eq, AF_NETLINK, 0), Arg { index: 2, ..other }];
        rules.push(refuse(&["socket"], EPROTONOSUPPORT, netlink));
    }
    for other in complement(&families) {
        rules.push(refuse(&["socket"], EAFNOSUPPORT, vec![other]));
    }
}

/// Conditions on argument 0, one of which holds for every number that is not in `numbers` (all below 64):
/// aligned blocks of powers of two, and all from 64 on.
fn complement(numbers: &[u64]) -> Vec<Arg> {
    let mut conditions = vec![arg(0, Op::Ge, 64, 0)];
    let mut start = 0;
    while start < 64 {
        let free =
            |size: u64| start % size == 0 && !numbers.iter().any(|n| (start..start + size).contains(n));
        match [64, 32, 16, 8, 4, 2, 1].into_iter().find(|size| free(*size)) {
            Some(size) => {
                conditions.push(arg(0, Op::MaskedEq, !(size - 1), start));
                start += size;
            }
            None => start += 1,
        }
    }
    conditions
}

fn arg(index: u32, op: Op, value: u64, value_two: u64) -> Arg {
    Arg { index, value, value_two, op }
}

fn allow(names: &[&str]) -> Rule {
    allow_if(names, vec![])
}

fn allow_if(names: &[&str], args: Vec<Arg>) -> Rule {
    Rule { names: names.iter().map(|n| (*n).to_owned()).collect(), action: Action::Allow, errno: None, args }
}

fn refuse(names: &[&str], errno: u32, args: Vec<Arg>) -> Rule {
    Rule { action: Action::Errno, errno: Some(errno), ..allow_if(names, args) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syscall::Syscall;

    #[test]
    fn every_name_is_known_and_said_once() {
        let mut seen = std::collections::BTreeSet::new();
        for name in ALLOWED {
            assert!(Syscall::find(name).is_some(), "{name}");
            assert!(seen.insert(name), "{name} twice");
        }
        for (cap, calls) in BY_CAPABILITY {
            assert!(Capabilities::named(cap).is_some(), "{cap}");
            for name in *calls {
                assert!(Syscall::find(name).is_some(), "{name}");
                assert!(!seen.contains(name), "{name} needs {cap} and is allowed to all");
            }
        }
    }

    #[test]
    fn a_complement_misses_nothing() {
        let listed = [1, 2, 10, 16, 17];
        let conditions = complement(&listed);
        for number in (0..200).chain([1 << 32, (1 << 32) | 1, u64::MAX]) {
            let holds = |a: &Arg| match a.op {
                Op::Ge => number >= a.value,
                _ => number & a.value == a.value_two,
            };
            assert_eq!(conditions.iter().any(holds), !listed.contains(&number), "{number}");
        }
    }
}
