//! `taru commit` and `taru diff`: what a container changed, as a layer and as a list.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use taru_archive::LayerWriter;
use taru_oci::config::{Empty, History};
use taru_oci::media::{self, Compression};
use taru_oci::{Descriptor, Digest, Image, Manifest, Reference, RunConfig};
pub use taru_snapshot::ChangeKind;
use taru_snapshot::{Change, Diff, Key};
use taru_stdx::{Context, Error, Kind, Result, time};

use crate::Engine;
use crate::config::{ContainerConfig, Root};
use crate::guardian::Guardian;
use crate::image::find::{self, Found};
use crate::image::{Images, change, tree};
use crate::reconcile::{self, Status};
use crate::record::Record;

/// What the new image is called and says of itself.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Its name; none for an image without.
    pub name: Option<Reference>,
    /// Who made it.
    pub author: Option<String>,
    /// Why.
    pub message: Option<String>,
    /// Instructions for how it wants to be run, as [`change::apply`] takes them.
    pub changes: Vec<String>,
    /// Whether the container goes on while its files are read: what it writes meanwhile may be in it by half.
    pub no_pause: bool,
}

/// Lists what the container `key` changed in its root.
///
/// # Errors
/// [`Kind::NotFound`]; [`Kind::State`] if its root is of no image.
pub fn changes(engine: &mut Engine, key: &str) -> Result<Vec<Change>> {
    let (record, _) = reconcile::one(engine, key)?;
    let origin = origin(&record)?;
    let maps = tree::maps(engine, &record)?;
    let own = own_files(&origin);
    let how = Diff { maps: maps.as_ref(), epoch: None };
    let changes = engine.images()?.snapshots.changes(&Key::container(&record.id)?, &how)?;
    Ok(without_own(changes, &own))
}

/// The image that was made.
#[derive(Debug)]
pub struct Committed {
    /// The image.
    pub image: Found,
    /// Why the container did not stand still, where it was to: what it wrote meanwhile may be in the image by half.
    pub went_on: Option<Error>,
}

/// Makes an image of the container `key`: its image's layers, and one of what it changed. It stands still meanwhile where
/// that can be done: without a control group, as ordinary users often have none, it goes on.
///
/// # Errors
/// [`Kind::NotFound`]; [`Kind::State`] if its root is of no image; any error of the stores.
pub fn commit(engine: &mut Engine, key: &str, options: &Options) -> Result<Committed> {
    let (record, status) = reconcile::one(engine, key)?;
    let runs = matches!(status, Status::Running { .. });
    make(engine, &record, runs && !options.no_pause, options)
        .context(|| format!("commit container `{}`", record.name))
}

/// Does `act` while nothing of the container runs, or says why it went on. Whatever becomes of this process, it goes on
/// afterwards.
fn paused(engine: &Engine, record: &Record, act: impl FnOnce() -> Result<()>) -> Result<Option<Error>> {
    let resume = || engine.runtime.call(&["resume", &record.id]).map(drop);
    let guardian = Guardian::new(|| drop(resume()))?;
    if let Err(refused) = engine.runtime.call(&["pause", &record.id]) {
        guardian.dismiss();
        return act().map(|()| Some(refused));
    }
    let done = act();
    let resumed = resume();
    guardian.dismiss();
    // The first failure is the one to report.
    done.and(resumed).map(|()| None)
}

/// The image that the root of a container is of.
struct Origin<'a> {
    config: &'a ContainerConfig,
    manifest: &'a Digest,
}

fn origin(record: &Record) -> Result<Origin<'_>> {
    let config = record.config()?;
    match &config.root {
        Root::Image { manifest, .. } => Ok(Origin { config, manifest }),
        _ => {
            Err(Error::new(Kind::State, format!("compare the root of `{}`: it is of no image", record.name))
                .hint("`taru run IMAGE` makes a container of one"))
        }
    }
}

