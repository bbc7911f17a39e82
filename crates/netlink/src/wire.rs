//! The netlink encoding: messages built and read without any I/O.
//!
//! ```text
//! datagram   = message*                         each padded to 4 bytes
//! message    = length:u32 type:u16 flags:u16 sequence:u32 port:u32  payload
//! payload    = family header (fixed size)  attribute*
//! attribute  = length:u16 type:u16  value       padded to 4 bytes; a value may be attributes again
//! ```
//! All numbers are in the host's byte order. Source: netlink(7), linux/netlink.h.
//!
//! The readers never trust a length: what does not fit is an error of class [`Kind::System`].

use taru_stdx::{Error, Kind, Result};

use crate::uapi::*;

const HEADER: usize = 16;
const ATTRIBUTE_HEADER: usize = 4;

/// A request under construction.
pub(crate) struct Message {
    bytes: Vec<u8>,
}

impl Message {
    /// Begins a request of type `kind` with the flags `NLM_F_REQUEST | flags` and the given family header.
    pub(crate) fn new(kind: u16, flags: u16, family_header: &[u8]) -> Message {
        let mut bytes = Vec::with_capacity(256);
        bytes.extend_from_slice(&0u32.to_ne_bytes()); // the length: filled in by `finish`
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(&(NLM_F_REQUEST | flags).to_ne_bytes());
        bytes.extend_from_slice(&[0; 8]); // sequence and port
        let mut message = Message { bytes };
        message.bytes.extend_from_slice(family_header);
        message.pad();
        message
    }

    /// Appends an attribute.
    ///
    /// # Panics
    /// If the value is longer than an attribute can be (65531 bytes): callers pass names, addresses and numbers.
    pub(crate) fn put(&mut self, kind: u16, value: &[u8]) {
        let length = u16::try_from(ATTRIBUTE_HEADER + value.len()).expect("attribute of less than 64 KiB");
        self.bytes.extend_from_slice(&length.to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(value);
        self.pad();
    }

    /// Appends an attribute that holds a number of two bytes.
    pub(crate) fn put_u16(&mut self, kind: u16, value: u16) {
        self.put(kind, &value.to_ne_bytes());
    }

    /// Appends an attribute that holds a number of four bytes.
    pub(crate) fn put_u32(&mut self, kind: u16, value: u32) {
        self.put(kind, &value.to_ne_bytes());
    }

    /// Appends an attribute that holds a string with its terminating zero.
    pub(crate) fn put_str(&mut self, kind: u16, value: &str) {
        let mut bytes = value.as_bytes().to_vec();
        bytes.push(0);
        self.put(kind, &bytes);
    }

    /// Appends an attribute whose value is `prefix` followed by the attributes that `fill` appends.
    ///
    /// `prefix` is empty except for `VETH_INFO_PEER`, which begins with a family header.
    ///
    /// # Panics
    /// As [`Message::put`].
    pub(crate) fn nest(&mut self, kind: u16, prefix: &[u8], fill: impl FnOnce(&mut Message)) {
        let start = self.bytes.len();
        // The flag says "nothing but attributes inside"; requests for link properties demand it.
        self.put(if prefix.is_empty() { kind | NLA_F_NESTED } else { kind }, prefix);
        fill(self);
        let length = u16::try_from(self.bytes.len() - start).expect("attributes of less than 64 KiB");
        self.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes());
    }

    /// The finished datagram.
    pub(crate) fn finish(mut self, sequence: u32) -> Vec<u8> {
        let length = self.bytes.len() as u32;
        self.bytes[0..4].copy_from_slice(&length.to_ne_bytes());
        self.bytes[8..12].copy_from_slice(&sequence.to_ne_bytes());
        self.bytes
    }

    /// The type of the request.
    pub(crate) fn kind(&self) -> u16 {
        u16::from_ne_bytes([self.bytes[4], self.bytes[5]])
    }

    fn pad(&mut self) {
        self.bytes.resize(align(self.bytes.len()), 0);
    }
}

