//! seccomp(2): filters over system calls, and the listener that answers for them.
//!
//! Source: seccomp(2), seccomp_unotify(2), `linux/seccomp.h` and `linux/filter.h`.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use crate::error::{Result, check, errno};

/// One instruction of classic BPF, as `struct sock_filter` has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(C)]
pub struct Filter {
    /// The operation and its addressing.
    pub code: u16,
    /// How many instructions to skip when a conditional jump is taken.
    pub jt: u8,
    /// How many when it is not.
    pub jf: u8,
    /// The operand.
    pub k: u32,
}

/// The flags of [`set_mode_filter`].
pub mod flag {
    /// All threads of the process get the filter, or none (3.17).
    pub const TSYNC: u32 = 1 << 0;
    /// Every verdict but "allow" is written to the audit log (4.14).
    pub const LOG: u32 = 1 << 1;
    /// No mitigation of speculative store bypass for the task (4.17).
    pub const SPEC_ALLOW: u32 = 1 << 2;
    /// A descriptor on which the "notify" verdicts arrive is returned (5.0).
    pub const NEW_LISTENER: u32 = 1 << 3;
    /// A thread that cannot be synchronised is reported as ESRCH (5.7); needed for TSYNC with a listener.
    pub const TSYNC_ESRCH: u32 = 1 << 4;
    /// A call under notification, once received, ends only by a fatal signal (5.19).
    pub const WAIT_KILLABLE_RECV: u32 = 1 << 5;
}

/// The verdicts a filter returns; the low 16 bits carry data.
pub mod ret {
    /// Kill the process.
    pub const KILL_PROCESS: u32 = 0x8000_0000;
    /// Kill the thread.
    pub const KILL_THREAD: u32 = 0;
    /// Send SIGSYS.
    pub const TRAP: u32 = 0x0003_0000;
    /// Fail with the errno in the data.
    pub const ERRNO: u32 = 0x0005_0000;
    /// Ask the listener.
    pub const USER_NOTIF: u32 = 0x7fc0_0000;
    /// Ask the tracer.
    pub const TRACE: u32 = 0x7ff0_0000;
    /// Allow, and log.
    pub const LOG: u32 = 0x7ffc_0000;
    /// Allow.
    pub const ALLOW: u32 = 0x7fff_0000;
}

const SET_MODE_FILTER: libc::c_uint = 1;
const GET_ACTION_AVAIL: libc::c_uint = 2;
const GET_NOTIF_SIZES: libc::c_uint = 3;

/// Puts `program` on the calling thread (and, with [`flag::TSYNC`], on all of its process).
///
/// Needs no_new_privs or CAP_SYS_ADMIN in the user namespace. A kernel without seccomp(2) (before 3.17)
/// gets the filter by prctl(2) when no flag is asked for.
///
/// # Errors
/// EACCES without that privilege; EINVAL for an invalid program or a flag this kernel lacks; ESRCH with
/// [`flag::TSYNC`] if a thread cannot be synchronised; EBUSY if a listener exists already.
pub fn set_mode_filter(program: &[Filter], flags: u32) -> Result<Option<OwnedFd>> {
    let operands = || format!("a filter of {} instructions, flags {flags:#x}", program.len());
    let Ok(len) = u16::try_from(program.len()) else {
        return Err(crate::Error::new("seccomp", operands(), errno::TOOBIG));
    };
    let fprog = libc::sock_fprog { len, filter: program.as_ptr().cast_mut().cast() };
    // Without TSYNC_ESRCH the kernel answers with the id of the thread that cannot be synchronised, which is
    // no error to syscall(2).
    let flags = if flags & flag::TSYNC != 0 && flags & flag::NEW_LISTENER != 0 {
        flags | flag::TSYNC_ESRCH
    } else {
        flags
    };
    // SAFETY: `fprog` points to `len` instructions laid out as struct sock_filter (repr(C), same fields),
    // alive for the call; the kernel copies and only reads them.
    let value = unsafe { libc::syscall(libc::SYS_seccomp, SET_MODE_FILTER, flags, &raw const fprog) };
    let value = match check(value, "seccomp", operands) {
        Err(e) if e.errno() == errno::NOSYS && flags == 0 => {
            // SAFETY: as above.
            let value = unsafe {
                libc::prctl(
                    libc::PR_SET_SECCOMP,
                    libc::SECCOMP_MODE_FILTER as libc::c_ulong,
                    &raw const fprog,
                )
            };
            check(value.into(), "prctl(PR_SET_SECCOMP)", operands)?
        }
        other => other?,
    };
    if flags & flag::NEW_LISTENER != 0 {
        // SAFETY: with NEW_LISTENER the result is a new descriptor, close-on-exec, that nobody else owns.
        return Ok(Some(unsafe { OwnedFd::from_raw_fd(value as i32) }));
    }
    if value != 0 {
        return Err(crate::Error::new("seccomp", format!("synchronise thread {value}"), errno::SRCH));
    }
    Ok(None)
}

