//! policy.json: which images are accepted (containers-policy.json(5)).
//!
//! ```json
//! { "default": [{"type": "reject"}],
//!   "transports": {"docker": {
//!     "quay.io/team":   [{"type": "sigstoreSigned", "keyPath": "/etc/keys/team.pub", "signedIdentity": {"type": "matchRepository"}}],
//!     "*.example.com":  [{"type": "insecureAcceptAnything"}],
//!     "":               [{"type": "reject"}] }}}
//! ```
//! The most specific scope counts, alone: `HOST/a/b:TAG` (or `@DIGEST`), `HOST/a/b`, `HOST/a`, `HOST`, `*.sub.example.com`, `*.example.com`,
//! `""`, and then `default`. All requirements of a scope have to be met.
//!
//! A file that cannot be understood accepts nothing. A requirement of a kind that is not supported here (`signedBy`, with GPG) is an
//! error for the images that it is for, not for others: the files of distributions have such for their own registries.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use taru_oci::Reference;
use taru_stdx::fs::read_bounded;
use taru_stdx::{Context, Error, Kind, Result};

use crate::identity::Identity;

/// Bytes of such a file.
const FILE: u64 = 4 << 20;

/// Which images are accepted.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Where it was read, for errors; `None`: there is none, and everything is accepted.
    pub(crate) file: Option<PathBuf>,
    default: Vec<Requirement>,
    docker: BTreeMap<String, Vec<Requirement>>,
}

/// What an image has to meet.
#[derive(Debug, Clone)]
pub(crate) enum Requirement {
    Anything,
    Nothing,
    /// A signature in the registry, by one of these keys, for this identity.
    Sigstore {
        keys: Vec<Key>,
        identity: Identity,
    },
    /// Of this kind, which is not supported; why.
    Unknown(String),
}

/// A public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Key {
    File(PathBuf),
    /// PEM.
    Data(Vec<u8>),
}

/// A map in which no key stands twice: two readers would understand two policies.
struct Unique<T>(BTreeMap<String, T>);

