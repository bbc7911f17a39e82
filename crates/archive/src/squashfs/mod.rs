//! squashfs 4.0, read as a stream of entries: image servers hand root file systems out in it.
//!
//! ```text
//! superblock 96   magic hsqs, block size, compressor, where the tables are
//! data            blocks of files; fragments: blocks of the ends of several files
//! inode table     ┐
//! directory table │ streams of metadata blocks: u16 size (bit 15: not compressed), up to 8192 bytes when unpacked;
//! fragment table  │ a reference is (position of the block << 16 | offset in it)
//! id table        │ the last three through a list of the positions of their blocks
//! xattr table     ┘
//! ```
//! The kernel's Documentation/filesystems/squashfs.rst. All numbers are little-endian. Written here because the one library
//! for it leaves out extended attributes, and with them the capabilities of a file, and takes all inodes into memory at
//! once; this one holds a path, a block and a few blocks of metadata, whatever the image says.

mod inode;
mod metadata;
mod walk;

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;

use taru_oci::limits;
use taru_stdx::{Context, Error, Kind, Result};
use taru_tar::Entry;

use metadata::{Cache, Cursor};
use walk::{Content, Walk};

/// `hsqs`.
const MAGIC: [u8; 4] = *b"hsqs";
/// Bytes of a metadata block, unpacked.
const METADATA: usize = 8192;
/// Bytes of a data block at most (1 MiB).
const BLOCK: u32 = 1 << 20;
/// A table that is not there, and a file without a fragment or attributes.
const NONE64: u64 = u64::MAX;
const NONE32: u32 = u32::MAX;

/// A file system in a file.
pub(crate) struct Squashfs {
    image: Image,
    walk: Walk,
    content: Option<Content>,
}

/// The file and where things are in it.
struct Image {
    file: File,
    compressor: Compressor,
    block_size: u32,
    fragments: u32,
    ids: Vec<u32>,
    root: u64,
    inodes: u64,
    directories: u64,
    fragment_table: u64,
    /// Where attributes lie and where their index is, with the number of its entries.
    xattrs: Option<(u64, u64, u32)>,
    cache: Cache,
    /// The fragment block that was read last.
    fragment: Option<(u64, Vec<u8>)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Compressor {
    Zlib,
    Xz,
    Zstd,
}

fn bad(what: &str) -> Error {
    Error::invalid(format!("read the squashfs: {what}"))
}

impl Squashfs {
    /// Whether a stream that starts so is one.
    pub(crate) fn is_start(start: &[u8]) -> bool {
        start.starts_with(&MAGIC)
    }

    /// Reads the superblock and the ids.
    ///
    /// # Errors
    /// [`Kind::Invalid`] if it is none; [`Kind::Unsupported`] for another version or a compressor that is not read.
    pub(crate) fn open(file: File) -> Result<Squashfs> {
        let mut block = [0; 96];
        file.read_exact_at(&mut block, 0).context(|| "read the superblock of the squashfs")?;
        let u16_at = |at| number(&block, at, 2) as u16;
        let u32_at = |at| number(&block, at, 4) as u32;
        let u64_at = |at| number(&block, at, 8);
        if !Squashfs::is_start(&block) {
            return Err(bad("it is none"));
        }
        if (u16_at(28), u16_at(30)) != (4, 0) {
            let text = format!("read the squashfs: version {}.{}, not 4.0", u16_at(28), u16_at(30));
            return Err(Error::new(Kind::Unsupported, text));
        }
        let compressor = match u16_at(20) {
            1 => Compressor::Zlib,
            4 => Compressor::Xz,
            6 => Compressor::Zstd,
            other => {
                let name = match other {
                    2 => "lzma",
                    3 => "lzo",
                    5 => "lz4",
                    _ => "something unknown",
                };
                let text = format!("read the squashfs: it is compressed with {name}");
                return Err(Error::new(Kind::Unsupported, text).hint("gzip, xz and zstd are read"));
            }
        };
        let block_size = u32_at(12);
        if !block_size.is_power_of_two() || !(4096..=BLOCK).contains(&block_size) {
            return Err(bad("a block size that there is not"));
        }
        let mut image = Image {
            file,
            compressor,
            block_size,
            fragments: u32_at(16),
            ids: Vec::new(),
            root: u64_at(32),
            inodes: u64_at(64),
            directories: u64_at(72),
            fragment_table: u64_at(80),
            xattrs: None,
            cache: Cache::default(),
            fragment: None,
        };
        for index in 0..u64::from(u16_at(26)) {
            let mut cursor = image.listed(u64_at(48), index * 4)?;
            let id = cursor.u32(&mut image)?;
            image.ids.push(id);
        }
        if u64_at(56) != NONE64 {
            let mut header = [0; 16];
            image
                .file
                .read_exact_at(&mut header, u64_at(56))
                .context(|| "read the attributes of the squashfs")?;
            let count = number(&header, 8, 4) as u32;
            image.xattrs = Some((number(&header, 0, 8), u64_at(56) + 16, count));
        }
        let walk = Walk::new(&mut image)?;
        Ok(Squashfs { image, walk, content: None })
    }
}

impl crate::tree::Tree for Squashfs {
    fn entry(&mut self) -> Result<Option<Entry>> {
        let (entry, content) = match self.walk.next(&mut self.image)? {
            Some(found) => found,
            None => return Ok(None),
        };
        self.content = content;
        Ok(Some(entry))
    }
}

impl Read for Squashfs {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match &mut self.content {
            None => Ok(0),
            Some(content) => content
                .read(&mut self.image, buffer)
                .map_err(|e| std::io::Error::new(std::io::ErrorKind::InvalidData, e.chain().to_string())),
        }
    }
}

