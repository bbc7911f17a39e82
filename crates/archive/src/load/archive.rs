//! An archive of images, entry by entry.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io::{self, BufReader, Read};
use std::thread::JoinHandle;

use taru_content::{Content, Lease};
use taru_oci::media::Compression;
use taru_oci::{Descriptor, Digest, HashWriter, Hasher, Image, Manifest, Reference, limits, media};
use taru_stdx::{Context, Error, Kind, Result};
use taru_tar::{self as tar, BLOCK, Entry, Kind as EntryKind};

use super::oci::{Source, Walk, marker};
use super::{Loaded, docker, names};
use crate::decompress::{self, Found};
use crate::{pack, path, tree};

/// What somebody wants who loads a whole root.
const ROOT: &str = "the tar of a root file system is imported, not loaded";
/// How many links lead to a file at most.
const LINKS: usize = 8;
/// How many blobs are synced to disk while the next is read.
const SYNCING: usize = 3;

/// Loads an archive; see [`super::load`].
pub(super) fn load<R: Read + Send + 'static>(
    reader: R,
    content: &Content,
    lease: &Lease,
) -> Result<Vec<Loaded>> {
    let (found, plain) = decompress::open(reader)?;
    let (start, plain) = decompress::peek(plain, BLOCK)?;
    if found != Found::Layer(Compression::None)
        && Found::of(&start).is_ok_and(|inner| inner != Found::Layer(Compression::None))
    {
        return Err(Error::invalid("read the archive: it is compressed twice"));
    }
    let mut entries = Entries::new(content, lease);
    entries.read(tree::reader(plain, limits::ARCHIVE_ENTRIES))?;
    super::some(entries.images()?)
}

/// What the archive has, by normalised path.
struct Entries<'a> {
    content: &'a Content,
    lease: &'a Lease,
    items: BTreeMap<String, Item>,
    blobs: Vec<Blob>,
    /// Blobs that are being synced, by their place in `blobs`.
    syncing: VecDeque<(usize, Syncing)>,
    /// Bytes of documents, and of names.
    documents: u64,
    names: usize,
    /// Diff ids that were verified by unpacking a blob.
    verified: HashMap<Digest, Digest>,
}

/// A thread that syncs a blob and finds out its digest and size.
type Syncing = JoinHandle<Result<(Digest, u64)>>;

enum Item {
    Document(Vec<u8>),
    /// Its place in `blobs`.
    Blob(usize),
    /// The normalised path of what is meant.
    Link(String),
}

/// A layer in the store. Digest and size are known once it is synced.
struct Blob {
    compression: Compression,
    stored: Option<(Digest, u64)>,
}

