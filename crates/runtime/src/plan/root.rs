//! The root decided: which directory or overlay, how writable, how it propagates.

use std::path::{Path, PathBuf};

use serde::Deserialize;
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
    /// Whether the root mount is read-only.
    pub readonly: bool,
    /// How the root propagates, and whether with all below it.
    pub propagation: (Propagation, bool),
}

/// An overlay: the value of [`ROOTFS_ANNOTATION`].
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "type", rename = "overlay", deny_unknown_fields)]
pub struct Overlay {
    /// Read-only layers, topmost first; absolute.
    pub lower: Vec<PathBuf>,
    /// Where changes go; absent means a private tmpfs that vanishes with the container.
    #[serde(default)]
    pub upper: Option<PathBuf>,
    /// The work directory, on the file system of `upper`.
    #[serde(default)]
    pub work: Option<PathBuf>,
}

impl RootPlan {
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
        RootPlan {
            path: bundle.join(&root.path),
            overlay: spec.annotations.get(ROOTFS_ANNOTATION).and_then(|text| overlay(text, problems)),
            readonly: root.readonly,
            propagation: propagation(&linux.rootfs_propagation, problems),
        }
    }

    /// Whether mounts made in the container are to be seen outside.
    pub fn is_shared(&self) -> bool {
        self.propagation.0 == Propagation::Shared
    }
}

fn overlay(text: &str, problems: &mut Problems) -> Option<Overlay> {
    let what = format!("check annotation `{ROOTFS_ANNOTATION}`");
    let overlay: Overlay = match serde_json::from_str(text) {
        Ok(overlay) => overlay,
        Err(e) => {
            problems.invalid(format!("{what}: {e}"));
            return None;
        }
    };
    let all = overlay.lower.iter().chain(&overlay.upper).chain(&overlay.work);
    for path in all.filter(|p| !p.is_absolute()) {
        problems.invalid(format!("{what}: `{}` is not an absolute path", path.display()));
    }
    if overlay.lower.is_empty() {
        problems.invalid(format!("{what}: no lower layer"));
    }
    if overlay.upper.is_some() != overlay.work.is_some() {
        problems.invalid(format!("{what}: upper and work go together"));
    }
    Some(overlay)
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
