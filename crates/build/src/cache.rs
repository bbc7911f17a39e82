//! What steps came to, by what they were made from.
//!
//! ```text
//! STATE/build/
//! ├── records/KEY        JSON: the layer that a step of this key made. KEY is a SHA-256 over the chain id below it and
//! │                      everything that goes into it; replaced as a whole, durable
//! ├── mounts/ID/         content of a cache mount; ID is the SHA-256 of its `id`, and of its origin
//! └── tmp/               what lives as long as a build (scratch); swept when the next one begins
//! ```
//! A record is written after its layer is in the store and held there (hold `build/KEY`): one that can be read is whole,
//! and one whose layer is gone all the same is no hit.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use taru_content::{Content, Lease};
use taru_oci::{Descriptor, Digest, Hasher, document};
use taru_stdx::fs::{Sync, read_bounded, replace};
use taru_stdx::{Context, Kind, Result};

/// The version of the keys: what changes what a step makes changes it.
const VERSION: &str = "taru-build-1";
/// Bytes of a record.
const RECORD: u64 = 1 << 20;
/// A record that no build used for so long is forgotten, and its layer with it if no image has it.
const UNUSED: Duration = Duration::from_secs(14 * 86_400);

/// A layer of the image that is being built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Layer {
    /// Its blob.
    pub descriptor: Descriptor,
    /// The digest of its tar.
    pub diff_id: Digest,
    /// The chain id that it makes.
    pub chain: Digest,
    /// The key of the step that made it; none for a layer of another image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Digest>,
    /// When that was, RFC 3339: an image that is built of records alone is the same image again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
}

/// A key under construction: parts of any length, none of which runs into the next.
#[derive(Debug)]
pub(crate) struct Key(Hasher);

impl Key {
    /// A key of the kind `kind`, above `parent`.
    pub(crate) fn new(kind: &str, parent: Option<&Digest>) -> Key {
        let mut key = Key(Hasher::new(taru_oci::Algorithm::Sha256));
        key.part(VERSION).part(kind).part(parent.map(Digest::to_string).unwrap_or_default());
        key
    }

