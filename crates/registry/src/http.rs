//! One exchange with one server: a request out, the head of its answer back, the body to be read.
//!
//! HTTP/1.1 by hand on [`std::net`] and rustls rather than by a client library: every wait must end within a second when cancelled,
//! also inside of getaddrinfo(3) and connect(2); one byte a second is a stall, which total time limits do not see; the address
//! must be checked after it was resolved and before it is connected to; plain requests by a proxy carry the whole address.
//! Of ureq 3 only the framing would have been left, behind an interface that its authors keep unversioned. What of the protocol
//! is grammar is read by libraries all the same: heads, sizes of chunks and trailers by httparse ([`crate::message`], [`crate::body`]),
//! dates by httpdate, escapes by percent-encoding. Ours are the waiting, the bounds, and what is made of what was read.

use std::io::{Read, Seek, SeekFrom, Write};
use std::sync::Arc;

use taru_stdx::{Error, Kind};

use crate::address::{Guard, Reach};
use crate::body::Body;
use crate::connection::{Connection, Key, Pool, Stream};
use crate::fault::{Again, Fault, Tried, is_cancelled};
use crate::message::{Head, write_head};
use crate::proxy::{Proxies, Proxy};
use crate::socket::{self, Patience};
use crate::tls::{Peer, Trust};
use crate::url::{Origin, Scheme, Url};

const AGENT: &str = concat!("taru/", env!("CARGO_PKG_VERSION"));

/// Something that can be read again from any place.
pub trait Source: Read + Seek {}

impl<T: Read + Seek> Source for T {}

/// What a request carries.
pub(crate) enum Payload<'a> {
    None,
    Bytes(&'a [u8]),
    /// `length` bytes of `source` from `start` on.
    Part {
        source: &'a mut dyn Source,
        start: u64,
        length: u64,
    },
}

impl Payload<'_> {
    fn length(&self) -> u64 {
        match self {
            Payload::None => 0,
            Payload::Bytes(bytes) => bytes.len() as u64,
            Payload::Part { length, .. } => *length,
        }
    }

    /// Writes it, from its start, however often.
    fn write(&mut self, to: &mut impl Write) -> std::io::Result<()> {
        match self {
            Payload::None => Ok(()),
            Payload::Bytes(bytes) => to.write_all(bytes),
            Payload::Part { source, start, length } => {
                source.seek(SeekFrom::Start(*start))?;
                let mut buffer = vec![0; 64 << 10];
                let mut left = *length;
                while left > 0 {
                    let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
                    let n = source.read(&mut buffer[..most])?;
                    if n == 0 {
                        let text = format!("the content to be sent ends {left} bytes early");
                        return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, text));
                    }
                    to.write_all(&buffer[..n])?;
                    left -= n as u64;
                }
                Ok(())
            }
        }
    }
}

/// A request.
pub(crate) struct Request<'a> {
    pub(crate) method: &'static str,
    pub(crate) url: Url,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) payload: Payload<'a>,
    /// The server's certificate is not verified.
    pub(crate) is_insecure: bool,
    pub(crate) guard: Guard,
}

impl Request<'_> {
    /// One without headers or body, for an address that the person named.
    pub(crate) fn new<'a>(method: &'static str, url: Url) -> Request<'a> {
        Request {
            method,
            url,
            headers: Vec::new(),
            payload: Payload::None,
            is_insecure: false,
            guard: Guard::Named,
        }
    }
}

/// An answer.
pub(crate) struct Response {
    pub(crate) head: Head,
    pub(crate) body: Body,
    /// How far from the Internet whoever answered is; behind a proxy, taken to be public.
    pub(crate) reach: Reach,
}

/// The connections of one client.
pub(crate) struct Http {
    pool: Arc<Pool>,
    pub(crate) patience: Patience,
    pub(crate) proxies: Proxies,
    pub(crate) trust: Trust,
}

impl Http {
    pub(crate) fn new(patience: Patience, proxies: Proxies, trust: Trust) -> Http {
        Http { pool: Arc::default(), patience, proxies, trust }
    }

    /// Sends `request` and waits for the head of the answer, whatever its status.
    pub(crate) fn exchange(&self, request: &mut Request<'_>) -> Tried<Response> {
        let key = Key { origin: request.url.origin.clone(), is_insecure: request.is_insecure };
        if let Some(ip) = key.origin.ip()
            && !request.guard.allows(ip)
        {
            // By a proxy, too: the proxy's networks are not the stranger's either.
            return Err(Fault::last(
                Error::new(
                    Kind::Permission,
                    format!("go to `{}`: a server's answer may not lead there", request.url),
                )
                .hint("it is an address of this host's own networks"),
            ));
        }
        if let Some(connection) = self.pool.take(&key, request.guard) {
            match self.on(connection, request) {
                // The server may have ended it just as it was taken: that is no failed try.
                Err(fault) if fault.again != Again::Never => {}
                done => return done,
            }
        }
        let connection = self.connect(key, request.guard)?;
        self.on(connection, request)
    }

