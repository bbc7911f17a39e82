//! A connection to a D-Bus daemon over a unix socket: log in, call, wait for signals. No thread.
//!
//! Why not a library: the pure-Rust ones bring an executor or a thread (zbus), or nix and a derive crate for their
//! whole type system (rustbus); five methods of one peer take three hundred lines here.

use std::io::{ErrorKind, Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::time::{Duration, Instant};

use taru_stdx::{Context, Error, Kind, Result};

use super::wire::{self, Call, Incoming, Writer};

/// How long an answer, or the end of a job, may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// An open connection.
pub(super) struct Bus {
    stream: UnixStream,
    serial: u32,
    /// Signals that came while an answer was waited for.
    signals: Vec<Incoming>,
}

impl Bus {
    /// Connects to the first of the `addresses` (D-Bus syntax, separated by `;`) that works, and says hello.
    pub(super) fn connect(addresses: &str) -> Result<Bus> {
        let what = || format!("connect to D-Bus at `{addresses}`");
        let mut last = Error::invalid("no address of a unix socket");
        for address in addresses.split(';').filter_map(parse_address) {
            let connected = match &address {
                Address::Path(path) => UnixStream::connect(path),
                Address::Abstract(name) => {
                    SocketAddr::from_abstract_name(name).and_then(|a| UnixStream::connect_addr(&a))
                }
            };
            match connected {
                Ok(stream) => {
                    let mut bus = Bus { stream, serial: 0, signals: Vec::new() };
                    bus.login().context(what)?;
                    return Ok(bus);
                }
                Err(e) => last = Error::new(Kind::System, "connect").because(e),
            }
        }
        Err(last).context(what)
    }

    /// SASL's EXTERNAL: the socket says who we are. No id is sent, since in a user namespace ours would be
    /// another than the one that the daemon sees.
    fn login(&mut self) -> Result<()> {
        self.stream.set_write_timeout(Some(PATIENCE)).context(|| "set a time limit")?;
        self.send(b"\0AUTH EXTERNAL\r\n")?;
        if self.line()?.starts_with("DATA") {
            self.send(b"DATA\r\n")?;
        }
        let answer = self.line()?;
        if !answer.starts_with("OK") {
            return Err(Error::new(
                Kind::Permission,
                format!("log in: the daemon answered `{}`", answer.trim()),
            ));
        }
        self.send(b"BEGIN\r\n")?;
        self.call(Call {
            destination: DAEMON,
            path: "/org/freedesktop/DBus",
            interface: DAEMON,
            member: "Hello",
            signature: "",
            body: Writer::default(),
        })?;
        Ok(())
    }

    /// Asks the daemon for signals that match the rule.
    pub(super) fn add_match(&mut self, rule: &str) -> Result<()> {
        let mut body = Writer::default();
        body.string(rule);
        self.call(Call {
            destination: DAEMON,
            path: "/org/freedesktop/DBus",
            interface: DAEMON,
            member: "AddMatch",
            signature: "s",
            body,
        })?;
        Ok(())
    }

    /// Calls a method and waits for its answer.
    ///
    /// An answer that is an error has the error's D-Bus name in its message.
    pub(super) fn call(&mut self, call: Call<'_>) -> Result<Incoming> {
        self.serial += 1;
        let serial = self.serial;
        let what = || format!("call `{}` over D-Bus", call.member);
        self.send(&call.message(serial)).context(what)?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let incoming = self.receive(deadline).context(what)?;
            match incoming.kind {
                SIGNAL => self.signals.push(incoming),
                REPLY if incoming.reply_to == serial => return Ok(incoming),
                ERROR if incoming.reply_to == serial => return Err(refusal(&incoming)).context(what),
                _ => {}
            }
        }
    }

    /// Waits for the next signal, those that came during calls first.
    pub(super) fn signal(&mut self, deadline: Instant) -> Result<Incoming> {
        if !self.signals.is_empty() {
            return Ok(self.signals.remove(0));
        }
        loop {
            let incoming = self.receive(deadline)?;
            if incoming.kind == SIGNAL {
                return Ok(incoming);
            }
        }
    }

    fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).context(|| "send")
    }

    fn receive(&mut self, deadline: Instant) -> Result<Incoming> {
        let mut header = [0; wire::HEADER];
        self.fill(&mut header, deadline)?;
        let mut message = header.to_vec();
        message.resize(wire::HEADER + wire::rest_length(&header)?, 0);
        self.fill(&mut message[wire::HEADER..], deadline)?;
        wire::parse(&message)
    }

    /// Reads until `buffer` is full.
    fn fill(&mut self, mut buffer: &mut [u8], deadline: Instant) -> Result<()> {
        let late =
            || Error::new(Kind::Limit, format!("wait for an answer: none within {} s", PATIENCE.as_secs()));
        while !buffer.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(late());
            }
            self.stream.set_read_timeout(Some(left)).context(|| "set a time limit")?;
            match self.stream.read(buffer) {
                Ok(0) => return Err(Error::new(Kind::System, "the connection was closed")),
                Ok(n) => buffer = &mut buffer[n..],
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&e.kind()) => {
                    return Err(late());
                }
                Err(e) => return Err(e).context(|| "receive"),
            }
        }
        Ok(())
    }

    /// A line of the log-in, byte by byte so that nothing behind it is taken.
    fn line(&mut self) -> Result<String> {
        let deadline = Instant::now() + PATIENCE;
        let mut line = Vec::new();
        while line.last() != Some(&b'\n') {
            let mut byte = [0];
            self.fill(&mut byte, deadline)?;
            line.push(byte[0]);
            if line.len() > 4096 {
                return Err(Error::invalid("log in: too long a line"));
            }
        }
        Ok(String::from_utf8_lossy(&line).into_owned())
    }
}

