//! A tar stream becomes a layer: compressed block by block on all cores, hashed before and behind, stored, in one pass.
//!
//! ```text
//! writer ── 1 MiB blocks ──> workers (compress) ──> writer: in order ──> ingest (hashes the blob, writes it)
//!    └ hashes the tar (diff id)
//! ```
//! The blob follows from the tar alone, not from the number of cores or their speed: blocks have a fixed size, and each is
//! compressed as if it stood alone.
//!
//! * gzip: one member; each block but the last ends with an empty stored block at a byte's border (zlib's full flush),
//!   so that blocks made apart are one stream. No name, no time, no operating system in the header.
//! * zstd: a frame a block; frames behind each other are one stream (RFC 8878, 3).

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, Sender, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};

use flate2::{Compress, FlushCompress, Status};
use taru_content::{Content, Ingest, Lease};
use taru_oci::media::{self, Compression};
use taru_oci::{Algorithm, Descriptor, Digest, Hasher};
use taru_stdx::{Context, Result};

/// Bytes of the tar that are compressed at once.
const BLOCK: usize = 1 << 20;
/// More workers than this are of no use: one thread feeds them and hashes.
const WORKERS: usize = 8;
/// gzip's level: of Debian's programs, level 6 makes 39 % at 41 MB/s a core, level 2 makes 41 % at 80 MB/s, level 1 makes 49 %
/// at 117 MB/s. A commit and a build step wait for this.
const GZIP_LEVEL: u32 = 2;
/// zstd's level: what zstd(1) has.
const ZSTD_LEVEL: i32 = 3;

/// A layer that was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredLayer {
    /// The blob.
    pub descriptor: Descriptor,
    /// The digest of its tar.
    pub diff_id: Digest,
    /// Bytes of its tar.
    pub size: u64,
}

/// Stores a layer whose tar is written to it.
///
/// Nothing is stored unless [`LayerWriter::finish`] returns.
pub struct LayerWriter {
    ingest: Ingest,
    compression: Compression,
    hasher: Hasher,
    size: u64,
    block: Vec<u8>,
    checksum: flate2::Crc,
    pool: Option<Pool>,
}

impl LayerWriter {
    /// A layer in `content`, held by `lease`, so compressed.
    ///
    /// # Errors
    /// Any error of making a file.
    pub fn new(content: &Content, lease: &Lease, compression: Compression) -> Result<LayerWriter> {
        let mut ingest = content.ingest(lease, None)?;
        if compression == Compression::Gzip {
            ingest.write_all(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]).context(|| "write a layer")?;
        }
        Ok(LayerWriter {
            ingest,
            compression,
            hasher: Hasher::new(Algorithm::Sha256),
            size: 0,
            block: Vec::new(),
            checksum: flate2::Crc::new(),
            pool: (compression != Compression::None).then(|| Pool::new(compression)),
        })
    }

    /// Ends the tar and stores the layer, durably.
    ///
    /// # Errors
    /// Any error of writing.
    pub fn finish(mut self) -> Result<StoredLayer> {
        let what = || "write a layer";
        let block = std::mem::take(&mut self.block);
        if let Some(mut pool) = self.pool.take() {
            pool.submit(block, true);
            while let Some(done) = pool.next() {
                self.ingest.write_all(&done.context(what)?).context(what)?;
            }
        }
        if self.compression == Compression::Gzip {
            let mut trailer = self.checksum.sum().to_le_bytes().to_vec();
            trailer.extend_from_slice(&self.checksum.amount().to_le_bytes());
            self.ingest.write_all(&trailer).context(what)?;
        }
        let (digest, size) = self.ingest.commit(None)?;
        let descriptor = Descriptor::new(media_type(self.compression), digest, size);
        Ok(StoredLayer { descriptor, diff_id: self.hasher.finish(), size: self.size })
    }
}

/// The media type of a layer that is so compressed.
pub(crate) fn media_type(compression: Compression) -> &'static str {
    match compression {
        Compression::None => media::LAYER,
        Compression::Gzip => media::LAYER_GZIP,
        Compression::Zstd => media::LAYER_ZSTD,
    }
}

