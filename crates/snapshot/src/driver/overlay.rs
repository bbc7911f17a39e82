//! The kernel's overlay: a layer is the tree of its own changes, a container two directories.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use taru_stdx::fs::make_dir;
use taru_stdx::{Context, Error, Result};
use taru_sys::fs::{AtFlags, CWD, utimensat};

use super::{Driver, Images, Rootfs, Tree};
use crate::inherit::Below;
use crate::layout::{TREE, ensure};
use crate::lower::Lower;
use crate::worker::Workers;

/// The driver.
pub(crate) struct Overlay;

const UPPER: &str = "upper";
const WORK: &str = "work";

impl Driver for Overlay {
    fn begin(&self, dir: &Path, _: &[PathBuf], _: &Workers) -> Result<PathBuf> {
        let tree = dir.join(TREE);
        ensure(&tree, 0o755)?;
        Ok(tree)
    }

    fn end(&self, _: &Path, _: &Workers) -> Result<()> {
        Ok(())
    }

    fn prepare(&self, dir: &Path, layers: &[PathBuf], owner: (u32, u32), workers: &Workers) -> Result<()> {
        let what = || format!("prepare `{}`", dir.display());
        for (name, mode) in [(UPPER, 0o755), (WORK, 0o700)] {
            let path = dir.join(name);
            make_dir(&path, mode).context(what)?;
            if workers.is_host() {
                chown(&path, Some(owner.0), Some(owner.1)).context(what)?;
            }
        }
        // The root's own attributes are those of the upper directory.
        if let Some(top) = layers.first() {
            let (mode, time) = root_of(top).context(what)?;
            let upper = dir.join(UPPER);
            fs::set_permissions(&upper, Permissions::from_mode(mode)).context(what)?;
            utimensat(CWD, &upper, time, time, AtFlags::empty()).context(what)?;
        }
        Ok(())
    }

    fn mounts(&self, dir: &Path, layers: &[PathBuf]) -> Rootfs {
        Rootfs::Overlay {
            lower: layers.iter().map(|layer| Lower::of(layer)).collect(),
            upper: dir.join(UPPER),
            work: dir.join(WORK),
        }
    }

    fn tree(&self, dir: &Path) -> Tree {
        Tree::Upper(dir.join(UPPER))
    }

    fn images(&self) -> Images {
        Images::Crowds
    }

    fn is_cumulative(&self) -> bool {
        false
    }
}

/// Mode and time of a layer's root. Those in an image are told by the manifest: no mount is needed for them.
fn root_of(layer: &Path) -> Result<(u32, (i64, u32))> {
    match Lower::of(layer) {
        Lower::Directory(tree) => {
            let root = fs::metadata(tree).context(|| "look at the root")?;
            Ok((root.mode() & 0o7777, (root.mtime(), root.mtime_nsec() as u32)))
        }
        Lower::Image(_) => {
            let manifest = Below::open(&[layer.to_owned()])?;
            let root = manifest.find_in(b"", 1)?;
            root.map(|root| (root.mode, root.mtime))
                .ok_or_else(|| Error::invalid("find the root: it is nowhere"))
        }
    }
}
