//! What is asked for, verified: each word of it becomes an argument of a program.

use taru_stdx::{Error, Result};

use super::Bootstrap;

/// A distribution that is made of packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Distribution {
    Debian,
    Ubuntu,
}

impl Distribution {
    /// As a Release file has it: `Origin`.
    pub(super) fn origin(self) -> &'static str {
        match self {
            Distribution::Debian => "Debian",
            Distribution::Ubuntu => "Ubuntu",
        }
    }
}

/// Releases by number, as people name images of them.
const DEBIAN: &[(&str, &str)] = &[
    ("10", "buster"),
    ("11", "bullseye"),
    ("12", "bookworm"),
    ("13", "trixie"),
    ("14", "forky"),
    ("latest", "stable"),
];
const UBUNTU: &[(&str, &str)] =
    &[("18.04", "bionic"), ("20.04", "focal"), ("22.04", "jammy"), ("24.04", "noble"), ("26.04", "resolute")];
const VARIANTS: &[&str] = &["minbase", "essential", "apt", "required", "important", "standard", "buildd"];

/// An image of a distribution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) distribution: Distribution,
    pub(super) suite: String,
    pub(super) variant: String,
    pub(super) include: Vec<String>,
    pub(super) architecture: Option<String>,
    pub(super) mirror: Option<String>,
    pub(super) components: Vec<String>,
}

impl Request {
    /// `DISTRIBUTION:SUITE`, the suite by its name or its number.
    pub(super) fn new(what: &str, options: &Bootstrap) -> Result<Request> {
        let bad = |why: String| {
            Error::invalid(format!("bootstrap `{}`: {why}", what.escape_debug()))
                .hint("debian:bookworm, ubuntu:24.04 or busybox")
        };
        let (name, suite) = what.split_once(':').ok_or_else(|| bad("no suite".to_owned()))?;
        let (distribution, numbers) = match name {
            "debian" => (Distribution::Debian, DEBIAN),
            "ubuntu" => (Distribution::Ubuntu, UBUNTU),
            _ => return Err(bad(format!("no distribution `{}`", name.escape_debug()))),
        };
        let suite = numbers.iter().find(|(number, _)| *number == suite).map_or(suite, |(_, name)| *name);
        let variant = options.variant.clone().unwrap_or_else(|| "minbase".to_owned());
        let components = match options.components.is_empty() {
            true => vec!["main".to_owned()],
            false => options.components.clone(),
        };
        if !is_word(suite, b"-.") {
            return Err(bad("that is no suite".to_owned()));
        }
        if !VARIANTS.contains(&variant.as_str()) {
            let text =
                format!("bootstrap `{}`: no variant `{}`", what.escape_debug(), variant.escape_debug());
            return Err(Error::invalid(text).hint(format!("the variants are {}", VARIANTS.join(", "))));
        }
        // Of Debian's policy, 5.6.7, with `:ARCHITECTURE` and `=VERSION` as apt has them.
        if let Some(package) = options.include.iter().find(|name| !is_word(name, b"+-.:=~")) {
            return Err(bad(format!("no package `{}`", package.escape_debug())));
        }
        if let Some(part) = components.iter().find(|name| !is_word(name, b"-/")) {
            return Err(bad(format!("no component `{}`", part.escape_debug())));
        }
        if let Some(name) = options.architecture.as_ref().filter(|name| !is_word(name, b"-")) {
            return Err(bad(format!("no architecture `{}`", name.escape_debug())));
        }
        if let Some(mirror) = options.mirror.as_ref().filter(|mirror| !is_mirror(mirror)) {
            return Err(bad(format!("no mirror `{}`", mirror.escape_debug()))
                .hint("http://..., https://... or file:/..."));
        }
        Ok(Request {
            distribution,
            suite: suite.to_owned(),
            variant,
            include: options.include.clone(),
            architecture: options.architecture.clone(),
            mirror: options.mirror.clone(),
            components,
        })
    }
}

/// Whether `text` begins with a letter or digit and has nothing but those and `more`.
fn is_word(text: &str, more: &[u8]) -> bool {
    let is_plain = |b: u8| b.is_ascii_alphanumeric();
    text.len() <= 128
        && text.bytes().next().is_some_and(is_plain)
        && text.bytes().all(|b| is_plain(b) || more.contains(&b))
}

/// Whether `text` can stand as a source's place in a line of sources.list.
pub(super) fn is_mirror(text: &str) -> bool {
    ["http://", "https://", "file:/", "copy:/"].iter().any(|scheme| text.starts_with(scheme))
        && text.bytes().all(|b| b.is_ascii_graphic() && !b"[]\"'\\#".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suites_by_name_and_number() {
        let suite = |what: &str| Request::new(what, &Bootstrap::default()).map(|r| (r.distribution, r.suite));
        assert_eq!(suite("debian:12").unwrap(), (Distribution::Debian, "bookworm".to_owned()));
        assert_eq!(suite("debian:sid").unwrap(), (Distribution::Debian, "sid".to_owned()));
        assert_eq!(suite("ubuntu:24.04").unwrap(), (Distribution::Ubuntu, "noble".to_owned()));
        for bad in ["debian", "fedora:40", "debian:", "debian:--help", "debian:a b", "debian:../x"] {
            assert!(suite(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn nothing_becomes_an_option_of_a_program() {
        let with = |change: fn(&mut Bootstrap)| {
            let mut options = Bootstrap::default();
            change(&mut options);
            Request::new("debian:12", &options).is_ok()
        };
        assert!(with(|o| o.include = vec!["libstdc++6".into(), "curl:arm64".into()]));
        assert!(!with(|o| o.include = vec!["--hook".into()]));
        assert!(!with(|o| o.include = vec!["a,b c".into()]));
        assert!(!with(|o| o.variant = Some("x".into())));
        assert!(!with(|o| o.components = vec!["-x".into()]));
        assert!(!with(|o| o.architecture = Some("a;b".into())));
        assert!(with(|o| o.mirror = Some("http://localhost:9/debian".into())));
        assert!(!with(|o| o.mirror = Some("[trusted=yes] http://x".into())));
        assert!(!with(|o| o.mirror = Some("x".into())));
    }
}
