//! Referrers: what is said about an image (signatures, bills of materials), by the registry's interface or else by a tag.

use taru_oci::{Descriptor, Digest, Document, Index, Reference, limits, media};
use taru_stdx::{Error, Kind, Result};

use crate::client::{Call, Client, wrap};
use crate::conf::Wanted;
use crate::endpoint::Endpoint;
use crate::fault::{Fault, Tried};
use crate::list::next;
use crate::resolve::{read, whose};

/// Pages of the list.
const PAGES: usize = 100;

/// The tag that stands for the list where there is no interface: `ALGORITHM-HEX`, cut to what a tag may have.
pub(crate) fn fallback_tag(subject: &Digest) -> String {
    let hex = subject.hex();
    format!("{}-{}", subject.algorithm().name(), &hex[..hex.len().min(64)])
}

impl Client {
    /// The manifests that are about the manifest `subject` of the repository of `reference`; of one artifact type if `artifact_type` is given.
    ///
    /// # Errors
    /// As [`Client::resolve`]; nothing being said is none.
    pub fn referrers(
        &self,
        reference: &Reference,
        subject: &Digest,
        artifact_type: Option<&str>,
    ) -> Result<Vec<Descriptor>> {
        let mut all = self.at_any(
            &reference.with_digest(subject.clone()),
            Wanted::Digest,
            "list the referrers of",
            |endpoint| match self.listed_referrers(endpoint, subject, artifact_type)? {
                Some(all) => Ok(all),
                None => self.tagged_referrers(endpoint, reference, subject),
            },
        )?;
        // A registry need not have applied the filter.
        all.retain(|m| artifact_type.is_none_or(|t| m.artifact_type.as_deref() == Some(t)));
        Ok(all)
    }

    /// By the interface; `None` if there is none.
    fn listed_referrers(
        &self,
        endpoint: &Endpoint,
        subject: &Digest,
        artifact_type: Option<&str>,
    ) -> Tried<Option<Vec<Descriptor>>> {
        let mut path = endpoint.path(&format!("referrers/{subject}"));
        if let Some(wanted) = artifact_type {
            path.push_str(&format!("?artifactType={}", crate::url::escape(wanted)));
        }
        let mut call = Call::new("GET", path, endpoint.scope("pull"));
        call.headers.push(("Accept", media::INDEX.to_owned()));
        let mut all: Vec<Descriptor> = Vec::new();
        for _ in 0..PAGES {
            let answer = match self.0.call(endpoint, &mut call) {
                Err(Fault { status: Some(400 | 404 | 405), .. }) if all.is_empty() => return Ok(None),
                answer => answer?,
            };
            let to = next(endpoint, &answer)?;
            let came = answer.response.head.get("content-type").unwrap_or_default().to_owned();
            if !came.starts_with(media::INDEX) {
                // Some answer 200 with a page for people.
                return Ok(None);
            }
            let bytes = read(endpoint, answer, limits::MANIFEST, None)?;
            let index = index(endpoint, &bytes)?;
            let is_empty = index.manifests.is_empty();
            all.extend(index.manifests);
            if all.len() > limits::INDEX_ENTRIES {
                let text = format!("{}: more than {} referrers", endpoint.registry, limits::INDEX_ENTRIES);
                return Err(Fault::last(Error::new(Kind::Limit, text)));
            }
            match to {
                Some(to) if !is_empty => call.to = to,
                _ => break,
            }
        }
        Ok(Some(all))
    }

    /// By the tag; an absent one is an empty list.
    pub(crate) fn tagged_referrers(
        &self,
        endpoint: &Endpoint,
        reference: &Reference,
        subject: &Digest,
    ) -> Tried<Vec<Descriptor>> {
        let tagged = reference.with_tag(&fallback_tag(subject))?;
        match self.resolve_at(endpoint, &tagged) {
            Ok(resolved) => match resolved.document {
                Document::Index(index) => Ok(index.manifests),
                Document::Manifest(_) => Ok(Vec::new()),
            },
            Err(Fault { status: Some(404), .. }) => Ok(Vec::new()),
            Err(fault) => Err(Fault { error: wrap("read", tagged, fault.error), ..fault }),
        }
    }
}

fn index(endpoint: &Endpoint, bytes: &[u8]) -> Tried<Index> {
    match Document::parse(bytes, media::INDEX).map_err(|e| Fault::last(whose(endpoint, e)))? {
        Document::Index(index) => Ok(*index),
        Document::Manifest(_) => Err(Fault::last(Error::new(Kind::Invalid, "a manifest for a list"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tag_of_a_subject_is_a_tag() {
        let digest = Digest::of(b"");
        assert_eq!(fallback_tag(&digest), format!("sha256-{}", digest.hex()));
        let long = taru_oci::Hasher::new(taru_oci::Algorithm::Sha512).finish();
        assert_eq!(fallback_tag(&long).len(), 7 + 64);
    }
}
