//! An OCI image layout to fill a registry with.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

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

/// A client by these settings.
pub(crate) fn client_with(change: impl FnOnce(&mut Settings)) -> Client {
    let mut settings = Settings { first_delay: Duration::from_millis(1), ..Settings::default() };
    change(&mut settings);
    Client::new(settings)
}

/// Runs openssl in `dir`.
pub(crate) fn openssl(dir: &Path, arguments: &[&str]) {
    let output = Command::new("openssl").args(arguments).current_dir(dir).output().unwrap();
    assert!(output.status.success(), "openssl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Makes an authority `ca.crt`, and certificates of it for a server on 127.0.0.1 and for a client.
pub(crate) fn certificates(dir: &Path) {
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    openssl(
        dir,
        &[
            &["req", "-x509", "-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=ca", "-days", "9"],
            &key[..],
        ]
        .concat(),
    );
    std::fs::write(dir.join("server.ext"), "subjectAltName=IP:127.0.0.1,DNS:localhost\n").unwrap();
    std::fs::write(dir.join("client.ext"), "extendedKeyUsage=clientAuth\n").unwrap();
    for name in ["server", "client"] {
        let (secret, request) = (format!("{name}.key"), format!("{name}.csr"));
        openssl(dir, &[&["req", "-keyout", &secret, "-out", &request, "-subj", "/CN=x"], &key[..]].concat());
        let (certificate, extensions) = (format!("{name}.crt"), format!("{name}.ext"));
        openssl(
            dir,
            &[
                "x509",
                "-req",
                "-in",
                &request,
                "-CA",
                "ca.crt",
                "-CAkey",
                "ca.key",
                "-CAcreateserial",
                "-out",
                &certificate,
                "-extfile",
                &extensions,
                "-days",
                "9",
            ],
        );
    }
}
