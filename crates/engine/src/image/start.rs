//! From the name of an image to the root of a container: `taru run IMAGE`.

use taru_content::Lease;
use taru_oci::Platform;
use taru_stdx::{Context, Error, Kind, Result};

use super::find::{self, Found};
use super::progress::Progress;
use super::wishes::{self, Wishes};
use super::{Images, broken, names, pull};
use crate::Engine;
use crate::config::{ContainerConfig, Root};
use crate::told::Detail;

/// When an image is fetched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Pull {
    /// Before every run.
    Always,
    /// If the store has none of that name.
    #[default]
    Missing,
    /// Not at all.
    Never,
}

/// Which image, and how.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// As typed: a name, or the beginning of an id.
    pub name: &'a str,
    /// Another platform than this host's.
    pub platform: Option<&'a Platform>,
    /// When it is fetched.
    pub pull: Pull,
    /// What of the container goes before the image's own.
    pub wishes: &'a Wishes,
}

/// Finds or fetches the image, sees that its layers are unpacked, and makes it the root of `config`, which
/// takes over from it what was left open. The lease keeps it in the store until the container's record does.
///
/// # Errors
/// What a pull fails with; [`Kind::NotFound`] without one; [`Kind::Invalid`] for an image that cannot be run.
pub fn root(
    engine: &Engine,
    config: &mut ContainerConfig,
    wanted: &Wanted<'_>,
    progress: &dyn Progress,
) -> Result<Lease> {
    let images = engine.images()?;
    let lease = images.content.lease(&format!("run {}", wanted.name))?;
    let found = obtain(engine, wanted, progress)?;
    let chain = found.chain();
    (engine.say)(Detail::Main, &format!("image `{}` is {}", wanted.name, found.target.digest));
    lease.protect_blob(&found.target.digest)?;
    if lease.protect_blob(&found.manifest.digest)?.is_none() {
        let text = format!("run `{}`: it was removed meanwhile", wanted.name);
        return Err(Error::new(Kind::NotFound, text));
    }
    broken::ensure(engine, &lease, &found, progress)?;
    check_platform(&found, wanted)?;
    wishes::apply(config, &found.config, wanted.wishes, wanted.name)?;
    config.root = Root::Image {
        name: found.name,
        id: found.target.digest,
        manifest: found.manifest.digest,
        chain: chain.last().cloned(),
    };
    Ok(lease)
}

/// The image, fetched if it must be and may be.
///
/// # Errors
/// As [`root`].
pub fn obtain(engine: &Engine, wanted: &Wanted<'_>, progress: &dyn Progress) -> Result<Found> {
    let images = engine.images()?;
    let local = || find::find(images, wanted.name, wanted.platform);
    match wanted.pull {
        Pull::Never => return local(),
        Pull::Always if find::is_id(images, wanted.name)? => {
            let text =
                format!("pull `{}`: it is the id of an image, and no registry knows those", wanted.name);
            return Err(Error::invalid(text).hint(
                "`taru images` lists names; before a name that looks like an id stands its registry: docker.io/library/NAME",
            ));
        }
        Pull::Always => {}
        Pull::Missing => match local() {
            Ok(found) if !is_whole(images, &found)? && !find::is_id(images, wanted.name)? => {}
            // One for another processor, fetched by that name before, is not what is wanted now.
            Ok(found)
                if wanted.platform.is_none() && is_foreign(&found) && !find::is_id(images, wanted.name)? =>
            {
                return fetch(engine, wanted, progress).or(Ok(found));
            }
            Err(e) if e.kind() == Kind::NotFound => {}
            found => return found,
        },
    }
    fetch(engine, wanted, progress)
}

/// Whether all layers are on disk or can be unpacked: a pull that was killed leaves an image without some.
fn is_whole(images: &Images, found: &Found) -> Result<bool> {
    Ok(found.chain().iter().all(|layer| images.snapshots.has(layer))
        || images.content.missing(&found.manifest)?.is_empty())
}

fn is_foreign(found: &Found) -> bool {
    found.config.platform().suits(&Platform::host()).is_none()
}

/// Fetches the image from where its name says.
fn fetch(engine: &Engine, wanted: &Wanted<'_>, progress: &dyn Progress) -> Result<Found> {
    (engine.say)(Detail::Main, &format!("pull image `{}`", wanted.name));
    let client = engine.registry()?;
    let candidates = names::candidates(client, wanted.name)?;
    if let [name] = candidates.as_slice() {
        return pull::pull(engine, client, name, wanted.platform, progress);
    }
    let mut errors = Vec::new();
    for name in &candidates {
        match pull::pull(engine, client, name, wanted.platform, progress) {
            // Another registry of the search list may have it. A refusal, or a registry that is down, must not lead to
            // another one's image of the same name.
            Err(e) if e.kind() == Kind::NotFound => errors.push(e),
            other => return other,
        }
    }
    Err(Error::all(errors).unwrap_or_else(|| Error::new(Kind::NotFound, format!("pull `{}`", wanted.name))))
        .context(|| format!("find image `{}`", wanted.name))
}

/// A program of another processor cannot run here, unless the kernel was told of an interpreter for it.
fn check_platform(found: &Found, wanted: &Wanted<'_>) -> Result<()> {
    let (own, host) = (found.config.platform(), Platform::host());
    if own.suits(&host).is_some() || super::platform::is_interpreted(&own) {
        return Ok(());
    }
    Err(Error::new(
        Kind::Unsupported,
        format!("run `{}`: it is for `{own}`, this host is `{host}`", wanted.name),
    )
    .hint("an emulator that is registered with the kernel runs it: package `qemu-user-static` (binfmt_misc)"))
}