impl Image {
    /// A cursor at byte `offset` of a table whose metadata blocks are listed at `list`.
    fn listed(&mut self, list: u64, offset: u64) -> Result<Cursor> {
        let at =
            list.checked_add(offset / METADATA as u64 * 8).ok_or_else(|| bad("a table beyond its end"))?;
        let mut position = [0; 8];
        self.file.read_exact_at(&mut position, at).context(|| "read a table of the squashfs")?;
        Cursor::at(u64::from_le_bytes(position), (offset % METADATA as u64) as usize)
    }

    fn id(&self, index: u16) -> Result<u32> {
        self.ids.get(usize::from(index)).copied().ok_or_else(|| bad("an owner that there is not"))
    }

    /// `packed`, unpacked to at most `most` bytes.
    fn unpack(&self, packed: &[u8], most: usize) -> Result<Vec<u8>> {
        let mut plain = Vec::new();
        let limit = most as u64 + 1;
        let what = || "unpack a block of the squashfs";
        match self.compressor {
            Compressor::Zlib => {
                flate2::read::ZlibDecoder::new(packed).take(limit).read_to_end(&mut plain).context(what)?
            }
            Compressor::Xz => {
                let kib = (limits::XZ_WINDOW >> 10) + 1024;
                let decoder = lzma_rust2::XzReader::new_mem_limit(packed, false, kib);
                decoder.take(limit).read_to_end(&mut plain).context(what)?
            }
            Compressor::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(packed).context(what)?;
                decoder.window_log_max(limits::ZSTD_WINDOW_LOG).context(what)?;
                decoder.take(limit).read_to_end(&mut plain).context(what)?
            }
        };
        if plain.len() > most {
            return Err(bad("a block that is too large"));
        }
        Ok(plain)
    }

    /// A data block of `size` (bit 24: not compressed) at `position`, of at most a block's bytes.
    fn data(&self, position: u64, size: u32) -> Result<Vec<u8>> {
        let length = size & 0x00ff_ffff;
        if length > self.block_size {
            return Err(bad("a data block that is too large"));
        }
        let mut packed = vec![0; length as usize];
        self.file.read_exact_at(&mut packed, position).context(|| "read a block of the squashfs")?;
        match size & 0x0100_0000 != 0 {
            true => Ok(packed),
            false => self.unpack(&packed, self.block_size as usize),
        }
    }

    /// The `length` bytes at `offset` of fragment `index`.
    fn fragment(&mut self, index: u32, offset: u32, length: usize) -> Result<Vec<u8>> {
        if index >= self.fragments {
            return Err(bad("a fragment that there is not"));
        }
        let mut cursor = self.listed(self.fragment_table, u64::from(index) * 16)?;
        let (start, size) = (cursor.u64(self)?, cursor.u32(self)?);
        if self.fragment.as_ref().is_none_or(|(at, _)| *at != start) {
            self.fragment = Some((start, self.data(start, size)?));
        }
        let end = offset as usize + length;
        let part = self.fragment.as_ref().and_then(|(_, block)| block.get(offset as usize..end));
        part.map(<[u8]>::to_vec).ok_or_else(|| bad("the end of a file lies beyond its fragment"))
    }
}

/// The number of `length` bytes at `at`; 0 beyond the end.
fn number(bytes: &[u8], at: usize, length: usize) -> u64 {
    let part = bytes.get(at..at + length).unwrap_or_default();
    part.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}
