//! Names to documents: what a tag or digest leads to, verified.

use taru_oci::{Descriptor, Digest, Document, Hasher, Reference, limits, media};
use taru_stdx::{Error, Kind, Result};

use crate::client::{Answer, Call, Client};
use crate::conf::Wanted;
use crate::endpoint::Endpoint;
use crate::fault::{Fault, Tried};
use crate::near::near;

/// What a reference led to.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// Media type, digest and size of `bytes`.
    pub descriptor: Descriptor,
    /// The manifest or index, byte by byte as it came.
    pub bytes: Vec<u8>,
    /// The same, read.
    pub document: Document,
    /// The registry or mirror that it came from, `HOST[:PORT]`.
    pub source: String,
}

/// What manifests may come as. Schema 1 is not among them: a registry that has nothing else says so or sends it, and it is refused.
const ACCEPTED: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
                        application/vnd.docker.distribution.manifest.list.v2+json, \
                        application/vnd.docker.distribution.manifest.v2+json";

/// Bytes of a document that is no manifest (a configuration).
const DOCUMENT: u64 = if limits::CONFIG > limits::MANIFEST { limits::CONFIG } else { limits::MANIFEST };

impl Client {
    /// Fetches the manifest or index that `reference` names. What came counts, whatever a HEAD request would have said.
    ///
    /// # Errors
    /// [`Kind::NotFound`] if there is none; [`Kind::Permission`] for want of credentials; [`Kind::Unsupported`] for schema 1;
    /// [`Kind::Invalid`] and [`Kind::Limit`] for what is not as it should be; [`Kind::State`] when cancelled.
    pub fn resolve(&self, reference: &Reference) -> Result<Resolved> {
        self.at_any(reference, wanted(reference), "resolve", |endpoint| {
            self.resolve_at(endpoint, reference)
                .map_err(|fault| self.with_near_tags(endpoint, reference, fault))
        })
    }

    /// The same for a tag that may well be absent: nobody mistyped it.
    pub(crate) fn resolve_plainly(&self, reference: &Reference) -> Result<Resolved> {
        self.at_any(reference, Wanted::Part, "resolve", |endpoint| self.resolve_at(endpoint, reference))
    }

    /// Adds what the tag may have been meant as, where it is not there.
    fn with_near_tags(&self, endpoint: &Endpoint, reference: &Reference, fault: Fault) -> Fault {
        let typed = reference.tag().filter(|_| fault.status == Some(404) && reference.digest().is_none());
        let Some(typed) = typed else { return fault };
        // One page, one try: it is advice.
        let Ok(tags) = self.tags_at(endpoint, 1) else { return fault };
        let near = near(typed, &tags);
        if near.is_empty() {
            return fault;
        }
        let hint = format!("near tags of `{}`: {}", reference.name(), near.join(", "));
        Fault { error: fault.error.hint(hint), ..fault }
    }

    pub(crate) fn resolve_at(&self, endpoint: &Endpoint, reference: &Reference) -> Tried<Resolved> {
        let name = name_of(reference);
        let mut call = Call::new("GET", endpoint.path(&format!("manifests/{name}")), endpoint.scope("pull"));
        call.headers.push(("Accept", ACCEPTED.to_owned()));
        let answer = self.0.call(endpoint, &mut call)?;
        let came = media_type(&answer);
        let said = answer.response.head.get("docker-content-digest").map(str::to_owned);
        let bytes = read(endpoint, answer, limits::MANIFEST, None)?;
        let digest = match reference.digest() {
            Some(wanted) => {
                verify(endpoint, wanted, &bytes)?;
                wanted.clone()
            }
            None => Digest::of(&bytes),
        };
        if let Some(said) = said.and_then(|said| said.parse::<Digest>().ok()) {
            verify(endpoint, &said, &bytes)?;
        }
        let document = Document::parse(&bytes, &came).map_err(|e| whose(endpoint, e))?;
        let own = match &document {
            Document::Manifest(manifest) => manifest.media_type.as_deref().unwrap_or(media::MANIFEST),
            Document::Index(index) => index.media_type.as_deref().unwrap_or(media::INDEX),
        };
        let is_telling = media::is_manifest(&came) || media::is_index(&came);
        let media_type = if is_telling { came.as_str() } else { own };
        let descriptor = Descriptor::new(media_type, digest, bytes.len() as u64);
        Ok(Resolved { descriptor, bytes, document, source: endpoint.registry.clone() })
    }

