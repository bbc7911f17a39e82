//! inotify(7): being told that a file changed.

use std::ffi::{CString, OsStr, OsString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::error::{Error, Result, check, errno};

/// The events to be told of; the bits of `<sys/inotify.h>`.
#[allow(missing_docs, reason = "the names are inotify(7)'s")]
pub mod mask {
    pub const MODIFY: u32 = libc::IN_MODIFY;
    pub const CREATE: u32 = libc::IN_CREATE;
    pub const DELETE: u32 = libc::IN_DELETE;
    pub const DELETE_SELF: u32 = libc::IN_DELETE_SELF;
    pub const IGNORED: u32 = libc::IN_IGNORED;
    pub const OVERFLOW: u32 = libc::IN_Q_OVERFLOW;
}

/// An instance of inotify: a queue of events, close-on-exec and non-blocking. Readable when not empty.
#[derive(Debug)]
pub struct Inotify(OwnedFd);

/// An event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The watch it belongs to, as [`Inotify::add`] returned it; -1 for an overflow of the queue.
    pub watch: i32,
    /// What happened: bits of [`mask`].
    pub mask: u32,
    /// The file in a watched directory that it is about; empty when it is about what is watched itself.
    pub name: OsString,
}

/// The size of `struct inotify_event` without its name: watch, mask, cookie, length.
const HEADER: usize = 16;

impl Inotify {
    /// An instance without watches.
    ///
    /// # Errors
    /// inotify_init1(2)'s, EMFILE at the user's limit of instances.
    pub fn new() -> Result<Inotify> {
        // SAFETY: no pointer is passed.
        let fd = unsafe { libc::inotify_init1(libc::IN_CLOEXEC | libc::IN_NONBLOCK) };
        let fd = check(fd.into(), "inotify_init1", String::new)?;
        // SAFETY: the call succeeded, so this is a new descriptor that nobody else owns.
        Ok(Inotify(unsafe { OwnedFd::from_raw_fd(fd as RawFd) }))
    }

    /// Watches `path` for `mask`; returns the number of the watch.
    ///
    /// # Errors
    /// inotify_add_watch(2)'s.
    pub fn add(&self, path: &Path, mask: u32) -> Result<i32> {
        let operand = || format!("`{}`", path.display());
        let name = CString::new(path.as_os_str().as_bytes())
            .map_err(|_| Error::new("inotify_add_watch", operand(), errno::INVAL))?;
        // SAFETY: `name` is a NUL-terminated string that outlives the call.
        let watch = unsafe { libc::inotify_add_watch(self.0.as_raw_fd(), name.as_ptr(), mask) };
        Ok(check(watch.into(), "inotify_add_watch", operand)? as i32)
    }

    /// Takes the events that are queued now; empty when there are none.
    ///
    /// # Errors
    /// read(2)'s.
    pub fn take(&self) -> Result<Vec<Event>> {
        let mut buffer = [0u8; 4096];
        // SAFETY: `buffer` is writable for its whole length.
        let n = unsafe { libc::read(self.0.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len()) };
        match check(n as libc::c_long, "read", || "an inotify queue") {
            Ok(n) => Ok(parse(&buffer[..n as usize])),
            Err(e) if e.errno() == errno::AGAIN => Ok(Vec::new()),
            Err(e) => Err(e),
        }
    }
}

impl AsFd for Inotify {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The events in what read(2) gave: whole records one after another.
fn parse(mut bytes: &[u8]) -> Vec<Event> {
    let mut events = Vec::new();
    while let Some((header, rest)) = bytes.split_at_checked(HEADER) {
        let word = |i: usize| [header[i], header[i + 1], header[i + 2], header[i + 3]];
        let length = u32::from_ne_bytes(word(12)) as usize;
        let (name, rest) = rest.split_at_checked(length).unwrap_or_default();
        // The name is padded with zeros.
        let end = name.iter().position(|b| *b == 0).unwrap_or(name.len());
        events.push(Event {
            watch: i32::from_ne_bytes(word(0)),
            mask: u32::from_ne_bytes(word(4)),
            name: OsStr::from_bytes(&name[..end]).to_owned(),
        });
        bytes = rest;
    }
    events
}
