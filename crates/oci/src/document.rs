//! Manifests and indexes: what a reference leads to.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use taru_stdx::{Error, Kind, Result};

use crate::scan::{Shape, scan};
use crate::{Descriptor, Digest, Platform, bounded, descriptor, limits, media};

/// What a reference leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Document {
    /// One image.
    Manifest(Box<Manifest>),
    /// The same image for several platforms.
    Index(Box<Index>),
}

/// One image: its configuration and its layers, the lowest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Always 2.
    pub schema_version: u32,
    /// Its own type; OCI allows it to be absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// What it is if it is no image to be run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// How to run it.
    pub config: Descriptor,
    /// Its layers, the lowest first.
    #[serde(default, deserialize_with = "bounded::list::<{ limits::LAYERS }, _, _>")]
    pub layers: Vec<Descriptor>,
    /// The manifest that it says something about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Words of whoever made it.
    #[serde(
        default,
        deserialize_with = "bounded::map::<{ limits::ANNOTATIONS }, _, _>",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub annotations: BTreeMap<String, String>,
}

/// Several manifests, one a platform.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// Always 2.
    pub schema_version: u32,
    /// Its own type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// What it is if it is no image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The manifests; an index may lead to another.
    #[serde(default, deserialize_with = "bounded::list::<{ limits::INDEX_ENTRIES }, _, _>")]
    pub manifests: Vec<Descriptor>,
    /// The manifest that it says something about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Words of whoever made it.
    #[serde(
        default,
        deserialize_with = "bounded::map::<{ limits::ANNOTATIONS }, _, _>",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub annotations: BTreeMap<String, String>,
}

impl Manifest {
    /// A manifest of these parts, as OCI has it.
    pub fn new(config: Descriptor, layers: Vec<Descriptor>) -> Manifest {
        Manifest {
            schema_version: 2,
            media_type: Some(media::MANIFEST.to_owned()),
            artifact_type: None,
            config,
            layers,
            subject: None,
            annotations: BTreeMap::new(),
        }
    }
}

impl Index {
    /// The manifest that suits `wanted` best; of equals the first.
    ///
    /// # Errors
    /// [`Kind::NotFound`] if there is none, naming what there is.
    pub fn choose(&self, wanted: &Platform) -> Result<&Descriptor> {
        // Attestations hang beside the image as manifests for the platform `unknown/unknown`.
        let suiting = self.manifests.iter().filter_map(|m| {
            let score = match &m.platform {
                Some(platform) => platform.suits(wanted)?,
                None => 0,
            };
            Some((score, m))
        });
        // Not max_by_key: it returns the last of equals.
        let best = suiting.fold(None, |best: Option<(u32, &Descriptor)>, (score, m)| match best {
            Some((other, _)) if other >= score => best,
            _ => Some((score, m)),
        });
        best.map(|(_, m)| m).ok_or_else(|| {
            let there: Vec<String> = self
                .manifests
                .iter()
                .filter_map(|m| m.platform.as_ref())
                .filter(|p| p.os != "unknown")
                .map(Platform::to_string)
                .collect();
            Error::new(Kind::NotFound, format!("choose an image for `{wanted}`: the index has none")).hint(
                format!("it has {}", if there.is_empty() { "no platform".into() } else { there.join(", ") }),
            )
        })
    }
}

/// A document before it is known which one it is: both shapes at once, so that one which is both is seen.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Either {
    schema_version: u32,
    media_type: Option<String>,
    artifact_type: Option<String>,
    config: Option<Descriptor>,
    #[serde(default, deserialize_with = "seen::<{ limits::LAYERS }, _>")]
    layers: Seen,
    #[serde(default, deserialize_with = "seen::<{ limits::INDEX_ENTRIES }, _>")]
    manifests: Seen,
    // Fields of schema 1, whose presence makes a document ambiguous.
    #[serde(rename = "fsLayers")]
    fs_layers: Option<serde::de::IgnoredAny>,
    history: Option<serde::de::IgnoredAny>,
    subject: Option<Descriptor>,
    #[serde(default, deserialize_with = "bounded::map::<{ limits::ANNOTATIONS }, _, _>")]
    annotations: BTreeMap<String, String>,
}

