//! What an archive is compressed with, told by its first bytes, and taken off as a stream.
//!
//! ```text
//! 1f 8b 08            gzip, any number of members      flate2
//! 28 b5 2f fd         zstd, any number of frames       zstd      looks back at most limits::ZSTD_WINDOW_LOG
//! 5x 2a 4d 18         zstd, a skippable frame first
//! fd 37 7a 58 5a 00   xz, any number of streams        lzma-rust2  at most limits::XZ_WINDOW
//! ```
//! One layer only: what is compressed twice is refused by whoever expects a tar archive below.

use std::io::{self, BufReader, Read};
use std::sync::mpsc::{Receiver, sync_channel};

use taru_oci::limits;
use taru_oci::media::Compression;
use taru_stdx::{Context, Error, Kind, Result};

/// What a stream was found to be compressed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// Nothing, or what layers may be compressed with.
    Layer(Compression),
    /// xz, which no layer is compressed with.
    Xz,
}

/// How many first bytes tell.
const START: usize = 6;
/// Bytes that go from one thread to another at once.
const CHUNK: usize = 256 << 10;
/// Bytes that a thread is ahead of another, so that neither waits for every chunk.
const AHEAD: usize = 1 << 20;

impl Found {
    /// What `start`, the first bytes of a stream, say.
    ///
    /// # Errors
    /// [`Kind::Unsupported`] for formats that are known and not read.
    pub(crate) fn of(start: &[u8]) -> Result<Found> {
        match start {
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Ok(Found::Xz),
            [b'B', b'Z', b'h', b'1'..=b'9', ..] => Err(unsupported("bzip2")),
            [0x04, 0x22, 0x4d, 0x18, ..] => Err(unsupported("lz4")),
            [b'P', b'K', 3, 4, ..] => Err(unsupported("zip")),
            _ => Ok(Found::Layer(Compression::of_magic(start))),
        }
    }
}

fn unsupported(what: &str) -> Error {
    Error::new(Kind::Unsupported, format!("read the archive: it is compressed with {what}"))
        .hint("gzip, zstd and xz are read")
}

/// Reads the first bytes of `reader` and gives them back with the stream they are the start of.
///
/// # Errors
/// Any error of reading.
pub(crate) fn peek<R: Read>(mut reader: R, count: usize) -> Result<(Vec<u8>, impl Read + use<R>)> {
    let mut start = Vec::with_capacity(count);
    (&mut reader).take(count as u64).read_to_end(&mut start).context(|| "read the archive")?;
    Ok((start.clone(), io::Cursor::new(start).chain(reader)))
}

/// `reader` without its compression, and what that was. The decompressor runs in a thread of its own.
///
/// # Errors
/// Any error of reading the first bytes; [`Kind::Invalid`] if there are none.
pub(crate) fn open<R: Read + Send + 'static>(reader: R) -> Result<(Found, Box<dyn Read + Send>)> {
    let (start, reader) = peek(reader, START)?;
    if start.is_empty() {
        return Err(Error::invalid("read the archive: it is empty"));
    }
    let found = Found::of(&start)?;
    let plain: Box<dyn Read + Send> = match found {
        Found::Layer(Compression::None) => Box::new(reader),
        found => Box::new(Ahead::new(decoder(found, reader)?)),
    };
    Ok((found, plain))
}

/// `reader` without the compression `found`, in this thread.
///
/// # Errors
/// When the decompressor cannot be made.
pub(crate) fn decoder<'a, R: Read + Send + 'a>(found: Found, reader: R) -> Result<Box<dyn Read + Send + 'a>> {
    let buffered = BufReader::with_capacity(CHUNK, reader);
    Ok(match found {
        Found::Layer(Compression::None) => Box::new(buffered),
        Found::Layer(Compression::Gzip) => Box::new(flate2::bufread::MultiGzDecoder::new(buffered)),
        Found::Layer(Compression::Zstd) => {
            let what = || "start the decompressor of zstd";
            let mut decoder = zstd::stream::read::Decoder::with_buffer(buffered).context(what)?;
            decoder.window_log_max(limits::ZSTD_WINDOW_LOG).context(what)?;
            Box::new(decoder)
        }
        // The decoder's own tables are some hundred KiB.
        Found::Xz => Box::new(Fused(Some(lzma_rust2::XzReader::new_mem_limit(
            buffered,
            true,
            (limits::XZ_WINDOW >> 10) + 1024,
        )))),
    })
}

