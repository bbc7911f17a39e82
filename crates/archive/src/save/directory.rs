//! An OCI layout in a directory (`oci:DIR` of skopeo): made, or added to.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use taru_content::Content;
use taru_oci::{Descriptor, Document, Index, Reference, limits, media};
use taru_stdx::fs::{Sync, read_bounded, replace};
use taru_stdx::{Context, Error, Result};

use super::plan::{self, Blobs};
use super::{MARKER, Verified, blob_path};

/// Writes `images`, each with the names it is to have there, as an OCI layout into `dir`. If there is one already, they are
/// added to it, and take their names from those that have them.
///
/// # Errors
/// As [`super::save`]; [`taru_stdx::Kind::Exists`] if there is something else. What is there already stays whole: `index.json` is
/// written last.
pub fn save_directory(dir: &Path, content: &Content, images: &[(Vec<Reference>, Descriptor)]) -> Result<()> {
    let before = existing(dir)?;
    let mut blobs = Blobs::default();
    for (_, descriptor) in images {
        blobs.add(content, descriptor, 0)?;
    }
    for digest in blobs.all.keys() {
        let path = dir.join(blob_path(digest));
        let what = || format!("write `{}`", path.display());
        std::fs::create_dir_all(path.parent().unwrap_or(dir)).context(what)?;
        if path.exists() {
            continue;
        }
        let (file, _) = content.open_blob(digest)?;
        let mut verified = Verified::new(file, digest);
        // Under another name until it is whole.
        let unfinished = path.with_extension("tmp");
        let copy = || -> Result<()> {
            let mut out = File::create(&unfinished).context(what)?;
            io::copy(&mut verified, &mut out).context(what)?;
            verified.finish()?;
            out.sync_all().context(what)?;
            std::fs::rename(&unfinished, &path).context(what)
        };
        copy().inspect_err(|_| drop(std::fs::remove_file(&unfinished)))?;
    }
    // Their names, before anything that leads to them.
    let mut dirs: BTreeSet<PathBuf> = blobs
        .all
        .keys()
        .filter_map(|digest| Some(dir.join(blob_path(digest)).parent()?.to_owned()))
        .collect();
    dirs.extend((!dirs.is_empty()).then(|| dir.join("blobs")));
    for dir in dirs {
        File::open(&dir).and_then(|dir| dir.sync_all()).context(|| format!("sync `{}`", dir.display()))?;
    }
    replace(&dir.join("oci-layout"), MARKER, 0o644, Sync::Durable)?;
    let new = plan::index(images.iter().map(|(names, image)| (names.as_slice(), image)))?;
    let index = merge(before, &new)?;
    replace(&dir.join("index.json"), &index, 0o644, Sync::Durable)
}

/// The layout that is in `dir`; `None` if there is nothing.
fn existing(dir: &Path) -> Result<Option<Index>> {
    let what = || format!("save into `{}`", dir.display());
    match std::fs::read_dir(dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            std::fs::create_dir_all(dir).context(what)?;
            return Ok(None);
        }
        Err(e) => return Err(e).context(what),
        Ok(mut entries) => {
            if entries.next().is_none() {
                return Ok(None);
            }
        }
    }
    if !dir.join("oci-layout").exists() {
        let text = format!("{}: there is something, but no OCI layout", what());
        return Err(Error::new(taru_stdx::Kind::Exists, text));
    }
    let path = dir.join("index.json");
    match Document::parse(&read_bounded(&path, limits::MANIFEST)?, "") {
        Ok(Document::Index(index)) => Ok(Some(*index)),
        Ok(Document::Manifest(_)) => Err(Error::invalid(format!("read `{}`: not an index", path.display()))),
        Err(e) => Err(e).context(|| format!("read `{}`", path.display())),
    }
}

/// The index `new` with what `before` has beside it.
fn merge(before: Option<Index>, new: &[u8]) -> Result<Vec<u8>> {
    let Some(before) = before else { return Ok(new.to_vec()) };
    let Document::Index(mut index) = Document::parse(new, media::INDEX)? else { return Ok(new.to_vec()) };
    let kept = before.manifests.into_iter().filter(|old| match plan::name_of(old) {
        Some(name) => !index.manifests.iter().any(|m| plan::name_of(m) == Some(name)),
        None => !index.manifests.iter().any(|m| m.digest == old.digest),
    });
    let mut manifests: Vec<Descriptor> = kept.collect();
    manifests.append(&mut index.manifests);
    index.manifests = manifests;
    serde_json::to_vec(&index).context(|| "write `index.json`")
}