const DAEMON: &str = "org.freedesktop.DBus";
const REPLY: u8 = 2;
const ERROR: u8 = 3;
const SIGNAL: u8 = 4;

/// The error in an answer: its name, and what the peer says to people.
fn refusal(incoming: &Incoming) -> Error {
    let said = match incoming.signature.starts_with('s') {
        true => wire::Reader::new(&incoming.body).string().unwrap_or_default(),
        false => String::new(),
    };
    let name = incoming.error.as_str();
    let kind = match name.rsplit('.').next().unwrap_or_default() {
        "UnitExists" => Kind::Exists,
        "NoSuchUnit" | "UnknownObject" => Kind::NotFound,
        "AccessDenied" | "InteractiveAuthorizationRequired" => Kind::Permission,
        "InvalidArgs" | "PropertyReadOnly" => Kind::Invalid,
        "UnknownMethod" | "NotSupported" | "ServiceUnknown" => Kind::Unsupported,
        _ => Kind::System,
    };
    Error::new(kind, format!("{name}: {said}"))
}

/// Where a daemon listens.
#[derive(Debug, PartialEq, Eq)]
enum Address {
    Path(String),
    Abstract(String),
}

/// `unix:path=/run/x` or `unix:abstract=x`, with further keys ignored and `%20` and the like undone.
fn parse_address(text: &str) -> Option<Address> {
    text.strip_prefix("unix:")?.split(',').find_map(|part| match part.split_once('=')? {
        ("path", value) => Some(Address::Path(unescape(value))),
        ("abstract", value) => Some(Address::Abstract(unescape(value))),
        _ => None,
    })
}

fn unescape(text: &str) -> String {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let code = part.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match code {
            Some(byte) => {
                bytes.push(byte);
                bytes.extend(&part.as_bytes()[2..]);
            }
            None => bytes.extend(part.as_bytes()),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let path = |p: &str| Some(Address::Path(p.to_owned()));
        assert_eq!(
            parse_address("unix:path=/run/dbus/system_bus_socket"),
            path("/run/dbus/system_bus_socket")
        );
        assert_eq!(parse_address("unix:guid=1,path=/a%20b%2c"), path("/a b,"));
        assert_eq!(parse_address("unix:abstract=/tmp/x"), Some(Address::Abstract("/tmp/x".to_owned())));
        assert_eq!(parse_address("tcp:host=x"), None);
        assert_eq!(unescape("a%zz%"), "azz");
    }

    /// A fake daemon: it checks the log-in and answers the calls; what it sends was laid out by hand from
    /// the specification.
    #[test]
    fn log_in_call_error_and_signal() {
        let dir = std::env::temp_dir().join(format!("taru-bus-{}", std::process::id()));
        let listener = std::os::unix::net::UnixListener::bind(&dir).unwrap();
        let daemon = std::thread::spawn(move || {
            let (mut peer, _) = listener.accept().unwrap();
            let mut expect = |text: &[u8], answer: &[u8]| {
                let mut got = vec![0; text.len()];
                peer.read_exact(&mut got).unwrap();
                assert_eq!(got, text);
                peer.write_all(answer).unwrap();
            };
            expect(b"\0AUTH EXTERNAL\r\n", b"DATA\r\n");
            expect(b"DATA\r\n", b"OK 1234\r\n");
            expect(b"BEGIN\r\n", b"");
            let mut answer = |reply: &[&[u8]]| {
                let mut header = [0; wire::HEADER];
                peer.read_exact(&mut header).unwrap();
                let mut rest = vec![0; wire::rest_length(&header).unwrap()];
                peer.read_exact(&mut rest).unwrap();
                reply.iter().for_each(|r| peer.write_all(r).unwrap());
            };
            let n = |v: u32| v.to_ne_bytes();
            let message = |kind: u8, fields: &[u8], body: &[u8]| {
                let mut m = vec![wire::ENDIAN, kind, 1, 1];
                m.extend(n(body.len() as u32));
                m.extend(n(9));
                m.extend(n(fields.len() as u32));
                m.extend(fields);
                m.resize(m.len().next_multiple_of(8), 0);
                m.extend(body);
                m
            };
            let reply_to = |serial: u32| [&[5, 1, b'u', 0][..], &n(serial)].concat();
            let hello = message(2, &reply_to(1), &[]);
            let signal = message(4, &[&[3, 1, b's', 0][..], &n(1), b"J\0"].concat(), &[]);
            answer(&[&signal, &hello]);
            let name = b"x.NoSuchUnit\0";
            let error =
                [&reply_to(2)[..], &[4, 1, b's', 0], &n(12), name, &[0, 0, 0, 8, 1, b'g', 0, 1, b's', 0]]
                    .concat();
            answer(&[&message(3, &error, &[&n(4)[..], b"gone\0"].concat())]);
        });
        let mut bus = Bus::connect(&format!("tcp:x;unix:path={}", dir.display())).unwrap();
        let call = Call {
            destination: "d",
            path: "/",
            interface: "i",
            member: "M",
            signature: "",
            body: Writer::default(),
        };
        let e = bus.call(call).unwrap_err();
        assert_eq!(e.kind(), Kind::NotFound);
        assert_eq!(e.chain().to_string(), "call `M` over D-Bus: x.NoSuchUnit: gone");
        assert_eq!(bus.signal(Instant::now()).unwrap().member, "J");
        daemon.join().unwrap();
        std::fs::remove_file(&dir).unwrap();
        assert!(Bus::connect("unix:path=/no/such/socket").is_err());
    }
}
