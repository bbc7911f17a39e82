//! What the worker gives up before it looks at foreign data.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use taru_mount::idmap::{IdMaps, Range, user_namespace};
use taru_mount::{Attr, Mount, MountAttr, Propagation, change};
use taru_rootdir::Proc;
use taru_seccomp::{Action, Arg, Op, Profile, Rule};
use taru_stdx::{Context, Error, Kind, Result};
use taru_sys::caps::{self, Capabilities, Sets};
use taru_sys::errno;

use super::wire::Map;
use taru_sys::fs::{self, CWD, OpenFlags};
use taru_sys::landlock::{self, AccessFs};
use taru_sys::mount::UmountFlags;
use taru_sys::process::{self, Pid};
use taru_sys::sched::{Limit, Resource, prlimit};

/// Calls the worker makes: on files, memory and its own threads. No socket is made, nothing executed, no other
/// process touched.
const CALLS: &[&str] = &[
    // Files.
    "openat",
    "openat2",
    "close",
    "read",
    "write",
    "pread64",
    "pwrite64",
    "readv",
    "writev",
    "lseek",
    "fstat",
    "newfstatat",
    "statx",
    "getdents64",
    "readlinkat",
    "mkdirat",
    "mknodat",
    "symlinkat",
    "linkat",
    "unlinkat",
    "renameat2",
    "fchmod",
    "fchmodat",
    "fchmodat2",
    "fchown",
    "fchownat",
    "utimensat",
    "ftruncate",
    "fallocate",
    "fchdir",
    "fsetxattr",
    "lsetxattr",
    "fgetxattr",
    "lgetxattr",
    "flistxattr",
    "llistxattr",
    "fremovexattr",
    "lremovexattr",
    "copy_file_range",
    "fcntl",
    "dup",
    "fadvise64",
    "fstatfs",
    "poll",
    "ppoll",
    // The conversation.
    "sendmsg",
    "recvmsg",
    // Memory.
    "brk",
    "mmap",
    "munmap",
    "mprotect",
    "mremap",
    "madvise",
    // Threads, and the end.
    "futex",
    "futex_wait",
    "futex_wake",
    "set_robust_list",
    "rseq",
    "sched_yield",
    "sched_getaffinity",
    "gettid",
    "getpid",
    "exit",
    "exit_group",
    "rt_sigprocmask",
    "rt_sigaction",
    "rt_sigreturn",
    "sigaltstack",
    "tgkill",
    "restart_syscall",
    "clock_gettime",
    "clock_nanosleep",
    "nanosleep",
    "getrandom",
    "set_tid_address",
    "membarrier",
    "prctl",
];

/// Bytes of private memory: twice what it should ever need.
const MEMORY: u64 = 128 << 20;

/// Makes `root`, a directory or an image, the root of this process, in its own mount namespace. Nothing lies above it.
/// `shift` maps the ids that files have there to those that are seen.
pub(super) fn enter(
    root: &Path,
    is_image: bool,
    shift: Option<(Map, Map)>,
    read_only: bool,
) -> Result<OwnedFd> {
    let what = || "make it the worker's root";
    let host = fs::openat(CWD, Path::new("/"), OpenFlags::PATH | OpenFlags::DIRECTORY, 0).context(what)?;
    let private = MountAttr { propagation: Some(Propagation::Private), ..MountAttr::default() };
    change(host.as_fd(), &private, true).context(what)?;
    // An image, a file, is mounted over the directory that it lies in.
    let at = if is_image { root.parent().unwrap_or(root) } else { root };
    let at = fs::openat(CWD, at, OpenFlags::PATH | OpenFlags::DIRECTORY, 0).context(what)?;
    let mount = match is_image {
        true => Mount::image(root, Attr::default()),
        false => Mount::bind(at.as_fd(), false),
    }
    .context(what)?;
    // In a user namespace restrictions of the host's mount cannot be taken away, only added to.
    let mut attributes = Attr::NOSUID | Attr::NODEV | Attr::NOEXEC;
    if read_only {
        attributes |= Attr::RDONLY;
    }
    mount.attributes(attributes, Attr::default(), false).context(what)?;
    if let Some((uids, gids)) = shift {
        let map =
            |map: Map| map.into_iter().map(|(inside, outside, length)| Range { inside, outside, length });
        let maps = IdMaps { uids: map(uids).collect(), gids: map(gids).collect() };
        let users = user_namespace(&Proc::open()?, &maps).context(what)?;
        mount.idmap(users.as_fd(), false).context(what)?;
    }
    let root = mount.attach(at).context(what)?;
    fs::fchdir(root.as_fd()).context(what)?;
    let here = Path::new(".");
    match fs::pivot_root(here, here) {
        // The host's root is the first of all mounts, as with an initramfs: that one cannot be put aside.
        Err(e) if e.errno() == errno::INVAL => {
            Mount::from_fd(root.try_clone().context(what)?).attach(host.as_fd()).context(what)?;
            fs::chroot(here).context(what)?;
        }
        done => {
            done.context(what)?;
            taru_sys::mount::umount2(here, UmountFlags::DETACH).context(what)?;
        }
    }
    fs::chdir(Path::new("/")).context(what)?;
    drop(host);
    fs::openat(CWD, Path::new("/"), OpenFlags::DIRECTORY, 0).context(what)
}

