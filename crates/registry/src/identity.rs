//! Whether a signature is about the image that was asked for (`signedIdentity` of containers-policy.json(5)).
//!
//! A signature names what was signed, such as `quay.io/team/app:1`; that its digest is the image's is checked apart from it. What cosign
//! signs by itself names a repository without a tag, which `matchRepository` and `exactRepository` alone accept.

use serde::Deserialize;
use taru_oci::{Digest, Reference};
use taru_stdx::{Error, Result};

/// A rule. Braces without fields: serde passes over unknown fields of variants without.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub(crate) enum Identity {
    /// The very name.
    MatchExact {},
    /// The very name; or the repository, where a digest was asked for.
    MatchRepoDigestOrExact {},
    /// The repository.
    MatchRepository {},
    /// This name, whatever was asked for.
    ExactReference { docker_reference: String },
    /// This repository, whatever was asked for.
    ExactRepository { docker_repository: String },
    /// As matchRepoDigestOrExact, with the start of the name replaced: of mirrors.
    #[serde(rename = "remapIdentity")]
    Remapped { prefix: String, signed_prefix: String },
}

impl Default for Identity {
    fn default() -> Identity {
        Identity::MatchRepoDigestOrExact {}
    }
}

/// A name as it stands: no tag is made up for one that has none.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Name {
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl Name {
    fn parse(text: &str) -> Result<Name> {
        let full: Reference = text.parse()?;
        let without_digest = text.split('@').next().unwrap_or_default();
        let last = without_digest.rsplit('/').next().unwrap_or_default();
        let tag = full.tag().filter(|_| last.contains(':')).map(str::to_owned);
        Ok(Name { repository: full.name(), tag, digest: full.digest().cloned() })
    }

    fn is_bare(&self) -> bool {
        self.tag.is_none() && self.digest.is_none()
    }
}

impl From<&Reference> for Name {
    fn from(reference: &Reference) -> Name {
        Name {
            repository: reference.name(),
            tag: reference.tag().map(str::to_owned),
            digest: reference.digest().cloned(),
        }
    }
}

impl Identity {
    /// Refuses a rule that can never be met.
    pub(crate) fn check(&self) -> Result<()> {
        let bad = |text: &str| Error::invalid(format!("a signedIdentity with `{text}`"));
        match self {
            Identity::ExactReference { docker_reference } => match Name::parse(docker_reference)? {
                name if name.is_bare() => Err(bad(docker_reference).hint("it needs a tag or a digest")),
                _ => Ok(()),
            },
            Identity::ExactRepository { docker_repository } => match Name::parse(docker_repository)? {
                name if name.is_bare() => Ok(()),
                _ => Err(bad(docker_repository).hint("a repository has no tag and no digest")),
            },
            Identity::Remapped { prefix, signed_prefix } => {
                // Both are starts of names: with something behind they are names.
                for start in [prefix, signed_prefix] {
                    let is_name = !start.is_empty()
                        && !start.ends_with('/')
                        && format!("{start}/x").parse::<Reference>().is_ok();
                    if !is_name {
                        return Err(bad(start).hint("a HOST[:PORT][/PATH]"));
                    }
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Whether a signature for `signed` is one for `asked`.
    pub(crate) fn accepts(&self, asked: &Reference, signed: &str) -> bool {
        let Ok(signed) = Name::parse(signed) else { return false };
        let asked = Name::from(asked);
        match self {
            Identity::MatchExact {} => is_exact(&asked, &signed),
            Identity::MatchRepoDigestOrExact {} => is_digest_or_exact(&asked, &signed),
            Identity::MatchRepository {} => asked.repository == signed.repository,
            Identity::ExactReference { docker_reference } => {
                Name::parse(docker_reference).is_ok_and(|wanted| !wanted.is_bare() && wanted == signed)
            }
            Identity::ExactRepository { docker_repository } => {
                Name::parse(docker_repository).is_ok_and(|wanted| wanted.repository == signed.repository)
            }
            Identity::Remapped { prefix, signed_prefix } => {
                let rest = asked.repository.strip_prefix(prefix.as_str());
                let repository = match rest.filter(|rest| rest.is_empty() || rest.starts_with('/')) {
                    Some(rest) => format!("{signed_prefix}{rest}"),
                    None => asked.repository.clone(),
                };
                is_digest_or_exact(&Name { repository, ..asked }, &signed)
            }
        }
    }
}

fn is_exact(asked: &Name, signed: &Name) -> bool {
    !asked.is_bare() && asked == signed
}

fn is_digest_or_exact(asked: &Name, signed: &Name) -> bool {
    if signed.is_bare() {
        return false;
    }
    match (&asked.tag, &asked.digest) {
        // The digest is the image's, which the signature has to name anyway; the tag has to be the one that was signed.
        (Some(_), _) => {
            asked.repository == signed.repository
                && asked.tag == signed.tag
                && (signed.digest.is_none() || signed.digest == asked.digest)
        }
        (None, Some(_)) => asked.repository == signed.repository,
        (None, None) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_has_its_table() {
        let d = Digest::of(b"x");
        let (tag, bare) = ("quay.io/a/b:1".to_owned(), "quay.io/a/b".to_owned());
        let by_digest = format!("quay.io/a/b@{d}");
        let exact = Identity::MatchExact {};
        let repo_digest = Identity::MatchRepoDigestOrExact {};
        let repository = Identity::MatchRepository {};
        let reference = Identity::ExactReference { docker_reference: "other.io/c:2".into() };
        let one = Identity::ExactRepository { docker_repository: "other.io/c".into() };
        let remap = Identity::Remapped { prefix: "quay.io/a".into(), signed_prefix: "other.io/z".into() };
        for (rule, asked, signed, is) in [
            (&exact, &tag, "quay.io/a/b:1", true),
            (&exact, &tag, "quay.io/a/b:2", false),
            (&exact, &tag, "quay.io/a/b", false),
            (&exact, &by_digest, &by_digest, true),
            (&exact, &by_digest, "quay.io/a/b:1", false),
            (&repo_digest, &tag, "quay.io/a/b:1", true),
            (&repo_digest, &tag, "quay.io/a/b:2", false),
            (&repo_digest, &tag, &bare, false),
            (&repo_digest, &by_digest, "quay.io/a/b:7", true),
            (&repo_digest, &by_digest, &bare, false),
            (&repo_digest, &by_digest, "quay.io/a/c:7", false),
            (&repository, &tag, &bare, true),
            (&repository, &tag, "quay.io/a/b:9", true),
            (&repository, &tag, "quay.io/a/bb", false),
            (&repository, &tag, "", false),
            (&reference, &tag, "other.io/c:2", true),
            (&reference, &tag, "other.io/c:3", false),
            (&one, &tag, "other.io/c:3", true),
            (&one, &tag, "other.io/d:3", false),
            (&remap, &tag, "other.io/z/b:1", true),
            (&remap, &tag, "quay.io/a/b:1", false),
            (&remap, &"quay.io/ab/x:1".to_owned(), "quay.io/ab/x:1", true),
            (&remap, &by_digest, "other.io/z/b:5", true),
        ] {
            assert_eq!(rule.accepts(&asked.parse().unwrap(), signed), is, "{rule:?} {asked} {signed}");
        }
        // What is not written is not made up: `debian` was not signed as `debian:latest`.
        assert!(!exact.accepts(&"debian".parse().unwrap(), "debian"));
        assert!(exact.accepts(&"debian".parse().unwrap(), "docker.io/library/debian:latest"));
    }
}
