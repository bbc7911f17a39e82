//! `taru image rm`, `prune`, `tag`: names, and what goes with the last of them.

use std::collections::BTreeSet;

use taru_content::{Freed, RECOVERED};
use taru_oci::{Digest, Reference};
use taru_stdx::{Context, Error, Kind, Result};

use super::{Images, find};
use crate::Engine;
use crate::config::Root;
use crate::record::Record;

/// What was taken away: names, and images that went with their last name.
#[derive(Debug, Default)]
pub struct Removed {
    /// Names, as people write them.
    pub untagged: Vec<String>,
    /// Ids of images that have no name any more.
    pub deleted: Vec<Digest>,
}

/// Takes away the name `key`; or, if it is an id, the image with all its names, of which there may be several with
/// `force` alone. What nothing needs any more is collected by [`collect`].
///
/// # Errors
/// [`Kind::NotFound`]; [`Kind::State`] if it is the last name of an image that a container uses, or one of several names
/// of an id, without `force`.
pub fn remove(engine: &Engine, key: &str, force: bool) -> Result<Removed> {
    let images = engine.images()?;
    let target = find::target(images, key)?;
    let what = || format!("remove image `{key}`");
    let mut names: Vec<Option<Reference>> = images
        .content
        .images()?
        .into_iter()
        .filter(|record| record.descriptor.digest == target.digest)
        .map(|record| record.name)
        .collect();
    names.sort();
    let by_name = key.parse::<Reference>().ok().filter(|name| names.iter().flatten().any(|n| n == name));
    let is_last = by_name.is_none() || names.len() == 1;
    if by_name.is_none() && names.len() > 1 && !force {
        let list: Vec<String> = names.iter().flatten().map(Reference::familiar).collect();
        return Err(Error::new(Kind::State, format!("{}: it has {} names", what(), names.len()))
            .hint(format!("they are {}; remove one of them, or all with --force", list.join(", "))));
    }
    if is_last
        && !force
        && let Some(user) = user(engine, &target.digest)?
    {
        return Err(Error::new(Kind::State, format!("{}: container `{}` uses it", what(), user.name)).hint(
            format!("`taru rm {}` first; or --force: its layers stay until the container is gone", user.name),
        ));
    }
    let mut removed = Removed::default();
    match by_name {
        Some(name) => {
            images.content.untag(&name)?;
            removed.untagged.push(name.familiar());
        }
        None => {
            let mut names = images.content.forget(&target.digest)?;
            names.sort();
            removed.untagged.extend(names.iter().flatten().map(Reference::familiar));
        }
    }
    if is_last {
        removed.deleted.push(target.digest);
    }
    Ok(removed)
}

/// A container whose root is of the image `id`.
fn user(engine: &Engine, id: &Digest) -> Result<Option<Record>> {
    Ok(engine.store.list()?.into_iter().find(|record| {
        matches!(&record.config, Ok(config) if matches!(&config.root, Root::Image { id: own, .. } if own == id))
    }))
}

/// Takes away images without a name; with `all`, every image that no container uses.
///
/// # Errors
/// The store cannot be read or written.
pub fn prune(engine: &Engine, all: bool) -> Result<Removed> {
    let images = engine.images()?;
    let used: BTreeSet<Digest> = engine
        .store
        .list()?
        .into_iter()
        .filter_map(|record| match record.config.ok()?.root {
            Root::Image { id, .. } => Some(id),
            _ => None,
        })
        .collect();
    let mut removed = Removed::default();
    let mut seen = BTreeSet::new();
    for record in images.content.images()? {
        let digest = record.descriptor.digest;
        let is_unwanted = (all || record.name.is_none()) && !used.contains(&digest);
        // An image without a name has no other record.
        if is_unwanted && seen.insert(digest.clone()) {
            let names = images.content.forget(&digest)?;
            removed.untagged.extend(names.iter().flatten().map(Reference::familiar));
            removed.deleted.push(digest);
        }
    }
    Ok(removed)
}

/// Gives the image `key` one more name. A name that another image has moves.
///
/// # Errors
/// [`Kind::NotFound`]; [`Kind::Invalid`] for a name with a digest.
pub fn tag(images: &Images, key: &str, name: &Reference) -> Result<()> {
    if name.digest().is_some() {
        return Err(Error::invalid(format!("name an image `{}`: a digest is no name", name.familiar())));
    }
    let target = find::target(images, key)?;
    images.content.tag(&[(name.clone(), target)])
}

/// Removes all that nothing needs any more: blobs, layers, unfinished files, and what is held for containers that
/// are gone.
///
/// # Errors
/// The store cannot be read or written; what was removed until then is removed.
pub fn collect(engine: &Engine) -> Result<Freed> {
    let images = engine.images()?;
    if !images.content.holds(RECOVERED)?.is_empty() {
        hold_again(engine)?;
    }
    for hold in images.content.holds(super::HOLD)? {
        let id = hold.strip_prefix(super::HOLD).unwrap_or(&hold);
        // A hold is made once its record is: without one, the container is gone.
        if !engine.store.has(id)? {
            images.content.unhold(&hold)?;
        }
    }
    super::mount::release(engine, images)?;
    images.content.gc(&super::Layers(&images.snapshots))
}

/// Holds again what every container needs, in a store whose records were made anew, and lets all else go.
fn hold_again(engine: &Engine) -> Result<()> {
    for record in engine.store.list()? {
        // Of a damaged record nobody knows what it needs: until it is removed, everything stays.
        super::tree::hold(engine, &record, true)
            .context(|| format!("hold again what the container `{}` needs", record.name))
            .map_err(|e| {
                e.hint(format!("`taru rm {}` removes one that cannot be used any more", record.name))
            })?;
    }
    engine.images()?.content.unhold(RECOVERED)
}
