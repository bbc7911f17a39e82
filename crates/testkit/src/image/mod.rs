//! Images made in memory: layers from [`Tar`] entries, then a layout on disk, an archive, or the bare blobs.
//!
//! ```no_run
//! use taru_testkit::image::{Image, Pack, Tar};
//! let image = Image::new()
//!     .layer(Tar::new().dir("etc", 0o755).file("etc/motd", "hello\n", 0o644))
//!     .layer_as(Pack::Zstd, Tar::new().whiteout("etc/motd"))
//!     .config(|c| c["config"]["Cmd"] = serde_json::json!(["sh"]));
//! let built = image.build();
//! built.write_layout("/tmp/layout".as_ref(), Some("latest")); // skopeo inspect oci:/tmp/layout:latest
//! std::fs::write("/tmp/a.tar", built.docker_archive(&["me/app:1"])).unwrap();
//! ```
//! Nothing here uses the code under test: a fault of ours in a digest or a document is seen as a difference.

mod tar;

use std::fs;
use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

pub use tar::Tar;

/// How a layer is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pack {
    /// Not at all.
    None,
    /// gzip, level 6.
    Gzip,
    /// zstd, level 3.
    Zstd,
    /// zstd with a window of 32 MiB, which a decompressor has to remember.
    WideZstd,
}

impl Pack {
    /// `bytes`, so compressed.
    ///
    /// # Panics
    /// Never, in memory.
    pub fn pack(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Pack::None => bytes.to_vec(),
            Pack::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
                encoder.write_all(bytes).expect("compress in memory");
                encoder.finish().expect("compress in memory")
            }
            Pack::Zstd => zstd::encode_all(bytes, 3).expect("compress in memory"),
            Pack::WideZstd => {
                let mut encoder = zstd::Encoder::new(Vec::new(), 1).expect("start the compressor");
                encoder.window_log(25).expect("ask for a window");
                encoder.write_all(bytes).expect("compress in memory");
                encoder.finish().expect("compress in memory")
            }
        }
    }

    fn media_type(self) -> &'static str {
        match self {
            Pack::None => "application/vnd.oci.image.layer.v1.tar",
            Pack::Gzip => "application/vnd.oci.image.layer.v1.tar+gzip",
            Pack::Zstd | Pack::WideZstd => "application/vnd.oci.image.layer.v1.tar+zstd",
        }
    }
}

/// An image to be built.
#[derive(Clone, Debug)]
pub struct Image {
    layers: Vec<(Vec<u8>, Pack)>,
    config: Value,
    annotations: Value,
}

impl Default for Image {
    fn default() -> Image {
        Image::new()
    }
}

impl Image {
    /// An image for this host without layers, made 2020-09-13.
    pub fn new() -> Image {
        let config = json!({
            "created": "2020-09-13T12:26:40Z", "architecture": architecture(), "os": "linux",
            "config": {}, "rootfs": {"type": "layers", "diff_ids": []},
        });
        Image { layers: Vec::new(), config, annotations: json!({}) }
    }

    /// With one layer more on top, compressed with gzip.
    #[must_use]
    pub fn layer(self, tar: Tar) -> Image {
        self.layer_as(Pack::Gzip, tar)
    }

    /// With one layer more on top, so compressed.
    #[must_use]
    pub fn layer_as(self, pack: Pack, tar: Tar) -> Image {
        self.layer_of(pack, tar.bytes())
    }

    /// With one layer more on top, whose tar is `bytes`, a tar or not.
    #[must_use]
    pub fn layer_of(mut self, pack: Pack, bytes: Vec<u8>) -> Image {
        self.layers.push((bytes, pack));
        self
    }

    /// With the configuration changed as JSON (`c["config"]["Cmd"]`, `c["architecture"]`); the diff ids are put in later.
    #[must_use]
    pub fn config(mut self, change: impl FnOnce(&mut Value)) -> Image {
        change(&mut self.config);
        self
    }

