//! Unix sockets: pairs of processes that talk, and descriptors handed over.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::error::check;
use crate::process::Pid;
use crate::{Errno, Error, Result};

/// The most descriptors one message carries here; the kernel's own bound is 253.
pub const FDS_MAX: usize = 32;

/// A connected pair that keeps message boundaries (SOCK_SEQPACKET), close-on-exec.
///
/// # Errors
/// EMFILE, ENFILE.
pub fn seqpacket_pair() -> Result<(OwnedFd, OwnedFd)> {
    let mut ends = [-1; 2];
    let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC;
    check(
        // SAFETY: socketpair writes two descriptors into the array.
        unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, ends.as_mut_ptr()) }.into(),
        "socketpair",
        String::new,
    )?;
    // SAFETY: both were just made and nobody else owns them.
    Ok(unsafe { (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) })
}

/// The address of a socket file; the kernel takes 107 bytes of path at most.
fn address(path: &Path) -> Result<(libc::sockaddr_un, libc::socklen_t)> {
    // SAFETY: sockaddr_un is plain data.
    let mut address: libc::sockaddr_un = unsafe { std::mem::zeroed() };
    address.sun_family = libc::AF_UNIX as libc::sa_family_t;
    let bytes = path.as_os_str().as_bytes();
    if bytes.len() >= address.sun_path.len() || bytes.contains(&0) {
        return Err(Error::new("connect", format!("`{}`", path.display()), Errno(libc::ENAMETOOLONG)));
    }
    for (to, from) in address.sun_path.iter_mut().zip(bytes) {
        *to = *from as libc::c_char;
    }
    Ok((address, size_of::<libc::sockaddr_un>() as libc::socklen_t))
}

