//! Files that are being written.
//!
//! ```text
//! ingest/BOOT-ALG-HEX          a blob whose digest is known; continued by the next pull if its writer is killed
//! ingest/BOOT-LEASE-PID-N      any other
//! ```
//! The writer holds the file's flock(2). One without is nobody's: open removes those of earlier boots (their pages may never
//! have reached the disk) and those without a digest, gc all.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use taru_oci::Digest;
use taru_stdx::{Context, Result};
use taru_sys::flock;

use crate::store::Inner;

/// Opens or makes the file at `path` and locks it; `None` if somebody else has it locked.
pub(crate) fn lock_file(path: &Path) -> Result<Option<File>> {
    let what = || format!("open `{}`", path.display());
    loop {
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(path).context(what)?;
        if !flock::try_lock(file.as_fd()).context(what)? {
            return Ok(None);
        }
        if is_at(&file, path).context(what)? {
            return Ok(Some(file));
        }
    }
}

/// Whether `path` still names `file`, which is locked: between open and lock it may have been committed, removed or replaced.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let ours = file.metadata()?;
    match std::fs::symlink_metadata(path) {
        Ok(named) => Ok((named.ino(), named.dev()) == (ours.ino(), ours.dev())),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}

impl Inner {
    /// The unfinished file of a blob whose digest is known.
    pub(crate) fn keyed(&self, digest: &Digest) -> PathBuf {
        let name = format!("{}-{}-{}", self.boot, digest.algorithm().name(), digest.hex());
        self.layout.ingest().join(name)
    }

    /// Removes unfinished files of dead writers; also those that could be continued if `all`. Returns the bytes.
    pub(crate) fn remove_unfinished(&self, all: bool) -> Result<u64> {
        let dir = self.layout.ingest();
        let what = || format!("list `{}`", dir.display());
        let mut freed = 0;
        for entry in std::fs::read_dir(&dir).context(what)? {
            let entry = entry.context(what)?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            // Written in a write transaction, not locked; replaced by the next.
            if name == "index.json" {
                continue;
            }
            let of_this_boot = name.strip_prefix(&*self.boot);
            let is_keyed = of_this_boot.is_some_and(|rest| rest.starts_with("-sha"));
            if is_keyed && !all {
                continue;
            }
            let path = entry.path();
            // Somebody else's open or gc may be at it, too.
            let Ok(file) = File::open(&path) else { continue };
            let what = || format!("lock `{}`", path.display());
            if flock::try_lock(file.as_fd()).context(what)? && is_at(&file, &path).context(what)? {
                freed += file.metadata().map_or(0, |meta| meta.len());
                let _ = std::fs::remove_file(&path);
            }
        }
        Ok(freed)
    }
}