fn align(length: usize) -> usize {
    length.div_ceil(4) * 4
}

/// One message of a received datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    pub(crate) kind: u16,
    pub(crate) flags: u16,
    pub(crate) sequence: u32,
    /// The family header and the attributes.
    pub(crate) payload: &'a [u8],
}

/// The messages of a received datagram. Ends after the first malformed one.
pub(crate) struct Frames<'a>(pub(crate) &'a [u8]);

impl<'a> Iterator for Frames<'a> {
    type Item = Result<Frame<'a>>;

    fn next(&mut self) -> Option<Result<Frame<'a>>> {
        let rest = std::mem::take(&mut self.0);
        if rest.is_empty() {
            return None;
        }
        let frame = (|| {
            let length = u32_at(rest, 0)? as usize;
            let payload = rest.get(HEADER..length)?;
            self.0 = rest.get(align(length)..).unwrap_or_default();
            Some(Frame {
                kind: u16_at(rest, 4)?,
                flags: u16_at(rest, 6)?,
                sequence: u32_at(rest, 8)?,
                payload,
            })
        })();
        Some(frame.ok_or_else(|| malformed("a message")))
    }
}

/// The attributes in `0`. Ends after the first malformed one.
pub(crate) struct Attributes<'a>(pub(crate) &'a [u8]);

impl<'a> Attributes<'a> {
    /// The attributes that follow a family header of `header` bytes.
    pub(crate) fn after(payload: &'a [u8], header: usize) -> Result<Attributes<'a>> {
        payload.get(align(header)..).map(Attributes).ok_or_else(|| malformed("a family header"))
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Result<Attribute<'a>>;

    fn next(&mut self) -> Option<Result<Attribute<'a>>> {
        let rest = std::mem::take(&mut self.0);
        if rest.is_empty() {
            return None;
        }
        let attribute = (|| {
            let length = u16_at(rest, 0)? as usize;
            let value = rest.get(ATTRIBUTE_HEADER..length)?;
            self.0 = rest.get(align(length)..).unwrap_or_default();
            // The two top bits say "nested" and "network byte order"; they are no part of the type.
            Some(Attribute { kind: u16_at(rest, 2)? & 0x3fff, value })
        })();
        Some(attribute.ok_or_else(|| malformed("an attribute")))
    }
}

/// A typed value as it was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Attribute<'a> {
    pub(crate) kind: u16,
    pub(crate) value: &'a [u8],
}

impl<'a> Attribute<'a> {
    /// The value as a number of one byte.
    pub(crate) fn u8(self) -> Result<u8> {
        self.value.first().copied().ok_or_else(|| malformed("a number"))
    }

    /// The value as a number of four bytes.
    pub(crate) fn u32(self) -> Result<u32> {
        u32_at(self.value, 0).ok_or_else(|| malformed("a number"))
    }

    /// The value as a string, up to its terminating zero. Bytes that are not UTF-8 are replaced.
    pub(crate) fn text(self) -> String {
        let end = self.value.iter().position(|b| *b == 0).unwrap_or(self.value.len());
        String::from_utf8_lossy(&self.value[..end]).into_owned()
    }

    /// The value as an address: four bytes or sixteen.
    pub(crate) fn ip(self) -> Result<std::net::IpAddr> {
        if let Ok(bytes) = <[u8; 4]>::try_from(self.value) {
            Ok(bytes.into())
        } else if let Ok(bytes) = <[u8; 16]>::try_from(self.value) {
            Ok(bytes.into())
        } else {
            Err(malformed("an address"))
        }
    }

    /// The attributes inside the value.
    pub(crate) fn nested(self) -> Attributes<'a> {
        Attributes(self.value)
    }
}

/// The number of two bytes at `offset`.
pub(crate) fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    bytes.get(offset..offset + 2)?.try_into().ok().map(u16::from_ne_bytes)
}

/// The number of four bytes at `offset`.
pub(crate) fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    bytes.get(offset..offset + 4)?.try_into().ok().map(u32::from_ne_bytes)
}

