//! Directories that a tar does not name, only what lies in them: they keep the attributes that they have in the layers
//! below. Without that, a layer with `usr/bin/x` alone would change the mode and owner of `/usr` and `/usr/bin`.

use std::fs::File;
use std::path::{Path, PathBuf};

use taru_stdx::{Context, Result};

use crate::layout::MANIFEST;
use crate::manifest::{Kind, Lines, ManifestWriter, Record, Search};

/// Manifests that are kept open. Of images with more layers the others are opened for each look: several hundred
/// descriptors at once are more than many a process may have.
const OPEN: usize = 32;

/// The manifests of the layers below, topmost first.
pub(crate) struct Below {
    manifests: Vec<Manifest>,
}

enum Manifest {
    Open(Search),
    Closed(PathBuf),
}

impl Manifest {
    fn look<T>(&self, look: impl FnOnce(&Search) -> Result<T>) -> Result<T> {
        match self {
            Manifest::Open(search) => look(search),
            Manifest::Closed(path) => look(&open(path)?),
        }
    }

    fn find(&self, path: &[u8]) -> Result<Option<Record>> {
        self.look(|search| search.find(path))
    }
}

fn open(path: &Path) -> Result<Search> {
    Search::new(File::open(path).context(|| format!("open `{}`", path.display()))?)
}

impl Below {
    /// Of these directories of layers.
    pub(crate) fn open(layers: &[PathBuf]) -> Result<Below> {
        let manifest = |(at, dir): (usize, &PathBuf)| {
            let path = dir.join(MANIFEST);
            if at < OPEN { open(&path).map(Manifest::Open) } else { Ok(Manifest::Closed(path)) }
        };
        Ok(Below { manifests: layers.iter().enumerate().map(manifest).collect::<Result<_>>()? })
    }

    /// Of these open manifests.
    pub(crate) fn of(manifests: Vec<Search>) -> Below {
        Below { manifests: manifests.into_iter().map(Manifest::Open).collect() }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.manifests.len()
    }

    /// What is at `path` in the first `count` layers, if nothing above it hides it.
    pub(crate) fn find_in(&self, path: &[u8], count: usize) -> Result<Option<Record>> {
        for manifest in self.manifests.iter().take(count) {
            if let Some(record) = manifest.find(path)? {
                return match record.kind {
                    Kind::Whiteout => Ok(None),
                    _ => manifest.look(|search| resolved(search, record)).map(Some),
                };
            }
        }
        Ok(None)
    }

    /// How many of the first `count` layers show through at the directory `path`.
    pub(crate) fn visible(&self, path: &[u8], count: usize) -> Result<usize> {
        for (at, manifest) in self.manifests.iter().enumerate().take(count) {
            match manifest.find(path)?.map(|record| record.kind) {
                None | Some(Kind::Directory { is_opaque: false } | Kind::Implicit) => {}
                Some(Kind::Directory { is_opaque: true }) => return Ok(at + 1),
                Some(_) => return Ok(at),
            }
        }
        Ok(count)
    }

    /// What is at `path` in these layers, stacked.
    pub(crate) fn find(&self, path: &[u8]) -> Result<Option<Record>> {
        let mut count = self.count();
        let slashes = path.iter().enumerate().filter(|(_, b)| **b == b'/').map(|(at, _)| at);
        for end in std::iter::once(0).chain(slashes) {
            count = self.visible(&path[..end], count)?;
        }
        self.find_in(path, count)
    }
}

/// Those of these directories of layers, topmost first, that an overlay is to stack: none below one whose root hides all
/// that is below. The kernel heeds the mark of every directory but the root of a lower layer.
pub(crate) fn shown(mut layers: Vec<PathBuf>) -> Result<Vec<PathBuf>> {
    for at in 0..layers.len() {
        let below = Below::open(layers.get(at..=at).unwrap_or_default())?;
        if matches!(below.find_in(b"", 1)?, Some(Record { kind: Kind::Directory { is_opaque: true }, .. })) {
            layers.truncate(at + 1);
            break;
        }
    }
    Ok(layers)
}

/// The record, and if it is a further name of a file, with all that that file is.
pub(crate) fn resolved(manifest: &Search, record: Record) -> Result<Record> {
    if let Kind::Link { target } = &record.kind
        && let Some(first) = manifest.find(target)?
    {
        return Ok(Record { path: record.path, ..first });
    }
    Ok(record)
}

/// Writes the final manifest of a layer: `raw` with the attributes that directories inherit. Those that are found also go
/// to `adopted`, a manifest of its own. Calls `opaque` with each opaque directory.
pub(crate) fn complete(
    raw: File,
    below: &Below,
    to: File,
    adopted: File,
    mut opaque: impl FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let mut lines = Lines::new(raw)?;
    let (mut all, mut new) = (ManifestWriter::new(to), ManifestWriter::new(adopted));
    while let Some(line) = lines.next_line()? {
        // Of most lines there is nothing to be changed.
        if !matches!(Record::letter_of(line), b'i' | b'o') {
            all.push_line(line)?;
            continue;
        }
        let mut record = Record::parse(line.strip_suffix(b"\n").unwrap_or(line))?;
        match record.kind {
            Kind::Implicit => {
                record.kind = Kind::Directory { is_opaque: false };
                if let Some(found) = below.find(&record.path)?.filter(|found| found.kind.is_directory()) {
                    record = Record { kind: record.kind, path: record.path, ..found };
                    new.push(&record)?;
                }
            }
            _ => opaque(&record.path)?,
        }
        all.push(&record)?;
    }
    all.finish()?;
    new.finish()
}
