//! Blobs: read as a stream that mends itself.
//!
//! A connection that ends early, stalls or fails is replaced by one that asks for the rest (`Range`), at the same endpoint, then at
//! the next one. Tries that bring no progress are bounded and further and further apart; a connection reset every 64 KB costs
//! a request each. The size is the descriptor's, whatever the registry says. **The digest is verified by [`Verified`], or by whoever stores it.**

use std::io::{self, Read};

use taru_oci::{Descriptor, Digest, Hasher, Reference, media};
use taru_stdx::{Error, Kind, Result};

use crate::body::Body;
use crate::client::{Answer, Call, Client, wrap};
use crate::conf::Wanted;
use crate::endpoint::Endpoint;
use crate::fault::{Again, Fault, Tried};
use crate::resolve::whose;

/// Bytes of one connection that are progress: fewer count as a failed try.
const PROGRESS: u64 = 16 << 10;

/// The rest of a blob, from some offset on. Its errors hold a [`taru_stdx::Error`] (see [`error_of`]).
pub struct BlobReader {
    client: Client,
    reference: Reference,
    descriptor: Descriptor,
    endpoints: Vec<Endpoint>,
    /// The endpoint in use.
    at: usize,
    offset: u64,
    body: Option<Body>,
    /// What the endpoint calls this content, so that a rest is a rest of the same (RFC 9110, 13.1.5).
    tag: Option<String>,
    /// Bytes of the present connection.
    came: u64,
    /// Tries without progress in a row.
    tries: u32,
}

impl std::fmt::Debug for BlobReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "BlobReader({} at {})", self.descriptor.digest, self.offset)
    }
}

/// The error of this crate inside of one of reading.
pub fn error_of(e: io::Error) -> Error {
    match e.downcast::<Error>() {
        Ok(error) => error,
        Err(e) => Error::new(Kind::System, "read a blob").because(e),
    }
}

impl Client {
    /// Opens the blob `descriptor` of the repository of `reference`, from `offset` on. The first request is made here, so that
    /// what is not there is known at once.
    ///
    /// # Errors
    /// As [`Client::resolve`]; [`Kind::Invalid`] if `offset` is beyond its end; [`Kind::Unsupported`] for a foreign layer.
    pub fn blob(&self, reference: &Reference, descriptor: &Descriptor, offset: u64) -> Result<BlobReader> {
        if media::layer(&descriptor.media_type) == media::Layer::Foreign {
            let text = format!(
                "fetch `{}`: a layer of type `{}`",
                descriptor.digest,
                descriptor.media_type.escape_debug()
            );
            return Err(Error::new(Kind::Unsupported, text)
                .hint("its publisher keeps it at another place than the registry, which is not followed: images of Windows have such layers"));
        }
        if offset > descriptor.size {
            let text =
                format!("fetch `{}` from byte {offset}: it has {}", descriptor.digest, descriptor.size);
            return Err(Error::invalid(text));
        }
        let mut reader = BlobReader {
            client: self.clone(),
            reference: reference.clone(),
            descriptor: descriptor.clone(),
            endpoints: self.0.settings.registries.pull(reference, Wanted::Part)?,
            at: 0,
            offset,
            body: None,
            tag: None,
            came: 0,
            tries: 0,
        };
        if offset < descriptor.size {
            reader.open()?;
        }
        Ok(reader)
    }
}

impl BlobReader {
    /// How many bytes of the blob lie before what comes next.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The same bytes, which end in an error if their digest is wrong. For one that was opened at offset 0.
    pub fn verified(self) -> Verified<BlobReader> {
        let digest = self.descriptor.digest.clone();
        Verified::new(self, digest)
    }

    /// Opens a connection to the rest, however often it takes.
    fn open(&mut self) -> Result<()> {
        let mut errors = Vec::new();
        loop {
            self.client.0.cancel.check()?;
            let Some(endpoint) = self.endpoints.get(self.at) else {
                let none = || Error::new(Kind::NotFound, "no registry is known for it");
                let all = Error::all(errors).unwrap_or_else(none);
                return Err(wrap("fetch a blob of", &self.reference, all));
            };
            match self.ask(endpoint) {
                Ok((body, tag)) => {
                    self.body = Some(body);
                    self.tag = tag;
                    self.came = 0;
                    return Ok(());
                }
                Err(fault) => {
                    if self.client.0.cancel.is_set() {
                        return Err(wrap("fetch a blob of", &self.reference, fault.error));
                    }
                    errors.extend(self.failed(fault)?);
                }
            }
        }
    }

    /// Waits before the next try at this endpoint, or goes on to the next one and returns why.
    fn failed(&mut self, fault: Fault) -> Result<Option<Error>> {
        if let Again::Soon(after) = fault.again
            && self.tries < self.client.0.retries(self.at, self.endpoints.len())
        {
            self.client.0.pause(self.tries, after)?;
            self.tries += 1;
            return Ok(None);
        }
        self.at += 1;
        self.tries = 0;
        self.tag = None;
        Ok(Some(fault.error))
    }

