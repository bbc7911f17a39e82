//! The end of a build: configuration and manifest, names, and whatever else the result is to become.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use taru_archive::{Format, save};
use taru_content::Lease;
use taru_engine::Engine;
use taru_engine::image::Images;
use taru_engine::whole_file;
use taru_oci::{Algorithm, Descriptor, Digest, Image, Manifest, Reference, media};
use taru_stdx::{Context, Error, Kind, Result};
use taru_sys::fs::FileType;

use crate::assembly::{Assembly, Content, Entry};
use crate::cache::Cache;
use crate::options::{CacheTo, Options, Output};
use crate::progress::{Event, Progress};
use crate::root::Root;
use crate::tree::{Tree, visit_below};

/// The annotation of a manifest that names the key of each layer, as a JSON list: the cache in the image.
const KEYS: &str = "io.taru.build.keys";

/// An image that was built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// The digest of its manifest: its id.
    pub id: Digest,
}

/// A point of time.
pub(crate) fn time_of(seconds: i64) -> SystemTime {
    std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds.unsigned_abs())
}

/// A point of time as documents have it.
pub(crate) fn rfc3339(time: SystemTime) -> String {
    taru_stdx::time::rfc3339(time)
}

/// The keys that an image says its layers are of.
pub(crate) fn keys(manifest: &Manifest) -> Vec<Option<Digest>> {
    manifest.annotations.get(KEYS).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

/// Whether the outputs can be made at all, before anything is built.
///
/// # Errors
/// [`Kind::Exists`] for a destination that is a directory where a file is wanted.
pub(crate) fn check(options: &Options) -> Result<()> {
    for output in &options.outputs {
        match output {
            Output::Docker(Some(path)) | Output::Oci(Some(path)) | Output::Tar(Some(path))
                if path.is_dir() =>
            {
                return Err(Error::new(
                    Kind::Exists,
                    format!("write to `{}`: it is a directory", path.display()),
                )
                .hint("name a file; --output type=local,dest=DIRECTORY writes files into a directory"));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Stores the image, gives it its names, and makes the outputs.
///
/// # Errors
/// Any error of writing. Names are given last, all or none.
pub(crate) fn finish(
    engine: &Engine,
    lease: &Lease,
    options: &Options,
    root: &Root,
    image: Image,
    epoch: Option<i64>,
    progress: &dyn Progress,
) -> Result<Built> {
    let images = engine.images()?;
    let descriptor = store(images, lease, root, dated(root, image, epoch), options)?;
    root.ensure(images, lease)?;
    progress.event(&Event::Image(&descriptor.digest));
    for output in &options.outputs {
        make(images, output, options, root, &descriptor)?;
    }
    for cache in &options.cache_to {
        if let CacheTo::Local(dir) = cache {
            Cache::export(dir, &root.layers, &images.content)?;
        }
    }
    if options.outputs.is_empty() || options.outputs.contains(&Output::Image) {
        name(images, &descriptor, &options.tags, progress)?;
    }
    Ok(Built { id: descriptor.digest })
}

/// The configuration of an image of these layers, with the time of which it is. One of nothing new is as old as its base; one
/// of records alone is the same image again.
fn dated(root: &Root, mut image: Image, epoch: Option<i64>) -> Image {
    let newest = root.layers.iter().filter_map(|layer| layer.created.as_deref()).max();
    let created = match (epoch, newest, &image.created) {
        (Some(seconds), _, _) => rfc3339(time_of(seconds)),
        (None, Some(newest), _) => newest.to_owned(),
        (None, None, Some(base)) => base.clone(),
        (None, None, None) => rfc3339(SystemTime::now()),
    };
    for told in image.history.iter_mut().flatten() {
        told.created.get_or_insert_with(|| created.clone());
    }
    image.created = Some(created);
    image.rootfs.diff_ids = root.layers.iter().map(|layer| layer.diff_id.clone()).collect();
    image
}

/// Stores configuration and manifest; gives the manifest's descriptor.
fn store(images: &Images, lease: &Lease, root: &Root, image: Image, options: &Options) -> Result<Descriptor> {
    let what = || "write the image";
    let config = serde_json::to_vec(&image).context(what)?;
    let digest = images.content.put(lease, &config, Algorithm::Sha256)?;
    let config = Descriptor::new(media::CONFIG, digest, config.len() as u64);
    let layers = root.layers.iter().map(|layer| layer.descriptor.clone());
    let mut manifest = Manifest::new(config, layers.collect());
    if options.cache_to.contains(&CacheTo::Inline) {
        let keys: Vec<Option<&Digest>> = root.layers.iter().map(|layer| layer.key.as_ref()).collect();
        manifest.annotations.insert(KEYS.to_owned(), serde_json::to_string(&keys).context(what)?);
    }
    let bytes = serde_json::to_vec(&manifest).context(what)?;
    let digest = images.content.put(lease, &bytes, Algorithm::Sha256)?;
    Ok(Descriptor::new(media::MANIFEST, digest, bytes.len() as u64))
}

/// Gives the image its names, all or none; without one it is kept all the same.
fn name(images: &Images, descriptor: &Descriptor, tags: &[Reference], progress: &dyn Progress) -> Result<()> {
    if tags.is_empty() {
        return images.content.keep(std::slice::from_ref(descriptor));
    }
    let names: Vec<(Reference, Descriptor)> =
        tags.iter().map(|tag| (tag.clone(), descriptor.clone())).collect();
    images.content.tag(&names)?;
    tags.iter().for_each(|tag| progress.event(&Event::Tagged(&tag.familiar())));
    Ok(())
}

fn make(
    images: &Images,
    output: &Output,
    options: &Options,
    root: &Root,
    descriptor: &Descriptor,
) -> Result<()> {
    let archive = |path: &Option<PathBuf>, format: Format| {
        let image = [(options.tags.clone(), descriptor.clone())];
        let size = |chain: &Digest, diff_id: &Digest| images.snapshots.tar_size(chain, diff_id);
        to_file(path, |out| save(out, &images.content, &image, format, &size))
    };
    match output {
        Output::Image => Ok(()),
        Output::Docker(path) => archive(path, Format::Docker),
        Output::Oci(path) => archive(path, Format::Oci),
        Output::Tar(path) => {
            let files = flat(root, images)?;
            to_file(path, |out| files.write(out, None))
        }
        Output::Local(dir) => {
            let what = || format!("write the files to `{}`", dir.display());
            std::fs::create_dir_all(dir).context(what)?;
            flat(root, images)?.plant(dir).context(what)?;
            // Files, links, directories: one call for all of them.
            taru_sys::fs::syncfs(File::open(dir).context(what)?.as_fd()).context(what)
        }
    }
}

/// Writes to a file that appears when it is whole and durable, or to the standard output.
fn to_file(path: &Option<PathBuf>, write: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
    let Some(path) = path else {
        let mut out = std::io::stdout().lock();
        write(&mut out)?;
        return out.flush().context(|| "write to the standard output");
    };
    let what = || format!("write `{}`", path.display());
    whole_file::write(path, |file| {
        let mut out = std::io::BufWriter::with_capacity(1 << 18, file);
        write(&mut out)?;
        out.flush().context(what)
    })
}

/// All files of a root, as one layer.
fn flat(root: &Root, images: &Images) -> Result<Assembly> {
    let tree = root.files(&images.snapshots)?;
    let mut assembly = Assembly::new(Arc::new(Tree::empty()));
    let Some(top) = tree.root()? else { return Ok(assembly) };
    visit_below(&tree, &top, &mut |node| {
        let content = match node.stat.file_type() {
            FileType::Directory => Content::Directory,
            FileType::Regular => Content::File(tree.clone(), node.clone()),
            FileType::Symlink => Content::Symlink(tree.link(node)?),
            FileType::Socket => return Ok(false),
            kind => Content::Node(kind, node.stat.rdev),
        };
        assembly.put(
            node.path.clone(),
            Entry {
                content,
                mode: node.stat.permissions(),
                owner: (node.stat.uid, node.stat.gid),
                mtime: node.stat.mtime,
                attributes: tree.attributes(node)?,
            },
        )?;
        Ok(true)
    })?;
    Ok(assembly)
}
