//! Descriptors: a pointer to content by digest, size and type.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::scan::Shape;
use crate::{Digest, Platform, bounded, limits, platform};

pub(crate) const SHAPE: Shape = Shape::Fields(&[
    ("mediaType", Shape::Any),
    ("digest", Shape::Any),
    ("size", Shape::Any),
    ("urls", Shape::Any),
    ("annotations", Shape::Any),
    ("platform", platform::SHAPE),
    ("artifactType", Shape::Any),
    ("data", Shape::Any),
]);

/// A pointer to content (OCI image specification, descriptor.md).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What the content is.
    pub media_type: String,
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes. Content of any other size is not it, whatever its digest.
    #[serde(deserialize_with = "bounded::size")]
    pub size: u64,
    /// Where else it is; never followed.
    #[serde(
        default,
        deserialize_with = "bounded::list::<{ limits::URLS }, _, _>",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub urls: Vec<String>,
    /// Words of whoever made it.
    #[serde(
        default,
        deserialize_with = "bounded::map::<{ limits::ANNOTATIONS }, _, _>",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub annotations: BTreeMap<String, String>,
    /// What it was built for; in an index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// The type of the artifact it points to; in a list of referrers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
}

impl Descriptor {
    /// A pointer to content of this type, digest and size, and nothing more.
    pub fn new(media_type: impl Into<String>, digest: Digest, size: u64) -> Descriptor {
        Descriptor {
            media_type: media_type.into(),
            digest,
            size,
            urls: Vec::new(),
            annotations: BTreeMap::new(),
            platform: None,
            artifact_type: None,
        }
    }

    /// A pointer to `bytes`, which are of this type.
    pub fn of(media_type: impl Into<String>, bytes: &[u8]) -> Descriptor {
        Descriptor::new(media_type, Digest::of(bytes), bytes.len() as u64)
    }
}
