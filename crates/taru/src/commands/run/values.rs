//! Values of options as typed: mounts, limits of a process, capabilities, variables, labels.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use taru_engine::config::{Bind, Rlimit};
use taru_stdx::{Context, Error, Result};
use taru_sys::caps::Capabilities;

/// Bytes that a file of variables may have: a program takes less of them.
const ENV_FILE: u64 = 4 << 20;

pub(super) fn existing(path: &str) -> Result<PathBuf> {
    Path::new(path).canonicalize().context(|| format!("find `{path}`"))
}

/// `SRC:DST`, `SRC:DST:ro`, `SRC:DST:rw`.
pub(super) fn bind(text: &str) -> Result<Bind> {
    let parts: Vec<&str> = text.split(':').collect();
    let (source, destination, writable) = match parts[..] {
        [source, destination] | [source, destination, "rw"] => (source, destination, true),
        [source, destination, "ro"] => (source, destination, false),
        [_, _, option] => {
            return Err(Error::invalid(format!("bind `{text}`: unknown option `{option}`")).hint("ro or rw"));
        }
        _ => {
            return Err(Error::invalid(format!("bind `{text}`: it is not a source and a destination"))
                .hint("--bind SRC:DST or --bind SRC:DST:ro"));
        }
    };
    let destination = PathBuf::from(destination);
    if !destination.is_absolute() {
        return Err(Error::invalid(format!("bind `{text}`: the destination is not an absolute path")));
    }
    let found = existing(source).context(|| format!("bind `{text}`"));
    let source = found.map_err(|e| match source.contains('/') {
        true => e,
        false => e.hint("SRC is a path of the host: volumes have no names here"),
    })?;
    Ok(Bind { source, destination, writable })
}

/// `nofile=1024:4096`, `nofile=1024`, `core=unlimited`.
pub(super) fn rlimit(text: &str) -> Result<Rlimit> {
    const NAMES: [&str; 16] = [
        "as",
        "core",
        "cpu",
        "data",
        "fsize",
        "locks",
        "memlock",
        "msgqueue",
        "nice",
        "nofile",
        "nproc",
        "rss",
        "rtprio",
        "rttime",
        "sigpending",
        "stack",
    ];
    let bad = || {
        Error::invalid(format!("parse `{text}` as a limit of a process"))
            .hint(format!("NAME=SOFT[:HARD]; the names are {}", NAMES.join(", ")))
    };
    let (name, values) = text.split_once('=').ok_or_else(bad)?;
    let name = name.to_ascii_lowercase();
    let name = name.strip_prefix("rlimit_").unwrap_or(&name);
    if !NAMES.contains(&name) {
        return Err(bad());
    }
    let value = |v: &str| match v {
        "unlimited" | "infinity" | "-1" => Ok(u64::MAX),
        v => v.parse().map_err(|_| bad()),
    };
    let (soft, hard) = values.split_once(':').unwrap_or((values, values));
    let (soft, hard) = (value(soft)?, value(hard)?);
    if soft > hard {
        return Err(Error::invalid(format!("limit `{text}`: the soft limit is above the hard one")));
    }
    Ok(Rlimit { name: format!("RLIMIT_{}", name.to_ascii_uppercase()), soft, hard })
}

/// A number; 0, and -1 as the peers have it, for no limit.
pub(super) fn pids(text: &str) -> Result<u64> {
    if text == "-1" {
        return Ok(0);
    }
    text.parse().map_err(|_| Error::invalid("not a whole number"))
}

/// `net_admin`, `CAP_NET_ADMIN`, `all`.
pub(super) fn capability(text: &str) -> Result<String> {
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("CAP_").unwrap_or(&upper);
    if name == "ALL" || Capabilities::named(name).is_some() {
        return Ok(name.to_owned());
    }
    Err(Error::invalid(format!("use `{text}` as a capability: no such capability"))
        .hint("capabilities(7) lists them"))
}

/// What the files say, a variable a line, then the list: `NAME=VALUE` as it is; `NAME` with the value it has here, left out if it
/// has none. The last of a name counts.
pub(in crate::commands) fn environment(
    files: &[PathBuf],
    list: &[String],
    note: &mut impl FnMut(Error),
) -> Vec<String> {
    let mut env: Vec<String> = Vec::new();
    let lines: Vec<String> = files.iter().flat_map(|file| variables(file, note)).collect();
    for text in lines.iter().chain(list) {
        let name = text.split('=').next().unwrap_or_default();
        if name.is_empty() {
            note(Error::invalid(format!("set the variable `{text}`: it has no name")));
            continue;
        }
        env.retain(|e| e.split('=').next() != Some(name));
        if text.contains('=') {
            env.push(text.clone());
        } else if let Ok(value) = std::env::var(name) {
            env.push(format!("{name}={value}"));
        }
    }
    env
}

/// The lines of `file` as docker reads them: none that is empty or begins with `#`, quotes are part of a value, and a name has no
/// blanks.
fn variables(file: &Path, note: &mut impl FnMut(Error)) -> Vec<String> {
    let what = || format!("read variables from `{}`", file.display());
    let text = match taru_stdx::fs::read_bounded(file, ENV_FILE).map(String::from_utf8) {
        Ok(Ok(text)) => text,
        Ok(Err(_)) => {
            note(Error::invalid(format!("{}: it is not in UTF-8", what())));
            return Vec::new();
        }
        Err(error) => {
            note(error);
            return Vec::new();
        }
    };
    let text = text.trim_start_matches('\u{feff}');
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim_start();
        let name = line.split('=').next().unwrap_or_default();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if name.contains(char::is_whitespace) {
            note(Error::invalid(format!("{}: line {}: the name `{name}` has a blank", what(), number + 1)));
            continue;
        }
        found.push(line.to_owned());
    }
    found
}

/// `NAME=VALUE`, or `NAME` for an empty value.
pub(super) fn labels(list: &[String], note: &mut impl FnMut(Error)) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    for text in list {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        if name.is_empty() {
            note(Error::invalid(format!("set the label `{text}`: it has no name")));
        }
        if name.starts_with("io.taru.") {
            note(Error::invalid(format!("set the label `{text}`: `io.taru.` is taru's own")));
        }
        labels.insert(name.to_owned(), value.to_owned());
    }
    labels
}

/// The words of `--entrypoint`: one program, or none to take the image's away.
pub(super) fn entrypoint(text: &str) -> Vec<String> {
    if text.is_empty() { Vec::new() } else { vec![text.to_owned()] }
}
