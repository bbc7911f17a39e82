//! The root decided: which directory or overlay, how writable, how it propagates.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use taru_mount::idmap::IdMaps;
use taru_sys::mount::Propagation;
use taru_sys::ns::Namespaces;

use super::namespaces::NamespacePlan;
use super::problems::Problems;
use crate::spec::{Linux, Spec};

/// The annotation with which taru has the root mounted inside the container's mount namespace, so that
/// nothing of it shows in the host's mount table.
pub const ROOTFS_ANNOTATION: &str = "io.taru.rootfs";

/// The root file system.
#[derive(Debug, Clone, PartialEq)]
pub struct RootPlan {
    /// The directory on the host, absolute; what an overlay is mounted over.
    pub path: PathBuf,
    /// An overlay to mount as the root; else the directory itself is.
    pub overlay: Option<Overlay>,
    /// How ids on the file system of the directory, or of the overlay's lower layers, appear in the
    /// container's user namespace.
    pub idmap: Option<IdMaps>,
    /// Whether the root mount is read-only.
    pub readonly: bool,
    /// How the root propagates, and whether with all below it.
    pub propagation: (Propagation, bool),
}

/// The value of [`ROOTFS_ANNOTATION`].
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Annotation {
    Overlay(Overlay),
    Bind(Bind),
}

/// The directory itself.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bind {
    #[serde(default)]
    idmap: bool,
}

/// An overlay.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Overlay {
    /// Read-only layers, topmost first; absolute.
    pub lower: Vec<Lower>,
    /// Where changes go; absent means a private tmpfs that vanishes with the container.
    #[serde(default)]
    pub upper: Option<PathBuf>,
    /// The work directory, on the file system of `upper`.
    #[serde(default)]
    pub work: Option<PathBuf>,
    /// Whether the files of `lower` belong to the container's users with the same numbers, not to the host's.
    #[serde(default)]
    pub idmap: bool,
    /// Whether what is written need not survive a power cut: the container is gone then. Always so
    /// without `upper`.
    #[serde(default)]
    pub volatile: bool,
    /// Whether overlay's own marks are attributes in the `user.` name space even where the container has the
    /// host's users; with a user namespace of its own they always are.
    #[serde(default)]
    pub userxattr: bool,
    /// Overlays below the root: an overlay's layers do not reach into other mounts.
    #[serde(default)]
    pub inner: Vec<Inner>,
}

/// A read-only layer.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum Lower {
    /// A directory.
    Directory(PathBuf),
    /// A file that is an image of erofs, to be mounted.
    Image {
        /// The file.
        image: PathBuf,
    },
}

impl Lower {
    /// The directory, or the file of the image.
    pub fn path(&self) -> &Path {
        let (Lower::Directory(path) | Lower::Image { image: path }) = self;
        path
    }
}

/// An overlay on a directory of the root. Its layers are not id-mapped.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inner {
    /// The directory, absolute in the container.
    pub at: PathBuf,
    /// Directories, as in [`Overlay::lower`].
    pub lower: Vec<PathBuf>,
    /// As [`Overlay::upper`].
    #[serde(default)]
    pub upper: Option<PathBuf>,
    /// As [`Overlay::work`].
    #[serde(default)]
    pub work: Option<PathBuf>,
}

impl RootPlan {
    /// How many layers it is made of, those of overlays below it among them.
    pub fn layers(&self) -> usize {
        let of = |overlay: &Overlay| {
            overlay.lower.len() + overlay.inner.iter().map(|inner| inner.lower.len()).sum::<usize>()
        };
        self.overlay.as_ref().map_or(1, of)
    }

    /// Decides on the root of `spec`.
    pub fn new(
        spec: &Spec,
        linux: &Linux,
        bundle: &Path,
        namespaces: &NamespacePlan,
        problems: &mut Problems,
    ) -> RootPlan {
        if spec.root.is_none() {
            problems.invalid("check root: it is missing");
        }
        let root = spec.root.clone().unwrap_or_default();
        if root.path.as_os_str().is_empty() && spec.root.is_some() {
            problems.invalid("check root.path: it is empty");
        }
        if !namespaces.has(Namespaces::MOUNT) {
            problems.invalid("check linux.namespaces: a container needs a mount namespace of its own");
        }
        let annotation = spec.annotations.get(ROOTFS_ANNOTATION).and_then(|text| annotation(text, problems));
        let (overlay, mapped) = match annotation {
            Some(Annotation::Overlay(overlay)) => (Some(overlay.clone()), overlay.idmap),
            Some(Annotation::Bind(bind)) => (None, bind.idmap),
            None => (None, false),
        };
        if mapped && !namespaces.new.contains(Namespaces::USER) {
            problems
                .invalid(format!("check annotation `{ROOTFS_ANNOTATION}`: idmap needs a new user namespace"));
        }
        RootPlan {
            path: bundle.join(&root.path),
            overlay,
            idmap: mapped.then(|| namespaces.id_maps()),
            readonly: root.readonly,
            propagation: propagation(&linux.rootfs_propagation, problems),
        }
    }

