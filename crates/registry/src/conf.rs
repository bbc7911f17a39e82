//! registries.conf: mirrors, insecure and blocked registries, short names (containers-registries.conf(5), version 2).
//!
//! ```toml
//! unqualified-search-registries = ["docker.io"]
//! short-name-mode = "enforcing"               # or permissive, disabled: what several of the above mean for a short name
//! [[registry]]
//! prefix = "quay.io/team"                     # or "*.example.com"; the longest one that suits counts
//! location = "registry.intern:5000/team"      # what takes the prefix's place
//! insecure = false
//! blocked = false
//! mirror-by-digest-only = false
//! [[registry.mirror]]                         # asked first, in this order
//! location = "mirror.intern/team"
//! pull-from-mirror = "all"                    # or digest-only, tag-only
//! [aliases]
//! "debian" = "docker.io/library/debian"
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use taru_oci::Reference;
use taru_oci::reference::DEFAULT_REGISTRY;
use taru_stdx::fs::read_bounded;
use taru_stdx::{Context, Error, Kind, Result};

use crate::endpoint::Endpoint;
use crate::url::{Origin, Scheme};

/// Bytes of such a file.
const FILE: u64 = 4 << 20;

/// What is known of registries.
#[derive(Debug, Clone, Default)]
pub struct Registries {
    search: Vec<String>,
    mode: Mode,
    /// By prefix.
    registries: BTreeMap<String, Registry>,
    aliases: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    #[default]
    Permissive,
    Enforcing,
    Disabled,
}