/// The list that makes a document what it is: Go writes `null` for one without entries.
#[derive(Default)]
enum Seen {
    #[default]
    Absent,
    Null,
    List(Vec<Descriptor>),
}

fn seen<'de, const N: usize, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Seen, D::Error> {
    Ok(bounded::some_list::<N, D, Descriptor>(deserializer)?.map_or(Seen::Null, Seen::List))
}

const SHAPE: Shape = Shape::Fields(&[
    ("schemaVersion", Shape::Any),
    ("mediaType", Shape::Any),
    ("artifactType", Shape::Any),
    ("config", descriptor::SHAPE),
    ("layers", descriptor::SHAPE),
    ("manifests", descriptor::SHAPE),
    ("fsLayers", Shape::Any),
    ("history", Shape::Any),
    ("subject", descriptor::SHAPE),
    ("annotations", Shape::Any),
]);

impl Document {
    /// Reads a document that came as `media_type` (empty or `application/octet-stream` where nobody said).
    ///
    /// # Errors
    /// [`Kind::Unsupported`] for schema 1; [`Kind::Limit`] for too many bytes; [`Kind::Invalid`] above the other bounds of [`limits`], and for whatever
    /// is not one document of one kind.
    pub fn parse(bytes: &[u8], media_type: &str) -> Result<Document> {
        let what = || "read the manifest";
        if bytes.len() as u64 > limits::MANIFEST {
            let text = format!("{}: {} bytes, at most {}", what(), bytes.len(), limits::MANIFEST);
            return Err(Error::new(Kind::Limit, text));
        }
        let invalid = |text: &str| Error::invalid(format!("{}: {text}", what()));
        if media::is_schema1(media_type) {
            return Err(schema1());
        }
        scan(bytes, SHAPE).map_err(|e| Error::invalid(what()).because(e))?;
        let either: Either = serde_json::from_slice(bytes).map_err(|e| Error::invalid(what()).because(e))?;
        if either.schema_version == 1 || either.fs_layers.is_some() {
            return Err(schema1());
        }
        if either.schema_version != 2 {
            return Err(invalid(&format!("schema version {}, not 2", either.schema_version)));
        }
        let said = match (media_type, either.media_type.as_deref()) {
            ("" | "application/octet-stream" | "application/json", own) => own.unwrap_or_default(),
            (came, Some(own)) if came != own => {
                return Err(invalid(&format!("it came as `{came}` and calls itself `{own}`")));
            }
            (came, _) => came,
        }
        .to_owned();
        // An index without entries says what it is by its type alone.
        let manifests = match either.manifests {
            Seen::Null if media::is_index(&said) => Seen::List(Vec::new()),
            other => other,
        };
        match (either.config, either.layers, manifests) {
            (None, Seen::Absent | Seen::Null, Seen::List(manifests)) => {
                if !said.is_empty() && !media::is_index(&said) {
                    return Err(invalid(&format!("an index that calls itself `{said}`")));
                }
                Ok(Document::Index(Box::new(Index {
                    schema_version: 2,
                    media_type: either.media_type,
                    artifact_type: either.artifact_type,
                    manifests,
                    subject: either.subject,
                    annotations: either.annotations,
                })))
            }
            (Some(config), layers @ (Seen::Null | Seen::List(_)), Seen::Absent | Seen::Null)
                if either.history.is_none() =>
            {
                if !said.is_empty() && !media::is_manifest(&said) {
                    return Err(invalid(&format!("a manifest that calls itself `{said}`")));
                }
                let layers = match layers {
                    Seen::List(layers) => layers,
                    Seen::Absent | Seen::Null => Vec::new(),
                };
                let is_document =
                    |t: &str| media::is_index(t) || media::is_manifest(t) || media::is_schema1(t);
                for part in std::iter::once(&config).chain(&layers) {
                    if is_document(&part.media_type) {
                        let text = format!("a part of it is of the type `{}`", part.media_type);
                        return Err(invalid(&text));
                    }
                }
                Ok(Document::Manifest(Box::new(Manifest {
                    schema_version: 2,
                    media_type: either.media_type,
                    artifact_type: either.artifact_type,
                    config,
                    layers,
                    subject: either.subject,
                    annotations: either.annotations,
                })))
            }
            _ => Err(invalid("neither a manifest nor an index, or both")),
        }
    }
}

