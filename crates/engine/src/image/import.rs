//! `taru image import`: a root file system, or the image of a system container, becomes an image.

use std::io::Read;

use taru_archive::About;
use taru_content::Lease;
use taru_oci::{Descriptor, Digest, Reference};
use taru_stdx::Result;

use super::progress::Progress;
use super::{Images, find, unpack};

/// A file or a pipe.
pub type Stream = Box<dyn Read + Send>;

/// What is imported.
pub enum Source {
    /// A root file system: a tar, compressed or not, or a squashfs.
    Root(Stream),
    /// What image servers of Incus, LXD and LXC hand out in one file: `metadata.yaml` and `rootfs/`.
    Unified(Stream),
    /// The same in two files.
    Split {
        /// The tar with `metadata.yaml` or LXC's `config`.
        metadata: Stream,
        /// The root file system.
        root: Stream,
    },
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Source")
    }
}

/// Makes an image of `source`, unpacks it and gives it `name`, or keeps it without; its id.
///
/// # Errors
/// As [`taru_archive::import`] and its siblings; any error of the stores.
pub fn import(
    images: &Images,
    source: Source,
    about: &About,
    name: Option<&Reference>,
    progress: &dyn Progress,
) -> Result<Digest> {
    let lease = images.content.lease("import")?;
    let content = &images.content;
    let target = match source {
        Source::Root(root) => taru_archive::import(root, content, &lease, about)?,
        Source::Unified(file) => taru_archive::import_unified(file, content, &lease, about)?,
        Source::Split { metadata, root } => {
            taru_archive::import_split(metadata, root, content, &lease, about)?
        }
    };
    finish(images, &lease, target, name, progress)
}

/// Unpacks the new image `target`, which `lease` holds, and gives it `name`, or keeps it without; its id.
pub(super) fn finish(
    images: &Images,
    lease: &Lease,
    target: Descriptor,
    name: Option<&Reference>,
    progress: &dyn Progress,
) -> Result<Digest> {
    let found = find::open(images, &target.digest.to_string(), target.clone(), None)?;
    unpack::ensure(images, lease, &found, progress)?;
    match name {
        Some(name) => images.content.tag(&[(name.clone(), target.clone())])?,
        None => images.content.keep(std::slice::from_ref(&target))?,
    }
    Ok(target.digest)
}