impl<'a> Entries<'a> {
    fn new(content: &'a Content, lease: &'a Lease) -> Entries<'a> {
        Entries {
            content,
            lease,
            items: BTreeMap::new(),
            blobs: Vec::new(),
            syncing: VecDeque::new(),
            documents: 0,
            names: 0,
            verified: HashMap::new(),
        }
    }

    fn read<R: Read>(&mut self, mut reader: tar::Reader<BufReader<R>>) -> Result<()> {
        while let Some(entry) = reader.entry()? {
            let what = || format!("read the entry `{}`", entry.name());
            let path = path::normal(&entry.path).context(what)?;
            self.names += path.len()
                + match &entry.kind {
                    EntryKind::Link { target } | EntryKind::Symlink { target } => target.len(),
                    _ => 0,
                };
            if self.names > limits::ARCHIVE_NAMES {
                let text = format!("read the archive: names of more than {} bytes", limits::ARCHIVE_NAMES);
                return Err(Error::new(Kind::Limit, text));
            }
            let item = match &entry.kind {
                EntryKind::Directory => continue,
                EntryKind::File { pieces: None, .. } => match self.file(&path, &entry, &mut reader)? {
                    Some(item) => item,
                    None => continue,
                },
                EntryKind::Symlink { target } => {
                    let target = path::relative(&path, target).context(what);
                    Item::Link(target.map_err(|e| e.hint(ROOT))?)
                }
                EntryKind::Link { target } => Item::Link(path::normal(target).context(what)?),
                _ => {
                    let text = format!("{}: an archive of images has no such files", what());
                    return Err(Error::invalid(text).hint(ROOT));
                }
            };
            self.insert(path, item)?;
        }
        while self.sync_one()? {}
        Ok(())
    }

    /// Notes an entry. One that is there already must be the same.
    fn insert(&mut self, path: String, item: Item) -> Result<()> {
        if self.items.contains_key(&path) {
            // Blobs are compared by what they turned out to be.
            while self.sync_one()? {}
        }
        let stored = |at: &usize| self.blobs.get(*at).and_then(|blob| blob.stored.as_ref());
        let is_same = match (self.items.get(&path), &item) {
            (None, _) => {
                self.items.insert(path, item);
                return Ok(());
            }
            (Some(Item::Document(a)), Item::Document(b)) => a == b,
            (Some(Item::Link(a)), Item::Link(b)) => a == b,
            (Some(Item::Blob(a)), Item::Blob(b)) => stored(a) == stored(b),
            _ => false,
        };
        match is_same {
            true => Ok(()),
            false => Err(Error::invalid(format!("read the archive: two entries are named `{path}`"))),
        }
    }

    /// Takes a file for what its first bytes say; `None` if nobody needs it.
    fn file<R: Read>(
        &mut self,
        path: &str,
        entry: &Entry,
        reader: &mut tar::Reader<BufReader<R>>,
    ) -> Result<Option<Item>> {
        // Of the days before content had digests: beside each layer.
        if path.ends_with("/VERSION") || path.ends_with("/json") {
            return Ok(None);
        }
        let what = || format!("read `{path}`");
        let claimed = claimed(path)?;
        let (start, mut rest) = decompress::peek(&mut *reader, BLOCK)?;
        let compression = Compression::of_magic(&start);
        let is_layer = compression != Compression::None || tar::is_start(&start);
        // Artifacts have blobs of any kind; but a document that is too large for one is no blob either.
        let is_text = matches!(start.first(), None | Some(b'{' | b'[' | b' ' | b'\t' | b'\r' | b'\n'));
        if is_layer || (claimed.is_some() && !is_text) {
            return self.blob(claimed.as_ref(), compression, &mut rest).context(what).map(Some);
        }
        if entry.stored() > limits::CONFIG {
            let text =
                format!("{}: {} bytes, and no layer; at most {}", what(), entry.stored(), limits::CONFIG);
            return Err(Error::new(Kind::Limit, text).hint(ROOT));
        }
        self.documents += entry.stored();
        if self.documents > limits::ARCHIVE_DOCUMENTS {
            let text =
                format!("{}: documents of more than {} bytes in all", what(), limits::ARCHIVE_DOCUMENTS);
            return Err(Error::new(Kind::Limit, text));
        }
        let mut bytes = Vec::new();
        rest.read_to_end(&mut bytes).context(what)?;
        if let Some(digest) = &claimed {
            verify(&bytes, digest)?;
        }
        Ok(Some(Item::Document(bytes)))
    }

    /// Stores a layer.
    fn blob(
        &mut self,
        claimed: Option<&Digest>,
        compression: Compression,
        rest: &mut dyn Read,
    ) -> Result<Item> {
        let at = self.blobs.len();
        if at >= limits::ARCHIVE_BLOBS {
            let text = format!("more than {} layers in the archive", limits::ARCHIVE_BLOBS);
            return Err(Error::new(Kind::Limit, text));
        }
        let known = match claimed {
            Some(digest) => self.lease.protect_blob(digest)?.map(|size| (digest.clone(), size)),
            None => None,
        };
        let what = || "write a layer";
        if let Some((digest, size)) = known {
            // It is there: what comes is not written again, but must be it.
            let mut hasher = HashWriter::new(digest.algorithm(), io::sink());
            io::copy(rest, &mut hasher).context(what)?;
            if hasher.finish() != (digest.clone(), size) {
                return Err(Error::invalid(format!("verify the blob `{digest}`: other bytes came")));
            }
            self.blobs.push(Blob { compression, stored: Some((digest, size)) });
            return Ok(Item::Blob(at));
        }
        let algorithm = claimed.map(Digest::algorithm).unwrap_or_default();
        let mut ingest = self.content.ingest_as(self.lease, algorithm)?;
        io::copy(rest, &mut ingest).context(what)?;
        let claimed = claimed.cloned();
        // Syncing waits for the disk; the next entry need not.
        let sync = std::thread::spawn(move || {
            let size = ingest.written();
            ingest.commit(claimed.as_ref().map(|digest| (digest, size)))
        });
        self.blobs.push(Blob { compression, stored: None });
        self.syncing.push_back((at, sync));
        if self.syncing.len() > SYNCING {
            self.sync_one()?;
        }
        Ok(Item::Blob(at))
    }

    /// Waits for the oldest blob that is being synced; `false` if none is.
    fn sync_one(&mut self) -> Result<bool> {
        let Some((at, sync)) = self.syncing.pop_front() else { return Ok(false) };
        let stored =
            sync.join().map_err(|_| Error::new(Kind::System, "write a layer: the thread died"))??;
        if let Some(blob) = self.blobs.get_mut(at) {
            blob.stored = Some(stored);
        }
        Ok(true)
    }

    /// What `path` names, links followed.
    fn resolve(&self, path: &str) -> Result<&Item> {
        let mut path = path::normal(path.as_bytes())?;
        for _ in 0..=LINKS {
            match self.items.get(&path) {
                Some(Item::Link(target)) => path = target.clone(),
                Some(item) => return Ok(item),
                None => return Err(Error::invalid(format!("load the archive: no entry `{path}`"))),
            }
        }
        Err(Error::invalid(format!("load the archive: `{path}` is a link that leads nowhere")))
    }

    fn text(&self, path: &str, limit: u64) -> Result<&[u8]> {
        match self.resolve(path)? {
            Item::Document(bytes) if bytes.len() as u64 <= limit => Ok(bytes),
            Item::Document(bytes) => {
                let text = format!("read `{path}`: {} bytes, at most {limit}", bytes.len());
                Err(Error::new(Kind::Limit, text))
            }
            _ => Err(Error::invalid(format!("read `{path}`: not a document"))),
        }
    }

    fn images(&mut self) -> Result<Vec<Loaded>> {
        let has = |name: &str| self.items.contains_key(name);
        let (is_oci, is_docker) = (has("index.json") && has("oci-layout"), has("manifest.json"));
        let mut found = names::Found::default();
        match (is_oci, is_docker) {
            (true, _) => {
                marker(self.text("oci-layout", 4096)?)?;
                let index = self.text("index.json", limits::MANIFEST)?.to_vec();
                let configs = {
                    let (content, lease) = (self.content, self.lease);
                    let mut walk = Walk::new(content, lease, self);
                    walk.index(&index, &mut found)?;
                    walk.configs
                };
                let images = found.images();
                if is_docker {
                    self.same_story(&images, &configs)?;
                }
                Ok(images)
            }
            (false, true) => {
                for item in docker::parse(self.text("manifest.json", limits::MANIFEST)?)? {
                    let (descriptor, names) = self.docker_image(&item)?;
                    found.add(&descriptor, names, None)?;
                }
                Ok(found.images())
            }
            (false, false) if has("repositories") => Err(Error::new(
                Kind::Unsupported,
                "load the archive: it is of Docker before 1.10, without digests",
            )),
            (false, false) => {
                Err(Error::invalid("load the archive: it has no `manifest.json` and no `index.json`")
                    .hint(ROOT))
            }
        }
    }

    /// Makes an OCI manifest for an image of `manifest.json`. Its configuration, and so its id, stays as it is.
    fn docker_image(&mut self, item: &docker::Item) -> Result<(Descriptor, Vec<Reference>)> {
        let names = names(item)?;
        let config = self.text(&item.config, limits::CONFIG)?.to_vec();
        let what = || format!("load `{}`", tar::text(item.config.as_bytes()));
        let image = Image::parse(&config).context(what)?;
        let paths = item.layers.as_deref().unwrap_or_default();
        if paths.len() != image.rootfs.diff_ids.len() {
            let text =
                format!("{}: {} layers, {} diff ids", what(), paths.len(), image.rootfs.diff_ids.len());
            return Err(Error::invalid(text));
        }
        let mut layers = Vec::new();
        for (path, diff_id) in paths.iter().zip(&image.rootfs.diff_ids) {
            layers.push(self.docker_layer(path, diff_id).context(what)?);
        }
        let config_descriptor = Descriptor::of(media::CONFIG, &config);
        self.content.put(self.lease, &config, config_descriptor.digest.algorithm())?;
        let manifest = Manifest::new(config_descriptor, layers);
        let bytes = serde_json::to_vec(&manifest).context(|| "write the manifest")?;
        let descriptor = Descriptor::of(media::MANIFEST, &bytes);
        self.content.put(self.lease, &bytes, descriptor.digest.algorithm())?;
        Ok((descriptor, names))
    }

    /// The layer at `path`, whose tar must be `diff_id`.
    fn docker_layer(&mut self, path: &str, diff_id: &Digest) -> Result<Descriptor> {
        let at = match self.resolve(path)? {
            Item::Blob(at) => *at,
            _ => return Err(Error::invalid(format!("`{}` is no layer", tar::text(path.as_bytes())))),
        };
        let blob = self.blobs.get(at).and_then(|blob| Some((blob.compression, blob.stored.clone()?)));
        let (compression, (digest, size)) =
            blob.ok_or_else(|| Error::new(Kind::System, "a layer that was not stored"))?;
        if self.verified.get(&digest) != Some(diff_id) && digest != *diff_id {
            let (file, _) = self.content.open_blob(&digest)?;
            let mut hasher = HashWriter::new(diff_id.algorithm(), io::sink());
            let mut plain = decompress::layer(Found::Layer(compression), file)?;
            io::copy(&mut plain, &mut hasher).context(|| format!("read the layer `{digest}`"))?;
            let (seen, _) = hasher.finish();
            if seen != *diff_id {
                let text =
                    format!("`{}` has the diff id `{seen}`, not `{diff_id}`", tar::text(path.as_bytes()));
                return Err(Error::invalid(text));
            }
            self.verified.insert(digest.clone(), seen);
        }
        Ok(Descriptor::new(pack::media_type(compression), digest, size))
    }

    /// Whether `manifest.json` of an archive that is an OCI layout too speaks of the images that were loaded by the layout.
    fn same_story(&self, images: &[Loaded], configs: &HashMap<Digest, Digest>) -> Result<()> {
        let known: std::collections::HashSet<&Digest> = configs.values().collect();
        for item in docker::parse(self.text("manifest.json", limits::MANIFEST)?)? {
            let config = Digest::of(self.text(&item.config, limits::CONFIG)?);
            let differ = |what: &str| {
                Error::invalid(format!("load the archive: `manifest.json` and `index.json` differ in {what}"))
            };
            if !known.contains(&config) {
                return Err(differ(&format!("the image `{config}`")));
            }
            for name in names(&item)? {
                let named = images.iter().find(|image| image.names.contains(&name));
                // An index has several configurations; `manifest.json` names that of one platform.
                let other =
                    named.and_then(|image| configs.get(&image.descriptor.digest)).filter(|c| **c != config);
                if other.is_some() {
                    return Err(differ(&format!("what `{name}` is")));
                }
            }
        }
        Ok(())
    }
}

