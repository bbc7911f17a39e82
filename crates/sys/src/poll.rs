//! poll(2): waiting for one of several descriptors.

use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

use crate::error::{Result, check};

/// What to wait for, and what was seen. The bits of `<poll.h>`.
#[allow(missing_docs, reason = "the names are poll(2)'s")]
pub mod events {
    pub const IN: i16 = libc::POLLIN;
    pub const PRI: i16 = libc::POLLPRI;
    pub const OUT: i16 = libc::POLLOUT;
    pub const ERR: i16 = libc::POLLERR;
    pub const HUP: i16 = libc::POLLHUP;
    pub const NVAL: i16 = libc::POLLNVAL;
}

/// Waits until one of `fds` shows one of its wanted [`events`] or `timeout` has passed (`None`: no limit).
///
/// Returns what was seen, in the order of `fds`; all zero after a timeout.
///
/// # Errors
/// ppoll(2)'s; EINTR when a signal handler ran.
pub fn poll<const N: usize>(fds: [(BorrowedFd<'_>, i16); N], timeout: Option<Duration>) -> Result<[i16; N]> {
    let mut entries = fds.map(|(fd, events)| libc::pollfd { fd: fd.as_raw_fd(), events, revents: 0 });
    wait(&mut entries, timeout)?;
    Ok(entries.map(|e| e.revents))
}

/// As [`poll`], for as many descriptors as there happen to be.
///
/// # Errors
/// As [`poll`].
pub fn poll_all(fds: &[(BorrowedFd<'_>, i16)], timeout: Option<Duration>) -> Result<Vec<i16>> {
    let mut entries = entries(fds);
    wait(&mut entries, timeout)?;
    Ok(entries.iter().map(|e| e.revents).collect())
}

pub(crate) fn entries(fds: &[(BorrowedFd<'_>, i16)]) -> Vec<libc::pollfd> {
    let entry = |(fd, events): &(BorrowedFd<'_>, i16)| libc::pollfd {
        fd: fd.as_raw_fd(),
        events: *events,
        revents: 0,
    };
    fds.iter().map(entry).collect()
}

fn wait(entries: &mut [libc::pollfd], timeout: Option<Duration>) -> Result<()> {
    let limit = timeout.map(timespec);
    let limit = limit.as_ref().map_or(std::ptr::null(), |t| t as *const libc::timespec);
    // SAFETY: `entries` is a slice of initialised pollfd whose descriptors the caller borrows for the call;
    // `limit` is null or points to a timespec that outlives it; a null signal mask changes no mask.
    let n =
        unsafe { libc::ppoll(entries.as_mut_ptr(), entries.len() as libc::nfds_t, limit, std::ptr::null()) };
    check(n.into(), "ppoll", String::new)?;
    Ok(())
}

pub(crate) fn timespec(t: Duration) -> libc::timespec {
    libc::timespec {
        tv_sec: t.as_secs().try_into().unwrap_or(libc::time_t::MAX),
        tv_nsec: t.subsec_nanos().into(),
    }
}
