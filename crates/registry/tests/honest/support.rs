//! An OCI image layout to fill a registry with.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use taru_oci::{Descriptor, Index, Manifest, Platform, Reference, media};
use taru_registry::{Client, Settings};

/// A directory that goes away with the test.
pub(crate) struct Dir(pub(crate) PathBuf);

impl Dir {
    pub(crate) fn new() -> Dir {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("taru-honest-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        Dir(dir)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What [`layout`] made.
pub(crate) struct Made {
    pub(crate) index: Descriptor,
    pub(crate) manifest: Descriptor,
    pub(crate) config: Descriptor,
    pub(crate) layer: Descriptor,
}

fn put(dir: &Path, media_type: &str, bytes: &[u8]) -> Descriptor {
    let descriptor = Descriptor::of(media_type, bytes);
    let blobs = dir.join("blobs/sha256");
    std::fs::create_dir_all(&blobs).unwrap();
    std::fs::write(blobs.join(descriptor.digest.hex()), bytes).unwrap();
    descriptor
}

/// Bytes that do not compress, the same ones for the same length.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ length as u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Makes a layout with the tag `latest`: an index of two platforms, each an image of one layer. Returns those of this host.
pub(crate) fn layout(dir: &Path, layer: &[u8]) -> Made {
    let image = |platform: &Platform, layer: Descriptor| {
        let config = serde_json::json!({
            "architecture": platform.architecture, "os": "linux", "config": {"Cmd": ["true"]},
            "rootfs": {"type": "layers", "diff_ids": [layer.digest.to_string()]},
        });
        let config = put(dir, media::CONFIG, config.to_string().as_bytes());
        let manifest = Manifest::new(config.clone(), vec![layer]);
        let mut manifest = put(dir, media::MANIFEST, &serde_json::to_vec(&manifest).unwrap());
        manifest.platform = Some(platform.clone());
        (config, manifest)
    };
    let layer = put(dir, media::LAYER, layer);
    let (config, manifest) = image(&Platform::host(), layer.clone());
    let (_, other) = image(&"linux/riscv64".parse().unwrap(), layer.clone());
    let index = Index {
        schema_version: 2,
        media_type: Some(media::INDEX.into()),
        manifests: vec![other, manifest.clone()],
        ..Index::default()
    };
    let index = put(dir, media::INDEX, &serde_json::to_vec(&index).unwrap());
    let mut named = index.clone();
    named.annotations.insert("org.opencontainers.image.ref.name".into(), "latest".into());
    let top = Index { schema_version: 2, manifests: vec![named], ..Index::default() };
    std::fs::write(dir.join("index.json"), serde_json::to_vec(&top).unwrap()).unwrap();
    std::fs::write(dir.join("oci-layout"), br#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    Made { index, manifest, config, layer }
}

/// A client without anything of the host.
pub(crate) fn client() -> Client {
    Client::new(Settings::default())
}

pub(crate) fn name(text: impl AsRef<str>) -> Reference {
    text.as_ref().parse().unwrap()
}
