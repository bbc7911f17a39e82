//! What the tests share: a store in a directory of its own, images of a few bytes.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use taru_content::{Content, Lease, Want};
use taru_oci::config::RootFs;
use taru_oci::{Algorithm, Descriptor, Digest, Image, Manifest, Reference, media};

/// A directory that goes with the test.
pub(crate) struct Dir(PathBuf);

impl Dir {
    pub(crate) fn new() -> Dir {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("taru-content-{}-{number}", std::process::id()));
        std::fs::create_dir(&dir).unwrap();
        Dir(dir)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn store(&self) -> Content {
        Content::open(&self.0.join("content")).unwrap()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

pub(crate) fn name(text: &str) -> Reference {
    text.parse().unwrap()
}

/// A layer of these bytes (which are no tar; the store does not care).
pub(crate) fn layer(store: &Content, lease: &Lease, bytes: &[u8]) -> Descriptor {
    let digest = store.put(lease, bytes, Algorithm::Sha256).unwrap();
    Descriptor::new(media::LAYER, digest, bytes.len() as u64)
}

/// An image of these layers, with its chain ids.
pub(crate) fn image_of(store: &Content, lease: &Lease, layers: &[Descriptor]) -> (Descriptor, Vec<Digest>) {
    let diff_ids: Vec<Digest> = layers.iter().map(|layer| layer.digest.clone()).collect();
    let image = Image {
        architecture: "amd64".into(),
        os: "linux".into(),
        rootfs: RootFs { diff_ids: diff_ids.clone(), ..RootFs::default() },
        ..Image::default()
    };
    let config = serde_json::to_vec(&image).unwrap();
    store.put(lease, &config, Algorithm::Sha256).unwrap();
    let manifest = Manifest::new(Descriptor::of(media::CONFIG, &config), layers.to_vec());
    let manifest = serde_json::to_vec(&manifest).unwrap();
    store.put(lease, &manifest, Algorithm::Sha256).unwrap();
    (Descriptor::of(media::MANIFEST, &manifest), taru_oci::document::chain_ids(&diff_ids))
}

/// An image of one layer.
pub(crate) fn image(store: &Content, lease: &Lease, bytes: &[u8]) -> Descriptor {
    let layer = layer(store, lease, bytes);
    image_of(store, lease, &[layer]).0
}

/// Fetches as a pull does.
pub(crate) fn fetch(store: &Content, lease: &Lease, descriptor: &Descriptor, bytes: &[u8]) {
    match store.want(lease, descriptor).unwrap() {
        Want::Missing(mut ingest) => {
            let offset = usize::try_from(ingest.offset()).unwrap();
            ingest.write_all(&bytes[offset..]).unwrap();
            ingest.commit(Some((&descriptor.digest, descriptor.size))).unwrap();
        }
        Want::There => {}
        Want::Busy => panic!("nobody else is there"),
    }
}

/// The names of the files in a directory of the store.
pub(crate) fn files(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}
