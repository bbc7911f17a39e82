//! Hashing files again, on all cores.

use std::fs::{File, Metadata};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use taru_oci::{Digest, Hasher};
use taru_stdx::{Context, Error, Result};

/// Bytes read and hashed at a time.
const CHUNK: usize = 1 << 20;

/// Tells a file from one that was put in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    device: u64,
    inode: u64,
    modified: (i64, i64),
}

impl Identity {
    pub(crate) fn of(meta: &Metadata) -> Identity {
        Identity { device: meta.dev(), inode: meta.ino(), modified: (meta.mtime(), meta.mtime_nsec()) }
    }
}

/// A file that was hashed.
#[derive(Debug)]
pub(crate) struct Verified {
    pub(crate) digest: Digest,
    pub(crate) path: PathBuf,
    /// What was read, if it could be opened.
    pub(crate) seen: Option<Identity>,
    /// Its size, or why it is not the blob.
    pub(crate) verdict: Result<u64>,
}

/// Verifies the files; `progress` is told of every piece read.
pub(crate) fn verify_all(files: Vec<(Digest, PathBuf)>, progress: &(dyn Fn(u64) + Sync)) -> Vec<Verified> {
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::with_capacity(files.len())));
    let work = || {
        while let Some((digest, path)) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
            let mut seen = None;
            let verdict = verify(digest, path, &mut seen, progress);
            let verified = Verified { digest: digest.clone(), path: path.clone(), seen, verdict };
            done.lock().unwrap_or_else(PoisonError::into_inner).push(verified);
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get().min(files.len()));
    std::thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(work);
        }
        work();
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by(|a, b| a.digest.cmp(&b.digest));
    done
}

fn verify(
    digest: &Digest,
    path: &Path,
    seen: &mut Option<Identity>,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<u64> {
    let what = || format!("verify the blob `{digest}`");
    let mut file = File::open(path).context(what)?;
    let meta = file.metadata().context(what)?;
    *seen = Some(Identity::of(&meta));
    let mut hasher = Hasher::new(digest.algorithm());
    // One byte more than a small file has, so that it is one read and one that finds its end.
    let mut chunk = vec![0; CHUNK.min(usize::try_from(meta.len()).unwrap_or(CHUNK) + 1)];
    let mut size = 0;
    loop {
        let count = match file.read(&mut chunk) {
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
            other => other.context(what)?,
        };
        if count == 0 {
            break;
        }
        hasher.update(chunk.get(..count).unwrap_or_default());
        size += count as u64;
        progress(count as u64);
    }
    match hasher.finish() {
        found if found == *digest => Ok(size),
        found => Err(Error::invalid(format!("{}: its {size} bytes have the digest `{found}`", what()))),
    }
}
