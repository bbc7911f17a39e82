//! Signals: names and numbers, masks, signalfd(2), default dispositions.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;

use crate::error::check;
use crate::{Errno, Error, Result};

pub use libc::{
    SIGABRT, SIGALRM, SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGKILL, SIGPIPE, SIGQUIT, SIGSTOP, SIGTERM, SIGTSTP,
    SIGTTIN, SIGTTOU, SIGURG, SIGUSR1, SIGUSR2, SIGWINCH,
};

/// Signal names without `SIG`, in the order of their numbers where the machine has one order for all.
const NAMES: [(&str, i32); 35] = [
    ("HUP", libc::SIGHUP),
    ("INT", libc::SIGINT),
    ("QUIT", libc::SIGQUIT),
    ("ILL", libc::SIGILL),
    ("TRAP", libc::SIGTRAP),
    ("ABRT", libc::SIGABRT),
    ("IOT", libc::SIGABRT),
    ("BUS", libc::SIGBUS),
    ("FPE", libc::SIGFPE),
    ("KILL", libc::SIGKILL),
    ("USR1", libc::SIGUSR1),
    ("SEGV", libc::SIGSEGV),
    ("USR2", libc::SIGUSR2),
    ("PIPE", libc::SIGPIPE),
    ("ALRM", libc::SIGALRM),
    ("TERM", libc::SIGTERM),
    ("STKFLT", libc::SIGSTKFLT),
    ("CHLD", libc::SIGCHLD),
    ("CLD", libc::SIGCHLD),
    ("CONT", libc::SIGCONT),
    ("STOP", libc::SIGSTOP),
    ("TSTP", libc::SIGTSTP),
    ("TTIN", libc::SIGTTIN),
    ("TTOU", libc::SIGTTOU),
    ("URG", libc::SIGURG),
    ("XCPU", libc::SIGXCPU),
    ("XFSZ", libc::SIGXFSZ),
    ("VTALRM", libc::SIGVTALRM),
    ("PROF", libc::SIGPROF),
    ("WINCH", libc::SIGWINCH),
    ("IO", libc::SIGIO),
    ("POLL", libc::SIGIO),
    ("PWR", libc::SIGPWR),
    ("SYS", libc::SIGSYS),
    ("UNUSED", libc::SIGSYS),
];

/// The highest signal number of Linux.
pub const MAX: i32 = 64;

/// Parses `TERM`, `SIGTERM`, `sigterm`, `15`, `RTMIN+3`, `RTMAX-1`; `None` for anything else.
/// Numbers run from 0 (which only asks whether the process is there) to [`MAX`].
pub fn parse(text: &str) -> Option<i32> {
    if let Ok(number) = text.parse::<i32>() {
        return (text.bytes().all(|b| b.is_ascii_digit()) && number <= MAX).then_some(number);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    if let Some((_, number)) = NAMES.iter().find(|(known, _)| *known == name) {
        return Some(*number);
    }
    // glibc keeps 32 and 33 for itself: RTMIN is 34 for programs.
    let (base, rest, sign) = match (name.strip_prefix("RTMIN"), name.strip_prefix("RTMAX")) {
        (Some(rest), _) => (34, rest, '+'),
        (_, Some(rest)) => (64, rest, '-'),
        _ => return None,
    };
    if rest.is_empty() {
        return Some(base);
    }
    let offset: i32 = rest.strip_prefix(sign)?.parse().ok().filter(|n| (0..=30).contains(n))?;
    Some(if sign == '+' { base + offset } else { base - offset })
}

/// The name of a signal, `SIGTERM`; for a real-time signal its number.
pub fn name(signal: i32) -> String {
    match NAMES.iter().find(|(_, number)| *number == signal) {
        Some((name, _)) => format!("SIG{name}"),
        None => signal.to_string(),
    }
}

/// A set of signals.
#[derive(Clone, Copy)]
pub struct Set(libc::sigset_t);

impl Set {
    /// The set of `signals`; numbers that are no signal are left out.
    pub fn new(signals: &[i32]) -> Set {
        let mut set = std::mem::MaybeUninit::uninit();
        // SAFETY: sigemptyset initialises the set it is given.
        unsafe { libc::sigemptyset(set.as_mut_ptr()) };
        // SAFETY: just initialised.
        let mut set = unsafe { set.assume_init() };
        for signal in signals {
            // SAFETY: the set is initialised; a bad number is refused with EINVAL and changes nothing.
            unsafe { libc::sigaddset(&mut set, *signal) };
        }
        Set(set)
    }

    /// Every signal.
    pub fn full() -> Set {
        let mut set = std::mem::MaybeUninit::uninit();
        // SAFETY: sigfillset initialises the set it is given.
        unsafe { libc::sigfillset(set.as_mut_ptr()) };
        // SAFETY: just initialised.
        Set(unsafe { set.assume_init() })
    }
}

/// Replaces this thread's mask of blocked signals and returns the old one, sigprocmask(2).
pub fn mask(new: &Set) -> Set {
    let mut old = Set::new(&[]);
    // SAFETY: both sets are initialised and live; SIG_SETMASK with valid pointers cannot fail.
    unsafe { libc::sigprocmask(libc::SIG_SETMASK, &new.0, &mut old.0) };
    old
}

/// Adds to this thread's mask of blocked signals and returns the old one.
pub fn block(more: &Set) -> Set {
    let mut old = Set::new(&[]);
    // SAFETY: as in `mask`.
    unsafe { libc::sigprocmask(libc::SIG_BLOCK, &more.0, &mut old.0) };
    old
}

/// Gives every signal its default action again and blocks none: what a new program expects.
/// Our own start ignores SIGPIPE, and whoever called us may have ignored others.
pub fn reset_all() {
    for signal in 1..=MAX {
        // Not by signal(3): it refuses glibc's own 32 and 33, which posix_spawn(3) leaves ignored.
        // SAFETY: an all-zero struct sigaction, in the kernel's form of at most four words, is SIG_DFL, which
        // runs no code of ours; a signal set has 8 bytes. KILL and STOP are refused, which is right.
        unsafe {
            let default = [0u64; 4];
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                default.as_ptr(),
                std::ptr::null_mut::<u64>(),
                8usize,
            );
        }
    }
    mask(&Set::new(&[]));
}