    /// One request for the rest.
    fn ask(&self, endpoint: &Endpoint) -> Tried<(Body, Option<String>)> {
        let path = endpoint.path(&format!("blobs/{}", self.descriptor.digest));
        let mut call = Call::new("GET", path, endpoint.scope("pull"));
        if self.offset > 0 {
            call.headers.push(("Range", format!("bytes={}-", self.offset)));
            call.headers.extend(self.tag.clone().map(|tag| ("If-Range", tag)));
        }
        let Answer { response, .. } = self.client.0.call(endpoint, &mut call)?;
        // Weak tags do not tell whether bytes are the same.
        let tag = response.head.get("etag").filter(|tag| tag.starts_with('"')).map(str::to_owned);
        let refuse = |text: String| Fault::last(whose(endpoint, Error::invalid(text)));
        let size = self.descriptor.size;
        let left = size - self.offset;
        let mut body = response.body;
        let skip = match (response.head.status, response.head.get("content-range")) {
            (206, Some(range)) => {
                let expected = format!("bytes {}-{}/", self.offset, size - 1);
                let total = range.strip_prefix(&expected);
                if self.offset == 0 || !total.is_some_and(|t| t == "*" || t == size.to_string()) {
                    let text = format!(
                        "the bytes `{}` instead of {}-{} of {size}",
                        range.escape_debug(),
                        self.offset,
                        size - 1
                    );
                    return Err(refuse(text));
                }
                0
            }
            (206, None) => return Err(refuse("a part of the content, and not which".to_owned())),
            // It knows no ranges, or the content is not what it was: then the digest will tell.
            _ => self.offset,
        };
        if let Some(length) = body.length()
            && length != left + skip
        {
            return Err(refuse(format!("{length} bytes instead of {}", left + skip)));
        }
        let skipped = io::copy(&mut body.by_ref().take(skip), &mut io::sink());
        let skipped =
            skipped.map_err(|e| Fault::io(format!("read what `{}` sends", endpoint.registry), e))?;
        if skipped < skip {
            return Err(Fault::passing(whose(
                endpoint,
                Error::invalid(format!("{skipped} bytes instead of {size}")),
            )));
        }
        Ok((body, tag))
    }

    /// What is wrong with a body that gave all the bytes there should be, if it goes on.
    fn excess(&mut self) -> io::Result<()> {
        let Some(mut body) = self.body.take() else { return Ok(()) };
        // A body with a length was checked by it; one without ends here or not.
        if body.length().is_some() {
            return Ok(());
        }
        match body.read(&mut [0]) {
            Ok(1..) => {
                let host = self.endpoints.get(self.at).map(|e| e.registry.clone()).unwrap_or_default();
                let text = format!(
                    "`{host}` sends more than the {} bytes of `{}`",
                    self.descriptor.size, self.descriptor.digest
                );
                Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    wrap("fetch a blob of", &self.reference, Error::invalid(text)),
                ))
            }
            // All is there, and how the connection ended is of no account.
            _ => Ok(()),
        }
    }
}

impl Read for BlobReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.descriptor.size - self.offset;
        if left == 0 || buffer.is_empty() {
            return Ok(0);
        }
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        loop {
            if self.body.is_none() {
                self.open().map_err(io::Error::other)?;
            }
            let Some(body) = &mut self.body else { return Err(io::ErrorKind::NotConnected.into()) };
            let ended = match body.read(&mut buffer[..most]) {
                Ok(0) => io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    format!("the connection ended {left} bytes early"),
                ),
                Ok(n) => {
                    self.offset += n as u64;
                    self.came += n as u64;
                    if self.came >= PROGRESS {
                        self.tries = 0;
                    }
                    if self.offset == self.descriptor.size {
                        self.excess()?;
                    }
                    return Ok(n);
                }
                Err(e) => e,
            };
            self.body = None;
            let host = self.endpoints.get(self.at).map(|e| e.registry.clone()).unwrap_or_default();
            let fault = Fault::io(format!("read what `{host}` sends"), ended);
            if self.client.0.cancel.is_set() {
                return Err(io::Error::other(wrap("fetch a blob of", &self.reference, fault.error)));
            }
            // Progress is worth another try at once.
            if self.came < PROGRESS || fault.again == Again::Never {
                let again = self.failed(fault).map_err(io::Error::other)?;
                if let Some(e) = again
                    && self.at >= self.endpoints.len()
                {
                    return Err(io::Error::other(wrap("fetch a blob of", &self.reference, e)));
                }
            }
        }
    }
}

/// A reader that comes to its end only if all of it has the digest that it should have; else it ends in an error.
pub struct Verified<R> {
    inner: R,
    hasher: Option<Hasher>,
    digest: Digest,
}

impl<R> std::fmt::Debug for Verified<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Verified({})", self.digest)
    }
}

impl<R: Read> Verified<R> {
    /// Verifies all that `inner` gives.
    pub fn new(inner: R, digest: Digest) -> Verified<R> {
        Verified { inner, hasher: Some(Hasher::new(digest.algorithm())), digest }
    }
}

impl<R: Read> Read for Verified<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let n = self.inner.read(buffer)?;
        if n > 0 {
            if let Some(hasher) = &mut self.hasher {
                hasher.update(&buffer[..n]);
            }
            return Ok(n);
        }
        match self.hasher.take().map(Hasher::finish) {
            Some(is) if is != self.digest => {
                let text = format!("verify `{}`: the content is `{is}`", self.digest);
                Err(io::Error::new(io::ErrorKind::InvalidData, Error::invalid(text)))
            }
            _ => Ok(0),
        }
    }
}
