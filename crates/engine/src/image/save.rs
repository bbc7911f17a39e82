//! `taru image save`: images of the store as one file, a stream, or an OCI layout in a directory.

use std::io::Write;
use std::path::Path;

use taru_archive::Format;
use taru_content::Lease;
use taru_oci::{Descriptor, Digest, Reference};
use taru_stdx::Result;

use super::{Images, find};
use crate::whole_file;

/// An image, and the names that it is to have in the archive.
pub type Chosen = (Vec<Reference>, Descriptor);

/// The images that `keys` name, each once with all the names it was asked for by; `lease` keeps them here. An id gives
/// no name.
///
/// # Errors
/// As [`find::target`].
pub fn choose(images: &Images, lease: &Lease, keys: &[String]) -> Result<Vec<Chosen>> {
    let mut chosen: Vec<Chosen> = Vec::new();
    for key in keys {
        let target = find::target(images, key)?;
        lease.protect_blob(&target.digest)?;
        let name =
            key.parse::<Reference>().ok().filter(|name| name.tag().is_some() && name.digest().is_none());
        let name = match name {
            Some(name) if images.content.resolve(&name)?.is_some() => Some(name),
            _ => None,
        };
        match chosen.iter_mut().find(|(_, other)| other.digest == target.digest) {
            Some((names, _)) => names.extend(name.filter(|name| !names.contains(name))),
            None => chosen.push((name.into_iter().collect(), target)),
        }
    }
    Ok(chosen)
}

/// Writes the images that `keys` name as one archive to `writer`.
///
/// # Errors
/// As [`choose`] and [`taru_archive::save`].
pub fn to_stream(images: &Images, keys: &[String], format: Format, writer: &mut dyn Write) -> Result<()> {
    let lease = images.content.lease("save")?;
    let chosen = choose(images, &lease, keys)?;
    let size = |chain: &Digest, diff_id: &Digest| images.snapshots.tar_size(chain, diff_id);
    taru_archive::save(writer, &images.content, &chosen, format, &size)
}

/// Writes them as the file `path`: whole and durable, or not there at all.
///
/// What is no plain file (a pipe, a device) is written to as it is.
///
/// # Errors
/// As [`to_stream`]; the file cannot be written.
pub fn to_file(images: &Images, keys: &[String], format: Format, path: &Path) -> Result<()> {
    whole_file::write(path, |file| to_stream(images, keys, format, file))
}

/// Writes them into the OCI layout in the directory `dir`, which is made where there is none, or added to.
///
/// # Errors
/// As [`choose`] and [`taru_archive::save_directory`].
pub fn to_directory(images: &Images, keys: &[String], dir: &Path) -> Result<()> {
    let lease = images.content.lease("save")?;
    let chosen = choose(images, &lease, keys)?;
    taru_archive::save_directory(dir, &images.content, &chosen)
}
