//! What must reach no disk, above all the secrets of a build: where file systems are that lie in memory.

use std::path::{Path, PathBuf};

use taru_rootdir::RootDir;
use taru_stdx::fs::make_dir;
use taru_stdx::{Context, Error, Kind, Result};
use taru_sys::fs::{FsType, fstatfs};

use crate::{Engine, dirs};

/// What the directory of a container in another place than its bundle is called, before its id.
const PREFIX: &str = "taru-step-";

/// Whether what is written into the directory stays in memory.
///
/// # Errors
/// The directory cannot be looked at.
pub fn is_volatile(dir: &Path) -> Result<bool> {
    let kind = fstatfs(RootDir::open(dir)?.as_fd()).context(|| format!("look at `{}`", dir.display()))?.kind;
    Ok([FsType::TMPFS, FsType::RAMFS].contains(&kind))
}

/// Makes a directory in memory for the container `id`: in its bundle if that lies there, else where this user may write.
/// [`remove`] removes it.
///
/// # Errors
/// [`Kind::Unsupported`] where no file system in memory can be written to.
pub(crate) fn dir(engine: &Engine, id: &str) -> Result<PathBuf> {
    let bundle = engine.dirs.bundle(id);
    let own = bundle.join("step");
    let dirs = std::iter::once((bundle, own)).chain(others(engine, id));
    for (parent, dir) in dirs {
        let is_made = is_volatile(&parent).unwrap_or(false) && make_dir(&dir, 0o711).is_ok();
        if is_made {
            return Ok(dir);
        }
    }
    Err(Error::new(Kind::Unsupported, "keep a file in memory: no tmpfs that can be written to")
        .hint("mount one on /dev/shm"))
}

/// Removes the directory of the container `id` that does not lie in its bundle.
///
/// # Errors
/// Any error of the file system.
pub(crate) fn remove(engine: &Engine, id: &str) -> Result<()> {
    // What cannot even be looked at was not made here.
    let mut there = others(engine, id).filter(|(_, dir)| dir.symlink_metadata().is_ok());
    there.try_for_each(|(_, dir)| dirs::remove(&dir))
}

/// Where it may lie: below what, and as what.
fn others(engine: &Engine, id: &str) -> impl Iterator<Item = (PathBuf, PathBuf)> {
    let session = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|dir| dir.is_absolute());
    let user = PathBuf::from(format!("/run/user/{}", engine.caller.uid));
    let run = (engine.caller.uid == 0).then(|| PathBuf::from("/run"));
    let name = format!("{PREFIX}{id}");
    [session, Some(user), run, Some("/dev/shm".into())].into_iter().flatten().map(move |parent| {
        let dir = parent.join(&name);
        (parent, dir)
    })
}
