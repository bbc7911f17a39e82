//! `RUN --mount=type=...,key=value,...`: read here, expanded and made definite in [`crate::stage`].

use taru_stdx::parse::comma_separated;
use taru_stdx::{Error, Result};

use super::keyword::nearest;

/// What is mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are the Dockerfile's")]
pub(crate) enum MountKind {
    Bind,
    Cache,
    Tmpfs,
    Secret,
    Ssh,
}

/// One `--mount`, with the keys that suit its type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MountFlag {
    /// `type`.
    pub kind: MountKind,
    /// The other keys in their order, by one name each; a switch without a value has `true`.
    pub fields: Vec<(&'static str, String)>,
}

impl MountFlag {
    /// The value of a key; the last one counts.
    pub(crate) fn field(&self, key: &str) -> Option<&str> {
        self.fields.iter().rev().find(|(name, _)| *name == key).map(|(_, value)| value.as_str())
    }
}

/// Each key as typed, and its one name.
const KEYS: &[(&str, &str)] = &[
    ("target", "target"),
    ("dst", "target"),
    ("destination", "target"),
    ("source", "source"),
    ("src", "source"),
    ("from", "from"),
    ("readonly", "readonly"),
    ("ro", "readonly"),
    ("readwrite", "readwrite"),
    ("rw", "readwrite"),
    ("required", "required"),
    ("id", "id"),
    ("sharing", "sharing"),
    ("size", "size"),
    ("mode", "mode"),
    ("uid", "uid"),
    ("gid", "gid"),
    ("env", "env"),
];

/// The keys of a type.
fn allowed(kind: MountKind) -> &'static [&'static str] {
    match kind {
        MountKind::Bind => &["target", "source", "from", "readonly", "readwrite"],
        MountKind::Cache => {
            &["id", "target", "source", "from", "readonly", "readwrite", "sharing", "mode", "uid", "gid"]
        }
        MountKind::Tmpfs => &["target", "size"],
        MountKind::Secret => &["id", "target", "source", "required", "mode", "uid", "gid", "env"],
        MountKind::Ssh => &["id", "target", "required", "mode", "uid", "gid"],
    }
}

/// Reads the value of `--mount`.
///
/// # Errors
/// [`taru_stdx::Kind::Invalid`] for a key that the type lacks, and for a target that is missing.
pub(super) fn parse(text: &str) -> Result<MountFlag> {
    let bad = |why: String| Error::invalid(format!("read `--mount={text}`: {why}"));
    let fields = comma_separated(text).ok_or_else(|| bad("a quote is not closed".to_owned()))?;
    let mut kind = MountKind::Bind;
    let mut known = Vec::new();
    for field in &fields {
        let (key, value) = match field.split_once('=') {
            Some((key, value)) => (key.trim().to_ascii_lowercase(), Some(value)),
            None => (field.trim().to_ascii_lowercase(), None),
        };
        if key == "type" {
            kind = match value.unwrap_or_default().to_ascii_lowercase().as_str() {
                "bind" => MountKind::Bind,
                "cache" => MountKind::Cache,
                "tmpfs" => MountKind::Tmpfs,
                "secret" => MountKind::Secret,
                "ssh" => MountKind::Ssh,
                other => {
                    let e = bad(format!("no type `{other}`"));
                    return Err(e.hint("bind, cache, tmpfs, secret or ssh"));
                }
            };
            continue;
        }
        let Some((_, name)) = KEYS.iter().find(|(typed, _)| *typed == key) else {
            let e = bad(format!("no key `{key}`"));
            return Err(match nearest(&key, KEYS.iter().map(|k| k.0)) {
                Some(near) => e.hint(format!("did you mean `{near}`?")),
                None => e,
            });
        };
        let is_switch = matches!(*name, "readonly" | "readwrite" | "required");
        let value = match value {
            Some(value) => value.to_owned(),
            None if is_switch => "true".to_owned(),
            None => return Err(bad(format!("`{key}` has no value"))),
        };
        known.push((*name, value));
    }
    for (name, _) in &known {
        if !allowed(kind).contains(name) {
            return Err(bad(format!("a mount of this type has no `{name}`")));
        }
    }
    let flag = MountFlag { kind, fields: known };
    if matches!(kind, MountKind::Bind | MountKind::Cache | MountKind::Tmpfs)
        && flag.field("target").is_none_or(str::is_empty)
    {
        return Err(bad("`target` is missing".to_owned()));
    }
    if flag.field("from").is_some_and(|from| from.contains('$')) {
        let e = bad("`from` takes no variables".to_owned());
        return Err(e.hint("name it by a stage: FROM $X AS name"));
    }
    Ok(flag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_read() {
        let cache = parse("type=cache,id=apt,dst=/var/cache,sharing=locked,mode=0755").unwrap();
        assert_eq!(cache.kind, MountKind::Cache);
        assert_eq!(cache.field("target"), Some("/var/cache"));
        assert_eq!(parse("target=/x,rw").unwrap().field("readwrite"), Some("true"));
        assert_eq!(parse("type=secret,\"id=a,b\"").unwrap().field("id"), Some("a,b"));
        for (bad, why) in [
            ("type=cach,target=/x", "no type"),
            ("type=bind", "`target` is missing"),
            ("type=tmpfs,target=/x,id=y", "has no `id`"),
            ("type=bind,targe=/x", "no key `targe`"),
            ("type=bind,target=/x,from=$Y", "no variables"),
            ("type=bind,target", "has no value"),
            ("\"type=bind", "not closed"),
        ] {
            let e = parse(bad).unwrap_err().chain().to_string();
            assert!(e.contains(why), "{bad}: {e}");
        }
    }
}
