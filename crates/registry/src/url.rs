//! Addresses of requests: `http` and `https` only, without user or fragment.
//!
//! `Display` leaves out the query: addresses that registries redirect to carry their signature there, which
//! is a credential and must not come into an error.
//!
//! Read here rather than by a library: the `url` crate mends what is to be refused (tabs, line ends, `\`, `http:host`), rewrites the
//! queries that signatures are over, and comes with some twenty-five packages for names in all scripts, which no registry has;
//! `http::Uri` resolves no relative ones. What is special here, an [`Origin`] and what may be in it, would be left either way. Escapes are percent-encoding's.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, percent_decode_str, utf8_percent_encode};
use taru_stdx::{Error, Result};

/// Longest address that is followed; servers refuse longer ones as well.
const LONGEST: usize = 16 << 10;

/// How a server is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Scheme {
    Http,
    Https,
}

impl Scheme {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }

    fn port(self) -> u16 {
        match self {
            Scheme::Http => 80,
            Scheme::Https => 443,
        }
    }
}

/// Whom a request goes to; credentials for one origin are for no other.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Origin {
    pub(crate) scheme: Scheme,
    /// Lower case, an IPv6 address without its brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl Origin {
    /// Reads `HOST[:PORT]`, with an IPv6 address in brackets.
    pub(crate) fn parse(scheme: Scheme, text: &str) -> Result<Origin> {
        let bad = || Error::invalid(format!("parse `{}` as HOST[:PORT]", text.escape_debug()));
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, after) = rest.split_once(']').ok_or_else(bad)?;
                host.parse::<Ipv6Addr>().map_err(|_| bad())?;
                match after.strip_prefix(':') {
                    Some(port) => (host, Some(port)),
                    None if after.is_empty() => (host, None),
                    None => return Err(bad()),
                }
            }
            None => match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            },
        };
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
        let is_v6 = text.starts_with('[');
        // A host becomes the name of a directory in certs.d: it is no `..`.
        let has_labels = host.strip_suffix('.').unwrap_or(host).split('.').all(|label| !label.is_empty());
        if host.len() > 253 || !(is_v6 || (has_labels && host.bytes().all(is_plain))) {
            return Err(bad());
        }
        let port = match port {
            None | Some("") => scheme.port(),
            Some(port) if port.bytes().all(|b| b.is_ascii_digit()) => port.parse().map_err(|_| bad())?,
            Some(_) => return Err(bad()),
        };
        Ok(Origin { scheme, host: host.to_ascii_lowercase(), port })
    }

    /// The host as an address, if it is one.
    pub(crate) fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    /// `HOST[:PORT]`, the port where it is not the scheme's own.
    pub(crate) fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port == self.scheme.port() { host } else { format!("{host}:{}", self.port) }
    }

    /// `HOST:PORT`, always with the port.
    pub(crate) fn with_port(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        format!("{host}:{}", self.port)
    }
}

/// An address.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Url {
    pub(crate) origin: Origin,
    /// From the first `/` on, with the query; printable ASCII only.
    pub(crate) target: String,
}

impl Url {
    /// `target` begins with `/` and is made by us of checked parts.
    pub(crate) fn new(origin: Origin, target: impl Into<String>) -> Url {
        Url { origin, target: target.into() }
    }

    /// Reads an absolute address.
    pub(crate) fn parse(text: &str) -> Result<Url> {
        let (url, user) = Url::parse_with_user(text)?;
        match user {
            None => Ok(url),
            Some(_) => Err(Error::invalid(format!("parse the address `{url}`: it has a user in it"))),
        }
    }

