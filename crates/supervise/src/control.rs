//! The control socket: who attaches to a container's streams.
//!
//! ```text
//! BUNDLE/control   a stream socket, 0600. A frame is: kind, length (2 bytes, high first), data
//!
//! attached ── i data ──▶ supervisor     input for the container
//!          ── e ──────▶                 the end of its input (not of a terminal)
//!          ── r 4 bytes ▶               its terminal's size: rows, columns (2 bytes each, high first)
//!          ◀─ o data ──                 what it wrote to standard output or its terminal
//!          ◀─ x data ──                 what it wrote to standard error
//!          ◀─ s 1 byte ─                its exit status; the last frame
//! ```
//! Anything else ends the connection. Who does not read what is sent is let go of, and has the log.

use std::fs::{File, Permissions};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use taru_stdx::{Context, Result};
use taru_sys::poll::events;
use taru_sys::tty::{Size, resize};

use crate::log::Stream;
use crate::streams::Streams;

/// The name of the socket, below the bundle.
pub const CONTROL: &str = "control";

/// The most data of one frame.
pub const FRAME: usize = 8 << 10;

/// How many may be attached at once.
const CLIENTS: usize = 8;

/// How much may be waiting for one who is attached, in bytes.
const BEHIND: usize = 1 << 20;

/// One frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame<'a> {
    /// Input for the container.
    Input(&'a [u8]),
    /// The end of its input.
    EndOfInput,
    /// Its terminal's size.
    Resize(Size),
    /// What it wrote.
    Output(Stream, &'a [u8]),
    /// How it ended.
    Status(u8),
}

impl Frame<'_> {
    /// The frame as bytes. Data beyond [`FRAME`] is the caller's mistake and is cut.
    pub fn to_bytes(self) -> Vec<u8> {
        let size: [u8; 4];
        let status: [u8; 1];
        let (kind, data): (u8, &[u8]) = match self {
            Frame::Input(data) => (b'i', data),
            Frame::EndOfInput => (b'e', &[]),
            Frame::Resize(to) => {
                let (rows, columns) = (to.rows.to_be_bytes(), to.columns.to_be_bytes());
                size = [rows[0], rows[1], columns[0], columns[1]];
                (b'r', &size)
            }
            Frame::Output(Stream::Stdout, data) => (b'o', data),
            Frame::Output(Stream::Stderr, data) => (b'x', data),
            Frame::Status(number) => {
                status = [number];
                (b's', &status)
            }
        };
        let data = data.get(..FRAME).unwrap_or(data);
        let mut bytes = vec![kind];
        bytes.extend_from_slice(&(data.len() as u16).to_be_bytes());
        bytes.extend_from_slice(data);
        bytes
    }

    /// Takes the first frame of `bytes` apart; with it, how long it was. `Ok(None)` if it is not all there.
    ///
    /// # Errors
    /// The bytes are no frame.
    #[allow(
        clippy::result_unit_err,
        reason = "there is one way to be no frame, and one thing to do about it"
    )]
    pub fn parse(bytes: &[u8]) -> std::result::Result<Option<(Frame<'_>, usize)>, ()> {
        let [kind, high, low, rest @ ..] = bytes else { return Ok(None) };
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        if length > FRAME {
            return Err(());
        }
        let Some(data) = rest.get(..length) else { return Ok(None) };
        let frame = match (kind, data) {
            (b'i', data) => Frame::Input(data),
            (b'e', []) => Frame::EndOfInput,
            (b'r', [a, b, c, d]) => Frame::Resize(Size {
                rows: u16::from_be_bytes([*a, *b]),
                columns: u16::from_be_bytes([*c, *d]),
            }),
            (b'o', data) => Frame::Output(Stream::Stdout, data),
            (b'x', data) => Frame::Output(Stream::Stderr, data),
            (b's', [status]) => Frame::Status(*status),
            _ => return Err(()),
        };
        Ok(Some((frame, 3 + length)))
    }
}

/// Connects to the supervisor of the container with this bundle.
///
/// # Errors
/// Nobody listens there; any error of connect(2).
pub fn connect(bundle: &Path) -> Result<UnixStream> {
    let what = || format!("connect to `{}`", bundle.join(CONTROL).display());
    let dir = File::open(bundle).context(what)?;
    UnixStream::connect(address(&dir, CONTROL)).context(what)
}

/// Listens on the socket `name` in `dir`; its address is returned too, as another process can use it.
pub(crate) fn listen(dir: &File, name: &str) -> Result<(UnixListener, PathBuf)> {
    let what = || format!("listen on `{name}`");
    let address = address(dir, name);
    let listener = UnixListener::bind(&address).context(what)?;
    std::fs::set_permissions(&address, Permissions::from_mode(0o600)).context(what)?;
    listener.set_nonblocking(true).context(what)?;
    Ok((listener, address))
}

/// A socket's address has room for 108 bytes, which a path need not fit into: it is named through a
/// descriptor of its directory.
fn address(dir: &File, name: &str) -> PathBuf {
    format!("/proc/{}/fd/{}/{name}", taru_sys::process::getpid(), dir.as_raw_fd()).into()
}

struct Client {
    stream: UnixStream,
    /// What came and is not a whole frame, or cannot be passed on yet.
    from: Vec<u8>,
    /// What is to be sent.
    to: Vec<u8>,
}