fn schema1() -> Error {
    Error::new(Kind::Unsupported, "read the manifest: it is of schema 1, which nobody can verify")
        .hint("its publisher has to push it again with any tool made since 2017")
}

/// The digest of a chain of layers: that of its first layers and of the next diff id (OCI image
/// specification, config.md#layer-chainid).
pub fn chain_id(parent: Option<&Digest>, diff_id: &Digest) -> Digest {
    match parent {
        None => diff_id.clone(),
        Some(parent) => Digest::of(format!("{parent} {diff_id}").as_bytes()),
    }
}

/// The chain id behind each layer, the lowest first.
pub fn chain_ids(diff_ids: &[Digest]) -> Vec<Digest> {
    let mut chain: Vec<Digest> = Vec::with_capacity(diff_ids.len());
    for diff_id in diff_ids {
        chain.push(chain_id(chain.last(), diff_id));
    }
    chain
}

#[cfg(test)]
mod tests {
    use super::*;

    const D: &str = r#"{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":0}"#;

    fn kind(text: &str, came: &str) -> Kind {
        Document::parse(text.as_bytes(), came).unwrap_err().kind()
    }

    #[test]
    fn one_document_of_one_kind_or_none() {
        let manifest = format!(r#"{{"schemaVersion":2,"config":{D},"layers":[{D}]}}"#);
        assert!(
            matches!(Document::parse(manifest.as_bytes(), ""), Ok(Document::Manifest(m)) if m.layers.len() == 1)
        );
        let index = format!(r#"{{"schemaVersion":2,"manifests":[{D}]}}"#);
        assert!(matches!(Document::parse(index.as_bytes(), media::INDEX), Ok(Document::Index(_))));
        assert_eq!(kind(&index, media::MANIFEST), Kind::Invalid);
        for bad in [
            format!(r#"{{"schemaVersion":2,"config":{D},"layers":[],"manifests":[]}}"#),
            format!(r#"{{"schemaVersion":2,"config":{D},"layers":[],"layers":[{D}]}}"#),
            format!(r#"{{"schemaVersion":2,"mediaType":"{}","config":{D},"layers":[]}}"#, media::INDEX),
            format!(r#"{{"schemaVersion":3,"config":{D},"layers":[]}}"#),
            "{".repeat(2_000_000),
            "[]".into(),
            String::new(),
        ] {
            assert_eq!(kind(&bad, ""), Kind::Invalid, "{}", &bad[..bad.len().min(80)]);
        }
        assert_eq!(kind(r#"{"schemaVersion":1,"fsLayers":[]}"#, ""), Kind::Unsupported);
        assert_eq!(kind("{}", media::DOCKER_SCHEMA1_SIGNED), Kind::Unsupported);
        assert_eq!(kind(&" ".repeat(5 << 20), ""), Kind::Limit);
    }

    #[test]
    fn chains_are_the_specifications() {
        let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
        let chain = chain_ids(&[a.clone(), b.clone()]);
        assert_eq!(chain[0], a);
        assert_eq!(chain[1], Digest::of(format!("{a} {b}").as_bytes()));
    }
}
