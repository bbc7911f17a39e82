//! Credentials: the files that docker, podman and skopeo keep them in (containers-auth.json(5)).
//!
//! ```text
//! { "auths":       { "quay.io": {"auth": BASE64(USER:PASSWORD)}, "quay.io/team": {..}, "https://index.docker.io/v1/": {..} },
//!   "credHelpers": { "gcr.io": "gcloud" },       a helper for one server
//!   "credsStore":  "secretservice" }             a helper for all others
//! ```
//! The most specific key counts: `HOST/a/b`, `HOST/a`, `HOST`. Of a file, `credHelpers` come first, then `auths`, then `credsStore`.

use std::collections::BTreeMap;
use std::fmt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Map, Value};
use taru_oci::reference::DEFAULT_REGISTRY;
use taru_stdx::fs::{Sync, read_bounded, replace};
use taru_stdx::{Context, Error, Kind, Result};

use crate::cancel::Cancel;
use crate::helper::{self, Kept};

/// Bytes of such a file.
const FILE: u64 = 4 << 20;
/// What docker.io is called in these files.
const DOCKER: &str = "https://index.docker.io/v1/";

/// Who asks. `Debug` tells the shape only.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// User and password.
    Password {
        /// The user.
        user: String,
        /// The password, or a token that takes its place.
        password: String,
    },
    /// An identity token (OAuth 2 refresh token), for which the token server gives access tokens.
    Identity(String),
    /// An access token, to be shown as it is.
    Bearer(String),
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Credentials::Password { .. } => "Password",
            Credentials::Identity(_) => "Identity",
            Credentials::Bearer(_) => "Bearer",
        })
    }
}