/// One file, as it is written.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct File {
    unqualified_search_registries: Option<Vec<String>>,
    short_name_mode: Option<Mode>,
    #[serde(default)]
    registry: Vec<Registry>,
    #[serde(default)]
    aliases: BTreeMap<String, String>,
    /// Version 1 of the format.
    registries: Option<serde::de::IgnoredAny>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Registry {
    #[serde(default)]
    prefix: String,
    #[serde(default)]
    location: String,
    #[serde(default)]
    insecure: bool,
    #[serde(default)]
    blocked: bool,
    #[serde(default)]
    mirror_by_digest_only: bool,
    #[serde(default)]
    mirror: Vec<Mirror>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Mirror {
    location: String,
    #[serde(default)]
    insecure: bool,
    #[serde(default)]
    pull_from_mirror: From,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum From {
    #[default]
    All,
    DigestOnly,
    TagOnly,
}

/// What is to be pulled; some mirrors have only some of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    Tag,
    Digest,
    /// A part of what was resolved before, maybe by a mirror that is for tags alone.
    Part,
}

impl Registries {
    /// Those of an environment whose variables `variable` looks up: the user's `registries.conf` or else the host's, then the `*.conf` of
    /// the host's and of the user's `registries.conf.d`, then short names that podman learnt.
    ///
    /// # Errors
    /// A file that cannot be read or understood.
    pub fn of_host(variable: impl Fn(&str) -> Option<String>) -> Result<Registries> {
        let dir = |name: &str| variable(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        let home = dir("HOME");
        let config = dir("XDG_CONFIG_HOME").or_else(|| home.as_ref().map(|h| h.join(".config")));
        let config = config.map(|config| config.join("containers"));
        let etc = Path::new("/etc/containers");
        let own = config.as_ref().map(|config| config.join("registries.conf")).filter(|file| file.is_file());
        let mut files =
            vec![dir("CONTAINERS_REGISTRIES_CONF").or(own).unwrap_or_else(|| etc.join("registries.conf"))];
        let mut dirs = vec![etc.join("registries.conf.d")];
        dirs.extend(config.map(|config| config.join("registries.conf.d")));
        if let Some(only) = dir("CONTAINERS_REGISTRIES_CONF_DIR") {
            dirs = vec![only];
        }
        for dir in dirs {
            files.extend(parts(&dir)?);
        }
        let cache = dir("XDG_CACHE_HOME").or_else(|| home.map(|h| h.join(".cache")));
        files.extend(cache.map(|cache| cache.join("containers/short-name-aliases.conf")));
        Registries::of_files(&files)
    }

    /// Those of these files, of which a later one wins; one that does not exist says nothing.
    ///
    /// # Errors
    /// As [`Registries::of_host`].
    pub fn of_files(files: &[PathBuf]) -> Result<Registries> {
        let mut all = Registries::default();
        for path in files {
            let bytes = match read_bounded(path, FILE) {
                Ok(bytes) => bytes,
                Err(e) if e.kind() == Kind::NotFound => continue,
                Err(e) => return Err(e),
            };
            let what = || format!("read `{}`", path.display());
            let text = String::from_utf8(bytes).context_as(Kind::Invalid, what)?;
            all.add(&text).context(what)?;
        }
        Ok(all)
    }

    /// Takes in one more file.
    pub(crate) fn add(&mut self, text: &str) -> Result<()> {
        let file: File = toml::from_str(text).map_err(|e| Error::invalid(e.message().to_owned()))?;
        if file.registries.is_some() {
            return Err(Error::new(Kind::Unsupported, "it is of version 1 of the format").hint(
                "write `unqualified-search-registries` and `[[registry]]` instead of `[registries.*]`",
            ));
        }
        if let Some(search) = file.unqualified_search_registries {
            for host in &search {
                Origin::parse(Scheme::Https, host)?;
            }
            self.search = search;
        }
        self.mode = file.short_name_mode.unwrap_or(self.mode);
        for mut registry in file.registry {
            if registry.prefix.is_empty() {
                registry.prefix = registry.location.clone();
            }
            if registry.location.is_empty() && !registry.prefix.starts_with("*.") {
                registry.location = registry.prefix.clone();
            }
            let is_bare = |text: &str| !text.contains("://") && !text.ends_with('/');
            let locations = registry.mirror.iter().map(|m| &m.location);
            if let Some(bad) = locations.chain([&registry.location]).find(|l| !is_bare(l)) {
                return Err(Error::invalid(format!("a location `{bad}`"))
                    .hint("HOST[:PORT][/PATH], without https:// and without a `/` at its end"));
            }
            if registry.prefix.is_empty() {
                return Err(Error::invalid("a [[registry]] without prefix and location"));
            }
            self.registries.insert(registry.prefix.clone(), registry);
        }
        for (short, full) in file.aliases {
            // An empty one takes back that of an earlier file.
            match full.is_empty() {
                true => drop(self.aliases.remove(&short)),
                false => drop(self.aliases.insert(short, full)),
            }
        }
        Ok(())
    }

    /// What `typed` may mean, in the order in which it is to be tried: itself if it names a registry; else the short-name
    /// table's word for it; else what the search list makes of it; docker.io where there is none.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for what is no name, and for a short name of several meanings in the mode `enforcing`.
    pub fn names(&self, typed: &str) -> Result<Vec<Reference>> {
        let plain: Reference = typed.parse()?;
        let first = typed.split_once('/').map(|(first, _)| first);
        if first.is_some_and(|first| first.contains(['.', ':']) || first == "localhost") {
            return Ok(vec![plain]);
        }
        let end = typed.find('@').unwrap_or(typed.len());
        let end = typed[..end].find(':').unwrap_or(end);
        let (short, rest) = typed.split_at(end);
        if self.mode != Mode::Disabled
            && let Some(full) = self.aliases.get(short)
        {
            let what = || format!("use the short name `{short}`");
            return Ok(vec![format!("{full}{rest}").parse().context(what)?]);
        }
        if self.search.is_empty() {
            return Ok(vec![plain]);
        }
        if self.mode == Mode::Enforcing && self.search.len() > 1 {
            let all: Vec<String> = self.search.iter().map(|host| format!("{host}/{typed}")).collect();
            let text = format!("use the short name `{}`: it has several meanings", typed.escape_debug());
            return Err(Error::invalid(text).hint(format!("one of {}", all.join(", "))));
        }
        self.search.iter().map(|host| format!("{host}/{typed}").parse()).collect()
    }

    /// The table that says something about `name`, `HOST/REPOSITORY...`: that of the longest prefix.
    fn table(&self, name: &str) -> Option<&Registry> {
        self.registries.values().filter(|r| suits(&r.prefix, name)).max_by_key(|r| r.prefix.len())
    }

    /// Where `reference` is pulled from, in this order.
    pub(crate) fn pull(&self, reference: &Reference, wanted: Wanted) -> Result<Vec<Endpoint>> {
        let own = self.push(reference)?;
        let name = reference.to_string();
        let Some(table) = self.table(&name) else { return Ok(vec![own]) };
        let may = |mirror: &&Mirror| match (mirror.pull_from_mirror, wanted) {
            (_, Wanted::Part) | (From::All, Wanted::Digest) => true,
            (From::All, Wanted::Tag) => !table.mirror_by_digest_only,
            (From::DigestOnly, wanted) => wanted == Wanted::Digest,
            (From::TagOnly, wanted) => wanted == Wanted::Tag,
        };
        let mirrors = table.mirror.iter().filter(may);
        let mut all: Vec<Endpoint> = mirrors
            .map(|m| rewritten(reference, &table.prefix, &m.location, m.insecure))
            .collect::<Result<_>>()?;
        all.push(own);
        Ok(all)
    }

    /// Where `reference` is pushed to: never a mirror.
    pub(crate) fn push(&self, reference: &Reference) -> Result<Endpoint> {
        let Some(table) = self.table(&reference.to_string()) else {
            return Ok(Endpoint::new(reference.registry(), reference.repository(), false));
        };
        if table.blocked {
            let text = format!("use `{}`: it is blocked", reference.name());
            return Err(Error::new(Kind::Permission, text)
                .hint(format!("by the [[registry]] `{}` in registries.conf", table.prefix)));
        }
        rewritten(reference, &table.prefix, &table.location, table.insecure)
    }

    /// A registry itself, `HOST[:PORT]`, for what is of no repository.
    pub(crate) fn registry(&self, host: &str) -> Result<Endpoint> {
        Origin::parse(Scheme::Https, host)?;
        let host = if host == "index.docker.io" { DEFAULT_REGISTRY } else { host };
        let table = self.table(host);
        if table.is_some_and(|t| t.blocked) {
            return Err(Error::new(Kind::Permission, format!("use `{host}`: it is blocked"))
                .hint("by a [[registry]] in registries.conf"));
        }
        let Some(table) = table else { return Ok(Endpoint::new(host, "", false)) };
        let moved = table.location.split('/').next().filter(|l| !l.is_empty() && !table.prefix.contains('/'));
        Ok(Endpoint::new(moved.unwrap_or(host), "", table.insecure))
    }
}

/// Whether `prefix` is one of `name`: up to a `/`, `:` or `@`, or `*.DOMAIN`.
fn suits(prefix: &str, name: &str) -> bool {
    let (host, _) = name.split_once('/').unwrap_or((name, ""));
    if let Some(domain) = prefix.strip_prefix('*') {
        let host = host.split(':').next().unwrap_or_default();
        return host.len() > domain.len() && host.ends_with(domain);
    }
    name.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', ':', '@']))
}

/// `reference` with `location` in the place of `prefix`.
fn rewritten(reference: &Reference, prefix: &str, location: &str, is_insecure: bool) -> Result<Endpoint> {
    let name = reference.name();
    // A location of `*.DOMAIN` takes the place of the host.
    let taken =
        if prefix.starts_with("*.") { reference.registry().len() } else { prefix.len().min(name.len()) };
    let rest = name.get(taken..).unwrap_or_default();
    let full = if location.is_empty() { name.clone() } else { format!("{location}{rest}") };
    let what = || format!("find `{name}` at the location `{location}`");
    let (host, repository) =
        full.split_once('/').ok_or_else(|| Error::invalid(format!("{}: no repository is left", what())))?;
    Origin::parse(Scheme::Https, host).context(what)?;
    // The rest is a reference's, the start an administrator's: together they are to be a repository as well.
    format!("x.invalid/{repository}").parse::<Reference>().context(what)?;
    Ok(Endpoint::new(host, repository, is_insecure))
}

/// The `*.conf` of a directory that may not exist, by name.
fn parts(dir: &Path) -> Result<Vec<PathBuf>> {
    let what = || format!("read `{}`", dir.display());
    let entries = match std::fs::read_dir(dir) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.context(what)?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.context(what)?.path();
        if path.extension().is_some_and(|e| e == "conf") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registries(texts: &[&str]) -> Registries {
        let mut all = Registries::default();
        for text in texts {
            all.add(text).unwrap();
        }
        all
    }

    fn shown(endpoints: &[Endpoint]) -> Vec<String> {
        endpoints
            .iter()
            .map(|e| format!("{}/{}{}", e.registry, e.repository, if e.is_insecure { "!" } else { "" }))
            .collect()
    }

    fn pull(all: &Registries, name: &str, wanted: Wanted) -> Vec<String> {
        shown(&all.pull(&name.parse().unwrap(), wanted).unwrap())
    }

    #[test]
    fn the_longest_prefix_says_where() {
        let all = registries(&[
            r#"
            [[registry]]
            location = "quay.io"
            [[registry.mirror]]
            location = "mirror.intern:5000/quay"
            insecure = true
            [[registry.mirror]]
            location = "digests.intern/quay"
            pull-from-mirror = "digest-only"
            [[registry.mirror]]
            location = "tags.intern"
            pull-from-mirror = "tag-only"
            [[registry]]
            prefix = "quay.io/team"
            location = "other.io/group/team"
            [[registry]]
            prefix = "*.corp.example"
            location = "cache.corp/all"
            [[registry]]
            location = "evil.io"
            "#,
            "[[registry]]\nprefix = \"evil.io\"\nblocked = true",
        ]);
        assert_eq!(
            pull(&all, "quay.io/a/b:1", Wanted::Tag),
            ["mirror.intern:5000/quay/a/b!", "tags.intern/a/b", "quay.io/a/b"]
        );
        assert_eq!(
            pull(&all, "quay.io/a/b:1", Wanted::Digest),
            ["mirror.intern:5000/quay/a/b!", "digests.intern/quay/a/b", "quay.io/a/b"]
        );
        assert_eq!(pull(&all, "quay.io/a/b:1", Wanted::Part).len(), 4);
        assert_eq!(pull(&all, "quay.io/team/x", Wanted::Tag), ["other.io/group/team/x"]);
        assert_eq!(pull(&all, "quay.io/teams/x", Wanted::Part).len(), 4);
        assert_eq!(pull(&all, "a.b.corp.example:5000/x/y", Wanted::Tag), ["cache.corp/all/x/y"]);
        assert_eq!(pull(&all, "corp.example/x", Wanted::Tag), ["corp.example/x"]);
        assert_eq!(pull(&all, "debian", Wanted::Tag), ["docker.io/library/debian"]);
        assert_eq!(shown(&[all.push(&"quay.io/a/b".parse().unwrap()).unwrap()]), ["quay.io/a/b"]);
        let blocked = all.pull(&"evil.io/x".parse().unwrap(), Wanted::Tag).unwrap_err();
        assert_eq!(blocked.kind(), Kind::Permission);
        assert_eq!(all.registry("evil.io").unwrap_err().kind(), Kind::Permission);
    }

    #[test]
    fn short_names_have_their_table_and_their_search_list() {
        let names = |all: &Registries, typed: &str| -> Vec<String> {
            all.names(typed).unwrap().iter().map(Reference::to_string).collect()
        };
        let all = registries(&[
            "unqualified-search-registries = [\"a.io\", \"docker.io\"]\n[aliases]\n\"fedora\" = \"registry.fedoraproject.org/fedora\"\n\"x\" = \"y.io/x\"",
            "[aliases]\n\"x\" = \"\"",
        ]);
        assert_eq!(names(&all, "fedora:41"), ["registry.fedoraproject.org/fedora:41"]);
        assert_eq!(names(&all, "x"), ["a.io/x:latest", "docker.io/library/x:latest"]);
        assert_eq!(names(&all, "localhost:5000/fedora"), ["localhost:5000/fedora:latest"]);
        assert_eq!(names(&Registries::default(), "debian"), ["docker.io/library/debian:latest"]);
        let strict = registries(&[
            "unqualified-search-registries = [\"a.io\", \"b.io\"]\nshort-name-mode = \"enforcing\"",
        ]);
        assert_eq!(strict.names("x").unwrap_err().kind(), Kind::Invalid);
    }

    #[test]
    fn what_cannot_be_understood_is_refused() {
        for bad in [
            "[[registry]]\nlocation = \"https://x.io\"",
            "[[registry]]\nlocation = \"x.io/\"",
            "[[registry]]\ninsecure = true",
            "[registries.search]\nregistries = [\"docker.io\"]",
            "unqualified-search-registries = [\"a b\"]",
            "not toml",
            "[[registry]]\nlocation = \"x.io\"\n[[registry.mirror]]\nlocation = \"y.io\"\npull-from-mirror = \"sometimes\"",
        ] {
            assert!(Registries::default().add(bad).is_err(), "{bad}");
        }
    }
}
