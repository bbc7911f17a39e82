//! A layer becomes an image: a configuration and a manifest around it.

use std::collections::BTreeMap;

use taru_content::{Content, Lease};
use taru_oci::config::{History, RootFs};
use taru_oci::media::{self, Compression};
use taru_oci::{Descriptor, Image, Manifest, Platform, RunConfig};
use taru_stdx::{Context, Result};

use crate::pack::StoredLayer;

/// What an image is to say beside its one layer.
#[derive(Debug, Clone, Default)]
pub struct About {
    /// How it wants to be run.
    pub config: RunConfig,
    /// What it is for; this host's if absent.
    pub platform: Option<Platform>,
    /// When it was made, RFC 3339. The same layer with the same time is the same image.
    pub created: Option<String>,
    /// Who made it.
    pub author: Option<String>,
    /// By which command; the line of its history.
    pub created_by: Option<String>,
    /// What else there is to say, in the history.
    pub comment: Option<String>,
    /// Words for the manifest.
    pub annotations: BTreeMap<String, String>,
    /// How its layer is compressed. Absent: as it came, or with gzip if no layer may come so.
    pub compression: Option<Compression>,
}

/// Stores the image of this one layer and returns the descriptor of its manifest.
pub(crate) fn store(
    content: &Content,
    lease: &Lease,
    layer: &StoredLayer,
    about: &About,
) -> Result<Descriptor> {
    let platform = about.platform.clone().unwrap_or_else(Platform::host);
    let has_config = about.config != RunConfig::default();
    let image = Image {
        created: about.created.clone(),
        author: about.author.clone(),
        architecture: platform.architecture,
        os: platform.os,
        variant: platform.variant,
        config: has_config.then(|| about.config.clone()),
        rootfs: RootFs { diff_ids: vec![layer.diff_id.clone()], ..RootFs::default() },
        history: Some(vec![History {
            created: about.created.clone(),
            created_by: about.created_by.clone(),
            comment: about.comment.clone(),
            ..History::default()
        }]),
        ..Image::default()
    };
    let config = serde_json::to_vec(&image).context(|| "write the image's configuration")?;
    let config_descriptor = Descriptor::of(media::CONFIG, &config);
    content.put(lease, &config, config_descriptor.digest.algorithm())?;
    let mut manifest = Manifest::new(config_descriptor, vec![layer.descriptor.clone()]);
    manifest.annotations.clone_from(&about.annotations);
    let manifest = serde_json::to_vec(&manifest).context(|| "write the manifest")?;
    let descriptor = Descriptor::of(media::MANIFEST, &manifest);
    content.put(lease, &manifest, descriptor.digest.algorithm())?;
    Ok(descriptor)
}
