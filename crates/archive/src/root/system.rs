//! Images of system containers, as image servers of Incus, LXD and LXC hand them out.
//!
//! ```text
//! unified                      split, two files
//!   metadata.yaml                incus.tar.xz, lxd.tar.xz       meta.tar.xz (LXC)
//!   templates/hosts.tpl ...        metadata.yaml                   config   lxc.arch = x86_64
//!   rootfs/bin/sh ...              templates/...                   ...
//!                                rootfs.tar.xz or rootfs.squashfs
//! ```
//! The image: the root as its one layer; the architecture as its platform; the date as its time;
//! properties as the labels `io.taru.property.NAME`; the whole of `metadata.yaml` and the templates' texts, as JSON, in the
//! manifest's annotation `io.taru.system`; the label `io.taru.kind` is `system`, and what it runs is /sbin/init.

use std::collections::BTreeMap;
use std::io::{BufReader, Read};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use taru_content::{Content, Lease};
use taru_oci::media::Compression;
use taru_oci::{Descriptor, Platform, limits};
use taru_stdx::{Context, Error, Kind, Result, time};
use taru_tar::{self as tar, Entry, Kind as EntryKind};

use super::{import, yaml};
use crate::image::{self, About};
use crate::pack::LayerWriter;
use crate::{decompress, path, tree};

/// Entries of a metadata archive.
const METADATA_ENTRIES: u64 = 10_000;

/// Makes an image of a unified tarball: `metadata.yaml` and `rootfs/` in one.
///
/// # Errors
/// [`Kind::Invalid`] if it is none; any error of reading and of the store.
pub fn import_unified<R: Read + Send + 'static>(
    reader: R,
    content: &Content,
    lease: &Lease,
    about: &About,
) -> Result<Descriptor> {
    let what = || "import the system container's image";
    let (_, plain) = decompress::open(reader)?;
    let mut archive = tree::reader(plain, limits::LAYER_ENTRIES);
    let mut metadata = Metadata::default();
    let mut writer = LayerWriter::new(content, lease, about.compression.unwrap_or(Compression::Gzip))?;
    let mut any = false;
    tree::write(&mut Unified { archive: &mut archive, metadata: &mut metadata }, &mut writer, |mut entry| {
        let inside = inside(&entry.path);
        // Sockets' and volumes' remains beside the root are nobody's.
        let Some(path) = inside else { return Ok(None) };
        any = true;
        entry.path = path;
        if let EntryKind::Link { target } = &mut entry.kind {
            let outside = || {
                let (name, target) = (tar::text(&entry.path), tar::text(target));
                Error::invalid(format!("`{name}` is a link to `{target}`, outside `rootfs`"))
            };
            *target = self::inside(target).ok_or_else(outside)?;
        }
        Ok(Some(entry))
    })
    .context(what)?;
    if !any {
        return Err(Error::invalid(format!("{}: there is no `rootfs/` in it", what()))
            .hint("the root file system of a split image is a second file"));
    }
    let layer = writer.finish()?;
    image::store(content, lease, &layer, &metadata.about(about).context(what)?)
}

/// Makes an image of a metadata tarball and a root file system, a tar or a squashfs.
///
/// # Errors
/// As [`import_unified`].
pub fn import_split<M: Read + Send + 'static, R: Read + Send + 'static>(
    metadata: M,
    root: R,
    content: &Content,
    lease: &Lease,
    about: &About,
) -> Result<Descriptor> {
    let what = || "import the system container's image";
    let (_, plain) = decompress::open(metadata)?;
    let mut archive = tree::reader(plain, METADATA_ENTRIES);
    let mut found = Metadata::default();
    while let Some(entry) = archive.entry().context(what)? {
        if inside(&entry.path).is_some() {
            return Err(Error::invalid(format!("{}: its metadata has a `rootfs/` of its own", what())));
        }
        found.take(&entry, &mut archive).context(what)?;
    }
    let about = found.about(about).context(what)?;
    let layer = import::layer(root, content, lease, about.compression).context(what)?;
    image::store(content, lease, &layer, &about)
}

/// The path below `rootfs/`, or `None` if it is elsewhere.
fn inside(path: &[u8]) -> Option<Vec<u8>> {
    let path = path.strip_prefix(b"./").unwrap_or(path);
    match path.strip_prefix(b"rootfs")? {
        b"" | b"/" => Some(b"./".to_vec()),
        rest => rest.strip_prefix(b"/").map(<[u8]>::to_vec),
    }
}

/// The entries of a unified tarball that are no metadata.
struct Unified<'a, R> {
    archive: &'a mut tar::Reader<BufReader<R>>,
    metadata: &'a mut Metadata,
}

impl<R: Read> tree::Tree for Unified<'_, R> {
    fn entry(&mut self) -> Result<Option<Entry>> {
        while let Some(entry) = self.archive.entry()? {
            if inside(&entry.path).is_some() {
                return Ok(Some(entry));
            }
            self.metadata.take(&entry, self.archive)?;
        }
        Ok(None)
    }
}

impl<R: Read> Read for Unified<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.archive.read(buffer)
    }
}

/// What the metadata says.
#[derive(Default)]
struct Metadata {
    /// `metadata.yaml`.
    document: Option<Value>,
    /// LXC's `config`.
    config: Option<String>,
    templates: BTreeMap<String, String>,
    size: u64,
}