    /// With an annotation in the manifest.
    #[must_use]
    pub fn annotation(mut self, key: &str, value: &str) -> Image {
        self.annotations[key] = json!(value);
        self
    }

    /// The image's documents and blobs.
    pub fn build(&self) -> Built {
        let mut config = self.config.clone();
        config["rootfs"]["diff_ids"] = self.layers.iter().map(|(tar, _)| json!(digest(tar))).collect();
        let config = config.to_string().into_bytes();
        let layers: Vec<Layer> = self
            .layers
            .iter()
            .map(|(tar, pack)| {
                let bytes = pack.pack(tar);
                Layer { diff_id: digest(tar), digest: digest(&bytes), tar: tar.clone(), bytes, pack: *pack }
            })
            .collect();
        let mut manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
            "layers": layers.iter().map(|l| descriptor(l.pack.media_type(), &l.bytes)).collect::<Vec<_>>(),
        });
        if self.annotations.as_object().is_some_and(|all| !all.is_empty()) {
            manifest["annotations"] = self.annotations.clone();
        }
        let platform = json!({"architecture": self.config["architecture"], "os": self.config["os"]});
        Built { manifest: manifest.to_string().into_bytes(), config, layers, platform }
    }
}

/// The media type of [`Built::manifest`].
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// The media type of an index of several of them.
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// A layer of a [`Built`] image.
#[derive(Clone, Debug)]
pub struct Layer {
    /// Digest of the tar.
    pub diff_id: String,
    /// Digest of the blob.
    pub digest: String,
    /// The tar.
    pub tar: Vec<u8>,
    /// The blob: the tar, compressed.
    pub bytes: Vec<u8>,
    /// How it is compressed.
    pub pack: Pack,
}

/// An image's documents and blobs in memory. Change them freely: a lie is a test too.
#[derive(Clone, Debug)]
pub struct Built {
    /// The manifest's text.
    pub manifest: Vec<u8>,
    /// The configuration's text.
    pub config: Vec<u8>,
    /// The layers, the lowest first.
    pub layers: Vec<Layer>,
    platform: Value,
}

impl Built {
    /// Digest of the manifest: the image's name by content.
    pub fn digest(&self) -> String {
        digest(&self.manifest)
    }

    /// A descriptor of the manifest with its platform, as it stands in an index.
    pub fn descriptor(&self) -> Value {
        let mut found = descriptor(MANIFEST, &self.manifest);
        found["platform"] = self.platform.clone();
        found
    }

    /// Every blob with its digest: manifest, configuration, layers.
    pub fn blobs(&self) -> Vec<(String, &[u8])> {
        let mut blobs =
            vec![(self.digest(), self.manifest.as_slice()), (digest(&self.config), self.config.as_slice())];
        blobs.extend(self.layers.iter().map(|layer| (layer.digest.clone(), layer.bytes.as_slice())));
        blobs
    }

    /// Adds the image to the OCI layout at `dir`, which is made if absent, under the tag `tag`.
    ///
    /// # Panics
    /// When it cannot write.
    pub fn write_layout(&self, dir: &Path, tag: Option<&str>) {
        fs::create_dir_all(dir.join("blobs/sha256")).expect("make the layout");
        for (digest, bytes) in self.blobs() {
            fs::write(dir.join("blobs").join(digest.replace(':', "/")), bytes).expect("write a blob");
        }
        let mut entry = self.descriptor();
        if let Some(tag) = tag {
            entry["annotations"] = json!({"org.opencontainers.image.ref.name": tag});
        }
        let mut index = match fs::read(dir.join("index.json")) {
            Ok(bytes) => serde_json::from_slice(&bytes).expect("an index"),
            Err(_) => index(Vec::new()),
        };
        index["manifests"].as_array_mut().expect("a list").push(entry);
        fs::write(dir.join("index.json"), index.to_string()).expect("write the index");
        fs::write(dir.join("oci-layout"), LAYOUT).expect("write the marker");
    }

