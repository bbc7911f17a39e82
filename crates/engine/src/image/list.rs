//! `taru images`: what is in the store.

use std::time::SystemTime;

use taru_oci::{Descriptor, Platform, Reference};
use taru_stdx::{Error, Result};

use super::{Images, find};

/// A line of the list: a name, or an image without one.
#[derive(Debug)]
pub struct Listed {
    /// Its name; none for an image that lost it to another.
    pub name: Option<Reference>,
    /// What the name leads to; its digest is the image's id.
    pub target: Descriptor,
    /// When it got the name.
    pub named: SystemTime,
    /// What is known of it, or why it cannot be opened.
    pub image: std::result::Result<Known, Error>,
}

/// What is known of an image that is whole.
#[derive(Debug)]
pub struct Known {
    /// What it was built for.
    pub platform: Platform,
    /// When it was built, as it says itself (RFC 3339).
    pub created: Option<String>,
    /// Bytes of its documents and layers, compressed as they came.
    pub size: u64,
}

/// Every image, the newest first.
///
/// # Errors
/// The store cannot be read. A single image's trouble does not hide the others.
pub fn list(images: &Images) -> Result<Vec<Listed>> {
    let records = images.content.images()?;
    let line = |record: taru_content::ImageRecord| {
        let name = record.name.as_ref().map_or_else(|| "<none>".to_owned(), Reference::familiar);
        let found = find::open(images, &name, record.descriptor.clone(), None);
        let image = found.map(|found| Known {
            platform: found.config.platform(),
            created: found.config.created.clone(),
            size: size(&found),
        });
        Listed { name: record.name, target: record.descriptor, named: record.created, image }
    };
    Ok(records.into_iter().map(line).collect())
}

/// Bytes of an image's documents and layers. A layer that is in it twice is stored once.
pub fn size(found: &find::Found) -> u64 {
    let mut parts: Vec<&Descriptor> = found.document.layers.iter().collect();
    parts.extend([&found.manifest, &found.document.config]);
    parts.sort_by(|a, b| a.digest.cmp(&b.digest));
    parts.dedup_by(|a, b| a.digest == b.digest);
    parts.iter().fold(0, |sum: u64, part| sum.saturating_add(part.size))
}
