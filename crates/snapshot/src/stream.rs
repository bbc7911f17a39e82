//! From a blob to the bytes of its tar, over two cores.
//!
//! ```text
//! blob ─> [decompress] ──chunks──> [untar, hash files, write]
//!                        └──────> [hash: diff id]
//! ```
//! Chunks are shared, not copied, and used again; the queues are short, so that memory is bounded.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, TryRecvError, channel, sync_channel};
use std::thread::{Scope, ScopedJoinHandle};

use taru_oci::media::Compression;
use taru_oci::{Algorithm, Digest, Hasher, limits};
use taru_stdx::{Context, Error, Kind, Result};

/// Bytes of a chunk.
const CHUNK: usize = 256 << 10;
/// Chunks in a queue.
const QUEUE: usize = 16;

/// A blob decompressed: as it is read, its digest is computed aside.
pub(crate) struct Stream<'scope> {
    chunks: Receiver<Arc<Vec<u8>>>,
    free: Sender<Vec<u8>>,
    current: Option<Arc<Vec<u8>>>,
    at: usize,
    decompressor: ScopedJoinHandle<'scope, Result<u64>>,
    hasher: ScopedJoinHandle<'scope, Digest>,
}

impl<'scope> Stream<'scope> {
    /// Starts to decompress `blob` from its beginning, as its magic number says. `progress` is told how many
    /// bytes of the blob have been read, from another thread.
    pub(crate) fn start<'env>(
        scope: &'scope Scope<'scope, 'env>,
        mut blob: File,
        algorithm: Algorithm,
        progress: impl Fn(u64) + Send + 'scope,
    ) -> Result<Stream<'scope>> {
        blob.rewind().context(|| "read the blob")?;
        let (to_writer, chunks) = sync_channel(QUEUE);
        let (to_hasher, hashed) = sync_channel::<Arc<Vec<u8>>>(QUEUE);
        let (free, used) = channel::<Vec<u8>>();
        let back = free.clone();
        let hasher = scope.spawn(move || {
            let mut hasher = Hasher::new(algorithm);
            for chunk in hashed {
                hasher.update(&chunk);
                give_back(chunk, &back);
            }
            hasher.finish()
        });
        let decompressor = scope.spawn(move || decompress(blob, &used, &[to_hasher, to_writer], progress));
        Ok(Stream { chunks, free, current: None, at: 0, decompressor, hasher })
    }

    /// The digest and the number of all bytes, once all were read.
    ///
    /// # Errors
    /// What the decompressor found wrong.
    pub(crate) fn finish(self) -> Result<(Digest, u64)> {
        drop(self.chunks);
        let panicked = |_| Error::new(Kind::System, "decompress: the thread panicked");
        let size = self.decompressor.join().map_err(panicked)??;
        Ok((self.hasher.join().map_err(panicked)?, size))
    }
}

/// Whoever lets go of a chunk last gives it back.
fn give_back(chunk: Arc<Vec<u8>>, free: &Sender<Vec<u8>>) {
    if let Some(buffer) = Arc::into_inner(chunk) {
        // At the end nobody takes it any more.
        let _ = free.send(buffer);
    }
}

impl Read for Stream<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let bytes = self.fill_buf()?;
        let length = bytes.len().min(into.len());
        into[..length].copy_from_slice(&bytes[..length]);
        self.consume(length);
        Ok(length)
    }
}

impl BufRead for Stream<'_> {
    fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
        if self.current.as_ref().is_none_or(|chunk| self.at >= chunk.len()) {
            if let Some(chunk) = self.current.take() {
                give_back(chunk, &self.free);
            }
            self.at = 0;
            // The end, or a failure that `finish` tells of.
            self.current = self.chunks.recv().ok();
        }
        Ok(self.current.as_ref().and_then(|chunk| chunk.get(self.at..)).unwrap_or_default())
    }

    fn consume(&mut self, amount: usize) {
        self.at += amount;
    }
}

