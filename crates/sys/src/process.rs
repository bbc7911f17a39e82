//! Processes: made with clone3(2), held by pidfd, waited for, signalled, turned into programs.

use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use crate::error::check;
use crate::ns::Namespaces;
use crate::{Errno, Error, Result};

/// A process id as this process's pid namespace counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pid(pub i32);

impl std::fmt::Display for Pid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// libc's constant of this name does not fit its type.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// A child and the descriptor that keeps its id from being reused unnoticed.
#[derive(Debug)]
pub struct Child {
    /// Its id in the caller's pid namespace.
    pub pid: Pid,
    /// Its pidfd (close-on-exec).
    pub pidfd: OwnedFd,
}

/// What [`clone3`] makes the child with.
#[derive(Debug, Clone, Copy, Default)]
pub struct Clone<'a> {
    /// New namespaces of the child.
    pub namespaces: Namespaces,
    /// The cgroup v2 directory the child starts in (since 5.7).
    pub cgroup: Option<BorrowedFd<'a>>,
    /// The child becomes the caller's sibling: its parent is the caller's parent.
    pub sibling: bool,
    /// The ids the child has, innermost pid namespace first (since 5.5; for restoring).
    pub set_tid: &'a [i32],
}

/// Makes a child, clone3(2) (since 5.3): `None` in the child, the child in the parent.
///
/// The child has a copy of this process's memory, as after fork(2).
///
/// # Errors
/// EPERM without the right to the namespaces, ENOSPC at a limit of namespaces, EAGAIN at a limit of
/// processes, EOPNOTSUPP or EBUSY for a cgroup that takes no process, EINVAL for a kind this kernel lacks.
///
/// # One thread
/// The process must have one thread: the child has only the calling one, and a lock that another
/// thread held stays locked for ever. taru's runtime never starts one.
pub fn clone3(how: &Clone<'_>) -> Result<Option<Child>> {
    let mut pidfd: i32 = -1;
    let mut flags = how.namespaces.bits() | libc::CLONE_PIDFD as u64;
    if how.cgroup.is_some() {
        flags |= CLONE_INTO_CGROUP;
    }
    if how.sibling {
        flags |= libc::CLONE_PARENT as u64;
    }
    // SAFETY: clone_args is plain numbers; zero means "not used" for every field.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = flags;
    args.pidfd = std::ptr::from_mut(&mut pidfd) as u64;
    // CLONE_PARENT takes over the caller's own exit signal and refuses another (EINVAL).
    args.exit_signal = if how.sibling { 0 } else { libc::SIGCHLD as u64 };
    args.cgroup = how.cgroup.map_or(0, |fd| fd.as_raw_fd() as u64);
    if !how.set_tid.is_empty() {
        args.set_tid = how.set_tid.as_ptr() as u64;
        args.set_tid_size = how.set_tid.len() as u64;
    }
    // SAFETY: without CLONE_VM the child runs on a copy of this memory, so every Rust object stays
    // valid in both; `args` and what it points to outlive the call.
    let pid = check(
        unsafe {
            libc::syscall(libc::SYS_clone3, std::ptr::from_mut(&mut args), size_of::<libc::clone_args>())
        },
        "clone3",
        || format!("`{}`", how.namespaces),
    )?;
    if pid == 0 {
        return Ok(None);
    }
    // SAFETY: the kernel stored a new descriptor for us before it returned to the parent.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    Ok(Some(Child { pid: Pid(pid as i32), pidfd }))
}