/// The directory `path` as a mount of its own that is attached nowhere and read-only: nothing lies above it either.
pub(super) fn view(path: &Path) -> Result<OwnedFd> {
    let what = || "open the tree to be copied";
    let dir = fs::openat(CWD, path, OpenFlags::PATH | OpenFlags::DIRECTORY, 0).context(what)?;
    let mount = Mount::bind(dir.as_fd(), false).context(what)?;
    let set = Attr::NOSUID | Attr::NODEV | Attr::NOEXEC | Attr::RDONLY;
    mount.attributes(set, Attr::default(), false).context(what)?;
    fs::openat(mount.as_fd(), Path::new("."), OpenFlags::DIRECTORY, 0).context(what)
}

/// Sets a resource limit, for ever.
pub(super) fn limit(name: &str, value: u64) -> Result<()> {
    let what = || format!("limit `{name}`");
    let resource = Resource::named(name).ok_or_else(|| Error::new(Kind::System, what()))?;
    let value = value.min(prlimit(Pid(0), resource, None).context(what)?.hard);
    prlimit(Pid(0), resource, Some(Limit { soft: value, hard: value })).map(drop).context(what)
}

/// Gives up all that is not needed below `root`. To be done before any thread is started: threads inherit it.
pub(super) fn confine(root: BorrowedFd<'_>, reads: Option<BorrowedFd<'_>>, keep: Capabilities) -> Result<()> {
    limit("data", MEMORY)?;
    limit("core", 0)?;
    limit("memlock", 0)?;
    limit("msgqueue", 0)?;
    caps::limit_bounding(keep).context(|| "give up capabilities")?;
    caps::capset(&Sets { effective: keep, permitted: keep, inheritable: Capabilities::default() })
        .context(|| "give up capabilities")?;
    process::set_no_new_privs().context(|| "give up privileges")?;
    let abi = landlock::abi();
    if abi > 0 {
        let all = AccessFs::all(abi).without(AccessFs::EXECUTE | AccessFs::IOCTL_DEV | AccessFs::MAKE_SOCK);
        let mut rules = vec![(root, all)];
        rules.extend(reads.map(|dir| (dir, AccessFs::READ_FILE | AccessFs::READ_DIR)));
        landlock::restrict(abi, &rules).context(|| "give up the rest of the file system")?;
    }
    taru_seccomp::load(&taru_seccomp::compile(&profile())?).map(drop)
}

fn rule(names: &[&str], action: Action, errno: Option<u32>, args: Vec<Arg>) -> Rule {
    Rule { names: names.iter().map(|name| (*name).to_owned()).collect(), action, errno, args }
}

/// The filter.
fn profile() -> Profile {
    const CLONE_THREAD: u64 = 0x0001_0000;
    const ENOSYS: u32 = 38;
    const FICLONE: u64 = 0x4004_9409;
    let mut profile = Profile::new(Action::Errno);
    let is_thread = Arg { index: 0, value: CLONE_THREAD, value_two: CLONE_THREAD, op: Op::MaskedEq };
    let is_clone_of_file = Arg { index: 1, value: FICLONE, value_two: 0, op: Op::Eq };
    profile.rules = vec![
        rule(CALLS, Action::Allow, None, Vec::new()),
        // clone3's flags lie in memory, where no filter sees them: the C library then falls back to clone.
        rule(&["clone3"], Action::Errno, Some(ENOSYS), Vec::new()),
        rule(&["clone"], Action::Allow, None, vec![is_thread]),
        rule(&["ioctl"], Action::Allow, None, vec![is_clone_of_file]),
    ];
    profile
}