/// The layer `reader` without the compression `found`, in this thread; no more than [`limits::LAYER_BYTES`] of it.
///
/// # Errors
/// When the decompressor cannot be made.
pub(crate) fn layer<'a, R: Read + Send + 'a>(
    found: Found,
    reader: R,
) -> Result<Bounded<Box<dyn Read + Send + 'a>>> {
    Ok(Bounded { inner: decoder(found, reader)?, left: limits::LAYER_BYTES })
}

/// Fails where there is more than `left` bytes.
pub(crate) struct Bounded<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.left = self.left.checked_sub(count as u64).ok_or_else(|| {
            let text = format!("a layer of more than {} bytes", limits::LAYER_BYTES);
            io::Error::new(io::ErrorKind::QuotaExceeded, text)
        })?;
        Ok(count)
    }
}

/// Ends for good at its first error: the decoder of xz is not to be read again after one.
struct Fused<R>(Option<R>);

impl<R: Read> Read for Fused<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let gone = || io::Error::other("the decompressor failed before");
        let result = self.0.as_mut().ok_or_else(gone)?.read(buffer);
        if result.is_err() {
            self.0 = None;
        }
        result
    }
}

/// Reads a stream in a thread of its own, ahead of whoever reads from it.
///
/// Dropped early, it lets the thread end at its next chunk.
pub(crate) struct Ahead {
    chunks: Receiver<io::Result<Vec<u8>>>,
    chunk: io::Cursor<Vec<u8>>,
    ended: bool,
}

impl Ahead {
    /// Starts reading `reader`, as far ahead as keeps both busy.
    pub(crate) fn new<R: Read + Send + 'static>(reader: R) -> Ahead {
        Ahead::by(AHEAD, reader)
    }

    /// Starts reading `reader`, up to about so many bytes ahead.
    pub(crate) fn by<R: Read + Send + 'static>(bytes: usize, mut reader: R) -> Ahead {
        let (sender, chunks) = sync_channel(bytes / CHUNK);
        std::thread::spawn(move || {
            loop {
                let mut chunk = Vec::with_capacity(CHUNK);
                let read = (&mut reader).take(CHUNK as u64).read_to_end(&mut chunk);
                let is_last = read.is_err() || chunk.is_empty();
                // What came before an error is of no use: the whole is refused.
                if sender.send(read.map(|_| chunk)).is_err() || is_last {
                    return;
                }
            }
        });
        Ahead { chunks, chunk: io::Cursor::default(), ended: false }
    }
}