/// What the kernel never sends.
pub(crate) fn malformed(what: &str) -> Error {
    Error::new(Kind::System, format!("read {what} of a netlink answer: malformed"))
}

/// A `NLMSG_ERROR` or the end of a dump: the error number (0: success) and the kernel's own text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Acknowledgement {
    pub(crate) errno: i32,
    pub(crate) text: Option<String>,
}

impl Acknowledgement {
    /// Reads the payload of `NLMSG_ERROR`: the number, the request (only its header if
    /// `NLM_F_CAPPED`), then attributes if `NLM_F_ACK_TLVS`.
    pub(crate) fn of_error(frame: &Frame<'_>) -> Result<Acknowledgement> {
        let length = u32_at(frame.payload, 4).ok_or_else(|| malformed("an acknowledgement"))? as usize;
        let echoed = if frame.flags & NLM_F_CAPPED != 0 { HEADER } else { align(length.max(HEADER)) };
        Acknowledgement::read(frame, 4 + echoed)
    }

    /// Reads the payload of `NLMSG_DONE`: the number, if any, then attributes if `NLM_F_ACK_TLVS`.
    pub(crate) fn of_done(frame: &Frame<'_>) -> Result<Acknowledgement> {
        if frame.payload.is_empty() {
            return Ok(Acknowledgement { errno: 0, text: None });
        }
        Acknowledgement::read(frame, 4)
    }

    fn read(frame: &Frame<'_>, attributes: usize) -> Result<Acknowledgement> {
        let number = u32_at(frame.payload, 0).ok_or_else(|| malformed("an acknowledgement"))? as i32;
        let mut text = None;
        if frame.flags & NLM_F_ACK_TLVS != 0 {
            for attribute in Attributes::after(frame.payload, attributes)? {
                let attribute = attribute?;
                if attribute.kind == NLMSGERR_ATTR_MSG {
                    text = Some(attribute.text());
                }
            }
        }
        Ok(Acknowledgement { errno: number.saturating_neg(), text })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        let mut m = Message::new(RTM_NEWLINK, NLM_F_ACK, &[0; 16]);
        m.put_str(IFLA_IFNAME, "veth0");
        m.nest(IFLA_LINKINFO, &[], |m| {
            m.put_str(IFLA_INFO_KIND, "veth");
            m.nest(IFLA_INFO_DATA, &[], |m| m.nest(VETH_INFO_PEER, &[0; 16], |m| m.put_u32(IFLA_MTU, 1400)));
        });
        m.finish(7)
    }

    #[test]
    fn what_is_built_is_read_back() {
        let bytes = sample();
        assert_eq!(bytes.len() % 4, 0);
        let frames: Vec<_> = Frames(&bytes).collect::<Result<_>>().unwrap();
        let [frame] = frames[..] else { panic!("{frames:?}") };
        assert_eq!((frame.kind, frame.flags, frame.sequence), (RTM_NEWLINK, NLM_F_REQUEST | NLM_F_ACK, 7));
        let top: Vec<_> = Attributes::after(frame.payload, 16).unwrap().collect::<Result<_>>().unwrap();
        assert_eq!(top[0].text(), "veth0");
        let info: Vec<_> = top[1].nested().collect::<Result<_>>().unwrap();
        assert_eq!(info[0].text(), "veth");
        let data = info[1].nested().next().unwrap().unwrap();
        let mut peer = Attributes::after(data.value, 16).unwrap();
        assert_eq!(peer.next().unwrap().unwrap().u32().unwrap(), 1400);
        assert!(peer.next().is_none());
    }

    #[test]
    fn two_messages_in_one_datagram() {
        let mut bytes = Message::new(1, 0, &[1]).finish(1);
        bytes.extend(Message::new(2, 0, &[]).finish(2));
        let frames: Vec<_> = Frames(&bytes).collect::<Result<_>>().unwrap();
        assert_eq!(frames.len(), 2);
        assert_eq!(frames[1].sequence, 2);
    }

