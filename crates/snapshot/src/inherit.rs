//! Directories that a tar does not name, only what lies in them: they keep the attributes that they have in the layers
//! below. Without that, a layer with `usr/bin/x` alone would change the mode and owner of `/usr` and `/usr/bin`.

use std::fs::File;
use std::path::PathBuf;

use taru_stdx::{Context, Result};

use crate::layout::MANIFEST;
use crate::manifest::{Kind, Lines, ManifestWriter, Record, Search};
use crate::name::split;

/// The manifests of the layers below, topmost first.
pub(crate) struct Below {
    manifests: Vec<Search>,
}

impl Below {
    /// Of these directories of layers.
    pub(crate) fn open(layers: &[PathBuf]) -> Result<Below> {
        let open = |dir: &PathBuf| {
            let path = dir.join(MANIFEST);
            Search::new(File::open(&path).context(|| format!("open `{}`", path.display()))?)
        };
        Ok(Below { manifests: layers.iter().map(open).collect::<Result<_>>()? })
    }

    /// What is at `path` in these layers, stacked.
    pub(crate) fn find(&self, path: &[u8]) -> Result<Option<Record>> {
        for manifest in &self.manifests {
            if let Some(record) = manifest.find(path)? {
                return Ok((record.kind != Kind::Whiteout).then_some(record));
            }
            // What this layer has in the way hides everything below.
            let mut above = path;
            while !above.is_empty() {
                (above, _) = split(above);
                match manifest.find(above)?.map(|record| record.kind) {
                    None => {}
                    Some(Kind::Directory { is_opaque: false } | Kind::Implicit) => break,
                    Some(_) => return Ok(None),
                }
            }
        }
        Ok(None)
    }
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
    while let Some(mut record) = lines.next()? {
        match record.kind {
            Kind::Implicit => {
                record.kind = Kind::Directory { is_opaque: false };
                if let Some(found) = below.find(&record.path)?.filter(|found| found.kind.is_directory()) {
                    record = Record { kind: record.kind, path: record.path, ..found };
                    new.push(&record)?;
                }
            }
            Kind::Directory { is_opaque: true } => opaque(&record.path)?,
            _ => {}
        }
        all.push(&record)?;
    }
    all.finish()?;
    new.finish()
}