/// Files that are made as places for mounts, and are no change of the container's.
fn own_files<'a>(origin: &Origin<'a>) -> Vec<&'a Path> {
    let volumes = origin.config.volumes.iter().chain(origin.config.binds.iter().map(|b| &b.destination));
    let own = ["/etc/hostname", "/etc/hosts", "/etc/resolv.conf", "/dev", "/proc", "/sys"];
    own.into_iter().map(Path::new).chain(volumes.map(PathBuf::as_path)).collect()
}

/// Leaves out what was made for mounts, and what that did to the directories above: those that had to be made, too, and
/// those that have a new time by it. Docker makes such places in a layer below the container's, and lists none of this.
fn without_own(mut changes: Vec<Change>, own: &[&Path]) -> Vec<Change> {
    let leads_to_own = |path: &Path| own.iter().any(|own| own.starts_with(path) && *own != path);
    // From the end: what is below a directory comes behind it, and is decided on before it.
    let mut made: Vec<PathBuf> = Vec::new();
    let mut listed: Vec<Change> = Vec::new();
    while let Some(change) = changes.pop() {
        let path = &change.path;
        let is_own = own.contains(&path.as_path());
        let is_way = || {
            let has_more = listed.last().is_some_and(|next| next.path.starts_with(path));
            let has_made = made.iter().any(|made| made.parent() == Some(path));
            let is_explained = change.kind == ChangeKind::Added || change.is_time && has_made;
            leads_to_own(path) && is_explained && !has_more
        };
        if is_own || is_way() {
            if change.kind == ChangeKind::Added {
                made.push(change.path);
            }
            continue;
        }
        listed.push(change);
    }
    listed.reverse();
    listed
}

fn make(engine: &Engine, record: &Record, pause: bool, options: &Options) -> Result<Committed> {
    let images = engine.images()?;
    let origin = origin(record)?;
    let lease = images.content.lease(&format!("commit {}", record.name))?;
    let size = lease.protect_blob(origin.manifest)?.ok_or_else(|| {
        Error::new(Kind::NotFound, format!("open its image: `{}` is not in the store", origin.manifest))
    })?;
    let descriptor = Descriptor::new("", origin.manifest.clone(), size);
    let from = find::open(images, &record.name, descriptor, None)?;

    let maps = tree::maps(engine, record)?;
    let epoch = time::epoch_of_environment()?;
    let how = Diff { maps: maps.as_ref(), epoch: epoch.map(|e| i64::try_from(e).unwrap_or(i64::MAX)) };
    let mut layer = LayerWriter::new(&images.content, &lease, Compression::Gzip)?;
    let key = Key::container(&record.id)?;
    let mut diff = || images.snapshots.diff(&key, &how, &mut layer);
    let went_on = match pause {
        true => paused(engine, record, diff)?,
        false => diff().map(|()| None)?,
    };
    let layer = layer.finish()?;

    let created = time::rfc3339(epoch.map_or_else(SystemTime::now, |e| UNIX_EPOCH + Duration::from_secs(e)));
    let mut config = from.config.clone();
    config.created = Some(created.clone());
    config.author.clone_from(&options.author);
    config.rootfs.diff_ids.push(layer.diff_id.clone());
    config.history.get_or_insert_default().push(History {
        created: Some(created),
        created_by: Some(origin.config.args.join(" ")),
        author: options.author.clone(),
        comment: options.message.clone(),
        empty_layer: None,
    });
    let mut run = run_config(origin.config, from.config.config.unwrap_or_default());
    change::apply(&mut run, &options.changes)?;
    config.config = Some(run);
    let mut layers: Vec<Descriptor> = from.document.layers.iter().map(oci).collect();
    layers.push(layer.descriptor);
    let image = store(images, &lease, options, &config, layers)?;
    Ok(Committed { image, went_on })
}

