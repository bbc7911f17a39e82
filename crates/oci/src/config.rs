//! The configuration of an image: how it wants to be run, and the diff ids of its layers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use taru_stdx::{Error, Kind, Result};

use crate::scan::{Shape, scan};
use crate::{Digest, Platform, bounded, limits};

const SHAPE: Shape = Shape::Fields(&[
    ("created", Shape::Any),
    ("author", Shape::Any),
    ("architecture", Shape::Any),
    ("os", Shape::Any),
    ("variant", Shape::Any),
    ("os.version", Shape::Any),
    ("os.features", Shape::Any),
    ("config", RUN),
    ("rootfs", Shape::Fields(&[("type", Shape::Any), ("diff_ids", Shape::Any)])),
    (
        "history",
        Shape::Fields(&[
            ("created", Shape::Any),
            ("created_by", Shape::Any),
            ("author", Shape::Any),
            ("comment", Shape::Any),
            ("empty_layer", Shape::Any),
        ]),
    ),
]);

const RUN: Shape = Shape::Fields(&[
    ("User", Shape::Any),
    ("ExposedPorts", Shape::Any),
    ("Env", Shape::Any),
    ("Entrypoint", Shape::Any),
    ("Cmd", Shape::Any),
    (
        "Healthcheck",
        Shape::Fields(&[
            ("Test", Shape::Any),
            ("Interval", Shape::Any),
            ("Timeout", Shape::Any),
            ("StartPeriod", Shape::Any),
            ("StartInterval", Shape::Any),
            ("Retries", Shape::Any),
        ]),
    ),
    ("ArgsEscaped", Shape::Any),
    ("Volumes", Shape::Any),
    ("WorkingDir", Shape::Any),
    ("OnBuild", Shape::Any),
    ("Labels", Shape::Any),
    ("StopSignal", Shape::Any),
    ("Shell", Shape::Any),
]);

/// The configuration of an image (OCI image specification, config.md, and what Docker adds to it).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// When it was made, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// Who made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// What it was built for; empty where nobody says (the configuration of a signature).
    #[serde(default, deserialize_with = "bounded::or_default")]
    pub architecture: String,
    /// Operating system; may be empty, too.
    #[serde(default, deserialize_with = "bounded::or_default")]
    pub os: String,
    /// Version of the architecture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// Windows only.
    #[serde(default, rename = "os.version", skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    /// Windows only.
    #[serde(
        default,
        rename = "os.features",
        deserialize_with = "bounded::some_list::<{ limits::ENTRIES }, _, _>",
        skip_serializing_if = "Option::is_none"
    )]
    pub os_features: Option<Vec<String>>,
    /// How it wants to be run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<RunConfig>,
    /// Its layers.
    pub rootfs: RootFs,
    /// How it was made, a line an instruction.
    #[serde(
        default,
        deserialize_with = "bounded::some_list::<{ limits::ENTRIES }, _, _>",
        skip_serializing_if = "Option::is_none"
    )]
    pub history: Option<Vec<History>>,
}

/// How an image wants to be run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RunConfig {
    /// `USER[:GROUP]`.
    #[serde(default, deserialize_with = "bounded::or_default", skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// `80/tcp`, `53/udp`, ...
    #[serde(
        default,
        deserialize_with = "bounded::some_map::<{ limits::ENTRIES }, _, _>",
        skip_serializing_if = "Option::is_none"
    )]
    pub exposed_ports: Option<BTreeMap<String, Empty>>,
    /// `NAME=VALUE`.
    #[serde(
        default,
        deserialize_with = "bounded::some_list::<{ limits::ENTRIES }, _, _>",
        skip_serializing_if = "Option::is_none"
    )]
    pub env: Option<Vec<String>>,
    /// The program and its first arguments.
    #[serde(
        default,
        deserialize_with = "bounded::some_list::<{ limits::ENTRIES }, _, _>",
        skip_serializing_if = "Option::is_none"
    )]
    pub entrypoint: Option<Vec<String>>,
    /// Its other arguments, or the program.
    #[serde(
        default,
        deserialize_with = "bounded::some_list::<{ limits::ENTRIES }, _, _>",
        skip_serializing_if = "Option::is_none"
    )]
    pub cmd: Option<Vec<String>>,
    /// How to find out whether it is well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
    /// Windows only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub args_escaped: Option<bool>,
    /// Directories whose content is data.
    #[serde(
        default,
        deserialize_with = "bounded::some_map::<{ limits::ENTRIES }, _, _>",
        skip_serializing_if = "Option::is_none"
    )]
    pub volumes: Option<BTreeMap<String, Empty>>,
    /// Working directory.
    #[serde(default, deserialize_with = "bounded::or_default", skip_serializing_if = "String::is_empty")]
    pub working_dir: String,
    /// Instructions for a build from it.
    #[serde(
        default,
        deserialize_with = "bounded::some_list::<{ limits::ENTRIES }, _, _>",
        skip_serializing_if = "Option::is_none"
    )]
    pub on_build: Option<Vec<String>>,
    /// Words of whoever made it.
    #[serde(
        default,
        deserialize_with = "bounded::some_map::<{ limits::ANNOTATIONS }, _, _>",
        skip_serializing_if = "Option::is_none"
    )]
    pub labels: Option<BTreeMap<String, String>>,
    /// `SIGTERM`, or a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_signal: Option<String>,
    /// What the shell form of an instruction is run with.
    #[serde(
        default,
        deserialize_with = "bounded::some_list::<{ limits::ENTRIES }, _, _>",
        skip_serializing_if = "Option::is_none"
    )]
    pub shell: Option<Vec<String>>,
}