/// The files with credentials: the first that knows a server is the one.
#[derive(Debug, Clone, Default)]
pub struct Keyring {
    /// Where they are looked up.
    pub files: Vec<PathBuf>,
    /// Where `login` writes.
    pub written: Option<PathBuf>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct File {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
    #[serde(default)]
    cred_helpers: BTreeMap<String, String>,
    #[serde(default)]
    creds_store: Option<String>,
}

#[derive(Deserialize, Default)]
struct Entry {
    #[serde(default)]
    auth: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    identitytoken: String,
    #[serde(default)]
    registrytoken: String,
}

impl Keyring {
    /// The files of an environment whose variables `variable` looks up: `$REGISTRY_AUTH_FILE` alone if it is set; else
    /// `$XDG_RUNTIME_DIR/containers/auth.json`, `$XDG_CONFIG_HOME/containers/auth.json` and `$DOCKER_CONFIG/config.json`, the last
    /// of which `login` writes.
    pub fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Keyring {
        let dir = |name: &str| variable(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        if let Some(file) = dir("REGISTRY_AUTH_FILE") {
            return Keyring { files: vec![file.clone()], written: Some(file) };
        }
        let home = dir("HOME");
        let config = dir("XDG_CONFIG_HOME").or_else(|| home.as_ref().map(|home| home.join(".config")));
        let docker = dir("DOCKER_CONFIG").or_else(|| home.as_ref().map(|home| home.join(".docker")));
        let docker = docker.map(|dir| dir.join("config.json"));
        let containers = [dir("XDG_RUNTIME_DIR"), config].into_iter().flatten();
        let mut files: Vec<PathBuf> = containers.map(|dir| dir.join("containers/auth.json")).collect();
        files.extend(docker.clone());
        Keyring { files, written: docker }
    }

    /// The credentials for `repository` of `registry`.
    pub(crate) fn find(
        &self,
        registry: &str,
        repository: &str,
        cancel: &Cancel,
    ) -> Result<Option<Credentials>> {
        for path in &self.files {
            let Some(bytes) = read(path)? else { continue };
            // Not the parser's own words: they quote what is a secret.
            let file: File = serde_json::from_slice(&bytes).map_err(|e| {
                Error::invalid(format!(
                    "read `{}`: line {}: not a file of credentials",
                    path.display(),
                    e.line()
                ))
            })?;
            if let Some(found) =
                file.find(registry, repository, cancel).context(|| format!("use `{}`", path.display()))?
            {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Keeps `credentials` for `registry`: with the file's helper if it names one, else in the file itself, with mode 0600.
    pub(crate) fn store(&self, registry: &str, credentials: &Credentials, cancel: &Cancel) -> Result<()> {
        let path = self.written.as_ref().ok_or_else(|| {
            Error::new(Kind::NotFound, format!("keep the credentials for `{registry}`: no file for them"))
                .hint("set $HOME, $DOCKER_CONFIG or $REGISTRY_AUTH_FILE")
        })?;
        let mut document = document(path)?;
        let key = server(registry);
        if let Some(name) = helper_of(&document, registry) {
            let (username, secret) = match credentials {
                Credentials::Password { user, password } => (user.clone(), password.clone()),
                Credentials::Identity(token) | Credentials::Bearer(token) => {
                    ("<token>".into(), token.clone())
                }
            };
            return helper::store(&name, &Kept { server: key.into(), username, secret }, cancel);
        }
        let entry = match credentials {
            Credentials::Password { user, .. } if user.contains(':') => {
                return Err(Error::invalid(format!(
                    "keep the credentials for `{registry}`: a user with a colon in it"
                )));
            }
            Credentials::Password { user, password } => {
                serde_json::json!({ "auth": STANDARD.encode(format!("{user}:{password}")) })
            }
            Credentials::Identity(token) => {
                serde_json::json!({ "auth": STANDARD.encode("<token>:"), "identitytoken": token })
            }
            Credentials::Bearer(token) => serde_json::json!({ "registrytoken": token }),
        };
        let auths = document.entry("auths").or_insert_with(|| Value::Object(Map::new()));
        let auths = auths
            .as_object_mut()
            .ok_or_else(|| Error::invalid(format!("read `{}`: `auths` is no object", path.display())))?;
        auths.insert(key.to_owned(), entry);
        write(path, &document)
    }

    /// Forgets what is kept for `registry` in any of the files; tells whether there was something.
    pub(crate) fn erase(&self, registry: &str, cancel: &Cancel) -> Result<bool> {
        let mut found = false;
        for path in &self.files {
            if read(path)?.is_none() {
                continue;
            }
            let mut document = document(path)?;
            if let Some(name) = helper_of(&document, registry) {
                found |= helper::get(&name, server(registry), cancel)?.is_some();
                helper::erase(&name, server(registry), cancel)?;
            }
            let Some(auths) = document.get_mut("auths").and_then(Value::as_object_mut) else { continue };
            let before = auths.len();
            auths.retain(|key, _| host_of(key) != registry || !is_root(key));
            if auths.len() != before {
                found = true;
                write(path, &document)?;
            }
        }
        Ok(found)
    }
}

impl File {
    fn find(&self, registry: &str, repository: &str, cancel: &Cancel) -> Result<Option<Credentials>> {
        let server = server(registry);
        let helper = [registry, server].into_iter().find_map(|key| self.cred_helpers.get(key));
        if let Some(name) = helper
            && let Some(kept) = helper::get(name, server, cancel)?
        {
            return Ok(Some(kept.into()));
        }
        // HOST/a/b, HOST/a, HOST.
        let full = format!("{registry}/{repository}");
        let mut keys: Vec<&str> = full.match_indices('/').map(|(at, _)| &full[..at]).collect();
        keys.push(&full);
        for key in keys.into_iter().rev() {
            let exact = self.auths.get(key);
            // Old files have https://HOST/v1/ for HOST.
            let old = || {
                self.auths
                    .iter()
                    .find(|(k, _)| key == registry && host_of(k) == key && is_root(k))
                    .map(|(_, e)| e)
            };
            if let Some(entry) = exact.or_else(old)
                && let Some(found) = entry.credentials(key)?
            {
                return Ok(Some(found));
            }
        }
        match &self.creds_store {
            Some(name) if helper.is_none() && !name.is_empty() => {
                Ok(helper::get(name, server, cancel)?.map(Credentials::from))
            }
            _ => Ok(None),
        }
    }
}

impl Entry {
    fn credentials(&self, key: &str) -> Result<Option<Credentials>> {
        if !self.identitytoken.is_empty() {
            return Ok(Some(Credentials::Identity(self.identitytoken.clone())));
        }
        if !self.registrytoken.is_empty() {
            return Ok(Some(Credentials::Bearer(self.registrytoken.clone())));
        }
        if !self.username.is_empty() {
            return Ok(Some(Credentials::Password {
                user: self.username.clone(),
                password: self.password.clone(),
            }));
        }
        if self.auth.is_empty() {
            return Ok(None);
        }
        let plain = STANDARD.decode(self.auth.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let plain = plain.as_deref().map(|p| p.trim_end_matches('\0'));
        match plain.and_then(|p| p.split_once(':')) {
            Some((user, password)) => {
                Ok(Some(Credentials::Password { user: user.into(), password: password.into() }))
            }
            None => {
                Err(Error::invalid(format!("read the credentials for `{key}`: no USER:PASSWORD in base64")))
            }
        }
    }
}

impl From<Kept> for Credentials {
    fn from(kept: Kept) -> Credentials {
        match kept.is_identity() {
            true => Credentials::Identity(kept.secret),
            false => Credentials::Password { user: kept.username, password: kept.secret },
        }
    }
}

/// What `registry` is called by helpers and `login`.
fn server(registry: &str) -> &str {
    if registry == DEFAULT_REGISTRY { DOCKER } else { registry }
}

/// The host of a key, as references have it.
fn host_of(key: &str) -> &str {
    let key = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    match key.split('/').next().unwrap_or_default() {
        "index.docker.io" | "registry-1.docker.io" => DEFAULT_REGISTRY,
        host => host,
    }
}

/// Whether a key stands for all of a server: `HOST`, `https://HOST`, `https://HOST/v1/`.
fn is_root(key: &str) -> bool {
    key.trim_end_matches('/') == key_root(key)
}

/// The longest start of a key that stands for all of a server.
fn key_root(key: &str) -> &str {
    let start = key.find("://").map_or(0, |at| at + 3);
    let end = key[start..].find('/').map_or(key.len(), |at| start + at);
    let rest = key[end..].trim_matches('/');
    if rest == "v1" || rest == "v2" { key.trim_end_matches('/') } else { &key[..end] }
}

/// The helper that a document names for `registry`.
fn helper_of(document: &Map<String, Value>, registry: &str) -> Option<String> {
    let own = document.get("credHelpers").and_then(Value::as_object);
    let own = own.and_then(|all| all.get(registry).or_else(|| all.get(server(registry))));
    own.or_else(|| document.get("credsStore"))
        .and_then(Value::as_str)
        .filter(|n| !n.is_empty())
        .map(str::to_owned)
}

/// The bytes of a file that may not exist.
fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    match read_bounded(path, FILE) {
        Ok(bytes) if bytes.iter().all(u8::is_ascii_whitespace) => Ok(None),
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == Kind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// A file with all that others keep in it.
fn document(path: &Path) -> Result<Map<String, Value>> {
    let Some(bytes) = read(path)? else { return Ok(Map::new()) };
    serde_json::from_slice(&bytes).map_err(|e| {
        Error::invalid(format!("read `{}`: line {}: not a file of credentials", path.display(), e.line()))
    })
}

fn write(path: &Path, document: &Map<String, Value>) -> Result<()> {
    if let Some(dir) = path.parent() {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .context(|| format!("make `{}`", dir.display()))?;
    }
    // Through a link, as people keep their configuration in a repository.
    let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let mut bytes = serde_json::to_vec_pretty(document).context(|| format!("write `{}`", path.display()))?;
    bytes.push(b'\n');
    replace(&path, &bytes, 0o600, Sync::Durable)
}
