//! The socket: requests answered by an acknowledgement, and dumps.

use std::os::fd::{AsFd, OwnedFd};

use taru_stdx::{Context, Errno, Error, Kind, Result};
use taru_sys::errno;

use crate::uapi::*;
use crate::wire::{Acknowledgement, Frame, Frames, Message};

/// What one datagram may hold: the kernel fills at most 32 KiB in a dump.
const BUFFER: usize = 64 << 10;
/// How often a dump that a change has interrupted is begun anew.
const ATTEMPTS: usize = 16;
/// How many entries a dump may have; more than any kernel's tables of links and addresses hold in practice.
const ENTRIES: usize = 1 << 20;

/// A routing netlink socket: it speaks to the network namespace in which it was opened, for as
/// long as it lives, wherever its thread goes.
///
/// Every call is synchronous: the kernel has acted before it returns. Calls that change something
/// need `CAP_NET_ADMIN` in the user namespace that owns the network namespace.
pub struct Netlink {
    socket: OwnedFd,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Netlink {
    /// Opens a socket on the network namespace of the calling thread.
    ///
    /// # Errors
    /// Those of socket(2).
    pub fn open() -> Result<Netlink> {
        let socket = taru_sys::netlink::socket_route().context(|| "open a netlink socket")?;
        Ok(Netlink { socket, sequence: 0, buffer: vec![0; BUFFER] })
    }

    /// Sends `message` and waits until the kernel has done it.
    pub(crate) fn request(&mut self, message: Message) -> Result<()> {
        self.exchange(message, |_| Ok(()))
    }

    /// Sends `message`, which asks for one answer, and reads that with `read`.
    pub(crate) fn ask<T>(&mut self, message: Message, read: impl Fn(&[u8]) -> Result<T>) -> Result<T> {
        let name = request_name(message.kind());
        let mut answer = None;
        self.exchange(message, |frame| {
            answer = Some(read(frame.payload)?);
            Ok(())
        })?;
        answer.ok_or_else(|| Error::new(Kind::System, format!("{name}: no answer")))
    }

    /// Sends the dump request that `message` builds and reads every entry with `read`, which leaves
    /// out what it maps to `None`. Begins anew when the table changed meanwhile.
    pub(crate) fn dump<T>(
        &mut self,
        message: impl Fn() -> Message,
        read: impl Fn(&[u8]) -> Result<Option<T>>,
    ) -> Result<Vec<T>> {
        let name = request_name(message().kind());
        for _ in 0..ATTEMPTS {
            let mut entries = Vec::new();
            let mut interrupted = false;
            self.exchange(message(), |frame| {
                interrupted |= frame.flags & NLM_F_DUMP_INTR != 0;
                if entries.len() == ENTRIES {
                    return Err(Error::new(Kind::Limit, format!("{name}: more than {ENTRIES} entries")));
                }
                entries.extend(read(frame.payload)?);
                Ok(())
            })?;
            if !interrupted {
                return Ok(entries);
            }
        }
        Err(Error::new(Kind::Busy, format!("{name}: the table changed during each of {ATTEMPTS} attempts")))
    }

    /// Sends `message`, gives every answer to `entry`, and ends with the acknowledgement or the end
    /// of the dump.
    fn exchange(&mut self, message: Message, mut entry: impl FnMut(&Frame<'_>) -> Result<()>) -> Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let sequence = self.sequence;
        let kind = message.kind();
        taru_sys::netlink::send(self.socket.as_fd(), &message.finish(sequence))
            .context(|| request_name(kind))?;
        // An entry that cannot be read is reported only after the rest of the answer has been
        // received: otherwise the next request would find it.
        let mut unreadable = None;
        loop {
            let length = taru_sys::netlink::recv(self.socket.as_fd(), &mut self.buffer)
                .context(|| request_name(kind))?;
            for frame in Frames(self.buffer.get(..length).unwrap_or_default()) {
                let frame = frame?;
                if frame.sequence != sequence {
                    continue;
                }
                let end = match frame.kind {
                    NLMSG_ERROR => Acknowledgement::of_error(&frame)?,
                    NLMSG_DONE => Acknowledgement::of_done(&frame)?,
                    NLMSG_OVERRUN => return Err(Error::new(Kind::System, "read a netlink answer: overrun")),
                    _ => {
                        if unreadable.is_none() {
                            unreadable = entry(&frame).err();
                        }
                        continue;
                    }
                };
                return match unreadable {
                    _ if end.errno != 0 => Err(refusal(kind, end)),
                    Some(e) => Err(e),
                    None => Ok(()),
                };
            }
        }
    }
}

/// The kernel's refusal as an error: the request, the kernel's own text where it gives one, the number.
fn refusal(kind: u16, end: Acknowledgement) -> Error {
    let name = request_name(kind);
    let message = match end.text {
        Some(text) => format!("{name}: {}", text.trim_end_matches('.')),
        None => name.to_owned(),
    };
    Error::new(class(Errno(end.errno)), message).because(Errno(end.errno))
}

/// The class of an error number as rtnetlink uses it.
fn class(number: Errno) -> Kind {
    match number {
        errno::PERM | errno::ACCES => Kind::Permission,
        // The last three: no such route, no such link, no such address.
        errno::NOENT | errno::SRCH | errno::NODEV | errno::ADDRNOTAVAIL => Kind::NotFound,
        errno::BUSY => Kind::Busy,
        errno::EXIST => Kind::Exists,
        errno::INVAL | errno::RANGE => Kind::Invalid,
        // The second: no IPv6, for one.
        errno::NOTSUP | errno::AFNOSUPPORT | errno::PROTONOSUPPORT => Kind::Unsupported,
        errno::NOSPC | errno::NOBUFS => Kind::Limit,
        _ => Kind::System,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_carries_the_kernels_text() {
        let e =
            refusal(RTM_NEWLINK, Acknowledgement { errno: 95, text: Some("Unknown device type.".into()) });
        assert_eq!(e.chain().to_string(), "RTM_NEWLINK: Unknown device type: Operation not supported");
        assert_eq!(e.kind(), Kind::Unsupported);
        let e = refusal(RTM_NEWADDR, Acknowledgement { errno: 99, text: None });
        assert_eq!(e.chain().to_string(), "RTM_NEWADDR: Cannot assign requested address");
        assert_eq!(e.kind(), Kind::NotFound);
    }
}
