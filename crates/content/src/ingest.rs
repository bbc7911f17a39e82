//! Blobs on their way in: written, hashed, synced, named.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rusqlite::params;
use taru_oci::{Algorithm, Descriptor, Digest, Hasher};
use taru_stdx::{Context, Error, Kind, Result};
use taru_sys::fs::sync_file_range;

use crate::db::{Durability, Explain, PART};
use crate::lease::{Lease, protect};
use crate::recover::now;
use crate::store::Inner;
use crate::unfinished::lock_file;
use crate::{Content, whole};

/// What [`Content::want`] found.
#[derive(Debug)]
pub enum Want {
    /// The blob is there and whole; it stays as long as the lease.
    There,
    /// It is not there: write it, from [`Ingest::offset`] on.
    Missing(Box<Ingest>),
    /// Another thread or process is writing it; ask again later.
    Busy,
}

/// A blob being written. Dropped without [`Ingest::commit`], it is removed, unless its digest was known beforehand:
/// then it waits to be continued until gc.
#[derive(Debug)]
pub struct Ingest {
    store: Arc<Inner>,
    lease: i64,
    /// The digest it has to have.
    key: Option<Digest>,
    /// The size it may have at most.
    most: u64,
    path: PathBuf,
    /// Locked.
    file: File,
    hasher: Hasher,
    offset: u64,
    written: u64,
    /// Small writes gather here.
    buffer: Vec<u8>,
    /// How much of the file is on its way to the disk.
    started: u64,
    is_named: bool,
}

/// Small writes are gathered to this many bytes.
const BUFFER: usize = 256 << 10;

/// After this many bytes the disk begins: it works while the next come in, and the sync at the end waits for the last only.
const AHEAD: u64 = 8 << 20;

impl Content {
    /// Protects the blob by `lease` and says whether it is there, is to be written, or is being written by somebody.
    ///
    /// # Errors
    /// [`Kind::State`] if the lease is over; any error of SQLite and of the file system.
    pub fn want(&self, lease: &Lease, descriptor: &Descriptor) -> Result<Want> {
        // Protected first, looked for second: gc is either before both or sees the protection.
        if let Some(size) = lease.protect_blob(&descriptor.digest)? {
            return there(descriptor, size);
        }
        let path = self.0.keyed(&descriptor.digest);
        let Some(file) = lock_file(&path)? else { return Ok(Want::Busy) };
        // Whoever had it locked may have finished it meanwhile, or named it and not yet recorded it: that one is waited for.
        if self.0.layout.blob(&descriptor.digest).exists() && self.has(&descriptor.digest)?.is_none() {
            drop(self.0.gate.alone()?);
        }
        if let Some(size) = self.has(&descriptor.digest)? {
            std::fs::remove_file(&path).context(|| format!("remove `{}`", path.display()))?;
            return there(descriptor, size);
        }
        let mut ingest = Ingest::new(self, lease, path, file, Some(&descriptor.digest), Algorithm::default());
        ingest.most = descriptor.size;
        ingest.continue_file()?;
        Ok(Want::Missing(Box::new(ingest)))
    }

    /// A blob to be written. With `key`, the digest it has to have, what an earlier, killed writer left of it is
    /// continued, and a living one is waited for: then all of it may be there already (see [`Content::want`]).
    ///
    /// # Errors
    /// Any error of the file system.
    pub fn ingest(&self, lease: &Lease, key: Option<&Digest>) -> Result<Ingest> {
        match key {
            None => self.ingest_as(lease, Algorithm::default()),
            Some(digest) => {
                let path = self.0.keyed(digest);
                let file = loop {
                    match lock_file(&path)? {
                        Some(file) => break file,
                        // Not flock(2)'s own waiting: what is waited for is renamed away meanwhile.
                        None => std::thread::sleep(std::time::Duration::from_millis(10)),
                    }
                };
                let mut ingest = Ingest::new(self, lease, path, file, key, Algorithm::default());
                ingest.continue_file()?;
                Ok(ingest)
            }
        }
    }

