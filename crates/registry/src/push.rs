//! Pushing blobs and manifests, and removing them.

use taru_oci::{Descriptor, Digest, Document, Index, Reference, media};
use taru_stdx::{Error, Kind, Result};

use crate::client::{Call, Client, wrap};
use crate::endpoint::Endpoint;
use crate::fault::{Again, Fault, Tried};
use crate::http::{Payload, Source};
use crate::referrers::fallback_tag;
use crate::resolve::{name_of, verify};
use crate::upload::{Begun, CHUNK, Upload};

/// How a blob came to be in a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    /// It was there.
    Present,
    /// The registry had it in another repository.
    Mounted,
    /// It was sent.
    Sent,
}

impl Client {
    fn has_blob_at(&self, endpoint: &Endpoint, digest: &Digest, actions: &str) -> Tried<Option<u64>> {
        let mut call = Call::new("HEAD", endpoint.path(&format!("blobs/{digest}")), endpoint.scope(actions));
        match self.0.call(endpoint, &mut call) {
            Ok(answer) => {
                Ok(Some(answer.response.head.get("content-length").and_then(|n| n.parse().ok()).unwrap_or(0)))
            }
            Err(Fault { status: Some(404), .. }) => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    /// Sees to it that the blob `descriptor` is in the repository of `reference`: it may be there, be mounted from the repository
    /// `mount_from` of the same registry, or be sent from `source`, which is read from its start, if need be again.
    ///
    /// In one piece, unless [`crate::Settings::chunk`] says otherwise or that fails for a passing reason: then in chunks, of which only what
    /// is missing is sent again.
    ///
    /// # Errors
    /// As [`Client::resolve`], and [`Kind::Invalid`] if `source` is not the content.
    pub fn push_blob(
        &self,
        reference: &Reference,
        source: &mut dyn Source,
        descriptor: &Descriptor,
        mount_from: Option<&str>,
    ) -> Result<Pushed> {
        let endpoint = self.0.settings.registries.push(reference)?;
        self.push_blob_at(&endpoint, source, descriptor, mount_from)
            .map_err(|fault| wrap("push a blob to", reference.name(), fault.error))
    }

    fn push_blob_at(
        &self,
        endpoint: &Endpoint,
        source: &mut dyn Source,
        blob: &Descriptor,
        mount_from: Option<&str>,
    ) -> Tried<Pushed> {
        let mut chunk = self.0.settings.chunk;
        let mut mount = mount_from;
        let mut session: Option<Upload> = None;
        let mut tries = 0;
        loop {
            self.0.cancel.check()?;
            let before = session.as_ref().map_or(0, |s| s.offset);
            let fault = match self.push_once(endpoint, source, blob, mount, chunk, &mut session) {
                Ok(done) => return Ok(done),
                Err(fault) => fault,
            };
            // A source that one may not read or that is not there: the blob can still be sent.
            if mount.take().is_some() && matches!(fault.status, Some(400..=404)) {
                continue;
            }
            let is_lost = session.is_some() && matches!(fault.status, Some(404 | 416));
            let after = match fault.again {
                Again::Soon(after) => after,
                Again::Never if is_lost => None,
                Again::Never => return Err(fault),
            };
            if fault.status == Some(404) {
                session = None;
            }
            if tries >= self.0.settings.retries {
                return Err(fault);
            }
            self.0.pause(tries, after)?;
            let now = session.as_ref().map_or(0, |s| s.offset);
            tries = if now > before { 0 } else { tries + 1 };
            if chunk.is_none() && blob.size > CHUNK {
                chunk = Some(CHUNK);
                session = None;
            }
        }
    }

    /// One try, with what is left of the one before.
    fn push_once(
        &self,
        endpoint: &Endpoint,
        source: &mut dyn Source,
        blob: &Descriptor,
        mount: Option<&str>,
        chunk: Option<u64>,
        session: &mut Option<Upload>,
    ) -> Tried<Pushed> {
        if let (Some(upload), Some(_)) = (session.as_mut(), chunk) {
            self.0.ask_upload(endpoint, upload)?;
            if upload.offset > blob.size {
                *session = None;
            }
        }
        if session.is_none() || chunk.is_none() {
            // It may be there since the try before, whose answer was lost.
            if self.has_blob_at(endpoint, &blob.digest, "pull,push")?.is_some() {
                return Ok(Pushed::Present);
            }
            match self.0.begin_upload(endpoint, &blob.digest.to_string(), mount)? {
                Begun::Mounted => return Ok(Pushed::Mounted),
                Begun::Session(upload) => *session = Some(upload),
            }
        }
        let Some(upload) = session.as_mut() else { return Ok(Pushed::Sent) };
        match chunk {
            Some(chunk) => self.0.upload_chunks(endpoint, upload, source, blob, chunk)?,
            None => self.0.upload_whole(endpoint, upload, source, blob)?,
        }
        Ok(Pushed::Sent)
    }

    /// Pushes a manifest or index under the tag of `reference`, or under its own digest if there is none. Its parts have to be there.
    ///
    /// One that is about another (`subject`) is also added to the list of referrers, where the registry does not keep one itself.
    ///
    /// # Errors
    /// As [`Client::resolve`]; [`Kind::Invalid`] if it is no such document or not the digest of `reference`.
    pub fn push_manifest(&self, reference: &Reference, media_type: &str, bytes: &[u8]) -> Result<Descriptor> {
        let document = Document::parse(bytes, media_type)?;
        let endpoint = self.0.settings.registries.push(reference)?;
        let what = |fault: Fault| wrap("push", reference, fault.error);
        let descriptor = match reference.digest() {
            Some(digest) => {
                verify(&endpoint, digest, bytes).map_err(what)?;
                Descriptor::new(media_type, digest.clone(), bytes.len() as u64)
            }
            None => Descriptor::of(media_type, bytes),
        };
        let name = match reference.tag() {
            Some(tag) => tag.to_owned(),
            None => descriptor.digest.to_string(),
        };
        let has_list =
            self.0.persist(|| self.put_manifest(&endpoint, &name, &descriptor, bytes)).map_err(what)?;
        let (subject, artifact_type, annotations) = match document {
            Document::Manifest(m) => {
                let config = Some(m.config.media_type).filter(|t| !t.is_empty());
                (m.subject, m.artifact_type.or(config), m.annotations)
            }
            Document::Index(index) => (index.subject, index.artifact_type, index.annotations),
        };
        if let Some(subject) = subject.filter(|_| !has_list) {
            let entry = Descriptor { artifact_type, annotations, ..descriptor.clone() };
            self.add_referrer(&endpoint, reference, &subject.digest, entry).map_err(what)?;
        }
        Ok(descriptor)
    }

    /// Returns whether the registry keeps the list of referrers itself.
    fn put_manifest(
        &self,
        endpoint: &Endpoint,
        name: &str,
        descriptor: &Descriptor,
        bytes: &[u8],
    ) -> Tried<bool> {
        let path = endpoint.path(&format!("manifests/{name}"));
        let mut call = Call::new("PUT", path, endpoint.scope("pull,push"));
        call.headers.push(("Content-Type", descriptor.media_type.clone()));
        call.payload = Payload::Bytes(bytes);
        let answer = self.0.call(endpoint, &mut call)?;
        let said = answer.response.head.get("docker-content-digest").and_then(|d| d.parse::<Digest>().ok());
        let has_list = answer.response.head.get("oci-subject").is_some();
        answer.response.body.finish();
        if let Some(said) = said {
            verify(endpoint, &said, bytes)?;
        }
        Ok(has_list)
    }

    /// The list under a tag, for registries without the interface (OCI distribution, "Pushing Manifests with Subject").
    /// Two who do this at once may lose an entry; that is the scheme's.
    fn add_referrer(
        &self,
        endpoint: &Endpoint,
        reference: &Reference,
        subject: &Digest,
        entry: Descriptor,
    ) -> Tried<()> {
        let tag = fallback_tag(subject);
        let mut manifests = self.tagged_referrers(endpoint, reference, subject)?;
        if manifests.iter().any(|m| m.digest == entry.digest) {
            return Ok(());
        }
        manifests.push(entry);
        let index = Index {
            schema_version: 2,
            media_type: Some(media::INDEX.to_owned()),
            manifests,
            ..Index::default()
        };
        let bytes = serde_json::to_vec(&index)
            .map_err(|e| Fault::last(Error::new(Kind::System, "write a list of referrers").because(e)))?;
        let descriptor = Descriptor::of(media::INDEX, &bytes);
        self.0.persist(|| self.put_manifest(endpoint, &tag, &descriptor, &bytes)).map(drop)
    }

    /// Removes a manifest by the digest of `reference`, with all tags that lead to it, or else the tag of `reference` alone.
    ///
    /// # Errors
    /// As [`Client::resolve`]; [`Kind::Unsupported`] if the registry does not allow it.
    pub fn delete(&self, reference: &Reference) -> Result<()> {
        let endpoint = self.0.settings.registries.push(reference)?;
        let path = endpoint.path(&format!("manifests/{}", name_of(reference)));
        self.remove(&endpoint, path).map_err(|fault| {
            let by_tag = reference.digest().is_none() && matches!(fault.status, Some(400 | 405));
            let error = if by_tag {
                let hint = format!(
                    "this registry may remove by digest only, with all tags that lead to it: {}@sha256:...",
                    reference.name()
                );
                Error::new(Kind::Unsupported, fault.error.to_string()).hint(hint)
            } else {
                fault.error
            };
            wrap("delete", reference, error)
        })
    }

    fn remove(&self, endpoint: &Endpoint, path: String) -> Tried<()> {
        self.0.persist(|| {
            let mut call = Call::new("DELETE", path.clone(), endpoint.scope("delete"));
            self.0.call(endpoint, &mut call)?.response.body.finish();
            Ok(())
        })
    }
}