impl Source for Entries<'_> {
    fn document(&mut self, descriptor: &Descriptor, limit: u64) -> Result<Option<Vec<u8>>> {
        let path = blob_path(&descriptor.digest);
        if !self.items.contains_key(&path) {
            return Ok(None);
        }
        let bytes = self.text(&path, limit)?.to_vec();
        // Its path is followed through links: what is verified is what was found.
        verify(&bytes, &descriptor.digest)?;
        verify_size(bytes.len() as u64, descriptor)?;
        Ok(Some(bytes))
    }

    fn blob(&mut self, descriptor: &Descriptor) -> Result<bool> {
        let path = blob_path(&descriptor.digest);
        let at = match self.items.contains_key(&path).then(|| self.resolve(&path)).transpose()? {
            // What is not in the archive may be in the store.
            None => return Ok(self.lease.protect_blob(&descriptor.digest)? == Some(descriptor.size)),
            Some(Item::Blob(at)) => *at,
            // Small blobs of artifacts.
            Some(Item::Document(bytes)) => {
                let bytes = bytes.clone();
                verify(&bytes, &descriptor.digest)?;
                verify_size(bytes.len() as u64, descriptor)?;
                self.content.put(self.lease, &bytes, descriptor.digest.algorithm())?;
                return Ok(true);
            }
            Some(Item::Link(_)) => return Ok(false),
        };
        match self.blobs.get(at).and_then(|blob| blob.stored.as_ref()) {
            Some((digest, size)) if *digest == descriptor.digest => {
                verify_size(*size, descriptor).map(|()| true)
            }
            _ => Err(Error::invalid(format!("verify the blob `{}`: other bytes came", descriptor.digest))),
        }
    }
}

