//! Names in archives: `RepoTags` of Docker, annotations of OCI and containerd.

use std::collections::BTreeMap;

use taru_oci::{Descriptor, Reference, limits};
use taru_stdx::{Context, Error, Kind, Result};

use super::Loaded;

/// The tag, or with some writers the whole name (OCI image specification, annotations.md).
const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The whole name; containerd's and Docker's.
const IMAGE_NAME: &str = "io.containerd.image.name";

/// A full name as an archive has it.
///
/// # Errors
/// [`Kind::Invalid`] if it is none, or has a digest: what a name leads to is the archive's content.
pub(crate) fn parse(text: &str) -> Result<Reference> {
    let what = || format!("take the name `{}` from the archive", text.escape_debug());
    let name: Reference = text.parse().context(what)?;
    match name.digest() {
        None => Ok(name),
        Some(_) => Err(Error::invalid(format!("{}: it has a digest", what()))),
    }
}

/// What the annotations of a descriptor in an index call it: a full name, or a label that is none.
///
/// # Errors
/// As [`parse`].
pub(crate) fn of(descriptor: &Descriptor) -> Result<(Option<Reference>, Option<String>)> {
    if let Some(name) = descriptor.annotations.get(IMAGE_NAME) {
        return Ok((Some(parse(name)?), None));
    }
    match descriptor.annotations.get(REF_NAME) {
        // podman and skopeo write whole names there; those have one of these, and tags have neither.
        Some(name) if name.contains(['/', ':']) => Ok((Some(parse(name)?), None)),
        Some(label) if !label.is_empty() => {
            let is_plain = label.len() <= 255 && !label.contains(char::is_control);
            let bad = || Error::invalid(format!("take the name `{}` from the archive", label.escape_debug()));
            is_plain.then(|| (None, Some(label.clone()))).ok_or_else(bad)
        }
        _ => Ok((None, None)),
    }
}

/// The images found so far, each once, in the order in which they came.
#[derive(Default)]
pub(crate) struct Found {
    images: Vec<Loaded>,
    of_name: BTreeMap<Reference, usize>,
    names: usize,
}

impl Found {
    /// Adds an image, or further names of one that is there.
    ///
    /// # Errors
    /// [`Kind::Invalid`] if another image has one of the names; [`Kind::Limit`] if there are too many.
    pub(crate) fn add(
        &mut self,
        descriptor: &Descriptor,
        names: Vec<Reference>,
        label: Option<String>,
    ) -> Result<()> {
        let at = match self.images.iter().position(|image| image.descriptor.digest == descriptor.digest) {
            Some(at) => at,
            None => {
                let descriptor = Descriptor::new(
                    descriptor.media_type.clone(),
                    descriptor.digest.clone(),
                    descriptor.size,
                );
                self.images.push(Loaded { names: Vec::new(), label: None, descriptor });
                self.images.len() - 1
            }
        };
        self.names += names.len();
        if self.images.len() > limits::ARCHIVE_IMAGES || self.names > limits::ARCHIVE_IMAGES {
            let text = format!("load the archive: more than {} images or names", limits::ARCHIVE_IMAGES);
            return Err(Error::new(Kind::Limit, text));
        }
        let Some(image) = self.images.get_mut(at) else { return Ok(()) };
        image.label = image.label.take().or(label);
        for name in names {
            match self.of_name.insert(name.clone(), at) {
                None => image.names.push(name),
                Some(other) if other == at => {}
                Some(_) => {
                    return Err(Error::invalid(format!("load the archive: two images are named `{name}`")));
                }
            }
        }
        Ok(())
    }

    /// All of them.
    pub(crate) fn images(self) -> Vec<Loaded> {
        self.images
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(key: &str, name: &str) -> Result<(Option<Reference>, Option<String>)> {
        let mut descriptor = Descriptor::of("x", b"");
        descriptor.annotations.insert(key.to_owned(), name.to_owned());
        of(&descriptor)
    }

    #[test]
    fn full_names_and_bare_tags() {
        let full = |text: &str| (Some(text.parse().unwrap()), None);
        assert_eq!(named(REF_NAME, "localhost/a:1").unwrap(), full("localhost/a:1"));
        assert_eq!(named(REF_NAME, "busybox:1").unwrap(), full("busybox:1"));
        assert_eq!(named(IMAGE_NAME, "busybox").unwrap(), full("busybox"));
        assert_eq!(named(REF_NAME, "latest").unwrap(), (None, Some("latest".to_owned())));
        for bad in ["a/../b", "x\ny", &format!("a:1@{}", taru_oci::Digest::of(b""))] {
            assert!(named(REF_NAME, bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_name_is_of_one_image() {
        let (one, two) = (Descriptor::of("x", b"1"), Descriptor::of("x", b"2"));
        let name = || vec!["a:1".parse::<Reference>().unwrap()];
        let mut found = Found::default();
        found.add(&one, name(), None).unwrap();
        found.add(&one, name(), Some("l".to_owned())).unwrap();
        assert!(found.add(&two, name(), None).is_err());
        let images = found.images();
        assert_eq!((images[0].names.len(), images[0].label.as_deref()), (1, Some("l")));
    }
}
