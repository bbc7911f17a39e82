//! Connections that can be given up: every wait is short, ends when cancelled, and counts towards the limit for stalls.
//!
//! A peer stalls if fewer than [`FLOOR`] bytes move in the stall time *spent waiting*: one byte a second
//! is a stall, and a consumer that is slow itself is none.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use taru_stdx::{Error, Kind};

use crate::address::Guard;
use crate::cancel::{Cancel, Cancelled, SLICE};
use crate::fault::{Fault, Tried};

/// Bytes in the stall time that are progress.
const FLOOR: u64 = 1024;
/// Addresses of one name that are tried.
const ADDRESSES: usize = 8;

/// How long is waited for a peer.
#[derive(Debug, Clone)]
pub(crate) struct Patience {
    pub(crate) cancel: Cancel,
    /// For each address to accept a connection.
    pub(crate) connect: Duration,
    /// For [`FLOOR`] bytes.
    pub(crate) stall: Duration,
}

/// A TCP connection.
#[derive(Debug)]
pub(crate) struct Socket {
    tcp: TcpStream,
    peer: SocketAddr,
    cancel: Cancel,
    stall: Duration,
    waited: Duration,
    moved: u64,
}

/// Connects to `host`, a name or an address, where `guard` allows the address.
///
/// Neither getaddrinfo(3) nor connect(2) can be interrupted without a signal: they run in a thread of their own, which is
/// left to end by itself when nobody waits for it any more.
pub(crate) fn connect(host: &str, port: u16, guard: Guard, patience: &Patience) -> Tried<Socket> {
    let what = || format!("connect to `{host}:{port}`");
    let (done, waiting) = mpsc::channel();
    let (name, each) = (host.to_owned(), patience.connect);
    std::thread::Builder::new()
        .name("connect".into())
        .spawn(move || drop(done.send(connect_now(&name, port, guard, each))))
        .map_err(|e| Fault::passing(Error::new(Kind::System, what()).because(e)))?;
    // The resolver has its own limit of 5 s a try and server; this one is for all of it.
    let until = Instant::now() + patience.connect * 3;
    let answer = loop {
        patience.cancel.check()?;
        match waiting.recv_timeout(SLICE) {
            Ok(answer) => break answer,
            Err(RecvTimeoutError::Timeout) if Instant::now() < until => {}
            Err(_) => break Err(Refusal::Io(io::Error::from(io::ErrorKind::TimedOut))),
        }
    };
    let (tcp, peer) = answer.map_err(|refusal| match refusal {
        Refusal::Guarded => Fault::last(
            Error::new(Kind::Permission, format!("{}: a server's answer may not lead there", what()))
                .hint("it is an address of this host's own networks"),
        ),
        Refusal::Io(e) => {
            let timed_out = e.kind() == io::ErrorKind::TimedOut;
            let kind = if timed_out { Kind::Limit } else { Kind::System };
            Fault { is_no_tls: true, ..Fault::passing(Error::new(kind, what()).because(e)) }
        }
    })?;
    let set = || -> io::Result<()> {
        tcp.set_read_timeout(Some(SLICE))?;
        tcp.set_write_timeout(Some(SLICE))?;
        tcp.set_nodelay(true)
    };
    set().map_err(|e| Fault::io(what(), e))?;
    let (cancel, stall) = (patience.cancel.clone(), patience.stall);
    Ok(Socket { tcp, peer, cancel, stall, waited: Duration::ZERO, moved: 0 })
}

/// What the resolver says, without the standard library's words before it.
fn plain(e: io::Error) -> io::Error {
    match e.to_string().strip_prefix("failed to lookup address information: ") {
        Some(why) => io::Error::new(e.kind(), why),
        None => e,
    }
}

enum Refusal {
    Guarded,
    Io(io::Error),
}

fn connect_now(
    host: &str,
    port: u16,
    guard: Guard,
    each: Duration,
) -> Result<(TcpStream, SocketAddr), Refusal> {
    let addresses = (host, port).to_socket_addrs().map_err(|e| Refusal::Io(plain(e)))?;
    let mut refusal = Refusal::Io(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
    for address in addresses.take(ADDRESSES) {
        if !guard.allows(address.ip()) {
            refusal = Refusal::Guarded;
            continue;
        }
        match TcpStream::connect_timeout(&address, each) {
            Ok(tcp) => return Ok((tcp, address)),
            Err(e) => refusal = Refusal::Io(e),
        }
    }
    Err(refusal)
}

impl Socket {
    pub(crate) fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// A new exchange: what was waited for before does not count.
    pub(crate) fn begin(&mut self) {
        self.waited = Duration::ZERO;
        self.moved = 0;
    }

    /// The stall limit from here on.
    pub(crate) fn set_stall(&mut self, stall: Duration) {
        self.stall = stall;
        self.begin();
    }

    fn moved(&mut self, bytes: usize) {
        self.moved += bytes as u64;
        if self.moved >= FLOOR {
            self.begin();
        }
    }

    /// Does `once` until it moves something, fails, is cancelled or has taken too long.
    fn patiently(&mut self, mut once: impl FnMut(&mut TcpStream) -> io::Result<usize>) -> io::Result<usize> {
        loop {
            if self.cancel.is_set() {
                return Err(io::Error::other(Cancelled));
            }
            if self.waited >= self.stall {
                let text = format!("{} bytes in {:?}", self.moved, self.stall);
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    format!("the connection stalls: {text}"),
                ));
            }
            let before = Instant::now();
            let outcome = once(&mut self.tcp);
            self.waited += before.elapsed();
            match outcome {
                Ok(n) => {
                    self.moved(n);
                    return Ok(n);
                }
                // SO_RCVTIMEO and SO_SNDTIMEO end a wait with EAGAIN (socket(7)).
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.patiently(|tcp| tcp.read(buffer))
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.patiently(|tcp| tcp.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