    /// What a manifest of `reference` is said to be, without fetching it; `None` if there is none. Registries count it as no pull.
    ///
    /// # Errors
    /// As [`Client::resolve`]; [`Kind::Invalid`] if the registry does not tell.
    pub fn head(&self, reference: &Reference) -> Result<Option<Descriptor>> {
        let found = self.at_any(reference, wanted(reference), "look up", |endpoint| {
            let path = endpoint.path(&format!("manifests/{}", name_of(reference)));
            let mut call = Call::new("HEAD", path, endpoint.scope("pull"));
            call.headers.push(("Accept", ACCEPTED.to_owned()));
            let answer = match self.0.call(endpoint, &mut call) {
                Err(Fault { status: Some(404), .. }) => return Ok(None),
                other => other?,
            };
            let head = &answer.response.head;
            let digest = match reference.digest() {
                Some(digest) => Some(digest.clone()),
                None => head.get("docker-content-digest").and_then(|d| d.parse().ok()),
            };
            let size = head.get("content-length").and_then(|n| n.parse().ok());
            match (digest, size) {
                (Some(digest), Some(size)) => Ok(Some(Descriptor::new(media_type(&answer), digest, size))),
                _ => Err(Fault::last(whose(
                    endpoint,
                    Error::invalid("a HEAD request tells no digest or size"),
                ))),
            }
        })?;
        Ok(found)
    }

    /// Fetches a document that a manifest or index of `reference` leads to, wholly and verified: another manifest, a configuration,
    /// a signature.
    ///
    /// # Errors
    /// As [`Client::resolve`]; [`Kind::Limit`] if it is larger than any such document may be.
    pub fn fetch_document(&self, reference: &Reference, descriptor: &Descriptor) -> Result<Vec<u8>> {
        let is_manifest =
            media::is_manifest(&descriptor.media_type) || media::is_index(&descriptor.media_type);
        let (kind, limit) = if is_manifest { ("manifests", limits::MANIFEST) } else { ("blobs", DOCUMENT) };
        if descriptor.size > limit {
            let text = format!("fetch `{}`: {} bytes, at most {limit}", descriptor.digest, descriptor.size);
            return Err(Error::new(Kind::Limit, text));
        }
        self.at_any(reference, Wanted::Part, "fetch a document of", |endpoint| {
            let path = endpoint.path(&format!("{kind}/{}", descriptor.digest));
            let mut call = Call::new("GET", path, endpoint.scope("pull"));
            if is_manifest {
                call.headers.push(("Accept", descriptor.media_type.clone()));
            }
            let answer = self.0.call(endpoint, &mut call)?;
            let bytes = read(endpoint, answer, limit, Some(descriptor.size))?;
            verify(endpoint, &descriptor.digest, &bytes)?;
            Ok(bytes)
        })
    }
}

/// The digest, if the reference has one: it is what counts then.
pub(crate) fn name_of(reference: &Reference) -> String {
    match (reference.digest(), reference.tag()) {
        (Some(digest), _) => digest.to_string(),
        (None, tag) => tag.unwrap_or(taru_oci::reference::DEFAULT_TAG).to_owned(),
    }
}

fn wanted(reference: &Reference) -> Wanted {
    if reference.digest().is_some() { Wanted::Digest } else { Wanted::Tag }
}

/// The type of an answer without its parameters.
fn media_type(answer: &Answer) -> String {
    let value = answer.response.head.get("content-type").unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_owned()
}

/// Puts before an error whose document it is about.
pub(crate) fn whose(endpoint: &Endpoint, e: Error) -> Error {
    Error::new(e.kind(), format!("`{}` sent what cannot be used", endpoint.registry)).because(e)
}

/// The whole body, of at most `limit` bytes, of exactly `size` if that is known.
pub(crate) fn read(endpoint: &Endpoint, answer: Answer, limit: u64, size: Option<u64>) -> Tried<Vec<u8>> {
    let most = size.unwrap_or(limit);
    let what = || format!("read what `{}` sends", endpoint.registry);
    let bytes = answer.response.body.bounded(most).map_err(|e| Fault::io(what(), e))?;
    match size {
        Some(size) if bytes.len() as u64 != size => Err(Fault::passing(Error::invalid(format!(
            "{}: {} bytes instead of {size}",
            what(),
            bytes.len()
        )))),
        _ => Ok(bytes),
    }
}

/// Refuses `bytes` that are not `digest`.
pub(crate) fn verify(endpoint: &Endpoint, digest: &Digest, bytes: &[u8]) -> Tried<()> {
    let mut hasher = Hasher::new(digest.algorithm());
    hasher.update(bytes);
    let is = hasher.finish();
    if is == *digest {
        return Ok(());
    }
    let e = Error::invalid(format!("content of digest `{is}` instead of `{digest}`"));
    Err(Fault::last(whose(endpoint, e)))
}
