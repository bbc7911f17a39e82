//! Searching a registry for images.
//!
//! docker.io has an interface of its own (`GET https://index.docker.io/v1/search`), which some others have as well; of those that do not,
//! the repositories are listed and compared.

use serde::Deserialize;
use taru_oci::reference::DEFAULT_REGISTRY;
use taru_stdx::{Error, Result};

use crate::client::{Call, Client, wrap};
use crate::endpoint::Endpoint;
use crate::fault::{Fault, Tried};
use crate::resolve::whose;
use crate::url::escape;

/// Bytes of an answer.
const ANSWER: u64 = 4 << 20;
/// Characters of a description that are kept.
const DESCRIPTION: usize = 300;

/// An image that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its repository; of docker.io without `library/`.
    pub name: String,
    /// What its makers say about it, on one line.
    pub description: String,
    /// How many people marked it; 0 where nobody counts.
    pub stars: u64,
    /// Whether docker.io itself maintains it.
    pub is_official: bool,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    results: Vec<One>,
}

#[derive(Deserialize)]
struct One {
    #[serde(default)]
    name: String,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    star_count: u64,
    #[serde(default)]
    is_official: bool,
}

impl Client {
    /// Searches `registry` for `term`; at most `limit` images, up to 100.
    ///
    /// # Errors
    /// As [`Client::resolve`]; [`taru_stdx::Kind::NotFound`] if it can neither be searched nor lists what it has.
    pub fn search(&self, registry: &str, term: &str, limit: usize) -> Result<Vec<Found>> {
        let limit = limit.clamp(1, 100);
        let endpoint = match registry {
            DEFAULT_REGISTRY => {
                self.0.settings.registries.registry(registry).map(|e| match e.registry.as_str() {
                    DEFAULT_REGISTRY => Endpoint::new("index.docker.io", "", e.is_insecure),
                    _ => e,
                })?
            }
            _ => self.0.settings.registries.registry(registry)?,
        };
        let found = match self.0.persist(|| self.search_at(&endpoint, term, limit)) {
            Err(Fault { status: Some(400..=405), .. }) => self.catalog_at(&endpoint).map(|all| {
                let fits = all.into_iter().filter(|name| name.contains(term)).take(limit);
                fits.map(|name| Found { name, description: String::new(), stars: 0, is_official: false })
                    .collect()
            }),
            done => done,
        };
        found.map_err(|fault| wrap("search", registry, fault.error))
    }

    fn search_at(&self, endpoint: &Endpoint, term: &str, limit: usize) -> Tried<Vec<Found>> {
        let path = format!("/v1/search?q={}&n={limit}", escape(term));
        let mut call = Call::new("GET", path, String::new());
        call.scopes.clear();
        let answer = self.0.call(endpoint, &mut call)?;
        let what = || format!("read what `{}` sends", endpoint.registry);
        let bytes = answer.response.body.bounded(ANSWER).map_err(|e| Fault::io(what(), e))?;
        let answer: Answer = serde_json::from_slice(&bytes)
            .map_err(|e| Fault::last(whose(endpoint, Error::invalid("a list that is none").because(e))))?;
        let plain = |text: &str| -> String {
            text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(DESCRIPTION).collect()
        };
        let found = answer.results.into_iter().take(limit).map(|one| Found {
            name: plain(&one.name),
            description: plain(one.description.as_deref().unwrap_or_default()).trim().to_owned(),
            stars: one.star_count,
            is_official: one.is_official,
        });
        Ok(found.collect())
    }
}