fn decompress(
    blob: File,
    used: &Receiver<Vec<u8>>,
    to: &[SyncSender<Arc<Vec<u8>>>],
    progress: impl Fn(u64),
) -> Result<u64> {
    let what = || "decompress the layer";
    let mut source = BufReader::with_capacity(CHUNK, Counted { from: blob, read: 0, progress });
    let start = source.fill_buf().context(what)?;
    let mut plain: Box<dyn Read> = match Compression::of_magic(start) {
        Compression::None => Box::new(source),
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(source)),
        Compression::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(source).context(what)?;
            decoder.window_log_max(limits::ZSTD_WINDOW_LOG).context(what)?;
            Box::new(decoder)
        }
    };
    let mut total = 0u64;
    loop {
        let mut buffer = match used.try_recv() {
            Ok(buffer) => buffer,
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => vec![0; CHUNK],
        };
        buffer.resize(CHUNK, 0);
        let length = fill(&mut plain, &mut buffer).context_as(Kind::Invalid, what)?;
        buffer.truncate(length);
        total += length as u64;
        if total > limits::LAYER_BYTES {
            return Err(Error::new(Kind::Limit, format!("{}: over {} bytes", what(), limits::LAYER_BYTES)));
        }
        let is_last = length < CHUNK;
        let chunk = Arc::new(buffer);
        // Whoever does not listen any more has failed, and says so itself.
        if to.iter().any(|to| to.send(Arc::clone(&chunk)).is_err()) || is_last {
            return Ok(total);
        }
    }
}

/// Reads until `into` is full or the stream ends.
fn fill(from: &mut impl Read, into: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = into.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match from.read(rest) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(filled)
}

/// Tells how much was read, every few megabytes.
struct Counted<F> {
    from: File,
    read: u64,
    progress: F,
}

impl<F: Fn(u64)> Read for Counted<F> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        const STEP: u64 = 2 << 20;
        let length = self.from.read(into)?;
        let before = self.read;
        self.read += length as u64;
        if length == 0 || before / STEP != self.read / STEP {
            (self.progress)(self.read);
        }
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn read_all(compressed: &[u8]) -> Result<(Vec<u8>, Digest, u64)> {
        let mut blob = temporary();
        blob.write_all(compressed).unwrap();
        std::thread::scope(|scope| {
            let mut stream = Stream::start(scope, blob, Algorithm::Sha256, |_| {})?;
            let mut all = Vec::new();
            stream.read_to_end(&mut all).unwrap();
            let (digest, size) = stream.finish()?;
            Ok((all, digest, size))
        })
    }

    fn temporary() -> File {
        let fd = taru_sys::fd::memfd_create(c"blob", false).unwrap();
        File::from(fd)
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn every_compression_in_any_number_of_parts() {
        let plain: Vec<u8> = (0..200_000u32).flat_map(|n| (n % 1000).to_le_bytes()).collect();
        let (first, second) = plain.split_at(523_456);
        let zstd = |bytes: &[u8]| zstd::encode_all(bytes, 1).unwrap();
        let skippable = [&[0x52, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"any"].concat();
        for compressed in [
            plain.clone(),
            gzip(&plain),
            [gzip(first), gzip(b""), gzip(second)].concat(),
            zstd(&plain),
            [zstd(first), skippable.clone(), zstd(second), skippable].concat(),
        ] {
            let (all, digest, size) = read_all(&compressed).unwrap();
            assert!(all == plain);
            assert_eq!((digest, size), (Digest::of(&plain), plain.len() as u64));
        }
        assert_eq!(read_all(b"").unwrap().2, 0);
    }

    #[test]
    fn what_is_cut_or_spoilt_is_an_error() {
        let plain = vec![7u8; 300_000];
        for whole in [gzip(&plain), zstd::encode_all(&plain[..], 1).unwrap()] {
            for end in [whole.len() - 1, whole.len() / 2, 12] {
                assert!(read_all(&whole[..end]).is_err(), "cut at {end}");
            }
            assert!(read_all(&[&whole[..], b"garbage that is no member"].concat()).is_err());
            let mut spoilt = whole.clone();
            let middle = spoilt.len() - 6;
            spoilt[middle] ^= 0x10;
            let is_detected = read_all(&spoilt).is_err();
            assert!(is_detected || whole[0] != 0x1f, "gzip has a checksum");
        }
    }

    #[test]
    fn a_window_that_takes_too_much_memory_is_refused() {
        let mut encoder = zstd::stream::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(27).unwrap();
        encoder.write_all(&[1; 100]).unwrap();
        encoder.write_all(&[2; 1000]).unwrap();
        let error = read_all(&encoder.finish().unwrap()).unwrap_err();
        assert!(error.chain().to_string().contains("memory"), "{error:?}");
    }
}
