//! References: how people name images, and what is meant.
//!
//! ```text
//! debian                    docker.io/library/debian:latest
//! me/app:1                  docker.io/me/app:1
//! quay.io/a/b@sha256:...    quay.io/a/b, that very content
//! localhost:5000/x          localhost:5000/x:latest
//! ```
//! The first part is a registry if it has a `.` or a `:`, or is `localhost`; that is everybody's rule
//! (distribution/reference in Go).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use taru_stdx::{Error, Result};

use crate::Digest;

/// The registry of names without one.
pub const DEFAULT_REGISTRY: &str = "docker.io";
/// The tag of names without one.
pub const DEFAULT_TAG: &str = "latest";

/// The full name of an image. Its parts are well-formed; a repository is always a safe path.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl Reference {
    /// `HOST[:PORT]`.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The repository in the registry, such as `library/debian`.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag; absent only where there is a digest.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, where the name has one: it is what counts then, not the tag.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// `REGISTRY/REPOSITORY`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// The same repository with this tag, and no digest.
    ///
    /// # Errors
    /// [`taru_stdx::Kind::Invalid`] if it is no tag.
    pub fn with_tag(&self, tag: &str) -> Result<Reference> {
        if !is_tag(tag) {
            return Err(Error::invalid(format!("use `{}` as a tag", tag.escape_debug()))
                .hint("up to 128 letters, digits, `_`, `.` and `-`, the first no `.` or `-`"));
        }
        Ok(Reference { tag: Some(tag.to_owned()), digest: None, ..self.clone() })
    }

    /// The same repository with this digest, and no tag.
    pub fn with_digest(&self, digest: Digest) -> Reference {
        Reference { tag: None, digest: Some(digest), ..self.clone() }
    }

    /// As people write it: without what goes without saying.
    pub fn familiar(&self) -> String {
        let full = self.to_string();
        let short = full.strip_prefix("docker.io/").unwrap_or(&full);
        short.strip_prefix("library/").unwrap_or(short).to_owned()
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        match &self.digest {
            Some(digest) => write!(f, "@{digest}"),
            None => Ok(()),
        }
    }
}

impl FromStr for Reference {
    type Err = Error;

    fn from_str(text: &str) -> Result<Reference> {
        let bad = |why: &str| {
            Error::invalid(format!("parse `{}` as the name of an image: {why}", text.escape_debug()))
        };
        if text.len() > 512 {
            return Err(bad("longer than 512 characters"));
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.parse::<Digest>()?)),
            None => (text, None),
        };
        let (registry, path) = match rest.split_once('/') {
            Some((first, path)) if first.contains(['.', ':']) || first == "localhost" => (first, path),
            _ => (DEFAULT_REGISTRY, rest),
        };
        // index.docker.io is what Docker's configuration files call it.
        let registry = if registry == "index.docker.io" { DEFAULT_REGISTRY } else { registry };
        if !is_host(registry) {
            let e = bad("the registry is not HOST[:PORT]");
            return Err(match text.split_once("://") {
                Some((scheme, _)) => e.hint(format!("leave out `{scheme}://`")),
                None => e,
            });
        }
        let (path, tag) = match path.rsplit_once(':') {
            Some((path, tag)) => (path, Some(tag)),
            None => (path, None),
        };
        if let Some(tag) = tag
            && !is_tag(tag)
        {
            return Err(bad("a tag has up to 128 letters, digits, `_`, `.` and `-`"));
        }
        if path.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(bad("upper-case letters").hint("repositories are written in lower case"));
        }
        if path.is_empty() || path.len() > 255 || !path.split('/').all(is_component) {
            return Err(bad(
                "a repository has lower-case letters, digits and single `.`, `_`, `-`, `/` between them",
            ));
        }
        let repository = match registry == DEFAULT_REGISTRY && !path.contains('/') {
            true => format!("library/{path}"),
            false => path.to_owned(),
        };
        let tag = match (tag, &digest) {
            (None, None) => Some(DEFAULT_TAG.to_owned()),
            (tag, _) => tag.map(str::to_owned),
        };
        Ok(Reference { registry: registry.to_owned(), repository, tag, digest })
    }
}