    /// A blob to be written whose digest is to be of `algorithm`.
    ///
    /// # Errors
    /// Any error of the file system.
    pub fn ingest_as(&self, lease: &Lease, algorithm: Algorithm) -> Result<Ingest> {
        let number = self.0.counter.fetch_add(1, Ordering::Relaxed);
        // The process, too: leases are counted anew in a database that was made anew.
        let name = format!("{}-{}-{}-{number}", self.0.boot, lease.id, std::process::id());
        let path = self.0.layout.ingest().join(name);
        let file = loop {
            if let Some(file) = lock_file(&path)? {
                break file;
            }
        };
        Ok(Ingest::new(self, lease, path, file, None, algorithm))
    }

    /// Stores a small blob; over one of that digest that was damaged.
    ///
    /// # Errors
    /// As [`Ingest::commit`].
    pub fn put(&self, lease: &Lease, bytes: &[u8], algorithm: Algorithm) -> Result<Digest> {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(bytes);
        let digest = hasher.finish();
        let size = bytes.len() as u64;
        // One that is there is read again, as small as it is: the right bytes are at hand to heal it with.
        let there = Descriptor::new("", digest.clone(), size);
        if lease.protect_blob(&digest)? == Some(size) && whole::read(&self.0.layout, &there, size).is_ok() {
            return Ok(digest);
        }
        let mut ingest = self.ingest_as(lease, algorithm)?;
        ingest.write_all(bytes).context(|| format!("write the blob `{digest}`"))?;
        ingest.commit(Some((&digest, bytes.len() as u64)))?;
        Ok(digest)
    }
}

fn there(descriptor: &Descriptor, size: u64) -> Result<Want> {
    if size == descriptor.size {
        return Ok(Want::There);
    }
    // Right digest, wrong size: whoever wrote the descriptor lies, or took another content for this one.
    Err(Error::invalid(format!(
        "take the blob `{}`: it has {size} bytes, its descriptor says {}",
        descriptor.digest, descriptor.size
    )))
}

impl Ingest {
    fn new(
        content: &Content,
        lease: &Lease,
        path: PathBuf,
        file: File,
        key: Option<&Digest>,
        algorithm: Algorithm,
    ) -> Ingest {
        Ingest {
            store: content.0.clone(),
            lease: lease.id,
            key: key.cloned(),
            most: u64::MAX,
            path,
            file,
            hasher: Hasher::new(key.map_or(algorithm, Digest::algorithm)),
            offset: 0,
            written: 0,
            buffer: Vec::new(),
            started: 0,
            is_named: false,
        }
    }

    /// Takes in what the file has already: its bytes are read and hashed again.
    fn continue_file(&mut self) -> Result<()> {
        let what = || format!("continue `{}`", self.path.display());
        let length = self.file.metadata().context(what)?.len();
        if length == 0 {
            return Ok(());
        }
        if length > self.most {
            return self.file.set_len(0).context(what);
        }
        let mut chunk = vec![0; BUFFER];
        loop {
            let count = self.file.read(&mut chunk).context(what)?;
            let Some(read) = chunk.get(..count).filter(|read| !read.is_empty()) else { break };
            self.hasher.update(read);
            self.offset += count as u64;
        }
        (self.written, self.started) = (self.offset, self.offset);
        Ok(())
    }

    /// How many bytes are there already: the first to be written is the one after them.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// How many bytes there are, those from before included.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Lets the disk begin with what is in the file. A hint, whose failure the sync at the end would tell.
    fn write_ahead(&mut self) {
        let in_file = self.written - self.buffer.len() as u64;
        if in_file - self.started >= AHEAD {
            let _ = sync_file_range(self.file.as_fd(), self.started, in_file - self.started);
            self.started = in_file;
        }
    }