impl Metadata {
    /// Takes a file of the metadata; files that say nothing are passed over.
    fn take<R: Read>(&mut self, entry: &Entry, archive: &mut tar::Reader<BufReader<R>>) -> Result<()> {
        let name = path::normal(&entry.path)?;
        if name == "rootfs.img" {
            let text = "it is the image of a virtual machine";
            return Err(Error::new(Kind::Unsupported, text));
        }
        let template = name.strip_prefix("templates/");
        let is_known = name == "metadata.yaml" || name == "config" || template.is_some();
        if !matches!(entry.kind, EntryKind::File { pieces: None, .. }) || !is_known {
            return Ok(());
        }
        self.size += entry.stored();
        if self.size > limits::METADATA {
            let text = format!("`{name}`: metadata of more than {} bytes", limits::METADATA);
            return Err(Error::new(Kind::Limit, text));
        }
        let bytes = archive.whole(limits::METADATA).context(|| format!("read `{name}`"))?;
        let text = String::from_utf8(bytes).map_err(|_| Error::invalid(format!("`{name}` is not UTF-8")))?;
        let twice = || Error::invalid(format!("`{name}` is there twice"));
        match template {
            Some(template) => match self.templates.insert(template.to_owned(), text) {
                None => Ok(()),
                Some(_) => Err(twice()),
            },
            None if name == "config" => self.config.replace(text).map_or(Ok(()), |_| Err(twice())),
            None => {
                let document = yaml::parse(&text).context(|| format!("read `{name}`"))?;
                self.document.replace(document).map_or(Ok(()), |_| Err(twice()))
            }
        }
    }

    fn architecture(&self) -> Result<String> {
        let of_document = self.document.as_ref().and_then(|d| d["architecture"].as_str()).map(str::to_owned);
        // `lxc.arch = x86_64`: lxc.container.conf(5).
        let of_config = self.config.iter().flat_map(|config| config.lines()).find_map(|line| {
            let (key, value) = line.split_once('=')?;
            (key.trim() == "lxc.arch").then(|| value.trim().to_owned())
        });
        let none = || Error::invalid("its metadata names no architecture");
        if self.document.is_none() && self.config.is_none() {
            return Err(Error::invalid("it has no `metadata.yaml`, and no `config` of LXC"));
        }
        of_document.or(of_config).ok_or_else(none)
    }

    /// `about` with what the metadata adds; what the caller says comes first.
    fn about(self, about: &About) -> Result<About> {
        let mut about = about.clone();
        let architecture = self.architecture()?;
        if about.platform.is_none() {
            about.platform = Some(platform(&architecture)?);
        }
        let document = self.document.unwrap_or(Value::Null);
        if about.created.is_none() {
            about.created = date(&document["creation_date"]).map(time::rfc3339);
        }
        let labels = about.config.labels.get_or_insert_default();
        labels.entry("io.taru.kind".to_owned()).or_insert_with(|| "system".to_owned());
        for (name, value) in document["properties"].as_object().into_iter().flatten() {
            let text = match value {
                Value::String(text) => text.clone(),
                Value::Null => String::new(),
                other => other.to_string(),
            };
            if name == "description" {
                let key = "org.opencontainers.image.description".to_owned();
                about.annotations.entry(key).or_insert_with(|| text.clone());
            }
            labels.entry(format!("io.taru.property.{name}")).or_insert(text);
        }
        if labels.len() > limits::ANNOTATIONS {
            return Err(Error::new(Kind::Limit, "its metadata has too many properties"));
        }
        if about.config.cmd.is_none() && about.config.entrypoint.is_none() {
            about.config.cmd = Some(vec!["/sbin/init".to_owned()]);
            // How systemd is told to power off (systemd(1), SIGNALS); SysV's and busybox's init do not know it.
            if about.config.stop_signal.is_none() {
                about.config.stop_signal = Some("SIGRTMIN+3".to_owned());
            }
        }
        let system = json!({ "metadata": document, "templates": self.templates });
        about.annotations.insert("io.taru.system".to_owned(), system.to_string());
        Ok(about)
    }
}

/// A date as `metadata.yaml` has it: seconds after 1970.
fn date(value: &Value) -> Option<SystemTime> {
    let seconds = value.as_u64().or_else(|| value.as_str()?.parse().ok())?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

/// What an image server calls an architecture, as a platform: the kernel's names and Debian's.
fn platform(name: &str) -> Result<Platform> {
    match name {
        "armv7l" | "armv8l" | "armhf" => "linux/arm/v7".parse(),
        "armv6l" | "armel" => "linux/arm/v6".parse(),
        "ppc64el" => "linux/ppc64le".parse(),
        "i586" => "linux/386".parse(),
        name => name.parse(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_below_the_root() {
        assert_eq!(inside(b"./rootfs/etc/x").as_deref(), Some(&b"etc/x"[..]));
        assert_eq!(inside(b"rootfs/").as_deref(), Some(&b"./"[..]));
        assert_eq!(inside(b"rootfs").as_deref(), Some(&b"./"[..]));
        assert_eq!(inside(b"rootfsx/a"), None);
        assert_eq!(inside(b"metadata.yaml"), None);
    }

    #[test]
    fn architectures_and_dates() {
        for (name, platform_of) in [
            ("x86_64", "linux/amd64"),
            ("aarch64", "linux/arm64"),
            ("armv7l", "linux/arm/v7"),
            ("ppc64el", "linux/ppc64le"),
        ] {
            assert_eq!(platform(name).unwrap(), platform_of.parse().unwrap(), "{name}");
        }
        assert_eq!(date(&json!("86400")), date(&json!(86400)));
        assert_eq!(date(&json!(u64::MAX)), None);
    }
}
