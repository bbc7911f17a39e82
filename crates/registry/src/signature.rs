//! Signatures as cosign writes them: a manifest under the tag `sha256-HEX.sig` beside the image, of which each layer is a signed document.
//!
//! ```text
//! layer       application/vnd.dev.cosign.simplesigning.v1+json
//! annotation  dev.cosignproject.cosign/signature: BASE64
//! {"critical": {"identity": {"docker-reference": "quay.io/team/app:1"},
//!               "image":    {"docker-manifest-digest": "sha256:..."},
//!               "type":     "cosign container image signature"}, "optional": ...}
//! ```

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use taru_oci::{Descriptor, Digest, Reference};

use crate::identity::Identity;
use crate::pubkey::PublicKey;

/// The type of a signed document.
pub(crate) const DOCUMENT: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
const ANNOTATION: &str = "dev.cosignproject.cosign/signature";
const TYPE: &str = "cosign container image signature";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Payload {
    critical: Critical,
    #[serde(default, rename = "optional")]
    _optional: serde::de::IgnoredAny,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Critical {
    #[serde(rename = "type")]
    kind: String,
    identity: Named,
    image: Image,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    #[serde(rename = "docker-reference")]
    reference: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Image {
    #[serde(rename = "docker-manifest-digest")]
    digest: Digest,
}

/// The tag that signatures of `image` stand under.
pub(crate) fn tag(image: &Digest) -> String {
    format!("{}-{}.sig", image.algorithm().name(), image.hex())
}

/// The signature that a layer carries, and whether it is one at all.
pub(crate) fn of_layer(layer: &Descriptor) -> Option<Vec<u8>> {
    let text = layer.annotations.get(ANNOTATION).filter(|_| layer.media_type == DOCUMENT)?;
    STANDARD.decode(text).ok()
}

/// Why the signed document `payload` is none for `asked` with the digest `image`; `Ok` if it is. Nothing of it is read before its
/// signature is found to be of one of `keys`.
pub(crate) fn check(
    keys: &[PublicKey],
    identity: &Identity,
    asked: &Reference,
    image: &Digest,
    payload: &[u8],
    signature: &[u8],
) -> Result<(), String> {
    if !keys.iter().any(|key| key.verifies(payload, signature)) {
        return Err("it is of another key".into());
    }
    let payload: Payload =
        serde_json::from_slice(payload).map_err(|e| format!("its document is broken ({e})"))?;
    let critical = payload.critical;
    if critical.kind != TYPE {
        return Err("its document is of another type".into());
    }
    if critical.image.digest != *image {
        return Err(format!("it is for the digest `{}`", critical.image.digest));
    }
    if !identity.accepts(asked, &critical.identity.reference) {
        return Err(format!("it is for `{}`", critical.identity.reference.escape_debug()));
    }
    Ok(())
}
