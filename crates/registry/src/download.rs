//! A file from anywhere on the web: what a build adds by its address.
//!
//! The address is the person's; where its server leads is a stranger's word, and goes by the same rules as a registry's: never from https to
//! http, never to a link-local address, from the Internet never to a private one ([`crate::address`]). Nobody gets credentials.

use std::io::{self, Read};
use std::time::UNIX_EPOCH;

use taru_stdx::{Context, Error, Kind, Result};

use crate::body::Body;
use crate::client::{Client, Shared, refused};
use crate::fault::{Fault, Tried};
use crate::http::Request;
use crate::url::Url;

/// Redirects in a row: what Go follows, and so Docker.
const HOPS: usize = 10;

/// A file that is being fetched. Its errors hold a [`taru_stdx::Error`] (see [`crate::error_of`]).
pub struct Download {
    body: Body,
    /// Who sends it.
    host: String,
    limit: u64,
    came: u64,
    /// Bytes, where the server said it.
    pub length: Option<u64>,
    /// When it was changed, seconds since 1970, where the server said it.
    pub modified: Option<i64>,
    /// The last part of the address's path, as the person wrote it.
    pub name: Option<String>,
}

impl std::fmt::Debug for Download {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Download").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Download {
    fn too_large(host: &str, limit: u64) -> Error {
        Error::new(Kind::Limit, format!("`{host}` sends more than {limit} bytes"))
    }
}

impl Read for Download {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let what = || format!("read what `{}` sends", self.host);
        let n = self.body.read(buffer).map_err(|e| io::Error::other(Fault::io(what(), e).error))?;
        self.came += n as u64;
        if self.came > self.limit {
            return Err(io::Error::other(Download::too_large(&self.host, self.limit)));
        }
        Ok(n)
    }
}

impl Client {
    /// Begins to fetch `url`, by http or https: up to `limit` bytes, after which reading fails. What fails for a passing reason before
    /// the first byte is tried again.
    ///
    /// # Errors
    /// By the server's answer, as [`Kind::NotFound`] or [`Kind::Permission`]; [`Kind::Invalid`] for what is no address; [`Kind::Limit`] for
    /// a length above `limit` or too many redirects; [`Kind::Permission`] where one leads to what it may not.
    pub fn download(&self, url: &str, limit: u64) -> Result<Download> {
        let what = || format!("fetch `{}`", url.split(['?', '#']).next().unwrap_or_default());
        let address = Url::parse(url)?;
        let begun = self.0.persist(|| self.0.begin(&address, limit));
        begun.map_err(|fault| fault.error).context(what)
    }
}

impl Shared {
    fn begin(&self, address: &Url, limit: u64) -> Tried<Download> {
        let mut request = Request::new("GET", address.clone());
        let (response, _, _) = self.follow(&mut request, HOPS, &|_| false)?;
        let host = request.url.origin.authority();
        if response.head.status != 200 {
            return Err(refused(&host, response));
        }
        let length = response.body.length();
        if length.is_some_and(|length| length > limit) {
            return Err(Fault::last(Download::too_large(&host, limit)));
        }
        let path = address.target.split('?').next().unwrap_or_default();
        let name = path.rsplit('/').next().filter(|name| !name.is_empty()).map(crate::url::unescape);
        let modified = response.head.get("last-modified").and_then(seconds);
        Ok(Download { body: response.body.unverified(), host, limit, came: 0, length, modified, name })
    }
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, 5.6.7) as seconds since 1970.
fn seconds(date: &str) -> Option<i64> {
    let since = httpdate::parse_http_date(date).ok()?.duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(since.as_secs()).ok()
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn dates_of_servers_are_read() {
        assert_eq!(seconds("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(seconds("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(seconds("Thu, 29 Feb 2024 12:00:00 GMT"), Some(1_709_208_000));
        assert_eq!(seconds("yesterday"), None);
    }
}
