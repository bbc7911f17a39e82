//! `import`: a root file system as it comes.

use std::io::{self, Read, Write};
use std::sync::mpsc::{SyncSender, sync_channel};

use taru_content::{Content, Lease};
use taru_oci::media::Compression;
use taru_oci::{Algorithm, Descriptor, Digest, HashWriter, limits};
use taru_stdx::{Context, Error, Kind, Result};

use super::spool;
use crate::decompress::{self, Found};
use crate::image::{self, About};
use crate::pack::{self, LayerWriter, StoredLayer};
use crate::squashfs::Squashfs;
use crate::tree;

/// Makes an image of the root file system that `reader` has, a tar or a squashfs, into `content`, held by `lease`.
///
/// # Errors
/// [`Kind::Invalid`] if it is no root file system, or is cut; any error of reading and of the store.
pub fn import<R: Read + Send + 'static>(
    reader: R,
    content: &Content,
    lease: &Lease,
    about: &About,
) -> Result<Descriptor> {
    let layer = layer(reader, content, lease, about.compression).context(|| "import the root file system")?;
    image::store(content, lease, &layer, about)
}

/// The layer of a root file system.
pub(super) fn layer<R: Read + Send + 'static>(
    reader: R,
    content: &Content,
    lease: &Lease,
    compression: Option<Compression>,
) -> Result<StoredLayer> {
    let (start, reader) = decompress::peek(reader, 6)?;
    if Squashfs::is_start(&start) {
        let file = spool::spool(reader, content)?;
        let mut tree = Squashfs::open(file)?;
        let mut writer = LayerWriter::new(content, lease, compression.unwrap_or(Compression::Gzip))?;
        tree::write(&mut tree, &mut writer, |entry| Ok(Some(entry)))?;
        return writer.finish();
    }
    match (Found::of(&start)?, compression) {
        (_, _) if start.is_empty() => Err(Error::invalid("it is empty")),
        (Found::Layer(came), wanted) if came != Compression::None && wanted.is_none_or(|w| w == came) => {
            as_it_came(reader, content, lease, came)
        }
        (found, wanted) => {
            let plain: Box<dyn Read + Send> = match found {
                Found::Layer(Compression::None) => Box::new(reader),
                found => Box::new(decompress::Ahead::new(decompress::layer(found, reader)?)),
            };
            let mut writer = LayerWriter::new(content, lease, wanted.unwrap_or(Compression::Gzip))?;
            walk(Tap { inner: plain, tap: &mut writer })?;
            writer.finish()
        }
    }
}

/// Stores the compressed tar; another thread unpacks it, walks it and hashes it.
fn as_it_came<R: Read>(
    mut reader: R,
    content: &Content,
    lease: &Lease,
    compression: Compression,
) -> Result<StoredLayer> {
    let (chunks, receiver) = sync_channel(4);
    let check = std::thread::spawn(move || -> Result<(Digest, u64)> {
        let packed = Chunks { receiver, chunk: io::Cursor::default() };
        let mut sum = HashWriter::new(Algorithm::Sha256, io::sink());
        let plain = decompress::layer(Found::Layer(compression), packed)?;
        walk(Tap { inner: plain, tap: &mut sum })?;
        Ok(sum.finish())
    });
    let mut ingest = content.ingest(lease, None)?;
    let copied = copy(&mut reader, &mut ingest, &chunks);
    drop(chunks);
    let checked = check.join().map_err(|_| Error::new(Kind::System, "the decompressor died"))?;
    // Whoever gave up has the reason; the rest was not read then.
    let is_whole = copied?;
    let (diff_id, size) = checked?;
    if !is_whole {
        return Err(Error::invalid("read the archive: there is more behind its end"));
    }
    let (digest, length) = ingest.commit(None)?;
    let descriptor = Descriptor::new(pack::media_type(compression), digest, length);
    Ok(StoredLayer { descriptor, diff_id, size })
}

/// Copies `reader` into both, to its end; `false` if the other thread needs no more.
fn copy(reader: &mut impl Read, ingest: &mut dyn Write, chunks: &SyncSender<Vec<u8>>) -> Result<bool> {
    loop {
        let mut chunk = Vec::with_capacity(256 << 10);
        reader.take(256 << 10).read_to_end(&mut chunk).context(|| "read the archive")?;
        if chunk.is_empty() {
            return Ok(true);
        }
        ingest.write_all(&chunk).context(|| "write a layer")?;
        if chunks.send(chunk).is_err() {
            return Ok(false);
        }
    }
}

/// Reads a tar to its end.
fn walk(reader: impl Read) -> Result<()> {
    let mut reader = tree::reader(reader, limits::LAYER_ENTRIES);
    while reader.entry()?.is_some() {}
    Ok(())
}

/// What another thread sends.
struct Chunks {
    receiver: std::sync::mpsc::Receiver<Vec<u8>>,
    chunk: io::Cursor<Vec<u8>>,
}

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.chunk.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            match self.receiver.recv() {
                Ok(chunk) => self.chunk = io::Cursor::new(chunk),
                Err(_) => return Ok(0),
            }
        }
    }
}

/// Writes to `tap` whatever is read from `inner`.
struct Tap<'a, R> {
    inner: R,
    tap: &'a mut dyn Write,
}

impl<R: Read> Read for Tap<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.tap.write_all(buffer.get(..count).unwrap_or_default())?;
        Ok(count)
    }
}
