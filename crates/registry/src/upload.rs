//! Uploads: sessions that take a blob in one piece or in chunks (OCI distribution, "Push").
//!
//! ```text
//! POST  .../blobs/uploads/[?mount=D&from=R]  -> 202 Location            (201: mounted, nothing to send)
//! PUT   Location&digest=D   all of it        -> 201                     in one piece
//! PATCH Location  Content-Range: 0-8388607   -> 202 Location, Range     in chunks; GET Location tells how far it got
//! PUT   Location&digest=D   nothing          -> 201
//! ```

use taru_oci::Descriptor;
use taru_stdx::{Error, Kind};

use crate::address::Reach;
use crate::client::{Answer, Call, Shared, To};
use crate::endpoint::Endpoint;
use crate::fault::{Again, Fault, Tried};
use crate::http::{Payload, Source};
use crate::url::{Origin, Scheme, Url};

/// The smallest chunk that is sent, but for the last.
pub(crate) const CHUNK: u64 = 8 << 20;
/// The largest chunk that a registry may ask for.
const LARGEST: u64 = 1 << 30;

/// A session of a registry.
pub(crate) struct Upload {
    location: Url,
    reach: Reach,
    /// Bytes that it has.
    pub(crate) offset: u64,
    /// The smallest chunk that it takes.
    pub(crate) smallest: u64,
}

/// What an upload began with.
pub(crate) enum Begun {
    /// The registry took the blob from another repository.
    Mounted,
    Session(Upload),
}

/// Where the session goes on, as an answer has it.
fn led(endpoint: &Endpoint, answer: &Answer) -> Tried<(Url, Reach)> {
    let text = answer.response.head.get("location").ok_or_else(|| {
        Fault::last(Error::invalid(format!("{}: an upload without a location", endpoint.registry)))
    })?;
    let mut url = answer.asked.join(text).map_err(|e| {
        Fault::last(
            Error::new(e.kind(), format!("go on with an upload to `{}`", endpoint.registry)).because(e),
        )
    })?;
    let asked = &answer.asked.origin;
    // Behind a proxy that ends TLS, many a registry thinks that it speaks plain HTTP: it is still the same one.
    if url.origin.host == asked.host && url.origin.scheme != asked.scheme {
        url.origin = asked.clone();
    }
    if asked.scheme == Scheme::Https && url.origin.scheme == Scheme::Http {
        let text = format!("{}: an upload goes on at `{url}`, without TLS", endpoint.registry);
        return Err(Fault::last(Error::new(Kind::Permission, text)));
    }
    Ok((url, answer.reach))
}

/// How many bytes `Range: 0-LAST` means. `0-0` is what registries say of none.
fn end_of(range: &str) -> Option<u64> {
    let (_, last) = range.trim().trim_start_matches("bytes=").split_once('-')?;
    match last.parse::<u64>().ok()? {
        0 => Some(0),
        last => last.checked_add(1),
    }
}

impl Shared {
    /// Begins a session, or mounts the blob from another repository.
    pub(crate) fn begin_upload(
        &self,
        endpoint: &Endpoint,
        digest: &str,
        mount: Option<&str>,
    ) -> Tried<Begun> {
        let mut path =
            Url::new(Origin::parse(Scheme::Https, endpoint.host())?, endpoint.path("blobs/uploads/"));
        let mut call = Call::new("POST", String::new(), endpoint.scope("pull,push"));
        if let Some(from) = mount {
            path = path.with("mount", digest).with("from", from);
            call.scopes.push(format!("repository:{from}:pull"));
        }
        call.to = To::Path(path.target);
        let answer = self.call(endpoint, &mut call)?;
        if answer.response.head.status == 201 {
            return Ok(Begun::Mounted);
        }
        let (location, reach) = led(endpoint, &answer)?;
        let smallest =
            answer.response.head.get("oci-chunk-min-length").and_then(|n| n.parse().ok()).unwrap_or(0);
        if smallest > LARGEST {
            let text = format!("{}: it takes no chunks below {smallest} bytes", endpoint.registry);
            return Err(Fault::last(Error::new(Kind::Limit, text)));
        }
        answer.response.body.finish();
        Ok(Begun::Session(Upload { location, reach, offset: 0, smallest }))
    }