impl Write for LayerWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(pool) = &mut self.pool else {
            let count = self.ingest.write(bytes)?;
            self.hasher.update(bytes.get(..count).unwrap_or_default());
            self.size += count as u64;
            return Ok(count);
        };
        if self.block.len() == BLOCK {
            // Only now: the last block, full or not, is the one that ends the stream.
            let block = std::mem::replace(&mut self.block, Vec::with_capacity(BLOCK));
            pool.submit(block, false);
            if pool.is_full()
                && let Some(done) = pool.next()
            {
                self.ingest.write_all(&done?)?;
            }
        }
        let taken = bytes.get(..bytes.len().min(BLOCK - self.block.len())).unwrap_or_default();
        self.block.extend_from_slice(taken);
        self.hasher.update(taken);
        if self.compression == Compression::Gzip {
            self.checksum.update(taken);
        }
        self.size += taken.len() as u64;
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

type Done = io::Result<Vec<u8>>;

struct Job {
    block: Vec<u8>,
    is_last: bool,
    reply: SyncSender<Done>,
}

/// Threads that compress blocks. They end when it is dropped.
struct Pool {
    jobs: Sender<Job>,
    /// The results to come, in the order of the blocks.
    pending: VecDeque<Receiver<Done>>,
    workers: usize,
}

impl Pool {
    fn new(compression: Compression) -> Pool {
        let workers = std::thread::available_parallelism().map_or(1, usize::from).clamp(1, WORKERS);
        let (jobs, queue) = std::sync::mpsc::channel::<Job>();
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..workers {
            let queue = Arc::clone(&queue);
            std::thread::spawn(move || {
                let mut deflate = Compress::new(flate2::Compression::new(GZIP_LEVEL), false);
                loop {
                    let next = match queue.lock() {
                        Ok(queue) => queue.recv(),
                        Err(_) => return,
                    };
                    let Ok(job) = next else { return };
                    let done = match compression {
                        Compression::Gzip => gzip(&mut deflate, &job.block, job.is_last),
                        Compression::Zstd => zstd::bulk::compress(&job.block, ZSTD_LEVEL),
                        Compression::None => Ok(job.block),
                    };
                    // Nobody waits any more when the layer was given up.
                    let _ = job.reply.send(done);
                }
            });
        }
        Pool { jobs, pending: VecDeque::new(), workers }
    }

    fn submit(&mut self, block: Vec<u8>, is_last: bool) {
        let (reply, result) = sync_channel(1);
        // It fails only if every worker died; then there is no result either, and that is found.
        let _ = self.jobs.send(Job { block, is_last, reply });
        self.pending.push_back(result);
    }

    fn is_full(&self) -> bool {
        self.pending.len() > self.workers + 1
    }

    /// The oldest result.
    fn next(&mut self) -> Option<Done> {
        let oldest = self.pending.pop_front()?;
        Some(oldest.recv().unwrap_or_else(|_| Err(io::Error::other("a compressor died"))))
    }
}

/// One block as a piece of a deflate stream.
fn gzip(deflate: &mut Compress, block: &[u8], is_last: bool) -> Done {
    deflate.reset();
    let flush = if is_last { FlushCompress::Finish } else { FlushCompress::Full };
    let mut out = Vec::with_capacity(block.len() / 2 + 1024);
    let mut at = 0;
    loop {
        let before = deflate.total_in();
        let rest = block.get(at..).unwrap_or_default();
        let status = deflate.compress_vec(rest, &mut out, flush).map_err(io::Error::other)?;
        at += (deflate.total_in() - before) as usize;
        let has_room = out.len() < out.capacity();
        match status {
            Status::StreamEnd => return Ok(out),
            // A flush is complete once there is room left (zlib.h, deflate).
            _ if !is_last && at == block.len() && has_room => return Ok(out),
            _ => out.reserve(block.len() / 4 + 1024),
        }
    }
}