    /// The image as an OCI archive with these full names (`io.containerd.image.name`, and the tag).
    pub fn oci_archive(&self, names: &[&str]) -> Vec<u8> {
        let entries = names.iter().map(|name| {
            let mut entry = self.descriptor();
            let tag = name.rsplit_once(':').map_or("latest", |(_, tag)| tag);
            entry["annotations"] =
                json!({"io.containerd.image.name": name, "org.opencontainers.image.ref.name": tag});
            entry
        });
        let mut entries: Vec<Value> = entries.collect();
        if entries.is_empty() {
            entries.push(self.descriptor());
        }
        let mut tar = Tar::new().dir("blobs", 0o755).dir("blobs/sha256", 0o755);
        for (digest, bytes) in self.blobs() {
            tar = tar.file(&format!("blobs/{}", digest.replace(':', "/")), bytes, 0o644);
        }
        tar.file("index.json", index(entries).to_string(), 0o644).file("oci-layout", LAYOUT, 0o644).bytes()
    }

    /// The image as `docker save` of before 25 writes it: uncompressed layers, `manifest.json` last.
    pub fn docker_archive(&self, names: &[&str]) -> Vec<u8> {
        let config = format!("{}.json", &digest(&self.config)["sha256:".len()..]);
        let mut tar = Tar::new().file(&config, &self.config, 0o644);
        let mut paths = Vec::new();
        for (number, layer) in self.layers.iter().enumerate() {
            // The directory's name is an id of its own, of no meaning to a reader.
            let id = &digest(format!("{number} {}", layer.diff_id).as_bytes())["sha256:".len()..];
            tar = tar.dir(id, 0o755).file(&format!("{id}/VERSION"), "1.0", 0o644).file(
                &format!("{id}/layer.tar"),
                &layer.tar,
                0o644,
            );
            paths.push(format!("{id}/layer.tar"));
        }
        let manifest = json!([{"Config": config, "RepoTags": names, "Layers": paths}]);
        tar.file("manifest.json", manifest.to_string(), 0o644).bytes()
    }
}

const LAYOUT: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;

/// An index of these descriptors.
pub fn index(manifests: Vec<Value>) -> Value {
    json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests})
}

/// A descriptor of `bytes`.
pub fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": digest(bytes), "size": bytes.len()})
}

/// `sha256:` and the digest of `bytes`.
pub fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

/// This host's, in Go's word.
pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn skopeo_reads_every_form() {
        if Command::new("skopeo").arg("--version").output().is_err() {
            return crate::skip("image::skopeo_reads_every_form", "skopeo");
        }
        let dir = std::env::temp_dir().join(format!("taru-testkit-image-{}", std::process::id()));
        fs::create_dir_all(&dir).expect("make a directory");
        let built = Image::new()
            .layer(Tar::new().dir("etc", 0o755).file("etc/motd", "hello\n", 0o644))
            .layer_as(Pack::None, Tar::new().whiteout("etc/motd"))
            .config(|c| c["config"]["Cmd"] = json!(["sh"]))
            .build();
        built.write_layout(&dir.join("layout"), Some("one"));
        built.write_layout(&dir.join("layout"), Some("two"));
        fs::write(dir.join("oci.tar"), built.oci_archive(&["example.com/me/app:three"])).expect("write");
        fs::write(dir.join("docker.tar"), built.docker_archive(&["example.com/me/app:four"])).expect("write");
        for source in
            ["oci:layout:one", "oci:layout:two", "oci-archive:oci.tar:three", "docker-archive:docker.tar"]
        {
            let copy = format!("dir:{}", dir.join("copy").display());
            let done = Command::new("skopeo")
                .args(["copy", "--quiet", "--insecure-policy", source, &copy])
                .current_dir(&dir)
                .output()
                .expect("run skopeo");
            assert!(done.status.success(), "{source}: {}", String::from_utf8_lossy(&done.stderr));
        }
        fs::remove_dir_all(&dir).expect("clean up");
    }
}