/// The names of an image in `manifest.json`.
fn names(item: &docker::Item) -> Result<Vec<Reference>> {
    item.repo_tags.iter().flatten().map(|name| names::parse(name)).collect()
}

fn blob_path(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm().name(), digest.hex())
}

/// The digest that a path below `blobs/` says its content has.
fn claimed(path: &str) -> Result<Option<Digest>> {
    let Some((algorithm, hex)) = path.strip_prefix("blobs/").and_then(|rest| rest.split_once('/')) else {
        return Ok(None);
    };
    format!("{algorithm}:{hex}").parse().map(Some).context(|| format!("read `{path}`"))
}

/// Whether `bytes` are what `digest` names.
pub(super) fn verify(bytes: &[u8], digest: &Digest) -> Result<()> {
    let mut hasher = Hasher::new(digest.algorithm());
    hasher.update(bytes);
    match hasher.finish() == *digest {
        true => Ok(()),
        false => Err(Error::invalid(format!("verify the blob `{digest}`: other bytes came"))),
    }
}

/// Whether `size` is what the descriptor says.
pub(super) fn verify_size(size: u64, descriptor: &Descriptor) -> Result<()> {
    match size == descriptor.size {
        true => Ok(()),
        false => {
            let text = format!(
                "verify the blob `{}`: {size} bytes came, its descriptor says {}",
                descriptor.digest, descriptor.size
            );
            Err(Error::invalid(text))
        }
    }
}