/// Stores configuration and manifest, and names the image. The new layer stays packed until a container needs it: most
/// images that are committed are pushed or saved.
fn store(
    images: &Images,
    lease: &taru_content::Lease,
    options: &Options,
    config: &Image,
    layers: Vec<Descriptor>,
) -> Result<Found> {
    let what = || "write the image";
    let put = |media_type: &str, bytes: &[u8]| -> Result<Descriptor> {
        images.content.put(lease, bytes, taru_oci::Algorithm::Sha256)?;
        Ok(Descriptor::of(media_type, bytes))
    };
    let text = serde_json::to_vec(config).context(what)?;
    let manifest = Manifest::new(put(media::CONFIG, &text)?, layers);
    let text = serde_json::to_vec(&manifest).context(what)?;
    let descriptor = put(media::MANIFEST, &text)?;
    let name =
        options.name.as_ref().map_or_else(|| descriptor.digest.short().to_owned(), Reference::familiar);
    let found = find::open(images, &name, descriptor.clone(), None)?;
    match &options.name {
        Some(name) => images.content.tag(&[(name.clone(), descriptor)])?,
        None => images.content.keep(&[descriptor])?,
    }
    Ok(found)
}

/// How the new image wants to be run: as the container was.
fn run_config(container: &ContainerConfig, mut image: RunConfig) -> RunConfig {
    let entrypoint = image.entrypoint.clone().unwrap_or_default();
    // What was run is kept as one list: the image's entrypoint, if it begins so, and the command.
    match container.args.strip_prefix(entrypoint.as_slice()) {
        Some(command) => image.cmd = Some(command.to_vec()).filter(|c| !c.is_empty()),
        None => (image.entrypoint, image.cmd) = (None, Some(container.args.clone())),
    }
    image.env = Some(container.env.clone()).filter(|env| !env.is_empty());
    image.user = container.user.clone().unwrap_or_default();
    image.working_dir = container.workdir.display().to_string();
    image.stop_signal.clone_from(&container.stop_signal);
    image.labels = Some(container.labels.clone()).filter(|labels| !labels.is_empty());
    let volumes = container.volumes.iter().map(|path| (path.display().to_string(), Empty {}));
    image.volumes = Some(volumes.collect()).filter(|v: &std::collections::BTreeMap<_, _>| !v.is_empty());
    image
}

/// The descriptor with OCI's media type: the bytes of Docker's layers are the same.
fn oci(layer: &Descriptor) -> Descriptor {
    let media_type = match media::layer(&layer.media_type) {
        media::Layer::Tar(Compression::None) => media::LAYER,
        media::Layer::Tar(Compression::Gzip) => media::LAYER_GZIP,
        media::Layer::Tar(Compression::Zstd) => media::LAYER_ZSTD,
        _ => &layer.media_type,
    };
    Descriptor { media_type: media_type.to_owned(), ..layer.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_of_mounts_are_no_changes() {
        let own = ["/etc/hostname", "/etc/hosts", "/dev", "/srv/a/b"].map(Path::new);
        let left = |lines: &str| {
            let change = |line: &str| Change {
                kind: match line.as_bytes()[0] {
                    b'A' => ChangeKind::Added,
                    b'D' => ChangeKind::Deleted,
                    _ => ChangeKind::Changed,
                },
                path: PathBuf::from(&line[2..]),
                is_time: line.starts_with('T'),
            };
            let all = without_own(lines.split(", ").map(change).collect(), &own);
            all.iter().map(|change| change.path.to_str().unwrap().to_owned()).collect::<Vec<_>>().join(" ")
        };
        // Nobody touched it.
        assert_eq!(left("T /dev, T /etc, A /etc/hostname, A /etc/hosts, T /srv, A /srv/a, A /srv/a/b"), "");
        assert_eq!(left("A /etc, A /etc/hostname, A /etc/hosts"), "");
        // Somebody did.
        assert_eq!(left("T /etc, A /etc/hosts, A /etc/mine"), "/etc /etc/mine");
        assert_eq!(left("C /etc, A /etc/hosts"), "/etc");
        assert_eq!(left("T /etc"), "/etc");
        assert_eq!(left("T /srv, A /srv/a, A /srv/a/b, A /srv/a/mine"), "/srv /srv/a /srv/a/mine");
        assert_eq!(left("T /srv, A /srv/a, A /srv/a/b, D /srv/mine"), "/srv /srv/mine");
        assert_eq!(left("T /etc, A /etc/hosts, A /etcetera"), "/etcetera");
        assert_eq!(left("A /mine, T /srv"), "/mine /srv");
    }
}