    /// How mounts of the host are to propagate into the container's copies of them, from before anything is
    /// mounted there. Nothing where they are shared with the host.
    pub fn inbound(&self) -> Option<Propagation> {
        match self.propagation.0 {
            Propagation::Shared => None,
            Propagation::Private => Some(Propagation::Private),
            // Mounts of the host still arrive, as binds with `rslave` expect. An unbindable tree could not
            // be bound from; the root becomes so at the end.
            Propagation::Slave | Propagation::Unbindable => Some(Propagation::Slave),
        }
    }

    /// Whether mounts made in the container are to be seen outside.
    pub fn is_shared(&self) -> bool {
        self.propagation.0 == Propagation::Shared
    }
}

fn annotation(text: &str, problems: &mut Problems) -> Option<Annotation> {
    let what = format!("check annotation `{ROOTFS_ANNOTATION}`");
    let annotation: Annotation = match serde_json::from_str(text) {
        Ok(annotation) => annotation,
        Err(e) => {
            problems.invalid(format!("{what}: {e}"));
            return None;
        }
    };
    if let Annotation::Overlay(overlay) = &annotation {
        let lower = overlay.lower.iter().map(Lower::path).collect();
        check_layers(&what, (lower, &overlay.upper, &overlay.work), problems);
        for inner in &overlay.inner {
            let lower = inner.lower.iter().map(PathBuf::as_path).collect();
            check_layers(&what, (lower, &inner.upper, &inner.work), problems);
            if !inner.at.is_absolute() {
                problems.invalid(format!("{what}: `{}` is not an absolute path", inner.at.display()));
            }
        }
    }
    Some(annotation)
}

type Layers<'a> = (Vec<&'a Path>, &'a Option<PathBuf>, &'a Option<PathBuf>);

fn check_layers(what: &str, (lower, upper, work): Layers<'_>, problems: &mut Problems) {
    let written = upper.iter().chain(work).map(PathBuf::as_path);
    for path in lower.iter().copied().chain(written).filter(|p| !p.is_absolute()) {
        problems.invalid(format!("{what}: `{}` is not an absolute path", path.display()));
    }
    if lower.is_empty() {
        problems.invalid(format!("{what}: no lower layer"));
    }
    if upper.is_some() != work.is_some() {
        problems.invalid(format!("{what}: upper and work go together"));
    }
}

/// The specification has `shared`, `slave`, `private`, `unbindable`; engines also write the recursive
/// `r...` ones, which is what the plain ones mean for a root.
fn propagation(text: &str, problems: &mut Problems) -> (Propagation, bool) {
    match text {
        "" | "rslave" => (Propagation::Slave, true),
        "slave" => (Propagation::Slave, false),
        "private" => (Propagation::Private, false),
        "rprivate" => (Propagation::Private, true),
        "shared" => (Propagation::Shared, false),
        "rshared" => (Propagation::Shared, true),
        "unbindable" => (Propagation::Unbindable, false),
        "runbindable" => (Propagation::Unbindable, true),
        other => {
            problems.invalid(format!("check linux.rootfsPropagation `{other}`: unknown"));
            (Propagation::Slave, true)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> (Option<Annotation>, bool) {
        let mut problems = Problems::default();
        let annotation = annotation(text, &mut problems);
        (annotation, problems.finish().is_ok())
    }

    #[test]
    fn an_annotation_is_one_of_two_shapes() {
        let (annotation, ok) = parse(
            r#"{"type":"overlay","lower":["/a","/b"],"upper":null,"inner":[{"at":"/etc","lower":["/c","/etc"]}]}"#,
        );
        let Some(Annotation::Overlay(overlay)) = annotation else { panic!("no overlay") };
        assert!(ok && overlay.lower.len() == 2 && overlay.inner[0].at == Path::new("/etc") && !overlay.idmap);
        let (annotation, ok) = parse(r#"{"type":"overlay","lower":["/a",{"image":"/b"}]}"#);
        let Some(Annotation::Overlay(overlay)) = annotation else { panic!("no overlay") };
        let expected = [Lower::Directory("/a".into()), Lower::Image { image: "/b".into() }];
        assert!(ok && overlay.lower == expected);
        let (annotation, ok) = parse(r#"{"type":"bind","idmap":true}"#);
        assert!(ok && matches!(annotation, Some(Annotation::Bind(Bind { idmap: true }))));
        for bad in [
            "{}",
            r#"{"type":"zfs"}"#,
            r#"{"type":"overlay"}"#,
            r#"{"type":"overlay","lower":[]}"#,
            r#"{"type":"overlay","lower":["a"]}"#,
            r#"{"type":"overlay","lower":[{"image":"a"}]}"#,
            r#"{"type":"overlay","lower":[{"image":"/a","of":"b"}]}"#,
            r#"{"type":"overlay","lower":["/a"],"inner":[{"at":"/etc","lower":[{"image":"/b"}]}]}"#,
            r#"{"type":"overlay","lower":["/a"],"upper":"/u"}"#,
            r#"{"type":"overlay","lower":["/a"],"inner":[{"at":"etc","lower":["/b"]}]}"#,
            r#"{"type":"overlay","lower":["/a"],"uper":"/u"}"#,
            r#"{"type":"overlay","lower":["/a"],"volatile":1}"#,
            r#"{"type":"bind","lower":["/a"]}"#,
        ] {
            assert!(!parse(bad).1, "{bad}");
        }
    }
}
