//! Lists that come page by page: tags of a repository, repositories of a registry.

use serde::Deserialize;
use taru_oci::Reference;
use taru_oci::limits;
use taru_stdx::{Error, Kind, Result};

use crate::address::Reach;
use crate::client::{Answer, Call, Client, To, wrap};
use crate::endpoint::Endpoint;
use crate::fault::{Fault, Tried};
use crate::resolve::whose;

/// Bytes of a page.
const PAGE: u64 = limits::MANIFEST;
/// Pages of a list.
const PAGES: usize = 1000;
/// Entries of a page that are asked for.
const PER_PAGE: usize = 1000;
/// Longest name of a repository (255) or tag (128).
const NAME: usize = 255;

#[derive(Deserialize)]
struct Tags {
    // An empty repository has `null`.
    tags: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Repositories {
    repositories: Option<Vec<String>>,
}

impl Client {
    /// The tags of the repository of `reference`, in the registry's order, at most [`limits::LISTED`].
    ///
    /// # Errors
    /// As [`Client::resolve`].
    pub fn tags(&self, reference: &Reference) -> Result<Vec<String>> {
        let endpoint = self.0.settings.registries.push(reference)?;
        self.tags_at(&endpoint, PAGES)
            .map_err(|fault| wrap("list the tags of", reference.name(), fault.error))
    }

    pub(crate) fn tags_at(&self, endpoint: &Endpoint, pages: usize) -> Tried<Vec<String>> {
        let path = endpoint.path(&format!("tags/list?n={PER_PAGE}"));
        self.pages(endpoint, path, &endpoint.scope("pull"), pages, |bytes| {
            serde_json::from_slice::<Tags>(bytes).map(|page| page.tags.unwrap_or_default())
        })
    }

    /// The repositories of `registry`, at most [`limits::LISTED`]. Many registries do not tell.
    ///
    /// # Errors
    /// As [`Client::resolve`].
    pub fn catalog(&self, registry: &str) -> Result<Vec<String>> {
        let endpoint = self.0.settings.registries.registry(registry)?;
        self.catalog_at(&endpoint).map_err(|fault| wrap("list the repositories of", registry, fault.error))
    }

    pub(crate) fn catalog_at(&self, endpoint: &Endpoint) -> Tried<Vec<String>> {
        let path = format!("/v2/_catalog?n={PER_PAGE}");
        self.pages(endpoint, path, "registry:catalog:*", PAGES, |bytes| {
            serde_json::from_slice::<Repositories>(bytes).map(|page| page.repositories.unwrap_or_default())
        })
    }

    fn pages(
        &self,
        endpoint: &Endpoint,
        first: String,
        scope: &str,
        pages: usize,
        read: impl Fn(&[u8]) -> serde_json::Result<Vec<String>>,
    ) -> Tried<Vec<String>> {
        let mut all: Vec<String> = Vec::new();
        let mut call = Call::new("GET", first, scope.to_owned());
        for _ in 0..pages {
            let (bytes, next) = self.0.persist(|| {
                let answer = self.0.call(endpoint, &mut call)?;
                let next = next(endpoint, &answer)?;
                let what = || format!("read what `{}` sends", endpoint.registry);
                let bytes = answer.response.body.bounded(PAGE).map_err(|e| Fault::io(what(), e))?;
                Ok((bytes, next))
            })?;
            let page = read(&bytes).map_err(|e| {
                Fault::last(whose(endpoint, Error::invalid("a list that is none").because(e)))
            })?;
            let is_empty = page.is_empty();
            // Names go to a terminal, and into requests.
            let is_name =
                |n: &String| !n.is_empty() && n.len() <= NAME && n.bytes().all(|b| b.is_ascii_graphic());
            if all.len() + page.len() > limits::LISTED {
                let text = format!("{}: more than {} entries", endpoint.registry, limits::LISTED);
                return Err(Fault::last(Error::new(Kind::Limit, text)));
            }
            all.extend(page.into_iter().filter(is_name));
            match next {
                Some(to) if !is_empty => call.to = to,
                _ => break,
            }
        }
        Ok(all)
    }
}

/// The next page: `Link: </v2/_catalog?last=x>; rel="next"` (RFC 8288), at the same server.
pub(crate) fn next(endpoint: &Endpoint, answer: &Answer) -> Tried<Option<To>> {
    let Some(link) = answer.response.head.all("link").find(|l| l.contains("next")) else { return Ok(None) };
    let target = link.trim().strip_prefix('<').and_then(|l| l.split_once('>')).map(|(target, _)| target);
    let refuse = |why: &str| Fault::last(whose(endpoint, Error::invalid(format!("a next page {why}"))));
    let url = answer.asked.join(target.ok_or_else(|| refuse("without an address"))?)?;
    if url.origin.host != answer.asked.origin.host || url.origin.port != answer.asked.origin.port {
        // Behind a proxy the port may be the one inside; another host is none of ours.
        if url.origin.host != answer.asked.origin.host {
            return Err(refuse("at another server"));
        }
    }
    if url.target == answer.asked.target {
        return Err(refuse("that is this one"));
    }
    let url = crate::url::Url::new(answer.asked.origin.clone(), url.target);
    Ok(Some(To::Led(url, Reach::Public)))
}