impl<T> Default for Unique<T> {
    fn default() -> Unique<T> {
        Unique(BTreeMap::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Unique<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Unique<T>, D::Error> {
        struct Pairs<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Pairs<T> {
            type Value = Unique<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Unique<T>, A::Error> {
                let mut all = BTreeMap::new();
                while let Some((key, value)) = map.next_entry::<String, T>()? {
                    if all.insert(key.clone(), value).is_some() {
                        return Err(serde::de::Error::custom(format!("`{key}` stands twice")));
                    }
                }
                Ok(Unique(all))
            }
        }
        deserializer.deserialize_map(Pairs(PhantomData))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    default: Vec<Unique<Value>>,
    #[serde(default)]
    transports: Unique<Unique<Vec<Unique<Value>>>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Sigstore {
    key_path: Option<PathBuf>,
    key_paths: Option<Vec<PathBuf>>,
    key_data: Option<String>,
    key_datas: Option<Vec<String>>,
    signed_identity: Option<Identity>,
}

impl Policy {
    /// The one that accepts everything.
    pub fn anything() -> Policy {
        Policy { file: None, default: vec![Requirement::Anything], docker: BTreeMap::new() }
    }

    /// The one that accepts what one of the public keys in these files has signed for its repository.
    pub fn signed_by(keys: &[PathBuf]) -> Policy {
        let keys = keys.iter().cloned().map(Key::File).collect();
        let signed = Requirement::Sigstore { keys, identity: Identity::MatchRepository {} };
        Policy { file: None, default: vec![signed], docker: BTreeMap::new() }
    }

    /// That of this host and user: `~/.config/containers/policy.json` or else `/etc/containers/policy.json`; if neither exists, everything
    /// is accepted.
    ///
    /// # Errors
    /// A file that cannot be read or understood.
    pub fn of_host() -> Result<Policy> {
        let dir = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        let config = dir("XDG_CONFIG_HOME").or_else(|| dir("HOME").map(|home| home.join(".config")));
        let own = config.map(|config| config.join("containers/policy.json"));
        for path in own.into_iter().chain([PathBuf::from("/etc/containers/policy.json")]) {
            match Policy::read(&path) {
                Err(e) if e.kind() == Kind::NotFound => {}
                policy => return policy,
            }
        }
        Ok(Policy::anything())
    }

    /// That of a file.
    ///
    /// # Errors
    /// [`Kind::NotFound`] if there is none; a file that cannot be read or understood.
    pub fn read(path: &Path) -> Result<Policy> {
        let bytes = read_bounded(path, FILE)?;
        let policy = Policy::parse(&bytes).context(|| format!("read the policy `{}`", path.display()))?;
        Ok(Policy { file: Some(path.to_owned()), ..policy })
    }

    /// That of a document.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for what is none.
    pub fn parse(bytes: &[u8]) -> Result<Policy> {
        let file: File = serde_json::from_slice(bytes).context_as(Kind::Invalid, || "no policy")?;
        let mut docker = BTreeMap::new();
        // Other transports' scopes are read by others; that they are well-formed was seen.
        for (scope, requirements) in
            file.transports.0.into_iter().filter(|(t, _)| t == "docker").flat_map(|(_, s)| s.0)
        {
            let read = list(requirements).context(|| format!("the scope `{scope}`"))?;
            docker.insert(scope, read);
        }
        Ok(Policy { file: None, default: list(file.default).context(|| "the default")?, docker })
    }

    /// What `reference` has to meet.
    pub(crate) fn requirements(&self, reference: &Reference) -> &[Requirement] {
        scopes(reference).iter().find_map(|scope| self.docker.get(scope)).unwrap_or(&self.default)
    }

    /// Whether `reference` is accepted without a look at any signature.
    pub fn accepts_unseen(&self, reference: &Reference) -> bool {
        self.requirements(reference).iter().all(|r| matches!(r, Requirement::Anything))
    }
}

/// The scopes that `reference` is in, the most specific first.
fn scopes(reference: &Reference) -> Vec<String> {
    let name = reference.name();
    let mut all = Vec::new();
    // What was asked for: a digest alone says more than a tag does.
    all.extend(reference.digest().map(|digest| format!("{name}@{digest}")));
    all.extend(reference.tag().map(|tag| format!("{name}:{tag}")));
    all.push(name.clone());
    let mut rest = name.as_str();
    while let Some((parent, _)) = rest.rsplit_once('/') {
        all.push(parent.to_owned());
        rest = parent;
    }
    let mut host = reference.registry().split(':').next().unwrap_or_default();
    while let Some((_, domain)) = host.split_once('.') {
        all.push(format!("*.{domain}"));
        host = domain;
    }
    all.push(String::new());
    all
}

fn list(requirements: Vec<Unique<Value>>) -> Result<Vec<Requirement>> {
    if requirements.is_empty() {
        return Err(
            Error::invalid("no requirements").hint("to accept everything, write insecureAcceptAnything")
        );
    }
    requirements.into_iter().map(requirement).collect()
}

fn requirement(Unique(mut fields): Unique<Value>) -> Result<Requirement> {
    let Some(Value::String(kind)) = fields.remove("type") else {
        return Err(Error::invalid("a requirement without a type"));
    };
    match kind.as_str() {
        "insecureAcceptAnything" | "reject" if !fields.is_empty() => {
            let names: Vec<String> = fields.into_keys().collect();
            Err(Error::invalid(format!("`{kind}` with `{}`, which it has not", names.join("`, `"))))
        }
        "insecureAcceptAnything" => Ok(Requirement::Anything),
        "reject" => Ok(Requirement::Nothing),
        "sigstoreSigned" => {
            let keyless = [
                "fulcio",
                "pki",
                "rekorPublicKeyPath",
                "rekorPublicKeyPaths",
                "rekorPublicKeyData",
                "rekorPublicKeyDatas",
            ];
            if let Some(name) = keyless.iter().find(|name| fields.contains_key(**name)) {
                return Ok(Requirement::Unknown(format!("sigstoreSigned with {name}")));
            }
            let said: Sigstore = object(fields).context(|| "sigstoreSigned")?;
            sigstore(said)
        }
        _ => Ok(Requirement::Unknown(kind)),
    }
}

fn object<T: DeserializeOwned>(fields: BTreeMap<String, Value>) -> Result<T> {
    serde_json::from_value(Value::Object(fields.into_iter().collect()))
        .context_as(Kind::Invalid, || "its fields")
}

fn sigstore(said: Sigstore) -> Result<Requirement> {
    use base64::Engine as _;
    let decode = |text: &String| {
        let what = || "sigstoreSigned: a key that is not in base64";
        base64::engine::general_purpose::STANDARD.decode(text).map(Key::Data).context_as(Kind::Invalid, what)
    };
    let given = [
        said.key_path.is_some(),
        said.key_paths.is_some(),
        said.key_data.is_some(),
        said.key_datas.is_some(),
    ];
    if given.iter().filter(|is| **is).count() != 1 {
        return Err(Error::invalid(
            "sigstoreSigned without exactly one of keyPath, keyPaths, keyData and keyDatas",
        ));
    }
    let paths = said.key_path.into_iter().chain(said.key_paths.into_iter().flatten());
    let datas: Vec<String> = said.key_data.into_iter().chain(said.key_datas.into_iter().flatten()).collect();
    let mut keys: Vec<Key> = paths.map(Key::File).collect();
    for data in &datas {
        keys.push(decode(data)?);
    }
    if keys.is_empty() {
        return Err(Error::invalid("sigstoreSigned with an empty list of keys"));
    }
    let identity = said.signed_identity.unwrap_or_default();
    identity.check()?;
    Ok(Requirement::Sigstore { keys, identity })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(policy: &Policy, name: &str) -> &'static str {
        match policy.requirements(&name.parse().unwrap()) {
            [Requirement::Anything] => "anything",
            [Requirement::Nothing] => "nothing",
            [Requirement::Sigstore { .. }] => "signed",
            [Requirement::Unknown(_)] => "unknown",
            _ => "several",
        }
    }

    #[test]
    fn the_most_specific_scope_counts_alone() {
        let signed = r#"[{"type":"sigstoreSigned","keyPath":"/k"}]"#;
        let (yes, no) = (r#"[{"type":"insecureAcceptAnything"}]"#, r#"[{"type":"reject"}]"#);
        let text = format!(
            r#"{{"default":{no},"transports":{{"docker-archive":{{"":{yes}}},"docker":{{"quay.io":{no},"quay.io/team":{signed},"quay.io/team/open":{yes},
               "quay.io/team/open:bad":{no},"*.example.com":{yes},"*.a.example.com":{no},"docker.io/library/debian":{yes},
               "localhost:5000":{yes},"gpg.io":[{{"type":"signedBy","keyType":"GPGKeys","keyPath":"/x"}}]}}}}}}"#
        );
        let policy = Policy::parse(text.as_bytes()).unwrap();
        for (name, is) in [
            ("quay.io/x", "nothing"),
            ("quay.io/team", "signed"),
            ("quay.io/team/x:1", "signed"),
            ("quay.io/teams/x", "nothing"),
            ("quay.io/team/open", "anything"),
            ("quay.io/team/open:bad", "nothing"),
            ("quay.io/team/open/below:bad", "anything"),
            ("b.example.com/x", "anything"),
            ("b.a.example.com:5000/x", "nothing"),
            ("example.com/x", "nothing"),
            ("debian", "anything"),
            ("busybox", "nothing"),
            ("localhost:5000/x", "anything"),
            ("localhost:5001/x", "nothing"),
            ("gpg.io/x", "unknown"),
        ] {
            assert_eq!(chosen(&policy, name), is, "{name}");
        }
        let with_default = format!(r#"{{"default":{no},"transports":{{"docker":{{"":{yes}}}}}}}"#);
        assert_eq!(chosen(&Policy::parse(with_default.as_bytes()).unwrap(), "debian"), "anything");
        assert_eq!(chosen(&Policy::anything(), "debian"), "anything");
    }

    #[test]
    fn what_cannot_be_understood_accepts_nothing() {
        for bad in [
            "",
            "{}",
            r#"{"default":[]}"#,
            r#"{"default":[{}]}"#,
            r#"{"default":[{"type":7}]}"#,
            r#"{"default":[{"type":"reject","x":1}]}"#,
            r#"{"default":[{"type":"reject"}],"default":[{"type":"insecureAcceptAnything"}]}"#,
            r#"{"default":[{"type":"reject","type":"insecureAcceptAnything"}]}"#,
            r#"{"default":[{"type":"reject"}],"transports":{"docker":{"a.io":[{"type":"reject"}],"a.io":[{"type":"insecureAcceptAnything"}]}}}"#,
            r#"{"default":[{"type":"reject"}],"transport":{}}"#,
            r#"{"default":[{"type":"sigstoreSigned"}]}"#,
            r#"{"default":[{"type":"sigstoreSigned","keyPath":"/a","keyData":"YQ=="}]}"#,
            r#"{"default":[{"type":"sigstoreSigned","keypath":"/a"}]}"#,
            r#"{"default":[{"type":"sigstoreSigned","keyData":"!"}]}"#,
            r#"{"default":[{"type":"sigstoreSigned","keyPaths":[]}]}"#,
            r#"{"default":[{"type":"sigstoreSigned","keyPath":"/a","signedIdentity":{"type":"matchAll"}}]}"#,
            r#"{"default":[{"type":"sigstoreSigned","keyPath":"/a","signedIdentity":{"type":"matchExact","x":1}}]}"#,
            r#"{"default":[{"type":"sigstoreSigned","keyPath":"/a","signedIdentity":{}}]}"#,
            r#"{"default":[{"type":"sigstoreSigned","keyPath":"/a","signedIdentity":{"type":"exactReference","dockerReference":"a.io/b"}}]}"#,
        ] {
            assert!(Policy::parse(bad.as_bytes()).is_err(), "{bad}");
        }
        for other in [
            r#"{"type":"signedBy"}"#,
            r#"{"type":"newKind","x":1}"#,
            r#"{"type":"sigstoreSigned","fulcio":{}}"#,
        ] {
            let policy = Policy::parse(format!(r#"{{"default":[{other}]}}"#).as_bytes()).unwrap();
            assert_eq!(chosen(&policy, "debian"), "unknown");
            assert!(!policy.accepts_unseen(&"debian".parse().unwrap()));
        }
    }
}
