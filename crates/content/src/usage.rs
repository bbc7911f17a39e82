//! How much room the store takes.

use taru_stdx::{Context, Result};

use crate::{Content, graph};

/// How much room the store takes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usage {
    /// Blobs.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Those of them that a collection would remove now: no name, hold or lease reaches them.
    pub unreachable: u64,
    /// Their bytes.
    pub unreachable_bytes: u64,
    /// Bytes of unfinished files, whoever writes them.
    pub unfinished_bytes: u64,
    /// Records of images.
    pub images: u64,
}

impl Content {
    /// How much room the store takes now.
    ///
    /// # Errors
    /// Any error of SQLite and of the file system.
    pub fn usage(&self) -> Result<Usage> {
        let store = &self.0;
        store.reap()?;
        let live = store.read(graph::live)?;
        let mut usage = Usage { images: self.images()?.len() as u64, ..Usage::default() };
        for (digest, _, size) in store.layout.files()? {
            usage.blobs += 1;
            usage.bytes += size;
            if !digest.is_some_and(|digest| live.blobs.contains(&digest.to_string())) {
                usage.unreachable += 1;
                usage.unreachable_bytes += size;
            }
        }
        let dir = store.layout.ingest();
        for entry in std::fs::read_dir(&dir).context(|| format!("list `{}`", dir.display()))? {
            // Gone in between: finished.
            usage.unfinished_bytes += entry.and_then(|entry| entry.metadata()).map_or(0, |meta| meta.len());
        }
        Ok(usage)
    }
}