/// Whether this kernel knows the verdict `action` (one of [`ret`], without data). Since 4.14.
pub fn is_action_available(action: u32) -> bool {
    // SAFETY: the kernel reads one u32 from the pointer.
    unsafe { libc::syscall(libc::SYS_seccomp, GET_ACTION_AVAIL, 0, &raw const action) == 0 }
}

/// Whether this kernel knows all of `flags`: it is asked with no program, which it looks at last.
pub fn are_flags_available(flags: u32) -> bool {
    let none = std::ptr::null::<libc::sock_fprog>();
    // TSYNC and NEW_LISTENER exclude each other without TSYNC_ESRCH; ask for each alone.
    let mut each = (0..32).map(|bit| 1u32 << bit).filter(|bit| flags & bit != 0);
    each.all(|bit| {
        // WAIT_KILLABLE_RECV is valid only with a listener.
        let asked = if bit == flag::WAIT_KILLABLE_RECV { bit | flag::NEW_LISTENER } else { bit };
        // SAFETY: a null program is refused with EFAULT before anything is changed.
        let value = unsafe { libc::syscall(libc::SYS_seccomp, SET_MODE_FILTER, asked, none) };
        value == -1 && crate::error::last() == taru_stdx::Errno(libc::EFAULT)
    })
}

/// The arguments of a system call as a filter sees them: `struct seccomp_data`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C)]
pub struct Data {
    /// The number of the call.
    pub nr: i32,
    /// The architecture, an AUDIT_ARCH constant.
    pub arch: u32,
    /// Where the call was made.
    pub instruction_pointer: u64,
    /// Its arguments.
    pub args: [u64; 6],
}

/// A call that waits for an answer: `struct seccomp_notif`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C)]
pub struct Notification {
    /// The key of the answer.
    pub id: u64,
    /// The caller's thread id in the listener's pid namespace, 0 if not visible there.
    pub pid: u32,
    /// No flag is defined.
    pub flags: u32,
    /// The call.
    pub data: Data,
}

/// The answer: `struct seccomp_notif_resp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C)]
pub struct Response {
    /// The notification's key.
    pub id: u64,
    /// The value the call returns, if `error` is 0.
    pub val: i64,
    /// A negative errno.
    pub error: i32,
    /// [`CONTINUE`] or 0.
    pub flags: u32,
}

/// The flag of [`Response`] that lets the call proceed (5.5). Not a security decision: its memory may change.
pub const CONTINUE: u32 = 1;

#[repr(C)]
#[derive(Default)]
struct Sizes {
    notif: u16,
    resp: u16,
    data: u16,
}

// _IOWR('!', n, size) and _IOW('!', n, size) of asm-generic/ioctl.h; MIPS and PowerPC number the directions
// otherwise.
const fn request(direction: u32, number: u32, size: usize) -> u32 {
    (direction << 30) | ((size as u32) << 16) | (('!' as u32) << 8) | number
}
#[cfg(any(target_arch = "mips", target_arch = "mips64", target_arch = "powerpc", target_arch = "powerpc64"))]
compile_error!("the ioctl numbers of this architecture are laid out otherwise");
const IOWR: u32 = 3;
const IOW: u32 = 1;
const NOTIF_RECV: u32 = request(IOWR, 0, size_of::<Notification>());
const NOTIF_SEND: u32 = request(IOWR, 1, size_of::<Response>());
const NOTIF_ID_VALID: u32 = request(IOW, 2, size_of::<u64>());
const NOTIF_ADDFD: u32 = request(IOW, 3, size_of::<AddFd>());

