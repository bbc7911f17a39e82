//! Where a repository is served: the registry itself or a mirror of it.

use std::net::IpAddr;

use taru_oci::reference::DEFAULT_REGISTRY;

/// One place that serves a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// `HOST[:PORT]` as people write it: what credentials are kept under and errors name.
    pub(crate) registry: String,
    pub(crate) repository: String,
    /// Certificates are not verified, and plain HTTP does.
    pub(crate) is_insecure: bool,
}

impl Endpoint {
    pub(crate) fn new(registry: &str, repository: &str, is_insecure: bool) -> Endpoint {
        Endpoint { registry: registry.to_owned(), repository: repository.to_owned(), is_insecure }
    }

    /// `HOST[:PORT]` to connect to.
    pub(crate) fn host(&self) -> &str {
        // docker.io itself is a site for people.
        if self.registry == DEFAULT_REGISTRY { "registry-1.docker.io" } else { &self.registry }
    }

    /// Whether it is this very host, which is trusted as Docker does: 127.0.0.0/8, ::1, localhost.
    pub(crate) fn is_loopback(&self) -> bool {
        let host = match self.registry.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or_default(),
            None => self.registry.split(':').next().unwrap_or_default(),
        };
        host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }

    /// The part of its interface at `path` below the repository.
    pub(crate) fn path(&self, path: &str) -> String {
        format!("/v2/{}/{path}", self.repository)
    }

    /// The right to do `actions` in the repository, as token servers have it.
    pub(crate) fn scope(&self, actions: &str) -> String {
        format!("repository:{}:{actions}", self.repository)
    }
}
