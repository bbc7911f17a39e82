//! Netlink sockets (netlink(7)) and the one network ioctl that is cheaper than netlink (netdevice(7)).
//!
//! Only sockets and bytes stand here; messages are built and read by `taru-netlink`.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use crate::error::check;
use crate::{Error, Result, errno};

/// A socket of the protocol `NETLINK_ROUTE` in the calling thread's network namespace, with
/// extended acknowledgements (Linux 4.12), short acknowledgements (4.3) and strict checking of
/// dump requests (4.20). An option that this kernel does not know is left out: each only
/// improves error texts or rejects our own mistakes.
///
/// # Errors
/// Those of socket(2): no memory, descriptors used up, a kernel without netlink.
pub fn socket_route() -> Result<OwnedFd> {
    // SAFETY: no pointers; the result is checked.
    let raw =
        unsafe { libc::socket(libc::AF_NETLINK, libc::SOCK_RAW | libc::SOCK_CLOEXEC, libc::NETLINK_ROUTE) };
    check(raw.into(), "socket", || "`AF_NETLINK`")?;
    // SAFETY: the kernel has just given us this descriptor, and nobody else knows it.
    let socket = unsafe { OwnedFd::from_raw_fd(raw) };
    for option in [libc::NETLINK_EXT_ACK, libc::NETLINK_CAP_ACK, NETLINK_GET_STRICT_CHK] {
        match set_option(&socket, option, 1) {
            Err(e) if e.errno().0 != libc::ENOPROTOOPT => return Err(e),
            _ => {}
        }
    }
    Ok(socket)
}

/// From linux/netlink.h; `libc` lacks it for some targets.
const NETLINK_GET_STRICT_CHK: libc::c_int = 12;

fn set_option(socket: &OwnedFd, option: libc::c_int, value: libc::c_int) -> Result<()> {
    // SAFETY: the option value is a live `c_int` and its size is passed along.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_NETLINK,
            option,
            (&raw const value).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    check(done.into(), "setsockopt", || format!("`SOL_NETLINK` {option}")).map(drop)
}

/// Sends one datagram to the kernel.
///
/// # Errors
/// Those of sendto(2).
pub fn send(socket: BorrowedFd<'_>, datagram: &[u8]) -> Result<()> {
    loop {
        // SAFETY: the buffer is live and its length is passed along. An unconnected netlink socket
        // without a destination address sends to port 0, the kernel.
        let sent = unsafe { libc::send(socket.as_raw_fd(), datagram.as_ptr().cast(), datagram.len(), 0) };
        match check(sent as libc::c_long, "send", || format!("`{}` bytes", datagram.len())) {
            Err(e) if e.errno() == errno::INTR => {}
            other => return other.map(drop),
        }
    }
}

/// Receives one datagram that the kernel itself sent, and returns its length.
///
/// Datagrams of other processes are dropped unread: any process of the same user may send to a
/// netlink socket.
///
/// # Errors
/// Those of recvfrom(2); `EMSGSIZE` if the datagram is longer than `buffer`.
pub fn recv(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<usize> {
    loop {
        // SAFETY: all-zero bytes are a valid sockaddr_nl.
        let mut from: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
        let mut from_len = size_of::<libc::sockaddr_nl>() as libc::socklen_t;
        // SAFETY: buffer and address are live, writable and as long as said. MSG_TRUNC makes the
        // kernel return the full length of the datagram; it never writes past the buffer.
        let received = unsafe {
            libc::recvfrom(
                socket.as_raw_fd(),
                buffer.as_mut_ptr().cast(),
                buffer.len(),
                libc::MSG_TRUNC,
                (&raw mut from).cast(),
                &mut from_len,
            )
        };
        match check(received as libc::c_long, "recvfrom", || "`AF_NETLINK`") {
            Err(e) if e.errno() == errno::INTR => continue,
            Err(e) => return Err(e),
            Ok(_) if from.nl_pid != 0 => continue,
            Ok(length) if length as usize > buffer.len() => {
                let operands = format!("`{length}` bytes");
                return Err(Error::new("recvfrom", operands, crate::Errno(libc::EMSGSIZE)));
            }
            Ok(length) => return Ok(length as usize),
        }
    }
}

/// Sets the link `lo` of the calling thread's network namespace up: three calls (socket, ioctl
/// `SIOCSIFFLAGS`, close), where netlink needs four.
///
/// The flags are written without being read: of what a user may change on `lo`, only `IFF_UP` is
/// ever set.
///
/// # Errors
/// `EPERM` without `CAP_NET_ADMIN` in the user namespace that owns the network namespace.
pub fn ioctl_loopback_up() -> Result<()> {
    // An AF_UNIX socket reaches the device ioctls like any other, and is the cheapest to make.
    // SAFETY: no pointers; the result is checked.
    let raw = unsafe { libc::socket(libc::AF_UNIX, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
    check(raw.into(), "socket", || "`AF_UNIX`")?;
    // SAFETY: the kernel has just given us this descriptor, and nobody else knows it.
    let socket = unsafe { OwnedFd::from_raw_fd(raw) };
    // SAFETY: all-zero bytes are a valid ifreq.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_name[0] = b'l' as libc::c_char;
    request.ifr_name[1] = b'o' as libc::c_char;
    request.ifr_ifru.ifru_flags = libc::IFF_UP as libc::c_short;
    // SAFETY: SIOCSIFFLAGS reads an ifreq, which lives until the call returns.
    let done =
        unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as libc::Ioctl, &raw const request) };
    check(done.into(), "ioctl", || "`SIOCSIFFLAGS` `lo`").map(drop)
}