    fn connect(&self, key: Key, guard: Guard) -> Tried<Connection> {
        let origin = &key.origin;
        let proxy = self.proxies.to(origin);
        let mut stream = match proxy {
            Some(proxy) => self.connect_to_proxy(proxy)?,
            None => Stream::Plain(socket::connect(&origin.host, origin.port, guard, &self.patience)?),
        };
        if let Some(proxy) = proxy
            && !(proxy.takes_requests() && origin.scheme == Scheme::Http)
        {
            proxy.tunnel(&mut stream, origin)?;
        }
        if origin.scheme == Scheme::Https {
            // A server of plain HTTP may wait for more of what it takes for a request.
            const HANDSHAKE: std::time::Duration = std::time::Duration::from_secs(5);
            if key.is_insecure {
                stream.socket().set_stall(self.patience.stall.min(HANDSHAKE));
            }
            stream = self.trust.begin(origin, Peer::Server { is_insecure: key.is_insecure }, stream)?;
            stream.socket().set_stall(self.patience.stall);
        }
        Ok(Connection::new(stream, key, proxy.is_some()))
    }

    fn connect_to_proxy(&self, proxy: &Proxy) -> Tried<Stream> {
        let Origin { host, port, scheme } = &proxy.origin;
        let stream = Stream::Plain(socket::connect(host, *port, Guard::Named, &self.patience)?);
        match scheme {
            Scheme::Http => Ok(stream),
            Scheme::Https => self.trust.begin(&proxy.origin, Peer::Proxy, stream),
        }
    }

    fn on(&self, mut connection: Connection, request: &mut Request<'_>) -> Tried<Response> {
        connection.begin();
        let host = request.url.origin.authority();
        let mut bytes = Vec::new();
        self.write_request_head(&mut bytes, request)?;
        let what = || format!("ask `{host}`");
        let sent = {
            let stream = connection.stream.get_mut();
            stream
                .write_all(&bytes)
                .and_then(|()| request.payload.write(stream))
                .and_then(|()| stream.flush())
        };
        let sent = match sent {
            Err(e) if is_cancelled(&e) || e.kind() == std::io::ErrorKind::InvalidData => {
                return Err(Fault::io(format!("send to `{host}`"), e));
            }
            other => other,
        };
        // A server that refuses a body may answer and hang up before all of it is sent: its answer is what counts.
        let head = match (Head::read(&mut connection.stream), sent) {
            (Ok(head), _) => head,
            (Err(_), Err(e)) => return Err(Fault::io(format!("send to `{host}`"), e)),
            (Err(e), Ok(())) => return Err(Fault::io(what(), e)),
        };
        let framing = head.framing(request.method).map_err(|e| Fault::io(what(), e))?;
        let coding =
            head.all("content-encoding").find(|c| !c.is_empty() && !c.eq_ignore_ascii_case("identity"));
        if let Some(coding) = coding {
            let text = format!(
                "{}: the answer is encoded as `{}`, which nobody asked for",
                what(),
                coding.escape_debug()
            );
            return Err(Fault::last(Error::invalid(text)));
        }
        let reach = if connection.is_proxied { Reach::Public } else { Reach::of(connection.peer.ip()) };
        let body = Body::new(connection, framing, head.keeps(), self.pool.clone());
        Ok(Response { head, body, reach })
    }

    fn write_request_head(&self, to: &mut Vec<u8>, request: &Request<'_>) -> Tried<()> {
        let origin = &request.url.origin;
        let proxy = self.proxies.to(origin).filter(|p| p.takes_requests() && origin.scheme == Scheme::Http);
        let authority = origin.authority();
        let target = match proxy {
            Some(_) => format!("http://{authority}{}", request.url.target),
            None => request.url.target.clone(),
        };
        let length = request.payload.length().to_string();
        let proxy_authorization = proxy.and_then(|p| p.authorization());
        let mut headers =
            vec![("Host", authority.as_str()), ("User-Agent", AGENT), ("Accept-Encoding", "identity")];
        if let Some(value) = &proxy_authorization {
            headers.push(("Proxy-Authorization", value));
        }
        headers.extend(request.headers.iter().map(|(name, value)| (*name, value.as_str())));
        if matches!(request.method, "POST" | "PUT" | "PATCH") {
            headers.push(("Content-Length", &length));
        }
        Ok(write_head(to, request.method, &target, &headers)?)
    }
}