/// `{}`: the value of a set that is written as a map.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Empty {}

impl<'de> Deserialize<'de> for Empty {
    /// Whatever stands there says no more than that the key is in the set.
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Empty, D::Error> {
        serde::de::IgnoredAny::deserialize(deserializer).map(|_| Empty {})
    }
}

/// How to find out whether a container is well. Times are nanoseconds; 0 or absent is the default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Healthcheck {
    /// `["NONE"]`, `["CMD", ...]`, `["CMD-SHELL", "..."]`.
    #[serde(
        default,
        deserialize_with = "bounded::list::<{ limits::ENTRIES }, _, _>",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub test: Vec<String>,
    /// Between two checks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<u64>,
    /// How long one may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u64>,
    /// How long failures do not count after the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_period: Option<u64>,
    /// Between two checks in that time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_interval: Option<u64>,
    /// How many failures in a row make it ill.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<u64>,
}

/// The layers of an image, uncompressed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootFs {
    /// Always `layers`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The digest of each layer's tar, the lowest first.
    #[serde(default, deserialize_with = "bounded::list::<{ limits::LAYERS }, _, _>")]
    pub diff_ids: Vec<Digest>,
}

impl Default for RootFs {
    fn default() -> RootFs {
        RootFs { kind: "layers".to_owned(), diff_ids: Vec::new() }
    }
}

/// How an image was made: one instruction.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// When, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// By which instruction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// By whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// What else there is to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Whether it made no layer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub empty_layer: Option<bool>,
}

impl Image {
    /// Reads a configuration.
    ///
    /// # Errors
    /// [`Kind::Limit`] for too many bytes; [`Kind::Invalid`] above the other bounds of [`limits`], and for whatever is none.
    pub fn parse(bytes: &[u8]) -> Result<Image> {
        let what = || "read the image's configuration";
        if bytes.len() as u64 > limits::CONFIG {
            let text = format!("{}: {} bytes, at most {}", what(), bytes.len(), limits::CONFIG);
            return Err(Error::new(Kind::Limit, text));
        }
        scan(bytes, SHAPE).map_err(|e| Error::invalid(what()).because(e))?;
        let image: Image = serde_json::from_slice(bytes).map_err(|e| Error::invalid(what()).because(e))?;
        if image.rootfs.kind != "layers" {
            return Err(Error::invalid(format!("{}: a root of type `{}`", what(), image.rootfs.kind)));
        }
        Ok(image)
    }

    /// Whether it is the configuration of a manifest with so many layers: one diff id for each.
    ///
    /// # Errors
    /// [`taru_stdx::Kind::Invalid`] if not: some would unpack the layers of one, some those of the other.
    pub fn agree_with(&self, layers: usize) -> Result<()> {
        let own = self.rootfs.diff_ids.len();
        if own != layers {
            let text = format!("read the image: {layers} layers in its manifest, {own} in its configuration");
            return Err(Error::invalid(text));
        }
        Ok(())
    }

    /// What it was built for.
    pub fn platform(&self) -> Platform {
        Platform {
            architecture: self.architecture.clone(),
            os: self.os.clone(),
            variant: self.variant.clone(),
            os_version: self.os_version.clone(),
            os_features: self.os_features.clone().unwrap_or_default(),
        }
    }
}
