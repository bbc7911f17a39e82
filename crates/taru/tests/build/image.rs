//! An image in an archive of `docker save`'s form, put together: its configuration and its files.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde_json::{Value, json};
use taru_oci::Digest;

/// An image.
pub(crate) struct Image {
    /// `.config`, without what tools add of their own.
    pub config: Value,
    /// Path -> type, mode, owner, content.
    pub files: BTreeMap<String, String>,
    /// Path -> the extended attributes that its entry has.
    pub attributes: BTreeMap<String, BTreeMap<String, Vec<u8>>>,
    /// `created_by` and `empty_layer` of its history.
    pub history: Vec<(String, bool)>,
}

/// What programs find without any ENV; some tools write it down, others do not.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Mount points that a tool's containers leave.
const LEFT: [&str; 9] =
    ["dev", "proc", "sys", "etc", "etc/hosts", "etc/resolv.conf", "etc/hostname", "run", "run/.containerenv"];

impl Image {
    /// Reads the only image of the archive.
    pub(crate) fn read(path: &Path) -> Image {
        let mut parts: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        let mut links = Vec::new();
        for entry in tar::Archive::new(File::open(path).unwrap()).entries().unwrap() {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().display().to_string();
            if let Some(target) = entry.link_name().unwrap() {
                links.push((name, target.display().to_string()));
                continue;
            }
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            parts.insert(name, bytes);
        }
        for (name, target) in links {
            let target = target.trim_start_matches("../").to_owned();
            if let Some(bytes) = parts.get(&target).cloned() {
                parts.insert(name, bytes);
            }
        }
        let manifest: Value = serde_json::from_slice(&parts["manifest.json"]).unwrap();
        let config: Value = serde_json::from_slice(&parts[manifest[0]["Config"].as_str().unwrap()]).unwrap();
        let (mut files, mut attributes) = (BTreeMap::new(), BTreeMap::new());
        for layer in manifest[0]["Layers"].as_array().unwrap() {
            apply(&mut files, &mut attributes, &parts[layer.as_str().unwrap()]);
        }
        files.retain(|path, _| !LEFT.contains(&path.as_str()));
        attributes.retain(|path, _| files.contains_key(path));
        let history = config["history"].as_array().cloned().unwrap_or_default();
        let history = history
            .iter()
            .map(|h| (h["created_by"].as_str().unwrap_or_default().to_owned(), h["empty_layer"] == true));
        Image { config: normal(&config["config"]), files, attributes, history: history.collect() }
    }
}

fn apply(
    files: &mut BTreeMap<String, String>,
    attributes: &mut BTreeMap<String, BTreeMap<String, Vec<u8>>>,
    layer: &[u8],
) {
    for entry in tar::Archive::new(layer).entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().display().to_string();
        let path = path.trim_start_matches("./").trim_matches('/').to_owned();
        if path.is_empty() {
            continue;
        }
        let records = entry.pax_extensions().unwrap().into_iter().flatten().map(Result::unwrap);
        let records: BTreeMap<String, Vec<u8>> = records
            .filter_map(|record| {
                let name = record.key().ok()?.strip_prefix("SCHILY.xattr.")?;
                Some((name.to_owned(), record.value_bytes().to_vec()))
            })
            .collect();
        attributes.remove(&path);
        if !records.is_empty() {
            attributes.insert(path.clone(), records);
        }
        let (dir, name) = path.rsplit_once('/').unwrap_or(("", &path));
        if name == ".wh..wh..opq" {
            files.retain(|p, _| !p.starts_with(&format!("{dir}/")));
            continue;
        }
        if let Some(hidden) = name.strip_prefix(".wh.") {
            let gone = if dir.is_empty() { hidden.to_owned() } else { format!("{dir}/{hidden}") };
            files.retain(|p, _| *p != gone && !p.starts_with(&format!("{gone}/")));
            continue;
        }
        let header = entry.header().clone();
        let owner = format!("{}:{}", header.uid().unwrap(), header.gid().unwrap());
        let mode = header.mode().unwrap() & 0o7777;
        let link = entry.link_name().unwrap().map(|l| l.display().to_string()).unwrap_or_default();
        let what = match header.entry_type() {
            tar::EntryType::Directory => format!("dir {mode:o} {owner}"),
            tar::EntryType::Symlink => format!("link {owner} {link}"),
            tar::EntryType::Link => {
                files.get(link.trim_start_matches("./").trim_matches('/')).cloned().unwrap()
            }
            _ => {
                let mut bytes = Vec::new();
                entry.read_to_end(&mut bytes).unwrap();
                format!("file {mode:o} {owner} {} {}", bytes.len(), Digest::of(&bytes).short())
            }
        };
        if !what.starts_with("dir") {
            files.retain(|p, _| !p.starts_with(&format!("{path}/")));
        }
        files.insert(path, what);
    }
}

/// The parts of a configuration that mean something, absent and empty ones alike.
fn normal(config: &Value) -> Value {
    let mut out = serde_json::Map::new();
    for key in [
        "User",
        "Env",
        "Entrypoint",
        "Cmd",
        "Volumes",
        "WorkingDir",
        "ExposedPorts",
        "Labels",
        "StopSignal",
        "OnBuild",
        "Healthcheck",
        "Shell",
    ] {
        let mut value = config[key].clone();
        match (&mut value, key) {
            (Value::Array(list), "Env") => list.retain(|e| e != PATH),
            (Value::Object(labels), "Labels") => {
                labels.retain(|name, _| !name.starts_with("io.buildah"));
            }
            (Value::Null, "WorkingDir") => value = json!("/"),
            (Value::String(text), "WorkingDir") if text.is_empty() => value = json!("/"),
            _ => {}
        }
        let is_empty = match &value {
            Value::Null => true,
            Value::String(text) => text.is_empty(),
            Value::Array(list) => list.is_empty(),
            Value::Object(map) => map.is_empty(),
            _ => false,
        };
        if !is_empty {
            out.insert(key.to_owned(), value);
        }
    }
    Value::Object(out)
}
