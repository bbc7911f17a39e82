//! The directory as OCI has it (image specification, image-layout.md), and the unfinished files beside it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use taru_oci::{Algorithm, Descriptor, Digest, Index, media};
use taru_stdx::{Context, Result};

const MARKER: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;

/// What an entry of index.json is named by, as skopeo and podman read it.
pub(crate) const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The same, as containerd reads it.
pub(crate) const IMAGE_NAME: &str = "io.containerd.image.name";

/// Paths in the store.
#[derive(Debug)]
pub(crate) struct Layout {
    dir: PathBuf,
}

/// The algorithms a blob may be named by.
pub(crate) const ALGORITHMS: [Algorithm; 2] = [Algorithm::Sha256, Algorithm::Sha512];

impl Layout {
    /// Makes what is missing of the layout in `dir`.
    pub(crate) fn make(dir: &Path) -> Result<Layout> {
        let layout = Layout { dir: dir.to_owned() };
        if layout.dir.join("oci-layout").exists() && layout.ingest().is_dir() {
            return tighten(dir).map(|()| layout);
        }
        for dir in [dir, &layout.names(Algorithm::Sha256), &layout.names(Algorithm::Sha512), &layout.ingest()]
        {
            std::fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(dir)
                .context(|| format!("make the directory `{}`", dir.display()))?;
        }
        tighten(dir)?;
        sync_dir(&layout.dir.join("blobs"))?;
        // Last, and durable with all before it: the directory is a store from now on.
        taru_stdx::fs::replace(
            &layout.dir.join("oci-layout"),
            MARKER.as_bytes(),
            0o600,
            taru_stdx::fs::Sync::Durable,
        )?;
        if let Some(above) = dir.parent().filter(|p| !p.as_os_str().is_empty()) {
            sync_dir(above)?;
        }
        Ok(layout)
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn ingest(&self) -> PathBuf {
        self.dir.join("ingest")
    }

    /// The directory of the blobs of one algorithm.
    pub(crate) fn names(&self, algorithm: Algorithm) -> PathBuf {
        self.dir.join("blobs").join(algorithm.name())
    }

    /// Where the blob is, if it is there.
    pub(crate) fn blob(&self, digest: &Digest) -> PathBuf {
        self.names(digest.algorithm()).join(digest.hex())
    }

    pub(crate) fn index(&self) -> PathBuf {
        self.dir.join("index.json")
    }

    /// Makes the names of all blobs survive a power cut. Their bytes were synced before they were named.
    pub(crate) fn sync_names(&self) -> Result<()> {
        ALGORITHMS.into_iter().try_for_each(|algorithm| sync_dir(&self.names(algorithm)))
    }

    /// Every file below `blobs/`: its digest (none if it is not named by one), path and size.
    pub(crate) fn files(&self) -> Result<Vec<(Option<Digest>, PathBuf, u64)>> {
        let mut found = Vec::new();
        for algorithm in ALGORITHMS {
            let dir = self.names(algorithm);
            let what = || format!("list `{}`", dir.display());
            for entry in std::fs::read_dir(&dir).context(what)? {
                let entry = entry.context(what)?;
                let name = entry.file_name();
                let digest = name.to_str().and_then(|hex| format!("{}:{hex}", algorithm.name()).parse().ok());
                // Gone in between: somebody else's gc.
                let Ok(meta) = entry.metadata() else { continue };
                let digest = digest.filter(|_| meta.is_file());
                found.push((digest, entry.path(), meta.len()));
            }
        }
        Ok(found)
    }

    /// Writes index.json: each descriptor under its name.
    pub(crate) fn write_index(&self, images: &[(Option<String>, Descriptor)]) -> Result<()> {
        let manifests = images.iter().map(|(name, descriptor)| {
            let mut entry = descriptor.clone();
            for key in [REF_NAME, IMAGE_NAME] {
                match name {
                    Some(name) => entry.annotations.insert(key.to_owned(), name.clone()),
                    None => entry.annotations.remove(key),
                };
            }
            entry
        });
        let index = Index {
            schema_version: 2,
            media_type: Some(media::INDEX.to_owned()),
            manifests: manifests.collect(),
            annotations: BTreeMap::new(),
            ..Index::default()
        };
        let text = serde_json::to_vec(&index).context(|| "write index.json")?;
        let (path, temporary) = (self.index(), self.ingest().join("index.json"));
        let write = || -> std::io::Result<()> {
            let mut file =
                File::options().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
            file.write_all(&text)?;
            // Whole after a power cut, the old one or the new; open writes it again after a boot.
            file.sync_data()?;
            std::fs::rename(&temporary, &path)
        };
        write()
            .inspect_err(|_| drop(std::fs::remove_file(&temporary)))
            .context(|| format!("write `{}`", path.display()))
    }
}

/// Layers hold programs with set-user-ID bits, and secrets: nobody else comes in, whoever made the directory.
fn tighten(dir: &Path) -> Result<()> {
    let what = || format!("look at the directory `{}`", dir.display());
    let permissions = dir.metadata().context(what)?.permissions();
    if permissions.mode() & 0o077 == 0 {
        return Ok(());
    }
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700))
        .context(|| format!("close the directory `{}` to others", dir.display()))
}

/// Makes the names in `dir` survive a power cut.
pub(crate) fn sync_dir(dir: &Path) -> Result<()> {
    File::open(dir).and_then(|dir| dir.sync_all()).context(|| format!("sync `{}`", dir.display()))
}