    /// Adds a part.
    pub(crate) fn part(&mut self, bytes: impl AsRef<[u8]>) -> &mut Key {
        let bytes = bytes.as_ref();
        self.0.update(&(bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
        self
    }

    /// As [`Key::part`], where nothing follows.
    pub(crate) fn add(&mut self, bytes: impl AsRef<[u8]>) {
        self.part(bytes);
    }

    /// The key.
    pub(crate) fn finish(self) -> Digest {
        self.0.finish()
    }
}

/// The records.
#[derive(Debug, Clone)]
pub(crate) struct Cache {
    dir: PathBuf,
    /// Directories that other builds wrote.
    others: Vec<PathBuf>,
    /// Layers of images that say which keys they are of.
    inline: Vec<(Digest, Layer)>,
}

impl Cache {
    /// The records below `STATE/build`, which is made where it is not there.
    ///
    /// # Errors
    /// As mkdir(2).
    pub(crate) fn open(dir: &Path) -> Result<Cache> {
        for name in ["", "records", "mounts", "tmp"] {
            let path = dir.join(name);
            let mut builder = std::fs::DirBuilder::new();
            std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
            builder.recursive(true).create(&path).context(|| format!("create `{}`", path.display()))?;
        }
        Ok(Cache { dir: dir.to_owned(), others: Vec::new(), inline: Vec::new() })
    }

    /// Where what lives as long as a build is.
    pub(crate) fn tmp(&self) -> PathBuf {
        self.dir.join("tmp")
    }

    /// Where cache mounts are.
    pub(crate) fn mounts(&self) -> PathBuf {
        self.dir.join("mounts")
    }

    /// The layer of `key` above `parent`, if its blob is in the store; it is protected by `lease` then.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(crate) fn find(
        &self,
        key: &Digest,
        parent: Option<&Digest>,
        content: &Content,
        lease: &Lease,
    ) -> Result<Option<Layer>> {
        let Some(layer) = read(&self.record(key))? else { return self.import(key, parent, content, lease) };
        let found = present(layer, parent, content, lease)?;
        if found.is_some() {
            // When it was used last; what cannot be noted makes it older, nothing else.
            let _ = std::fs::File::options()
                .write(true)
                .open(self.record(key))
                .and_then(|file| file.set_modified(std::time::SystemTime::now()));
        }
        if found.is_some() { Ok(found) } else { self.import(key, parent, content, lease) }
    }

    /// Also looks into the directory `dir`, which `--cache-to type=local` wrote.
    pub(crate) fn add_other(&mut self, dir: PathBuf) {
        self.others.push(dir);
    }

    /// Also takes `layer`, which is in the store, for what `key` comes to.
    pub(crate) fn add_inline(&mut self, key: Digest, layer: Layer) {
        self.inline.push((key, layer));
    }

    /// Takes a layer from elsewhere into the store.
    fn import(
        &self,
        key: &Digest,
        parent: Option<&Digest>,
        content: &Content,
        lease: &Lease,
    ) -> Result<Option<Layer>> {
        if let Some((_, layer)) = self.inline.iter().find(|(k, _)| k == key)
            && let Some(layer) = present(layer.clone(), parent, content, lease)?
        {
            self.record_layer(key, &layer, content)?;
            return Ok(Some(layer));
        }
        for dir in &self.others {
            let Some(layer) = read(&dir.join("records").join(key.hex()))? else { continue };
            if !stands_on(&layer, parent) {
                continue;
            }
            let digest = &layer.descriptor.digest;
            let what = || format!("take a layer from the cache `{}`", dir.display());
            if content.has(digest)?.is_none() {
                let mut blob = match std::fs::File::open(dir.join("blobs").join(digest.hex())) {
                    Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
                    blob => blob.context(what)?,
                };
                let mut ingest = content.ingest(lease, None)?;
                std::io::copy(&mut blob, &mut ingest).context(what)?;
                // Another digest than its name says is an error, not a layer.
                ingest.commit(Some((digest, layer.descriptor.size))).context(what)?;
            }
            if let Some(layer) = present(layer, parent, content, lease)? {
                self.record_layer(key, &layer, content)?;
                return Ok(Some(layer));
            }
        }
        Ok(None)
    }

    /// Writes the layers that have a key into `dir`, for another host.
    ///
    /// # Errors
    /// Any error of writing.
    pub(crate) fn export(dir: &Path, layers: &[Layer], content: &Content) -> Result<()> {
        let what = || format!("write the cache `{}`", dir.display());
        for name in ["records", "blobs"] {
            std::fs::create_dir_all(dir.join(name)).context(what)?;
        }
        let blobs = dir.join("blobs");
        for layer in layers.iter().filter(|layer| layer.key.is_some()) {
            let (mut blob, size) = content.open_blob(&layer.descriptor.digest)?;
            let path = blobs.join(layer.descriptor.digest.hex());
            if std::fs::metadata(&path).map_or(0, |m| m.len()) != size {
                let staged = path.with_extension(format!("{}.part", std::process::id()));
                let mut out = std::fs::File::create(&staged).context(what)?;
                std::io::copy(&mut blob, &mut out).context(what)?;
                out.sync_all().context(what)?;
                std::fs::rename(&staged, &path).context(what)?;
            }
        }
        // No record outlives a power cut without its blob.
        std::fs::File::open(&blobs).and_then(|blobs| blobs.sync_all()).context(what)?;
        for layer in layers {
            let Some(key) = &layer.key else { continue };
            let text = serde_json::to_vec(layer).context(what)?;
            replace(&dir.join("records").join(key.hex()), &text, 0o644, Sync::Durable)?;
        }
        Ok(())
    }

    /// Forgets what no build used for two weeks.
    ///
    /// # Errors
    /// Any error of the file system.
    pub(crate) fn forget_unused(&self, content: &Content) -> Result<()> {
        self.forget(UNUSED, content)
    }

    /// Forgets what no build used for longer than `unused`.
    ///
    /// # Errors
    /// Any error of the file system.
    pub(crate) fn forget(&self, unused: Duration, content: &Content) -> Result<()> {
        let dir = self.dir.join("records");
        let what = || format!("list `{}`", dir.display());
        for entry in std::fs::read_dir(&dir).context(what)? {
            let entry = entry.context(what)?;
            let used = entry.metadata().and_then(|m| m.modified());
            let is_old = used.is_ok_and(|used| used.elapsed().unwrap_or_default() >= unused);
            if let (true, Some(name)) = (is_old, entry.file_name().to_str()) {
                std::fs::remove_file(entry.path())
                    .context(|| format!("remove `{}`", entry.path().display()))?;
                content.unhold(&format!("build/{name}"))?;
            }
        }
        Ok(())
    }

    /// Records what `key` came to.
    ///
    /// # Errors
    /// Any error of writing.
    pub(crate) fn record_layer(&self, key: &Digest, layer: &Layer, content: &Content) -> Result<()> {
        let name = format!("build/{}", key.hex());
        let (digests, layers) =
            (std::slice::from_ref(&layer.descriptor.digest), std::slice::from_ref(&layer.chain));
        content.hold(&name, digests, layers)?;
        let text = serde_json::to_vec(layer).context(|| "write a record of the build cache")?;
        replace(&self.record(key), &text, 0o600, Sync::Durable)
    }

    fn record(&self, key: &Digest) -> PathBuf {
        self.dir.join("records").join(key.hex())
    }
}

/// Whether the chain id of `layer` is the one that it makes above `parent`: a record from elsewhere may claim another
/// layer's, which would then stand for its own.
fn stands_on(layer: &Layer, parent: Option<&Digest>) -> bool {
    document::chain_id(parent, &layer.diff_id) == layer.chain
}

/// `layer`, if it stands on `parent` and its blob is in the store.
fn present(layer: Layer, parent: Option<&Digest>, content: &Content, lease: &Lease) -> Result<Option<Layer>> {
    if !stands_on(&layer, parent) {
        return Ok(None);
    }
    lease.protect_layer(&layer.chain)?;
    let size = lease.protect_blob(&layer.descriptor.digest)?;
    let is_whole = size == Some(layer.descriptor.size) && content.has(&layer.descriptor.digest)?.is_some();
    Ok(is_whole.then_some(layer))
}

/// Reads a record. What cannot be read is as good as not there, and is replaced.
fn read(path: &Path) -> Result<Option<Layer>> {
    match read_bounded(path, RECORD) {
        Err(e) if e.kind() == Kind::NotFound => Ok(None),
        bytes => Ok(serde_json::from_slice(&bytes?).ok()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_key_do_not_run_together() {
        let key = |parts: &[&str]| {
            let mut key = Key::new("x", None);
            parts.iter().for_each(|p| key.add(p));
            key.finish()
        };
        assert_ne!(key(&["ab", "c"]), key(&["a", "bc"]));
        assert_ne!(key(&["a"]), key(&["a", ""]));
        assert_eq!(key(&["a", "b"]), key(&["a", "b"]));
        assert_ne!(Key::new("x", None).finish(), Key::new("y", None).finish());
    }

    #[test]
    fn a_record_of_another_chain_is_none_wherever_it_is_from() {
        let dir = crate::scratch::Scratch::new(&std::env::temp_dir()).unwrap();
        let content = Content::open(&dir.path().join("content")).unwrap();
        let lease = content.lease("test").unwrap();
        let digest = content.put(&lease, b"layer", taru_oci::Algorithm::Sha256).unwrap();
        let (parent, other) = (Digest::of(b"parent"), Digest::of(b"other"));
        let layer = Layer {
            descriptor: Descriptor::new(taru_oci::media::LAYER, digest.clone(), 5),
            diff_id: digest.clone(),
            chain: document::chain_id(Some(&parent), &digest),
            key: None,
            created: None,
        };
        let forged = Layer { chain: other.clone(), ..layer.clone() };
        for (record, above, found) in [
            (&layer, Some(&parent), true),
            (&layer, Some(&other), false),
            (&layer, None, false),
            (&forged, Some(&parent), false),
            (&forged, None, false),
        ] {
            let key = Key::new("x", above).finish();
            let elsewhere = dir.path().join("elsewhere");
            std::fs::create_dir_all(elsewhere.join("records")).unwrap();
            let text = serde_json::to_vec(record).unwrap();
            std::fs::write(elsewhere.join("records").join(key.hex()), text).unwrap();
            type Fill = fn(&mut Cache, &Digest, &Layer, &Path, &Content);
            let caches: [Fill; 3] = [
                |cache, key, record, _, content| cache.record_layer(key, record, content).unwrap(),
                |cache, key, record, _, _| cache.add_inline(key.clone(), record.clone()),
                |cache, _, _, dir, _| cache.add_other(dir.to_owned()),
            ];
            for fill in caches {
                let own = crate::scratch::Scratch::new(dir.path()).unwrap();
                let mut cache = Cache::open(own.path()).unwrap();
                fill(&mut cache, &key, record, &elsewhere, &content);
                assert_eq!(cache.find(&key, above, &content, &lease).unwrap().is_some(), found, "{record:?}");
            }
        }
    }

    #[test]
    fn a_record_counts_only_while_its_layer_is_there() {
        let dir = crate::scratch::Scratch::new(&std::env::temp_dir()).unwrap();
        let content = Content::open(&dir.path().join("content")).unwrap();
        let cache = Cache::open(&dir.path().join("build")).unwrap();
        let lease = content.lease("test").unwrap();
        let digest = content.put(&lease, b"layer", taru_oci::Algorithm::Sha256).unwrap();
        let descriptor = Descriptor::new(taru_oci::media::LAYER, digest.clone(), 5);
        let layer =
            Layer { descriptor, diff_id: digest.clone(), chain: digest.clone(), key: None, created: None };
        let key = Key::new("x", None).finish();
        assert_eq!(cache.find(&key, None, &content, &lease).unwrap(), None);
        cache.record_layer(&key, &layer, &content).unwrap();
        assert_eq!(cache.find(&key, None, &content, &lease).unwrap().as_ref(), Some(&layer));
        let gone = Layer { descriptor: Descriptor::new("x", Digest::of(b"other"), 5), ..layer.clone() };
        cache.record_layer(&key, &gone, &content).unwrap();
        assert_eq!(cache.find(&key, None, &content, &lease).unwrap(), None);
        let record = dir.path().join("build/records").join(key.hex());
        std::fs::write(&record, "{").unwrap();
        assert_eq!(cache.find(&key, None, &content, &lease).unwrap(), None);
        // What was not used for long is forgotten, what was used is not.
        cache.record_layer(&key, &layer, &content).unwrap();
        let old = std::time::SystemTime::now() - UNUSED - UNUSED;
        let age = || std::fs::File::options().write(true).open(&record).unwrap().set_modified(old).unwrap();
        age();
        assert!(cache.find(&key, None, &content, &lease).unwrap().is_some());
        cache.forget_unused(&content).unwrap();
        assert_eq!(content.holds("build/").unwrap().len(), 1);
        age();
        cache.forget_unused(&content).unwrap();
        assert!(content.holds("build/").unwrap().is_empty() && !record.exists());
        cache.record_layer(&key, &layer, &content).unwrap();
        cache.forget(Duration::ZERO, &content).unwrap();
        assert!(content.holds("build/").unwrap().is_empty() && !record.exists());
    }
}
