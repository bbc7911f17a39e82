//! The standard streams that a process gets from whoever started the runtime.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use taru_stdx::{Context, Result};
use taru_sys::fs::{self, AtFlags, FileType};
use taru_sys::{fd, tty};

use crate::plan::ProcessPlan;

/// The standard streams must be open: a program that opens a file as descriptor 2 would get messages in it.
pub(crate) fn ensure_open(null: BorrowedFd<'_>) -> Result<()> {
    for number in 0..=2 {
        if fd::is_cloexec(number).is_none() {
            fd::replace_standard(null, number).context(|| "open a standard stream")?;
        }
    }
    Ok(())
}

/// Gives the streams to the process's user: /dev/stdout leads to /proc/self/fd/1, and to open that anew a
/// pipe or a file must be the user's own.
///
/// A terminal keeps its group (tty). Devices are the host's, /dev/null first of all. So is a file that can
/// only be read: to own it would be to open it for writing.
///
/// What cannot be given is left as it is: its owner has no id in this user namespace, or the file system
/// is read-only. The descriptor itself works all the same.
pub(crate) fn give_to_user(plan: &ProcessPlan) {
    let (input, output, error) = (io::stdin(), io::stdout(), io::stderr());
    for stream in [input.as_fd(), output.as_fd(), error.as_fd()] {
        let Ok(stat) = fs::fstat(stream) else { continue };
        let gid = match FileType::of_mode(stat.mode) {
            FileType::Fifo | FileType::Socket => Some(plan.gid),
            FileType::Regular if fd::is_writable(stream) => Some(plan.gid),
            FileType::CharDevice if tty::is_terminal(stream) => None,
            _ => continue,
        };
        if stat.uid != plan.uid || gid.is_some_and(|gid| gid != stat.gid) {
            let _ = fs::fchownat(stream, Path::new(""), Some(plan.uid), gid, AtFlags::EMPTY_PATH);
        }
    }
}