/// The supervisor's side.
pub(crate) struct Control {
    listener: UnixListener,
    clients: Vec<Client>,
}

impl Control {
    /// Listens in `bundle`.
    pub(crate) fn listen(bundle: &Path) -> Result<Control> {
        let what = || format!("open the bundle `{}`", bundle.display());
        let (listener, _) = listen(&File::open(bundle).context(what)?, CONTROL)?;
        Ok(Control { listener, clients: Vec::new() })
    }

    /// Adds what this side waits for: the listener, the container's input, then each client.
    pub(crate) fn wanted<'a>(&'a self, streams: &'a Streams, list: &mut Vec<(BorrowedFd<'a>, i16)>) {
        let free = self.clients.len() < CLIENTS;
        list.push((self.listener.as_fd(), if free { events::IN } else { 0 }));
        for client in &self.clients {
            // No more is taken than the container takes.
            let take = if client.from.len() <= FRAME { events::IN } else { 0 };
            let give = if client.to.is_empty() { 0 } else { events::OUT };
            list.push((client.stream.as_fd(), take | give));
        }
        if self.clients.iter().any(|c| !c.from.is_empty())
            && let Some(input) = streams.input()
        {
            list.push((input, events::OUT));
        }
    }

    /// Does what can be done now; `seen` belongs to what [`Control::wanted`] added.
    pub(crate) fn handle(&mut self, streams: &mut Streams, seen: &[i16]) {
        let mut index = 0;
        self.clients.retain_mut(|client| {
            index += 1;
            let seen = seen.get(index).copied().unwrap_or(0);
            let gone = seen & (events::IN | events::HUP | events::ERR) != 0 && !client.take();
            !gone && client.pass_on(streams) && client.give()
        });
        if seen.first().is_some_and(|s| *s != 0)
            && let Ok((stream, _)) = self.listener.accept()
            && stream.set_nonblocking(true).is_ok()
        {
            self.clients.push(Client { stream, from: Vec::new(), to: Vec::new() });
        }
    }

    /// Sends what the container wrote to all who are attached.
    pub(crate) fn output(&mut self, stream: Stream, data: &[u8]) {
        if !self.clients.is_empty() {
            self.send(Frame::Output(stream, data));
        }
    }

    /// Tells all who are attached how the container ended.
    pub(crate) fn ended(&mut self, status: u8) {
        self.send(Frame::Status(status));
    }

    fn send(&mut self, frame: Frame<'_>) {
        let bytes = frame.to_bytes();
        self.clients.retain_mut(|client| {
            client.to.extend_from_slice(&bytes);
            client.give()
        });
    }
}

impl Client {
    /// Takes what came; false if the other side is gone.
    fn take(&mut self) -> bool {
        let mut chunk = [0u8; FRAME];
        match self.stream.read(&mut chunk) {
            Ok(0) => false,
            Ok(length) => {
                self.from.extend_from_slice(chunk.get(..length).unwrap_or_default());
                true
            }
            Err(e) => matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
        }
    }

    /// Hands whole frames on to the container as far as it takes them; false for what is no frame.
    fn pass_on(&mut self, streams: &mut Streams) -> bool {
        loop {
            let length = match Frame::parse(&self.from) {
                Err(()) => return false,
                Ok(None) => return true,
                Ok(Some((Frame::Input(data), length))) => match streams.write_input(data) {
                    Some(written) if written == data.len() => length,
                    Some(written) => {
                        // The rest is a frame of its own, for when there is room.
                        let rest = Frame::Input(data.get(written..).unwrap_or_default()).to_bytes();
                        self.from.splice(..length, rest);
                        return true;
                    }
                    // There is nobody to read it.
                    None => length,
                },
                Ok(Some((Frame::EndOfInput, length))) => {
                    streams.end_input();
                    length
                }
                Ok(Some((Frame::Resize(size), length))) => {
                    if let Some(terminal) = streams.terminal() {
                        let _ = resize(terminal, size);
                    }
                    length
                }
                Ok(Some((Frame::Output(..) | Frame::Status(_), _))) => return false,
            };
            self.from.drain(..length);
        }
    }

    /// Sends what waits as far as it goes; false if the other side is gone or too far behind.
    fn give(&mut self) -> bool {
        while !self.to.is_empty() {
            match self.stream.write(&self.to) {
                Ok(0) => return false,
                Ok(written) => drop(self.to.drain(..written)),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => return self.to.len() <= BEHIND,
                Err(_) => return false,
            }
        }
        self.to.shrink_to(0);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_back_as_they_went_and_nothing_else_is_one() {
        let size = Size { rows: 24, columns: 300 };
        for frame in [
            Frame::Input(b"x\0\xff"),
            Frame::Input(b""),
            Frame::EndOfInput,
            Frame::Resize(size),
            Frame::Output(Stream::Stdout, b"o"),
            Frame::Output(Stream::Stderr, b"e"),
            Frame::Status(137),
        ] {
            let mut bytes = frame.to_bytes();
            assert_eq!(Frame::parse(&bytes), Ok(Some((frame, bytes.len()))));
            bytes.pop();
            assert_eq!(Frame::parse(&bytes), Ok(None));
        }
        for bad in [&b"q\0\0"[..], b"e\0\x01x", b"r\0\x03abc", b"s\0\0", b"i\xff\xff"] {
            assert_eq!(Frame::parse(bad), Err(()), "{bad:?}");
        }
    }
}