fn new_socket(kind: i32) -> Result<OwnedFd> {
    // SAFETY: socket(2) takes numbers.
    let fd = unsafe { libc::socket(libc::AF_UNIX, kind | libc::SOCK_CLOEXEC, 0) };
    check(fd.into(), "socket", String::new)?;
    // SAFETY: the descriptor was just made and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A listening socket at `path` that keeps message boundaries (SOCK_SEQPACKET), close-on-exec.
///
/// # Errors
/// EADDRINUSE if the file exists, ENAMETOOLONG for a path over 107 bytes.
pub fn listen_seqpacket(path: &Path) -> Result<OwnedFd> {
    let (address, size) = address(path)?;
    let socket = new_socket(libc::SOCK_SEQPACKET)?;
    // SAFETY: the address is live and `size` bytes long.
    let bound = unsafe { libc::bind(socket.as_raw_fd(), std::ptr::from_ref(&address).cast(), size) };
    check(bound.into(), "bind", || format!("`{}`", path.display()))?;
    // SAFETY: listen(2) takes numbers.
    check(unsafe { libc::listen(socket.as_raw_fd(), 1) }.into(), "listen", || {
        format!("`{}`", path.display())
    })?;
    Ok(socket)
}

/// Connects to the listening socket at `path`; `stream` for SOCK_STREAM instead of SOCK_SEQPACKET.
///
/// # Errors
/// ENOENT without the file, ECONNREFUSED if nobody listens, ENAMETOOLONG for a path over 107 bytes.
pub fn connect(path: &Path, stream: bool) -> Result<OwnedFd> {
    let (address, size) = address(path)?;
    let socket = new_socket(if stream { libc::SOCK_STREAM } else { libc::SOCK_SEQPACKET })?;
    // SAFETY: the address is live and `size` bytes long.
    let done = unsafe { libc::connect(socket.as_raw_fd(), std::ptr::from_ref(&address).cast(), size) };
    check(done.into(), "connect", || format!("`{}`", path.display()))?;
    Ok(socket)
}

/// Waits for a connection on a listening socket, accept4(2), close-on-exec.
///
/// # Errors
/// Any error of accept4(2) but EINTR.
pub fn accept(listener: BorrowedFd<'_>) -> Result<OwnedFd> {
    loop {
        let nowhere = std::ptr::null_mut();
        // SAFETY: null pointers ask for no address.
        let fd =
            unsafe { libc::accept4(listener.as_raw_fd(), nowhere, std::ptr::null_mut(), libc::SOCK_CLOEXEC) };
        match check(fd.into(), "accept4", String::new) {
            Err(e) if e.errno() == Errno(libc::EINTR) => continue,
            Err(e) => return Err(e),
            // SAFETY: the descriptor was just made and nobody else owns it.
            Ok(_) => return Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        }
    }
}

#[repr(C)]
union ControlBuffer {
    _align: libc::cmsghdr,
    bytes: [u8; 24 + 4 * FDS_MAX],
}

/// Sends `data` and, beside it, copies of `fds`, sendmsg(2) with SCM_RIGHTS. Never raises SIGPIPE.
///
/// # Errors
/// EPIPE or ECONNRESET if the other end is gone, E2BIG here for more than [`FDS_MAX`] descriptors.
pub fn send_with_fds(socket: BorrowedFd<'_>, data: &[u8], fds: &[BorrowedFd<'_>]) -> Result<usize> {
    if fds.len() > FDS_MAX {
        return Err(Error::new("sendmsg", format!("with {} descriptors", fds.len()), Errno(libc::E2BIG)));
    }
    let mut part = libc::iovec { iov_base: data.as_ptr().cast_mut().cast(), iov_len: data.len() };
    let mut control = ControlBuffer { bytes: [0; 24 + 4 * FDS_MAX] };
    // SAFETY: msghdr is plain data; zero means "none" for every field.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &mut part;
    message.msg_iovlen = 1;
    if !fds.is_empty() {
        let bytes = size_of_val(fds) as u32;
        message.msg_control = std::ptr::from_mut(&mut control).cast();
        // SAFETY: CMSG_SPACE only computes.
        message.msg_controllen = unsafe { libc::CMSG_SPACE(bytes) } as usize;
        // SAFETY: the control buffer is aligned for a header and has room for FDS_MAX descriptors, so
        // the first header and `fds.len()` numbers behind it lie inside.
        unsafe {
            let header = libc::CMSG_FIRSTHDR(&message);
            (*header).cmsg_level = libc::SOL_SOCKET;
            (*header).cmsg_type = libc::SCM_RIGHTS;
            (*header).cmsg_len = libc::CMSG_LEN(bytes) as usize;
            let to = libc::CMSG_DATA(header).cast::<i32>();
            for (i, fd) in fds.iter().enumerate() {
                to.add(i).write_unaligned(fd.as_raw_fd());
            }
        }
    }
    loop {
        // SAFETY: the message points to live buffers of the lengths it names.
        let sent = unsafe { libc::sendmsg(socket.as_raw_fd(), &message, libc::MSG_NOSIGNAL) };
        match check(sent as libc::c_long, "sendmsg", String::new) {
            Err(e) if e.errno() == Errno(libc::EINTR) => continue,
            other => return other.map(|n| n as usize),
        }
    }
}

/// A received message.
#[derive(Debug)]
pub struct Message {
    /// Its bytes; none means that the other end is closed.
    pub data: Vec<u8>,
    /// The descriptors that came with it, close-on-exec.
    pub fds: Vec<OwnedFd>,
}