    /// Reads an absolute address that may have `USER[:PASSWORD]@` in it, as those of proxies do.
    pub(crate) fn parse_with_user(text: &str) -> Result<(Url, Option<String>)> {
        let shown = text.split(['?', '#']).next().unwrap_or_default();
        let shown = match shown.rsplit_once('@') {
            Some((_, after)) => after,
            None => shown,
        };
        let bad = |why: &str| {
            let shown: String = shown.chars().take(200).collect();
            Error::invalid(format!("parse the address `{}`: {why}", shown.escape_debug()))
        };
        if text.len() > LONGEST {
            return Err(bad("too long"));
        }
        if !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(bad("blanks or characters that need an escape"));
        }
        let (scheme, rest) = text.split_once("://").ok_or_else(|| bad("no http:// or https://"))?;
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => return Err(bad("neither http nor https")),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        let (user, authority) = match authority.rsplit_once('@') {
            Some((user, authority)) => (Some(user.to_owned()), authority),
            None => (None, authority),
        };
        let origin = Origin::parse(scheme, authority).map_err(|_| bad("no HOST[:PORT]"))?;
        let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
        Ok((Url { origin, target }, user))
    }

    /// Where `location`, absolute or relative, leads to from here (RFC 3986, 5.2; `..` is left to the server).
    pub(crate) fn join(&self, location: &str) -> Result<Url> {
        let location = location.trim();
        if let Some(rest) = location.strip_prefix("//") {
            return Url::parse(&format!("{}://{rest}", self.origin.scheme.name()));
        }
        let before_path = location.split(['/', '?', '#']).next().unwrap_or_default();
        if before_path.contains(':') {
            return Url::parse(location);
        }
        let path = self.target.split('?').next().unwrap_or("/");
        let target = match location.bytes().next() {
            Some(b'/') => location.to_owned(),
            Some(b'?') => format!("{path}{location}"),
            _ => format!("{}{location}", &path[..path.rfind('/').map_or(0, |at| at + 1)]),
        };
        Url::parse(&format!("{}://{}{target}", self.origin.scheme.name(), self.origin.authority()))
    }

    /// The same address with one more parameter in its query; `value` is escaped.
    #[must_use]
    pub(crate) fn with(mut self, name: &str, value: &str) -> Url {
        let before = if self.target.contains('?') { '&' } else { '?' };
        self.target.push_str(&format!("{before}{name}={}", escape(value)));
        self
    }
}

/// All but letters, digits and `-._~` (RFC 3986, 2.3).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// `text` with all but letters, digits and `-._~` escaped as `%XX`.
pub(crate) fn escape(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, RESERVED)
}

/// Takes the `%XX` out of `text`; what is none stays.
pub(crate) fn unescape(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.target.split('?').next().unwrap_or_default();
        write!(f, "{}://{}{path}", self.origin.scheme.name(), self.origin.authority())
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_shown_without_what_is_secret() {
        let url = Url::parse("HTTPS://Example.com:443/a/b?sig=s3cret#x").unwrap();
        assert_eq!(url.to_string(), "https://example.com/a/b");
        assert_eq!(url.target, "/a/b?sig=s3cret");
        assert_eq!(Url::parse("http://[::1]:5000").unwrap().to_string(), "http://[::1]:5000/");
        assert_eq!(
            url.clone().with("digest", "sha256:1 &").target,
            "/a/b?sig=s3cret&digest=sha256%3A1%20%26"
        );
        for bad in [
            "file:///etc/passwd",
            "gopher://x/",
            "/a",
            "http://",
            "http://a b/",
            "http://x/\r\nHost: y",
            "http://x:99999/",
            "http://x:+1/",
            "https://user:pw@x/",
            "http://[::1/",
            "http://é/",
            "http://../x",
            "http://./x",
            "http://.a/",
            "http://a..b/",
        ] {
            let e = Url::parse(bad).unwrap_err();
            assert!(!e.to_string().contains("pw"), "{e}");
        }
        assert!(Url::parse(&format!("http://x/{}", "a".repeat(20_000))).is_err());
        assert_eq!(unescape("a%40b%zz%2%+1"), "a@b%zz%2%+1");
    }

    #[test]
    fn locations_lead_from_where_one_is() {
        let here = Url::parse("https://r.io:5000/v2/a/blobs/uploads/?x=1").unwrap();
        for (location, leads_to) in [
            ("/v2/b?_state=1", "https://r.io:5000/v2/b?_state=1"),
            ("77?y=2", "https://r.io:5000/v2/a/blobs/uploads/77?y=2"),
            ("?y=2", "https://r.io:5000/v2/a/blobs/uploads/?y=2"),
            ("//cdn.io/z", "https://cdn.io/z"),
            ("http://cdn.io", "http://cdn.io/"),
        ] {
            assert_eq!(here.join(location).unwrap(), Url::parse(leads_to).unwrap(), "{location}");
        }
        for bad in ["file:///etc/passwd", "data:text/plain,x", "ftp://x/", "http://a\r\nb"] {
            assert!(here.join(bad).is_err(), "{bad}");
        }
    }
}