/// Whether `text` is `HOST`, `HOST:PORT`, `[V6]` or `[V6]:PORT`.
fn is_host(text: &str) -> bool {
    let is_port = |p: &str| !p.is_empty() && p.parse::<u16>().is_ok();
    if let Some(rest) = text.strip_prefix('[') {
        let Some((address, after)) = rest.split_once(']') else { return false };
        let is_after = after.is_empty() || after.strip_prefix(':').is_some_and(is_port);
        return is_after && address.parse::<std::net::Ipv6Addr>().is_ok();
    }
    let (host, port) = match text.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    };
    let is_label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    host.len() <= 253 && host.split('.').all(is_label) && port.is_none_or(is_port)
}

/// Whether `text` is a tag: `[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}`.
fn is_tag(text: &str) -> bool {
    let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    (1..=128).contains(&text.len())
        && text.bytes().next().is_some_and(is_word)
        && text.bytes().all(|b| is_word(b) || b == b'.' || b == b'-')
}

/// Whether `text` is a part of a repository's path: `[a-z0-9]+(([._]|__|-+)[a-z0-9]+)*`.
fn is_component(text: &str) -> bool {
    let is_word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    let (Some(&first), Some(&last)) = (bytes.first(), bytes.last()) else { return false };
    is_word(first)
        && is_word(last)
        && bytes.split(|&b| is_word(b)).all(|between| {
            matches!(between, [] | [b'.'] | [b'_'] | [b'_', b'_']) || between.iter().all(|&b| b == b'-')
        })
}

impl Serialize for Reference {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Reference {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Reference, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(|e: Error| serde::de::Error::custom(e.chain()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_mean_what_people_expect() {
        let d = "@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        for (typed, full, familiar) in [
            ("debian", "docker.io/library/debian:latest", "debian:latest"),
            ("me/app:1", "docker.io/me/app:1", "me/app:1"),
            ("localhost/x", "localhost/x:latest", "localhost/x:latest"),
            ("localhost:5000/x", "localhost:5000/x:latest", "localhost:5000/x:latest"),
            ("[::1]:5000/x", "[::1]:5000/x:latest", "[::1]:5000/x:latest"),
            ("quay.io/a/b_c__d--e.f:V1", "quay.io/a/b_c__d--e.f:V1", "quay.io/a/b_c__d--e.f:V1"),
            ("index.docker.io/library/x", "docker.io/library/x:latest", "x:latest"),
        ] {
            let reference: Reference = typed.parse().unwrap();
            assert_eq!(reference.to_string(), full);
            assert_eq!(reference.familiar(), familiar);
            assert_eq!(full.parse::<Reference>().unwrap(), reference);
        }
        let by_digest: Reference = format!("debian{d}").parse().unwrap();
        assert_eq!((by_digest.tag(), by_digest.to_string()), (None, format!("docker.io/library/debian{d}")));
        let both: Reference = format!("debian:12{d}").parse().unwrap();
        assert_eq!((both.tag(), both.digest().is_some()), (Some("12"), true));
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for bad in [
            "",
            ":1",
            "a:",
            "a b",
            "A",
            "a//b",
            "/a",
            "a/",
            "../x",
            "a/../b",
            "a..b",
            "a___b",
            "-a",
            "a-",
            "x:-a",
            "quay.io/",
            "quay.io:x/a",
            "a@sha256:1",
            "a\n",
            "a:b:c",
            "-h.io/a",
            "[::1/x",
            "host:99999/x",
        ] {
            assert!(bad.parse::<Reference>().is_err(), "{bad:?}");
        }
        assert!("a".repeat(600).parse::<Reference>().is_err());
    }
}