impl Read for Ahead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.chunk.read(buffer)?;
            if count > 0 || buffer.is_empty() || self.ended {
                return Ok(count);
            }
            match self.chunks.recv() {
                Ok(Ok(chunk)) if chunk.is_empty() => self.ended = true,
                Ok(Ok(chunk)) => self.chunk = io::Cursor::new(chunk),
                Ok(Err(e)) => return Err(e),
                // The thread panicked: it sends its end otherwise.
                Err(_) => return Err(io::Error::other("the decompressor died")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};
    use taru_testkit::image::Pack;

    /// `bytes` through a program of the host.
    fn through(program: &[&str], bytes: &[u8]) -> Vec<u8> {
        use std::io::Write;
        let mut child = Command::new(program[0])
            .args(&program[1..])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = bytes.to_vec();
        let writer = std::thread::spawn(move || stdin.write_all(&input));
        let mut out = Vec::new();
        child.stdout.take().unwrap().read_to_end(&mut out).unwrap();
        assert!(child.wait().unwrap().success());
        writer.join().unwrap().unwrap();
        out
    }

    fn unpack(bytes: Vec<u8>) -> io::Result<Vec<u8>> {
        let (_, mut reader) =
            open(io::Cursor::new(bytes)).map_err(|e| io::Error::other(e.chain().to_string()))?;
        let mut out = Vec::new();
        reader.read_to_end(&mut out).map(|_| out)
    }

    #[test]
    fn each_format_is_told_and_taken_off() {
        let plain: Vec<u8> = (0..1_000_000u32).flat_map(|n| (n % 251).to_le_bytes()).collect();
        let gzip = Pack::Gzip.pack(&plain);
        let zstd = Pack::Zstd.pack(&plain);
        let xz = through(&["xz", "-c", "-9"], &plain);
        let bcj = through(&["xz", "-c", "--x86", "--lzma2"], &plain);
        for (name, packed) in [
            ("plain", plain.clone()),
            ("gzip", gzip.clone()),
            ("two members", [gzip.clone(), Pack::Gzip.pack(b"")].concat()),
            ("zstd", zstd.clone()),
            ("skippable frame", [b"\x50\x2a\x4d\x18\x03\0\0\0abc".as_slice(), &zstd].concat()),
            ("xz", xz.clone()),
            ("xz with a filter", bcj),
        ] {
            assert!(unpack(packed).unwrap() == plain, "{name}");
        }
        for (name, packed) in [("gzip", gzip), ("zstd", zstd), ("xz", xz)] {
            for at in [7, packed.len() / 2, packed.len() - 1] {
                assert!(unpack(packed[..at].to_vec()).is_err(), "{name} cut at {at}");
            }
            let mut flipped = packed.clone();
            let middle = flipped.len() / 2;
            flipped[middle] ^= 4;
            let seen = unpack(flipped);
            // zstd as the tests make it has no checksum: the digest of what comes out is what tells then.
            assert!(name == "zstd" || seen.is_err(), "{name} with a bit flipped");
        }
        assert!(unpack(b"BZh91AY&SY".to_vec()).unwrap_err().to_string().contains("bzip2"));
        assert!(unpack(Vec::new()).unwrap_err().to_string().contains("empty"));
    }

    #[test]
    fn what_grows_without_end_is_refused() {
        let gzip = Pack::Gzip.pack(&vec![7u8; 1 << 20]);
        let bounded = |left| {
            let inner = decoder(Found::Layer(Compression::Gzip), io::Cursor::new(gzip.clone())).unwrap();
            io::copy(&mut Bounded { inner, left }, &mut io::sink()).context(|| "read the layer")
        };
        assert_eq!(bounded(1 << 20).unwrap(), 1 << 20);
        assert_eq!(bounded((1 << 20) - 1).unwrap_err().kind(), Kind::Limit);
    }

    #[test]
    fn no_decompressor_takes_more_memory_than_allowed() {
        let plain = vec![7u8; 1 << 20];
        let wide = through(&["xz", "-c", "--lzma2=dict=1536MiB"], &plain);
        assert!(unpack(wide).is_err());
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(30).unwrap();
        io::Write::write_all(&mut encoder, &plain).unwrap();
        let e = unpack(encoder.finish().unwrap()).unwrap_err();
        assert!(e.to_string().contains("memory"), "{e}");
    }

    #[test]
    fn no_bytes_make_the_decoder_of_xz_panic() {
        let plain: Vec<u8> = (0..1_000u32).flat_map(|n| (n * n).to_le_bytes()).collect();
        for options in
            [&["xz", "-c"][..], &["xz", "-c", "--delta=dist=4", "--arm", "--lzma2", "--check=sha256"]]
        {
            let packed = through(options, &plain);
            let mut state = 0x2545_f491_4f6c_dd1du64;
            for round in 0..400 {
                let mut bytes = packed.clone();
                for _ in 0..=round % 3 {
                    state ^= state << 13;
                    state ^= state >> 7;
                    state ^= state << 17;
                    // Headers, index and footer are where the structure is: half of the hits go there.
                    let at = match state & 1 {
                        0 => (state >> 8) as usize % bytes.len(),
                        _ => [(state >> 8) as usize % 64, bytes.len() - 1 - (state >> 8) as usize % 64]
                            [(state >> 1 & 1) as usize],
                    };
                    bytes[at] = (state >> 40) as u8;
                }
                let mut out = io::sink();
                let mut reader = decoder(Found::Xz, io::Cursor::new(bytes)).unwrap();
                let _ = io::copy(&mut (&mut reader).take(1 << 20), &mut out);
            }
        }
    }
}
