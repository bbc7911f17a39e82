//! Platforms: what an image was built for, and which of several is meant for this host.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use taru_stdx::{Error, Result};

use crate::scan::Shape;
use crate::{bounded, limits};

pub(crate) const SHAPE: Shape = Shape::Fields(&[
    ("architecture", Shape::Any),
    ("os", Shape::Any),
    ("variant", Shape::Any),
    ("os.version", Shape::Any),
    ("os.features", Shape::Any),
]);

/// What an image was built for, in Go's words (GOOS, GOARCH).
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Platform {
    /// `amd64`, `arm64`, ...
    #[serde(default, deserialize_with = "bounded::or_default")]
    pub architecture: String,
    /// `linux`.
    #[serde(default, deserialize_with = "bounded::or_default")]
    pub os: String,
    /// `v8`, `v7`: a version of the architecture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// A version of the operating system; Windows only.
    #[serde(default, rename = "os.version", skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    /// Windows only.
    #[serde(
        default,
        rename = "os.features",
        deserialize_with = "bounded::list::<{ limits::ENTRIES }, _, _>",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub os_features: Vec<String>,
}

impl Platform {
    /// This host's.
    pub fn host() -> Platform {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "x86" => "386",
            "aarch64" => "arm64",
            "powerpc64" if cfg!(target_endian = "little") => "ppc64le",
            other => other,
        };
        let variant = match architecture {
            "arm64" => Some("v8".to_owned()),
            "arm" => Some("v7".to_owned()),
            _ => None,
        };
        Platform { architecture: architecture.into(), os: "linux".into(), variant, ..Platform::default() }
    }

    /// How well an image for `self` suits a host or wish of `wanted`: higher is better, `None` not at all.
    ///
    /// An older variant runs on a newer one (arm v6 on v7); amd64 variants are levels of the instruction set.
    pub fn suits(&self, wanted: &Platform) -> Option<u32> {
        if self.os != wanted.os || normal(&self.architecture) != normal(&wanted.architecture) {
            return None;
        }
        let level = |p: &Platform| -> Option<u32> {
            match (normal(&p.architecture), p.variant.as_deref()) {
                ("arm64", None) => Some(8),
                ("arm", None) => Some(7),
                (_, None) => Some(1),
                (_, Some(variant)) => variant.strip_prefix('v')?.split('.').next()?.parse().ok(),
            }
        };
        match (level(self), level(wanted)) {
            (Some(mine), Some(theirs)) if mine <= theirs => Some(mine),
            (None, None) if self.variant == wanted.variant => Some(1),
            _ => None,
        }
    }
}

/// The names uname(2) and others have for an architecture, in Go's words.
fn normal(architecture: &str) -> &str {
    match architecture {
        "x86_64" | "x86-64" => "amd64",
        "aarch64" => "arm64",
        "i386" | "i686" => "386",
        "armhf" => "arm",
        other => other,
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}

impl FromStr for Platform {
    type Err = Error;

    /// `linux/arm64`, `linux/arm/v7`, or an architecture alone.
    fn from_str(text: &str) -> Result<Platform> {
        let parts: Vec<&str> = text.split('/').collect();
        let is_word = |w: &&str| {
            !w.is_empty()
                && w.len() <= 32
                && w.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
        };
        let (os, architecture, variant) = match parts[..] {
            [architecture] => ("linux", architecture, None),
            [os, architecture] => (os, architecture, None),
            [os, architecture, variant] => (os, architecture, Some(variant)),
            _ => ("", "", None),
        };
        if ![os, architecture].iter().all(is_word) || !variant.iter().all(is_word) {
            return Err(Error::invalid(format!("parse `{}` as a platform", text.escape_debug()))
                .hint("OS/ARCHITECTURE[/VARIANT], such as linux/arm64 or linux/arm/v7"));
        }
        Ok(Platform {
            architecture: normal(&architecture.to_ascii_lowercase()).to_owned(),
            os: os.to_ascii_lowercase(),
            variant: variant.map(str::to_ascii_lowercase),
            ..Platform::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn p(text: &str) -> Platform {
        text.parse().unwrap()
    }

    #[test]
    fn platforms_are_read_and_compared() {
        assert_eq!(p("linux/arm64/v8").to_string(), "linux/arm64/v8");
        assert_eq!(p("x86_64"), p("linux/amd64"));
        assert!("linux/".parse::<Platform>().is_err());
        assert!("a/b/c/d".parse::<Platform>().is_err());
        assert!(p("linux/amd64").suits(&p("linux/amd64")).is_some());
        assert!(p("linux/arm64").suits(&p("linux/arm64/v8")).is_some());
        assert!(p("linux/arm/v6").suits(&p("linux/arm/v7")) < p("linux/arm/v7").suits(&p("linux/arm/v7")));
        assert_eq!(p("linux/arm/v7").suits(&p("linux/arm/v6")), None);
        assert_eq!(p("windows/amd64").suits(&p("linux/amd64")), None);
        assert_eq!(p("linux/amd64/v3").suits(&p("linux/amd64")), None);
    }
}
