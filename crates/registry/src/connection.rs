//! A connection to one server, plain or with TLS, in another TLS's where its proxy wants that; and those that are kept for the next request.

use std::io::{self, BufReader, Read, Write};
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustls::{ClientConnection, StreamOwned};

use crate::address::Guard;
use crate::socket::Socket;
use crate::url::Origin;

/// Bytes read ahead: heads and chunk sizes come out of it, large reads go past it.
const BUFFER: usize = 16 << 10;
/// Connections that are kept.
const KEPT: usize = 16;
/// Servers drop idle ones after a minute or so.
const IDLE: Duration = Duration::from_secs(30);

/// What carries the bytes.
pub(crate) enum Stream {
    Plain(Socket),
    /// On a bare one, or in that of a proxy.
    Tls(Box<StreamOwned<ClientConnection, Stream>>),
}

impl Stream {
    pub(crate) fn socket(&mut self) -> &mut Socket {
        match self {
            Stream::Plain(socket) => socket,
            Stream::Tls(tls) => tls.sock.socket(),
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(socket) => socket.read(buffer),
            Stream::Tls(tls) => tls.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(socket) => socket.write(bytes),
            Stream::Tls(tls) => tls.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Stream::Plain(socket) => socket.flush(),
            Stream::Tls(tls) => tls.flush(),
        }
    }
}

/// Whom a connection is to; one to be verified is never used for one that is not, nor the reverse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) origin: Origin,
    pub(crate) is_insecure: bool,
}

/// One connection.
pub(crate) struct Connection {
    pub(crate) stream: BufReader<Stream>,
    pub(crate) key: Key,
    /// The server, or the proxy before it.
    pub(crate) peer: SocketAddr,
    /// Whether `peer` is a proxy.
    pub(crate) is_proxied: bool,
}

impl Connection {
    pub(crate) fn new(mut stream: Stream, key: Key, is_proxied: bool) -> Connection {
        let peer = stream.socket().peer();
        Connection { stream: BufReader::with_capacity(BUFFER, stream), key, peer, is_proxied }
    }

    /// Before each exchange: its waiting counts from here.
    pub(crate) fn begin(&mut self) {
        self.stream.get_mut().socket().begin();
    }
}

/// Connections that can carry another request.
#[derive(Default)]
pub(crate) struct Pool(Mutex<Vec<(Connection, Instant)>>);

impl Pool {
    /// A kept connection to `key` that `guard` allows.
    pub(crate) fn take(&self, key: &Key, guard: Guard) -> Option<Connection> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(_, since)| since.elapsed() < IDLE);
        let suits = |c: &Connection| c.key == *key && (c.is_proxied || guard.allows(c.peer.ip()));
        let at = kept.iter().rposition(|(c, _)| suits(c))?;
        Some(kept.swap_remove(at).0)
    }

    pub(crate) fn keep(&self, connection: Connection) {
        // What came unasked would be taken for the next answer.
        if !connection.stream.buffer().is_empty() {
            return;
        }
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < KEPT {
            kept.push((connection, Instant::now()));
        }
    }
}