/// Has the program of `command` begin with no signal blocked: std hands the mask of this process on to it.
pub fn block_none_in(command: &mut std::process::Command) {
    let empty = Set::new(&[]);
    let unblock = move || {
        mask(&empty);
        Ok(())
    };
    // SAFETY: between fork(2) and execve(2) this calls sigprocmask(2) alone, which is async-signal-safe, and takes no lock
    // and no memory.
    unsafe { command.pre_exec(unblock) };
}

/// Gives `signal` its default action again.
pub fn default_action(signal: i32) {
    // SAFETY: SIG_DFL runs no code of ours.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
}

/// Ignores `signal`.
pub fn ignore(signal: i32) {
    // SAFETY: SIG_IGN runs no code of ours.
    unsafe { libc::signal(signal, libc::SIG_IGN) };
}

/// One signal read from a signalfd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    /// The signal's number.
    pub signal: i32,
    /// Who sent it, 0 if the kernel or a process outside this pid namespace did.
    pub pid: i32,
}

/// A descriptor that reads blocked signals, signalfd(2); non-blocking, close-on-exec.
#[derive(Debug)]
pub struct SignalFd(OwnedFd);

impl SignalFd {
    /// A descriptor for `signals`, which the caller has blocked.
    ///
    /// # Errors
    /// EMFILE, ENFILE, ENOMEM.
    pub fn new(signals: &Set) -> Result<SignalFd> {
        // SAFETY: -1 asks for a new descriptor; the set is initialised.
        let fd = unsafe { libc::signalfd(-1, &signals.0, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
        check(fd.into(), "signalfd", String::new)?;
        // SAFETY: the descriptor was just made and nobody else owns it.
        Ok(SignalFd(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// The next signal, `None` if there is none.
    ///
    /// # Errors
    /// Any error of read(2) but EAGAIN.
    pub fn read(&self) -> Result<Option<Received>> {
        // SAFETY: signalfd_siginfo is plain data.
        let mut info: libc::signalfd_siginfo = unsafe { std::mem::zeroed() };
        let size = size_of::<libc::signalfd_siginfo>();
        // SAFETY: the buffer is `size` bytes long and writable.
        let got = unsafe { libc::read(self.0.as_raw_fd(), std::ptr::from_mut(&mut info).cast(), size) };
        match check(got as libc::c_long, "read", || "`signalfd`") {
            Ok(n) if n as usize == size => {
                Ok(Some(Received { signal: info.ssi_signo as i32, pid: info.ssi_pid as i32 }))
            }
            Ok(_) => Err(Error::new("read", "`signalfd`", Errno(libc::EIO))),
            Err(e) if e.errno() == Errno(libc::EAGAIN) || e.errno() == Errno(libc::EINTR) => Ok(None),
            Err(e) => Err(e),
        }
    }
}

impl std::os::fd::AsFd for SignalFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        for (text, number) in [
            ("TERM", Some(15)),
            ("SIGTERM", Some(15)),
            ("sigkill", Some(9)),
            ("9", Some(9)),
            ("0", Some(0)),
            ("RTMIN", Some(34)),
            ("SIGRTMIN+3", Some(37)),
            ("RTMAX-1", Some(63)),
            ("65", None),
            ("-9", None),
            ("+9", None),
            ("", None),
            ("SIG", None),
            ("RTMIN+40", None),
            ("NOPE", None),
        ] {
            assert_eq!(parse(text), number, "{text}");
        }
        assert_eq!(name(15), "SIGTERM");
        assert_eq!(name(40), "40");
    }
}