/// Opens the process `pid`, pidfd_open(2) (since 5.3). The caller makes sure that it is the one it means.
///
/// # Errors
/// ESRCH if there is none.
pub fn pidfd_open(pid: Pid) -> Result<OwnedFd> {
    // SAFETY: pidfd_open(2) takes numbers and returns a new descriptor (always close-on-exec).
    let fd =
        check(unsafe { libc::syscall(libc::SYS_pidfd_open, pid.0, 0) }, "pidfd_open", || format!("`{pid}`"))?;
    // SAFETY: the descriptor was just made and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// Sends a signal to the process behind `pidfd`, pidfd_send_signal(2) (since 5.1). Signal 0 only asks.
///
/// # Errors
/// ESRCH if it has ended, EPERM without the right.
pub fn pidfd_send_signal(pidfd: BorrowedFd<'_>, signal: i32) -> Result<()> {
    check(
        // SAFETY: a null siginfo makes the kernel fill it as kill(2) does.
        unsafe {
            libc::syscall(
                libc::SYS_pidfd_send_signal,
                pidfd.as_raw_fd(),
                signal,
                std::ptr::null::<libc::siginfo_t>(),
                0,
            )
        },
        "pidfd_send_signal",
        || format!("`{signal}`"),
    )?;
    Ok(())
}

/// Copies descriptor number `number` of the process behind `pidfd`, pidfd_getfd(2) (since 5.6).
///
/// # Errors
/// EPERM without ptrace rights, EBADF if it has no such descriptor.
pub fn pidfd_getfd(pidfd: BorrowedFd<'_>, number: i32) -> Result<OwnedFd> {
    // SAFETY: pidfd_getfd(2) takes numbers and returns a new descriptor (close-on-exec).
    let fd = check(
        unsafe { libc::syscall(libc::SYS_pidfd_getfd, pidfd.as_raw_fd(), number, 0) },
        "pidfd_getfd",
        || format!("`{number}`"),
    )?;
    // SAFETY: the descriptor was just made and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It called exit with this status.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
}

impl Exit {
    /// The status a shell would give: the code, or 128 and the signal.
    pub fn status(self) -> i32 {
        match self {
            Exit::Code(code) => code,
            Exit::Signal(signal) => 128 + signal,
        }
    }
}

fn waitid(which: libc::idtype_t, id: libc::id_t, options: i32) -> Result<Option<(Pid, Exit)>> {
    loop {
        // SAFETY: siginfo_t is plain data; waitid fills it.
        let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
        // SAFETY: `info` is valid for writing for the length of the call.
        let done = unsafe { libc::waitid(which, id, &mut info, options) };
        match check(done.into(), "waitid", String::new) {
            Err(e) if e.errno() == Errno(libc::EINTR) => continue,
            Err(e) => return Err(e),
            Ok(_) => {}
        }
        // SAFETY: after a successful waitid these fields of the union are the valid ones (or zero).
        let (pid, status) = unsafe { (info.si_pid(), info.si_status()) };
        if pid == 0 {
            return Ok(None);
        }
        let exit = if info.si_code == libc::CLD_EXITED { Exit::Code(status) } else { Exit::Signal(status) };
        return Ok(Some((Pid(pid), exit)));
    }
}

/// Waits for the child behind `pidfd` to end and reaps it, waitid(2) with P_PIDFD (since 5.4).
///
/// # Errors
/// ECHILD if it is no child of this process or was reaped.
pub fn wait_pidfd(pidfd: BorrowedFd<'_>) -> Result<Exit> {
    match waitid(libc::P_PIDFD, pidfd.as_raw_fd() as libc::id_t, libc::WEXITED)? {
        Some((_, exit)) => Ok(exit),
        None => Err(Error::new("waitid", "", Errno(libc::ECHILD))),
    }
}

/// Reaps any one child that has ended; `None` if none has, or there is no child.
///
/// # Errors
/// Any error of waitid(2) but ECHILD.
pub fn reap_any() -> Result<Option<(Pid, Exit)>> {
    match waitid(libc::P_ALL, 0, libc::WEXITED | libc::WNOHANG) {
        Err(e) if e.errno() == Errno(libc::ECHILD) => Ok(None),
        other => other,
    }
}

/// Any one child that has ended and is not reaped: its id, and that of the process group it leads, are still its own.
/// `None` if there is none. waitid(2) with WNOWAIT.
///
/// # Errors
/// Any error of waitid(2) but ECHILD.
pub fn ended_any() -> Result<Option<Pid>> {
    match waitid(libc::P_ALL, 0, libc::WEXITED | libc::WNOHANG | libc::WNOWAIT) {
        Err(e) if e.errno() == Errno(libc::ECHILD) => Ok(None),
        other => Ok(other?.map(|(pid, _)| pid)),
    }
}

/// Reaps the child `pid`; `None` if it still runs.
///
/// # Errors
/// ECHILD if it is no child of this process or was reaped.
pub fn reap(pid: Pid) -> Result<Option<Exit>> {
    let ended = waitid(libc::P_PID, pid.0.unsigned_abs(), libc::WEXITED | libc::WNOHANG)?;
    Ok(ended.map(|(_, exit)| exit))
}

/// Whether `pid` is a child of this process, running or not yet reaped.
pub fn is_child(pid: Pid) -> bool {
    let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    pid.0 > 0 && waitid(libc::P_PID, pid.0.unsigned_abs(), options).is_ok()
}

/// Like [`wait_pidfd`], but returns `None` at once if the child still runs.
///
/// # Errors
/// As [`wait_pidfd`].
pub fn try_wait_pidfd(pidfd: BorrowedFd<'_>) -> Result<Option<Exit>> {
    let ended = waitid(libc::P_PIDFD, pidfd.as_raw_fd() as libc::id_t, libc::WEXITED | libc::WNOHANG)?;
    Ok(ended.map(|(_, exit)| exit))
}

/// A program to be executed, made ready before the last moment: execve(2) itself then allocates nothing.
pub struct Program {
    path: CString,
    arguments: Vec<CString>,
    environment: Vec<CString>,
}

impl Program {
    /// A program at `path` with its arguments (the zeroth included) and its whole environment.
    ///
    /// # Errors
    /// EINVAL if a string holds a NUL byte.
    pub fn new(
        path: impl Into<Vec<u8>>,
        arguments: impl IntoIterator<Item = impl Into<Vec<u8>>>,
        environment: impl IntoIterator<Item = impl Into<Vec<u8>>>,
    ) -> Result<Program> {
        let nul = |_| Error::new("execve", "with a NUL byte in a string", Errno(libc::EINVAL));
        Ok(Program {
            path: CString::new(path).map_err(nul)?,
            arguments: arguments
                .into_iter()
                .map(CString::new)
                .collect::<std::result::Result<_, _>>()
                .map_err(nul)?,
            environment: environment
                .into_iter()
                .map(CString::new)
                .collect::<std::result::Result<_, _>>()
                .map_err(nul)?,
        })
    }

    /// The path that will be executed.
    pub fn path(&self) -> &CStr {
        &self.path
    }

    /// Turns this process into the program, execve(2). Returns only on failure.
    pub fn execve(&self) -> Error {
        let (arguments, environment) = (pointers(&self.arguments), pointers(&self.environment));
        // SAFETY: the path is a C string, both arrays end with a null pointer and point to C strings
        // that outlive the call.
        unsafe { libc::execve(self.path.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
        Error::new("execve", format!("`{}`", self.path.to_string_lossy()), crate::error::last())
    }

    /// Turns this process into the program file `fd`, execveat(2) with AT_EMPTY_PATH. Returns only on failure.
    pub fn execveat(&self, fd: BorrowedFd<'_>) -> Error {
        let (arguments, environment) = (pointers(&self.arguments), pointers(&self.environment));
        // SAFETY: as in `execve`; the path is empty, so `fd` itself is executed.
        unsafe {
            libc::syscall(
                libc::SYS_execveat,
                fd.as_raw_fd(),
                c"".as_ptr(),
                arguments.as_ptr(),
                environment.as_ptr(),
                libc::AT_EMPTY_PATH,
            )
        };
        Error::new("execveat", format!("`{}`", self.path.to_string_lossy()), crate::error::last())
    }
}

fn pointers(strings: &[CString]) -> Vec<*const libc::c_char> {
    strings.iter().map(|s| s.as_ptr()).chain(std::iter::once(std::ptr::null())).collect()
}

/// Ends this process at once: no destructor, no exit handler runs, as a child after clone3 must.
pub fn exit_now(status: i32) -> ! {
    // SAFETY: _exit(2) does not return and touches no memory of ours.
    unsafe { libc::_exit(status) }
}

/// This process's id in its own pid namespace.
pub fn getpid() -> Pid {
    // SAFETY: getpid(2) takes nothing. The raw call, because a library might cache across clone3.
    Pid(unsafe { libc::syscall(libc::SYS_getpid) } as i32)
}

/// The parent's id, 0 if it is outside this pid namespace.
pub fn getppid() -> Pid {
    // SAFETY: getppid(2) takes nothing.
    Pid(unsafe { libc::getppid() })
}

/// Makes a new session without a controlling terminal, setsid(2).
///
/// # Errors
/// EPERM if this process leads a process group already.
pub fn setsid() -> Result<()> {
    // SAFETY: setsid(2) takes nothing.
    check(unsafe { libc::setsid() }.into(), "setsid", String::new)?;
    Ok(())
}

/// The sessions's id of this process, getsid(2).
pub fn getsid() -> Pid {
    // SAFETY: getsid(2) of the caller itself cannot fail.
    Pid(unsafe { libc::getsid(0) })
}

/// Sends `signal` to the process group `group`.
///
/// # Errors
/// ESRCH if it has no process, EPERM without the right.
pub fn kill_group(group: Pid, signal: i32) -> Result<()> {
    // SAFETY: kill(2) takes numbers; a negative id means the group.
    check(unsafe { libc::kill(-group.0, signal) }.into(), "kill", || format!("`-{group}`"))?;
    Ok(())
}

/// Sets the file mode creation mask and returns the old one, umask(2).
pub fn umask(mask: u32) -> u32 {
    // SAFETY: umask(2) takes a number and cannot fail.
    unsafe { libc::umask(mask) }
}

fn prctl(option: i32, name: &'static str, argument: libc::c_ulong) -> Result<i32> {
    // SAFETY: every option used with this function takes one plain number; the rest are zero.
    let done =
        unsafe { libc::prctl(option, argument, 0 as libc::c_ulong, 0 as libc::c_ulong, 0 as libc::c_ulong) };
    check(done.into(), name, || format!("`{argument}`"))?;
    Ok(done)
}

/// Has the kernel send `signal` to this process when its parent ends, PR_SET_PDEATHSIG.
///
/// # Errors
/// EINVAL for a number that is no signal.
pub fn set_parent_death_signal(signal: i32) -> Result<()> {
    prctl(libc::PR_SET_PDEATHSIG, "prctl(PR_SET_PDEATHSIG)", signal as libc::c_ulong).map(drop)
}

/// Whether other processes of this user may trace this one and read its memory, PR_SET_DUMPABLE.
///
/// # Errors
/// None in practice.
pub fn set_dumpable(dumpable: bool) -> Result<()> {
    prctl(libc::PR_SET_DUMPABLE, "prctl(PR_SET_DUMPABLE)", dumpable.into()).map(drop)
}

/// execve(2) no longer grants rights to this process, for ever, PR_SET_NO_NEW_PRIVS.
///
/// # Errors
/// None in practice.
pub fn set_no_new_privs() -> Result<()> {
    prctl(libc::PR_SET_NO_NEW_PRIVS, "prctl(PR_SET_NO_NEW_PRIVS)", 1).map(drop)
}

/// Orphaned descendants become this process's children, PR_SET_CHILD_SUBREAPER.
///
/// # Errors
/// None in practice.
pub fn set_child_subreaper(on: bool) -> Result<()> {
    prctl(libc::PR_SET_CHILD_SUBREAPER, "prctl(PR_SET_CHILD_SUBREAPER)", on.into()).map(drop)
}

/// Permitted capabilities are kept when all user ids become non-zero, PR_SET_KEEPCAPS; cleared by execve(2).
///
/// # Errors
/// EPERM if the secure bits lock it.
pub fn set_keep_capabilities(keep: bool) -> Result<()> {
    prctl(libc::PR_SET_KEEPCAPS, "prctl(PR_SET_KEEPCAPS)", keep.into()).map(drop)
}

/// Sets the execution domain and returns the old one, personality(2).
///
/// # Errors
/// EINVAL for an unknown one.
pub fn personality(domain: u32) -> Result<u32> {
    // SAFETY: personality(2) takes a number.
    let old = unsafe { libc::personality(domain.into()) };
    check(old.into(), "personality", || format!("`{domain:#x}`"))?;
    Ok(old as u32)
}

/// The execution domain of 32-bit programs on a 64-bit kernel: uname(2) then names the 32-bit machine.
pub const PER_LINUX32: u32 = 0x0008;
/// The execution domain of native programs.
pub const PER_LINUX: u32 = 0;

/// The page size in bytes.
pub fn page_size() -> usize {
    // SAFETY: sysconf(3) takes a number.
    unsafe { libc::sysconf(libc::_SC_PAGESIZE) as usize }
}
