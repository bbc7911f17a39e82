//! `taru image load`: from an archive or a directory into the store, unpacked, under names.
//!
//! ```text
//! blobs ── unpack ── ONE transaction that gives all the names
//! ```
//! An archive is a stranger's word, and names in it are too: whoever does not trust them says which to take
//! ([`Naming`]).

use std::io::Read;
use std::path::Path;

use taru_archive::Loaded;
use taru_content::Lease;
use taru_oci::{Descriptor, Digest, Reference};
use taru_stdx::{Error, Kind, Result};

use super::progress::Progress;
use super::{Images, broken, find, unpack};
use crate::Engine;

/// Where images come from.
pub enum Source<'a> {
    /// An archive, compressed or not.
    Stream(Box<dyn Read + Send>),
    /// An OCI layout.
    Directory(&'a Path),
}

impl std::fmt::Debug for Source<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Source")
    }
}

/// Which names are given.
#[derive(Debug, Clone, Copy)]
pub enum Naming<'a> {
    /// All that the archive has.
    Archive,
    /// Of those that the archive has, these alone. Images with none of them are not kept.
    Only(&'a [Reference]),
    /// These, to the one image in it, whatever it is called there.
    These(&'a [Reference]),
}

/// An image that was loaded.
#[derive(Debug)]
pub struct Outcome {
    /// Its id.
    pub id: Digest,
    /// The names it has now; each with the id of the image that had it before, if that is another.
    pub names: Vec<(Reference, Option<Digest>)>,
}

/// Loads the images from `source`, unpacks them, and gives them their names.
///
/// # Errors
/// As [`taru_archive::load`]; [`Kind::NotFound`] if a name that is asked for is not in the archive; [`Kind::Invalid`] if
/// there are several images to choose from. No name has changed then.
pub fn load(
    engine: &Engine,
    source: Source<'_>,
    naming: Naming<'_>,
    progress: &dyn Progress,
) -> Result<Vec<Outcome>> {
    let images = engine.images()?;
    let lease = images.content.lease("load")?;
    let loaded = match source {
        Source::Stream(reader) => taru_archive::load(reader, &images.content, &lease)?,
        Source::Directory(dir) => taru_archive::load_directory(dir, &images.content, &lease)?,
    };
    let chosen = choose(loaded, naming)?;
    for (_, target) in &chosen {
        unpack_one(engine, &lease, target, progress)?;
    }
    name(images, chosen)
}

/// Which images stay, and under which names.
fn choose(loaded: Vec<Loaded>, naming: Naming<'_>) -> Result<Vec<(Vec<Reference>, Descriptor)>> {
    match naming {
        Naming::Archive => Ok(loaded.into_iter().map(|l| (l.names, l.descriptor)).collect()),
        Naming::These(names) => match <[Loaded; 1]>::try_from(loaded) {
            Ok([one]) => Ok(vec![(names.to_vec(), one.descriptor)]),
            Err(several) => {
                let list: Vec<String> =
                    several.iter().flat_map(|l| &l.names).map(Reference::familiar).collect();
                Err(Error::invalid(format!("name what was loaded: {} images are in it", several.len()))
                    .hint(format!("choose with --only, of {}", list.join(", "))))
            }
        },
        Naming::Only(wanted) => {
            let there: Vec<Reference> = loaded.iter().flat_map(|l| l.names.clone()).collect();
            if let Some(missing) = wanted.iter().find(|name| !there.contains(name)) {
                let list: Vec<String> = there.iter().map(Reference::familiar).collect();
                let text = format!("load `{}`: the archive has no image of that name", missing.familiar());
                let hint = match list.is_empty() {
                    true => "its images have no names: --tag gives one".to_owned(),
                    false => format!("it has {}", list.join(", ")),
                };
                return Err(Error::new(Kind::NotFound, text).hint(hint));
            }
            let kept = loaded.into_iter().map(|l| {
                let names: Vec<Reference> = l.names.into_iter().filter(|n| wanted.contains(n)).collect();
                (names, l.descriptor)
            });
            Ok(kept.filter(|(names, _)| !names.is_empty()).collect())
        }
    }
}

/// Unpacks an image so that a run finds it ready. What is no image that can be run stays packed.
fn unpack_one(engine: &Engine, lease: &Lease, target: &Descriptor, progress: &dyn Progress) -> Result<()> {
    let images = engine.images()?;
    match find::open(images, &target.digest.to_string(), target.clone(), None) {
        Ok(found) => {
            let mut layers = unpack::plan(&found.document, &found.config)?;
            broken::renew(engine, &mut layers)?;
            unpack::ensure_layers(images, lease, &found, &layers, progress)
        }
        Err(e) if e.kind() == Kind::Unsupported => {
            progress.say(&e.chain().to_string());
            Ok(())
        }
        Err(e) => Err(e),
    }
}

fn name(images: &Images, chosen: Vec<(Vec<Reference>, Descriptor)>) -> Result<Vec<Outcome>> {
    let mut outcomes = Vec::new();
    let (mut named, mut nameless) = (Vec::new(), Vec::new());
    for (names, target) in chosen {
        let mut outcome = Outcome { id: target.digest.clone(), names: Vec::new() };
        if names.is_empty() {
            nameless.push(target.clone());
        }
        for name in names {
            let before = images.content.resolve(&name)?.map(|d| d.digest).filter(|d| *d != target.digest);
            named.push((name.clone(), target.clone()));
            outcome.names.push((name, before));
        }
        outcomes.push(outcome);
    }
    images.content.tag(&named)?;
    if !nameless.is_empty() {
        images.content.keep(&nameless)?;
    }
    Ok(outcomes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loaded(names: &[&str], content: &str) -> Loaded {
        Loaded {
            names: names.iter().map(|n| n.parse().unwrap()).collect(),
            label: None,
            descriptor: Descriptor::of(taru_oci::media::MANIFEST, content.as_bytes()),
        }
    }

    fn names(chosen: &[(Vec<Reference>, Descriptor)]) -> Vec<Vec<String>> {
        chosen.iter().map(|(names, _)| names.iter().map(Reference::familiar).collect()).collect()
    }

    #[test]
    fn names_of_the_archive_are_taken_as_far_as_asked() {
        let archive = || vec![loaded(&["app:1", "debian:latest"], "a"), loaded(&["tool:2"], "b")];
        let only = |wanted: &[&str]| {
            let wanted: Vec<Reference> = wanted.iter().map(|n| n.parse().unwrap()).collect();
            choose(archive(), Naming::Only(&wanted)).map(|chosen| names(&chosen))
        };
        let all = choose(archive(), Naming::Archive).unwrap();
        assert_eq!(names(&all), [vec!["app:1", "debian:latest"], vec!["tool:2"]]);
        assert_eq!(only(&["app:1"]).unwrap(), [vec!["app:1"]]);
        assert_eq!(only(&["tool:2", "app:1"]).unwrap(), [vec!["app:1"], vec!["tool:2"]]);
        assert_eq!(only(&["app:2"]).unwrap_err().kind(), Kind::NotFound);
        let mine: Vec<Reference> = vec!["mine".parse().unwrap()];
        assert_eq!(choose(archive(), Naming::These(&mine)).unwrap_err().kind(), Kind::Invalid);
        let one = choose(vec![loaded(&["debian"], "a")], Naming::These(&mine)).unwrap();
        assert_eq!(names(&one), [vec!["mine:latest"]]);
    }
}