    /// Whatever the bytes: no panic, and every iterator ends.
    fn read_everything(bytes: &[u8]) {
        fn attributes(list: Attributes<'_>, depth: usize) {
            for attribute in list.flatten() {
                let _ = (attribute.u8(), attribute.u32(), attribute.ip(), attribute.text());
                if depth < 6 {
                    attributes(attribute.nested(), depth + 1);
                }
            }
        }
        for frame in Frames(bytes).flatten() {
            let _ = Acknowledgement::of_error(&frame);
            let _ = Acknowledgement::of_done(&frame);
            for header in [0, 4, 8, 12, 16] {
                if let Ok(list) = Attributes::after(frame.payload, header) {
                    attributes(list, 0);
                }
            }
        }
        attributes(Attributes(bytes), 0);
    }

    #[test]
    fn lengths_that_lie_are_errors() {
        let good = sample();
        for cut in 0..good.len() {
            read_everything(&good[..cut]);
        }
        assert!(Frames(&good[..good.len() - 1]).next().unwrap().is_err());
        for (length, fine) in [(0u32, false), (15, false), (16, true), (u32::MAX, false)] {
            let mut bytes = good.clone();
            bytes[0..4].copy_from_slice(&length.to_ne_bytes());
            assert_eq!(Frames(&bytes).next().unwrap().is_ok(), fine, "{length}");
        }
        for (bytes, fine) in [
            (&[4, 0, 1, 0][..], true),
            (&[3, 0, 1, 0], false),
            (&[0, 0, 1, 0], false),
            (&[5, 0, 1, 0], false),
            (&[5, 0, 1, 0, 9], true), // the last attribute need not be padded
            (&[4, 0, 1], false),
            (&[0xff, 0xff, 1, 0, 9, 9, 9, 9], false),
        ] {
            if cfg!(target_endian = "little") {
                assert_eq!(Attributes(bytes).next().unwrap().is_ok(), fine, "{bytes:?}");
            }
        }
    }

    #[test]
    fn garbage_is_survived() {
        // A small generator of our own (xorshift): the same bytes in every run.
        let mut state = 0x9e37_79b9_7f4a_7c15u64;
        let mut random = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let good = sample();
        for _ in 0..20_000 {
            let mut bytes = good.clone();
            for _ in 0..1 + random() % 8 {
                let at = random() as usize % bytes.len();
                bytes[at] = random() as u8;
            }
            read_everything(&bytes);
            let noise: Vec<u8> = (0..random() % 64).map(|_| random() as u8).collect();
            read_everything(&noise);
        }
    }

    #[test]
    fn acknowledgements() {
        // errno -17, the echoed header only (capped), then the kernel's text.
        let mut payload = (-17i32).to_ne_bytes().to_vec();
        payload.extend_from_slice(&200u32.to_ne_bytes());
        payload.extend_from_slice(&[0; 12]);
        let mut text = Message::new(0, 0, &[]);
        text.put_str(NLMSGERR_ATTR_MSG, "taken");
        payload.extend_from_slice(&text.finish(0)[16..]);
        let flags = NLM_F_CAPPED | NLM_F_ACK_TLVS;
        let frame = Frame { kind: NLMSG_ERROR, flags, sequence: 0, payload: &payload };
        let read = Acknowledgement::of_error(&frame).unwrap();
        assert_eq!(read, Acknowledgement { errno: 17, text: Some("taken".into()) });

        let frame = Frame { kind: NLMSG_ERROR, flags: 0, sequence: 0, payload: &payload[..20] };
        assert_eq!(Acknowledgement::of_error(&frame).unwrap().errno, 17);
        let frame = Frame { kind: NLMSG_ERROR, flags: 0, sequence: 0, payload: &[0; 3] };
        assert!(Acknowledgement::of_error(&frame).is_err());
        let frame = Frame { kind: NLMSG_DONE, flags: 0, sequence: 0, payload: &[] };
        assert_eq!(Acknowledgement::of_done(&frame).unwrap().errno, 0);
    }
}
