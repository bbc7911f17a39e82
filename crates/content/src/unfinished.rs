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
        // Between open and lock it may have been committed, or removed.
        let ours = file.metadata().context(what)?;
        match std::fs::symlink_metadata(path) {
            Ok(named) if named.ino() == ours.ino() && named.dev() == ours.dev() => return Ok(Some(file)),
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e).context(what),
            _ => {}
        }
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
            if flock::try_lock(file.as_fd()).context(|| format!("lock `{}`", path.display()))? {
                freed += file.metadata().map_or(0, |meta| meta.len());
                let _ = std::fs::remove_file(&path);
            }
        }
        Ok(freed)
    }
}
