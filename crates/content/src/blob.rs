//! Reading blobs.

use std::fs::File;

use taru_oci::{Descriptor, Digest};
use taru_stdx::{Context, Result};

use crate::Content;
use crate::whole::{missing, read, size};

impl Content {
    /// The size of the blob in bytes, if it is there and whole. Nothing keeps it there: [`Content::want`] does.
    ///
    /// # Errors
    /// Any error of SQLite and of the file system.
    pub fn has(&self, digest: &Digest) -> Result<Option<u64>> {
        self.0.read(|db| size(db, &self.0.layout, digest))
    }

    /// The blob, open for reading, and its size. Its bytes were verified when it came; what hangs on them verifies again.
    ///
    /// # Errors
    /// [`Kind::NotFound`] if it is not there; any error of SQLite and of the file system.
    pub fn open_blob(&self, digest: &Digest) -> Result<(File, u64)> {
        let missing = || missing(digest);
        let size = self.has(digest)?.ok_or_else(missing)?;
        let file = match File::open(self.0.layout.blob(digest)) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Err(missing()),
            other => other.context(|| format!("open the blob `{digest}`"))?,
        };
        Ok((file, size))
    }

    /// The bytes of a document: at most `limit`, exactly as many as the descriptor says, and hashed before they are
    /// returned.
    ///
    /// # Errors
    /// [`Kind::NotFound`] if it is not there; [`Kind::Limit`] if it is larger; [`Kind::Invalid`] if it is damaged.
    pub fn read(&self, descriptor: &Descriptor, limit: u64) -> Result<Vec<u8>> {
        read(&self.0.layout, descriptor, limit)
    }
}
