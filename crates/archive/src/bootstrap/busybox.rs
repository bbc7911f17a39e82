//! busybox: one static program of the host, and a name for each of its applets.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use taru_content::{Content, Lease};
use taru_oci::media::Compression;
use taru_stdx::{Context, Error, Kind, Result};
use taru_tar::{Entry, Kind as EntryKind, Writer};

use super::Bootstrap;
use crate::image::About;
use crate::pack::{LayerWriter, StoredLayer};
use crate::path;

/// Where it is looked for, before PATH.
const PLACES: &[&str] = &["/bin/busybox", "/usr/bin/busybox", "/usr/lib/busybox/bin/busybox"];
/// Directories, with their modes.
const DIRECTORIES: &[(&str, u32)] = &[
    ("bin", 0o755),
    ("dev", 0o755),
    ("etc", 0o755),
    ("home", 0o755),
    ("proc", 0o555),
    ("root", 0o700),
    ("run", 0o755),
    ("sbin", 0o755),
    ("sys", 0o555),
    ("tmp", 0o1777),
    ("usr", 0o755),
    ("usr/bin", 0o755),
    ("usr/sbin", 0o755),
    ("var", 0o755),
    ("var/tmp", 0o1777),
];
const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n";
const GROUP: &str = "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n";

/// What the image runs if nothing is said.
pub(super) fn defaults(options: &Bootstrap, about: &mut About) -> Result<()> {
    let asks = options.variant.is_some()
        || !options.include.is_empty()
        || options.architecture.is_some()
        || options.mirror.is_some()
        || !options.components.is_empty();
    if asks {
        let text = "bootstrap `busybox`: it has no variant, packages, architecture, mirror or components";
        return Err(Error::invalid(text));
    }
    about.config.cmd.get_or_insert_with(|| vec!["sh".to_owned()]);
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    about.config.env.get_or_insert_with(|| vec![path.to_owned()]);
    about.created_by = Some("taru image bootstrap busybox".to_owned());
    Ok(())
}

/// Its root file system.
pub(super) fn layer(
    epoch: u64,
    compression: Compression,
    content: &Content,
    lease: &Lease,
) -> Result<StoredLayer> {
    let program = find()?;
    let what = || format!("read `{}`", program.display());
    let mut file = File::open(&program).context(what)?;
    let mut tar = Writer::new(LayerWriter::new(content, lease, compression)?);
    let mut add = |mut entry: Entry, content: &mut dyn Read| {
        entry.mtime = (i64::try_from(epoch).unwrap_or(i64::MAX), 0);
        tar.copy(&entry, content).context(|| format!("write `{}`", entry.name()))
    };
    for (path, mode) in DIRECTORIES {
        add(Entry::new(EntryKind::Directory, format!("{path}/"), *mode), &mut std::io::empty())?;
    }
    let size = file.metadata().context(what)?.len();
    add(Entry::new(EntryKind::file(size), "bin/busybox", 0o755), &mut file)?;
    for path in applets(&program)? {
        let link = EntryKind::Link { target: b"bin/busybox".to_vec() };
        add(Entry::new(link, path, 0o755), &mut std::io::empty())?;
    }
    for (path, text) in [("etc/group", GROUP), ("etc/passwd", PASSWD)] {
        let file = EntryKind::file(text.len() as u64);
        add(Entry::new(file, path, 0o644), &mut text.as_bytes())?;
    }
    tar.finish().context(|| "write the layer")?.finish()
}

/// A busybox that needs no library.
fn find() -> Result<PathBuf> {
    let in_path = std::env::var_os("PATH").unwrap_or_default();
    let places = PLACES
        .iter()
        .map(PathBuf::from)
        .chain(std::env::split_paths(&in_path).map(|dir| dir.join("busybox")));
    let mut dynamic = None;
    for place in places {
        match is_static(&place) {
            Ok(true) => return Ok(place),
            Ok(false) => dynamic = Some(place),
            Err(_) => {}
        }
    }
    let text = match dynamic {
        Some(place) => format!("bootstrap `busybox`: `{}` is linked dynamically", place.display()),
        None => "bootstrap `busybox`: this host has none".to_owned(),
    };
    Err(Error::new(Kind::NotFound, text).hint("Debian: apt-get install busybox-static"))
}

/// Whether the program at `path` names no interpreter (elf(5), PT_INTERP).
fn is_static(path: &Path) -> Result<bool> {
    let what = || format!("read `{}`", path.display());
    let file = File::open(path).context(what)?;
    let mut header = [0; 64];
    file.read_exact_at(&mut header, 0).context(what)?;
    let is_elf64_little = header.starts_with(b"\x7fELF\x02\x01");
    if !is_elf64_little {
        return Err(Error::new(Kind::Unsupported, format!("{}: not a 64-bit program", what())));
    }
    let number = |bytes: &[u8], at: usize, length: usize| {
        let part = bytes.get(at..at + length).unwrap_or_default();
        part.iter().rev().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte))
    };
    let (table, size, count) = (number(&header, 32, 8), number(&header, 54, 2), number(&header, 56, 2));
    for index in 0..count {
        let mut kind = [0; 4];
        let at = table.saturating_add(index * size);
        file.read_exact_at(&mut kind, at).context(what)?;
        if u32::from_le_bytes(kind) == 3 {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The paths of its applets, sorted, without its own.
fn applets(program: &Path) -> Result<Vec<String>> {
    let what = || format!("ask `{}` for its applets", program.display());
    let mut asked = Command::new(program);
    let done = asked.arg("--list-full").env_clear().stdin(Stdio::null()).output().context(what)?;
    let mut paths = Vec::new();
    for line in String::from_utf8_lossy(&done.stdout).lines() {
        let path = path::normal(line.as_bytes()).context(what)?;
        let dir = path.rsplit_once('/').map_or("", |(dir, _)| dir);
        // `linuxrc` lies in the root; whatever else has no directory here has no place.
        let has_place = dir.is_empty() || DIRECTORIES.iter().any(|(known, _)| *known == dir);
        if has_place && path != "bin/busybox" && !path.is_empty() {
            paths.push(path);
        }
    }
    paths.sort();
    paths.dedup();
    match done.status.success() && !paths.is_empty() {
        true => Ok(paths),
        false => Err(Error::new(Kind::Unsupported, format!("{}: it names none", what()))),
    }
}