    /// Sends all of it in one piece, and ends the session.
    pub(crate) fn upload_whole(
        &self,
        endpoint: &Endpoint,
        upload: &Upload,
        source: &mut dyn Source,
        blob: &Descriptor,
    ) -> Tried<()> {
        self.end_upload(endpoint, upload, Payload::Part { source, start: 0, length: blob.size }, blob)
    }

    /// Sends chunks of at most `chunk` bytes (or what the registry wants at least) until all of it is there, and ends the session.
    /// After a failure the session tells how far it is; `upload` is then where to go on.
    pub(crate) fn upload_chunks(
        &self,
        endpoint: &Endpoint,
        upload: &mut Upload,
        source: &mut dyn Source,
        blob: &Descriptor,
        chunk: u64,
    ) -> Tried<()> {
        let chunk = chunk.max(upload.smallest).max(1);
        while upload.offset < blob.size {
            let length = chunk.min(blob.size - upload.offset);
            let start = upload.offset;
            let mut call = self.upload_call("PATCH", endpoint, upload);
            call.headers.push(("Content-Type", "application/octet-stream".into()));
            call.headers.push(("Content-Range", format!("{start}-{}", start + length - 1)));
            call.payload = Payload::Part { source: &mut *source, start, length };
            let answer = self.call(endpoint, &mut call)?;
            (upload.location, upload.reach) = led(endpoint, &answer)?;
            let is = answer.response.head.get("range").and_then(end_of).unwrap_or(start + length);
            if is <= start || is > start + length {
                let text =
                    format!("{}: it has {is} bytes of an upload after {}", endpoint.registry, start + length);
                return Err(Fault::last(Error::invalid(text)));
            }
            upload.offset = is;
            answer.response.body.finish();
        }
        self.end_upload(endpoint, upload, Payload::None, blob)
    }

    /// Asks the session how far it is.
    pub(crate) fn ask_upload(&self, endpoint: &Endpoint, upload: &mut Upload) -> Tried<()> {
        let answer = self.call(endpoint, &mut self.upload_call("GET", endpoint, upload))?;
        if let Ok((location, reach)) = led(endpoint, &answer) {
            (upload.location, upload.reach) = (location, reach);
        }
        upload.offset = answer.response.head.get("range").and_then(end_of).ok_or_else(|| {
            Fault::last(Error::invalid(format!(
                "{}: it does not tell how far an upload is",
                endpoint.registry
            )))
        })?;
        answer.response.body.finish();
        Ok(())
    }

    fn end_upload(
        &self,
        endpoint: &Endpoint,
        upload: &Upload,
        payload: Payload<'_>,
        blob: &Descriptor,
    ) -> Tried<()> {
        let mut call = self.upload_call("PUT", endpoint, upload);
        let location = upload.location.clone().with("digest", &blob.digest.to_string());
        call.to = To::Led(location, upload.reach);
        call.headers.push(("Content-Type", "application/octet-stream".into()));
        call.payload = payload;
        let answer = self.call(endpoint, &mut call)?;
        let said = answer.response.head.get("docker-content-digest").map(str::to_owned);
        answer.response.body.finish();
        match said {
            Some(said) if said.starts_with("sha256:") && blob.digest.to_string() != said => {
                let text =
                    format!("{}: it took `{}` for `{}`", endpoint.registry, blob.digest, said.escape_debug());
                Err(Fault { again: Again::Never, ..Fault::last(Error::invalid(text)) })
            }
            _ => Ok(()),
        }
    }

    fn upload_call<'a>(&self, method: &'static str, endpoint: &Endpoint, upload: &Upload) -> Call<'a> {
        let mut call = Call::new(method, String::new(), endpoint.scope("pull,push"));
        call.to = To::Led(upload.location.clone(), upload.reach);
        call
    }
}

#[cfg(test)]
mod tests {
    use super::end_of;

    #[test]
    fn ranges_of_uploads_name_the_last_byte() {
        assert_eq!(end_of("0-99"), Some(100));
        assert_eq!(end_of("bytes=0-99"), Some(100));
        assert_eq!(end_of("0-0"), Some(0));
        for bad in ["", "5", "0-", "0-x", "0-18446744073709551615"] {
            assert_eq!(end_of(bad), None, "{bad}");
        }
    }
}