    fn flush_buffer(&mut self) -> io::Result<()> {
        let done = self.file.write_all(&self.buffer);
        self.buffer.clear();
        done
    }

    /// Verifies, syncs and names the blob, and protects it by the lease. `expected` is its digest and size, where known.
    ///
    /// The file is removed if it is not what was expected: whatever it was cannot be continued.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for another digest or size; [`Kind::State`] if the lease is over; any error of SQLite and of the
    /// file system ([`Kind::Limit`]: the disk is full).
    pub fn commit(mut self, expected: Option<(&Digest, u64)>) -> Result<(Digest, u64)> {
        let size = self.written;
        let done = self.finish(expected);
        // Wrong bytes are not worth keeping.
        if matches!(&done, Err(e) if e.kind() == Kind::Invalid) {
            self.key = None;
        }
        Ok((done?, size))
    }

    fn finish(&mut self, expected: Option<(&Digest, u64)>) -> Result<Digest> {
        let what = || format!("write `{}`", self.path.display());
        let done = self.file.write_all(&self.buffer);
        self.buffer = Vec::new();
        done.context(what)?;
        let digest = std::mem::replace(&mut self.hasher, Hasher::new(Algorithm::default())).finish();
        let wanted = expected.map(|(digest, _)| digest);
        for wanted in wanted.into_iter().chain(&self.key) {
            if *wanted != digest {
                return Err(Error::invalid(format!(
                    "verify the blob `{wanted}`: the {} bytes that came have the digest `{digest}`",
                    self.written
                )));
            }
        }
        if let Some((_, size)) = expected
            && size != self.written
        {
            let text = format!("verify the blob `{digest}`: {} bytes came, not {size}", self.written);
            return Err(Error::invalid(text));
        }
        self.file.sync_data().context(|| format!("sync `{}`", self.path.display()))?;
        // From here on gc does not look until the blob is protected.
        let _naming = self.store.gate.naming()?;
        let name = self.store.layout.blob(&digest);
        // Over one that is there: this one has just been verified.
        std::fs::rename(&self.path, &name).context(|| format!("name the blob `{digest}`"))?;
        self.is_named = true;
        let row = i64::try_from(self.written).unwrap_or(i64::MAX);
        let recorded = self.store.write(Durability::Lazy, |tx| {
            protect(tx, self.lease, PART, &digest)?;
            tx.execute(
                "INSERT INTO blob VALUES (?1, ?2, ?3) ON CONFLICT (digest) DO UPDATE SET size = ?2",
                params![digest.to_string(), row, now()],
            )
            .told(|| format!("record the blob `{digest}`"))
        });
        match recorded {
            Ok(_) => Ok(digest),
            Err(e) => {
                // Unless an earlier one has a row, it is nobody's: gc would find it too.
                if !self
                    .store
                    .read(|db| whole::size(db, &self.store.layout, &digest))
                    .is_ok_and(|s| s.is_some())
                {
                    let _ = std::fs::remove_file(&name);
                }
                Err(e)
            }
        }
    }
}

impl Write for Ingest {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let after = self.written.saturating_add(bytes.len() as u64);
        if after > self.most {
            let text = format!("more than the {} bytes that its descriptor says", self.most);
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        if self.buffer.len() + bytes.len() > BUFFER {
            self.flush_buffer()?;
        }
        if bytes.len() >= BUFFER {
            self.file.write_all(bytes)?;
        } else {
            self.buffer.extend_from_slice(bytes);
        }
        self.hasher.update(bytes);
        self.written = after;
        self.write_ahead();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.flush_buffer()
    }
}

impl Drop for Ingest {
    fn drop(&mut self) {
        if self.is_named {
            return;
        }
        // What is in the buffer may be continued as well as what is in the file.
        let is_kept = self.key.is_some() && self.flush_buffer().is_ok() && self.written > 0;
        if !is_kept {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