#[repr(C)]
struct AddFd {
    id: u64,
    flags: u32,
    srcfd: u32,
    newfd: u32,
    newfd_flags: u32,
}

fn notif_sizes() -> Result<Sizes> {
    let mut sizes = Sizes::default();
    // SAFETY: the kernel writes one struct seccomp_notif_sizes, of this layout.
    let value = unsafe { libc::syscall(libc::SYS_seccomp, GET_NOTIF_SIZES, 0, &raw mut sizes) };
    check(value, "seccomp", || "GET_NOTIF_SIZES")?;
    Ok(sizes)
}

/// Waits for the next call that the filter of `listener` sends to it.
///
/// # Errors
/// ENOENT if the caller died meanwhile (ask again), EINTR on a signal.
pub fn notify_recv(listener: BorrowedFd<'_>) -> Result<Notification> {
    let sizes = notif_sizes()?;
    // A newer kernel writes more than we know: the buffer has its size, at least ours, and must be zero.
    let mut buffer = vec![0u64; usize::from(sizes.notif).max(size_of::<Notification>()).div_ceil(8)];
    let what = || format!("{}, SECCOMP_IOCTL_NOTIF_RECV", listener.as_raw_fd());
    // SAFETY: the buffer is zeroed, 8-byte aligned and as large as the kernel says it writes.
    let value = unsafe { libc::ioctl(listener.as_raw_fd(), NOTIF_RECV as _, buffer.as_mut_ptr()) };
    check(value.into(), "ioctl", what)?;
    // SAFETY: the buffer is at least as large as Notification, aligned to 8, and any bits are valid in it.
    Ok(unsafe { buffer.as_ptr().cast::<Notification>().read() })
}

/// Answers a call.
///
/// # Errors
/// ENOENT if the caller is gone, EINPROGRESS if it was answered already.
pub fn notify_send(listener: BorrowedFd<'_>, response: &Response) -> Result<()> {
    let sizes = notif_sizes()?;
    let mut buffer = vec![0u64; usize::from(sizes.resp).max(size_of::<Response>()).div_ceil(8)];
    // SAFETY: the buffer is at least as large as Response and aligned to 8.
    unsafe { buffer.as_mut_ptr().cast::<Response>().write(*response) };
    // SAFETY: the buffer is as large as the kernel says it reads.
    let value = unsafe { libc::ioctl(listener.as_raw_fd(), NOTIF_SEND as _, buffer.as_mut_ptr()) };
    check(value.into(), "ioctl", || format!("{}, SECCOMP_IOCTL_NOTIF_SEND", listener.as_raw_fd()))?;
    Ok(())
}

/// Whether the call `id` still waits: to be asked after opening the caller's /proc files, before believing them.
pub fn is_notify_id_valid(listener: BorrowedFd<'_>, id: u64) -> bool {
    // SAFETY: the kernel reads one u64.
    unsafe { libc::ioctl(listener.as_raw_fd(), NOTIF_ID_VALID as _, &raw const id) == 0 }
}

/// Gives the caller of `id` a duplicate of `fd` (5.9), at the number `at` or the lowest free one, and
/// returns that number. With `answer`, the call returns it at once (5.14).
///
/// # Errors
/// ENOENT if the caller is gone, EMFILE if it has no room.
pub fn notify_addfd(
    listener: BorrowedFd<'_>,
    id: u64,
    fd: BorrowedFd<'_>,
    at: Option<u32>,
    cloexec: bool,
    answer: bool,
) -> Result<i32> {
    const SETFD: u32 = 1;
    const SEND: u32 = 2;
    let add = AddFd {
        id,
        flags: if at.is_some() { SETFD } else { 0 } | if answer { SEND } else { 0 },
        srcfd: fd.as_raw_fd() as u32,
        newfd: at.unwrap_or(0),
        newfd_flags: if cloexec { libc::O_CLOEXEC as u32 } else { 0 },
    };
    // SAFETY: the kernel reads one struct seccomp_notif_addfd, of this layout.
    let value = unsafe { libc::ioctl(listener.as_fd().as_raw_fd(), NOTIF_ADDFD as _, &raw const add) };
    let value =
        check(value.into(), "ioctl", || format!("{}, SECCOMP_IOCTL_NOTIF_ADDFD", listener.as_raw_fd()))?;
    Ok(value as i32)
}