/// Receives one message of at most `limit` bytes with its descriptors, recvmsg(2).
///
/// # Errors
/// EOVERFLOW here for a longer message or more than [`FDS_MAX`] descriptors; any error of recvmsg(2).
pub fn receive_with_fds(socket: BorrowedFd<'_>, limit: usize) -> Result<Message> {
    // Not filled with zeros first: messages are short, and each page that is touched is one that the kernel must find.
    let mut data: Vec<u8> = Vec::with_capacity(limit);
    let mut part = libc::iovec { iov_base: data.as_mut_ptr().cast(), iov_len: limit };
    let mut control = ControlBuffer { bytes: [0; 24 + 4 * FDS_MAX] };
    // SAFETY: msghdr is plain data; zero means "none" for every field.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &mut part;
    message.msg_iovlen = 1;
    message.msg_control = std::ptr::from_mut(&mut control).cast();
    message.msg_controllen = size_of::<ControlBuffer>();
    let got = loop {
        // SAFETY: the message points to live, writable buffers of the lengths it names.
        let got = unsafe { libc::recvmsg(socket.as_raw_fd(), &mut message, libc::MSG_CMSG_CLOEXEC) };
        match check(got as libc::c_long, "recvmsg", String::new) {
            Err(e) if e.errno() == Errno(libc::EINTR) => continue,
            Err(e) => return Err(e),
            Ok(n) => break n as usize,
        }
    };
    let mut fds = Vec::new();
    // SAFETY: the kernel filled the control buffer and set its length; the macros stay within it. Every
    // number in an SCM_RIGHTS message is a new descriptor that nobody else owns.
    unsafe {
        let mut header = libc::CMSG_FIRSTHDR(&message);
        while !header.is_null() {
            if (*header).cmsg_level == libc::SOL_SOCKET && (*header).cmsg_type == libc::SCM_RIGHTS {
                let bytes = (*header).cmsg_len - libc::CMSG_LEN(0) as usize;
                let from = libc::CMSG_DATA(header).cast::<i32>();
                for i in 0..bytes / size_of::<i32>() {
                    fds.push(OwnedFd::from_raw_fd(from.add(i).read_unaligned()));
                }
            }
            header = libc::CMSG_NXTHDR(&message, header);
        }
    }
    if message.msg_flags & (libc::MSG_TRUNC | libc::MSG_CTRUNC) != 0 {
        return Err(Error::new("recvmsg", format!("with over {limit} bytes"), Errno(libc::EOVERFLOW)));
    }
    // SAFETY: the kernel wrote `got` bytes, at most the `limit` that there is room for.
    unsafe { data.set_len(got.min(limit)) };
    Ok(Message { data, fds })
}

/// Who is at the other end of a connected Unix socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Its process id when it connected, in this pid namespace; 0 if it is outside.
    pub pid: Pid,
    /// Its user id in this user namespace.
    pub uid: u32,
    /// Its group id.
    pub gid: u32,
}

/// Who is at the other end, SO_PEERCRED.
///
/// # Errors
/// ENOTSOCK or the like for other descriptors.
pub fn peer(socket: BorrowedFd<'_>) -> Result<Peer> {
    let mut cred = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut size = size_of::<libc::ucred>() as libc::socklen_t;
    // SAFETY: the struct is live, writable and `size` bytes long.
    let done = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            std::ptr::from_mut(&mut cred).cast(),
            &mut size,
        )
    };
    check(done.into(), "getsockopt(SO_PEERCRED)", String::new)?;
    Ok(Peer { pid: Pid(cred.pid), uid: cred.uid, gid: cred.gid })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::fd::AsFd;

    #[test]
    fn descriptors_and_bytes_arrive_whole_or_not_at_all() {
        let (a, b) = seqpacket_pair().unwrap();
        let (read, write) = crate::fd::pipe().unwrap();
        send_with_fds(a.as_fd(), b"here", &[write.as_fd()]).unwrap();
        let mut message = receive_with_fds(b.as_fd(), 16).unwrap();
        assert_eq!(message.data, b"here");
        let mut sent = std::fs::File::from(message.fds.pop().unwrap());
        assert_eq!(crate::fd::is_cloexec(sent.as_raw_fd()), Some(true));
        sent.write_all(b"x").unwrap();
        drop((sent, write));
        let mut text = String::new();
        std::fs::File::from(read).read_to_string(&mut text).unwrap();
        assert_eq!(text, "x");

        send_with_fds(a.as_fd(), b"too long", &[]).unwrap();
        assert_eq!(receive_with_fds(b.as_fd(), 3).unwrap_err().errno().0, libc::EOVERFLOW);
        assert_eq!(peer(a.as_fd()).unwrap().pid, crate::process::getpid());
        drop(a);
        assert!(receive_with_fds(b.as_fd(), 3).unwrap().data.is_empty());
    }
}
