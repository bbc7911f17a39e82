//! The kernel's overlay: a layer is the tree of its own changes, a container two directories.

use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use taru_stdx::{Context, Result};
use taru_sys::fs::{AtFlags, CWD, utimensat};

use super::{Driver, Rootfs, Tree};
use crate::layout::TREE;

/// The driver.
pub(crate) struct Overlay;

const UPPER: &str = "upper";
const WORK: &str = "work";

impl Driver for Overlay {
    fn prepare(&self, dir: &Path, layers: &[PathBuf]) -> Result<()> {
        let what = || format!("prepare `{}`", dir.display());
        for (name, mode) in [(UPPER, 0o755), (WORK, 0o700)] {
            DirBuilder::new().mode(mode).create(dir.join(name)).context(what)?;
        }
        // The root's own attributes are those of the upper directory.
        if let Some(top) = layers.first() {
            let root = fs::metadata(top.join(TREE)).context(what)?;
            let upper = dir.join(UPPER);
            fs::set_permissions(&upper, Permissions::from_mode(root.mode() & 0o7777)).context(what)?;
            let time = (root.mtime(), root.mtime_nsec() as u32);
            utimensat(CWD, &upper, time, time, AtFlags::empty()).context(what)?;
        }
        Ok(())
    }

    fn mounts(&self, dir: &Path, layers: &[PathBuf]) -> Rootfs {
        Rootfs::Overlay {
            lower: layers.iter().map(|layer| layer.join(TREE)).collect(),
            upper: dir.join(UPPER),
            work: dir.join(WORK),
        }
    }

    fn tree(&self, dir: &Path) -> Tree {
        Tree::Upper(dir.join(UPPER))
    }

    fn is_cumulative(&self) -> bool {
        false
    }
}
