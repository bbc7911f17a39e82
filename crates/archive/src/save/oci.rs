//! An OCI archive: what is stored, as it is stored.

use std::io::Write;

use taru_content::Content;
use taru_oci::{Descriptor, Digest, Reference};
use taru_stdx::{Context, Result};
use taru_tar::Writer;

use super::plan::{self, Blobs, Item};
use super::{MARKER, blob, blob_path, directories, document};

pub(super) fn write<W: Write>(
    tar: &mut Writer<W>,
    content: &Content,
    images: &[(Vec<Reference>, Descriptor)],
) -> Result<()> {
    let mut blobs = Blobs::default();
    let mut items = Vec::new();
    for (names, descriptor) in images {
        blobs.add(content, descriptor, 0)?;
        // Artifacts have no place in `manifest.json`.
        if let Some((manifest, _, _)) = plan::image(content, descriptor)? {
            items.push(Item {
                config: blob_path(&manifest.config.digest),
                repo_tags: names.iter().map(Reference::to_string).collect(),
                layers: manifest.layers.iter().map(|layer| blob_path(&layer.digest)).collect(),
            });
        }
    }
    // Documents first: a reader of a stream knows early what comes.
    document(tar, "oci-layout", MARKER)?;
    document(
        tar,
        "index.json",
        &plan::index(images.iter().map(|(names, image)| (names.as_slice(), image)))?,
    )?;
    if !items.is_empty() {
        let items = serde_json::to_vec(&items).context(|| "write `manifest.json`")?;
        document(tar, "manifest.json", &items)?;
    }
    directories(tar, &blobs.all.keys().collect::<Vec<&Digest>>())?;
    for (digest, size) in &blobs.all {
        let (file, _) = content.open_blob(digest)?;
        blob(tar, digest, *size, file)?;
    }
    Ok(())
}
