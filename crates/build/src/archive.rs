//! Archives among the files: whether one is a tar, compressed or not, and what is in it.
//!
//! ADD unpacks what is recognised by its content alone: gzip, zstd, xz and plain tar.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use taru_oci::limits;
use taru_stdx::{Context, Error, Kind, Result};
use taru_sys::fs::{Device, FileType};

use crate::assembly::{Assembly, Content};
use crate::copy::Rules;
use crate::scratch::nameless;

/// Where the magic of a tar header stands (pax, "ustar").
const MAGIC_AT: usize = 257;
/// The first bytes that tell.
const START: usize = 512;

/// What an archive is compressed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Packed {
    Plain,
    Gzip,
    Zstd,
    Xz,
}

fn packed(start: &[u8]) -> Packed {
    match start {
        [0x1f, 0x8b, ..] => Packed::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Packed::Zstd,
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Packed::Xz,
        _ => Packed::Plain,
    }
}

/// Whether a stream that begins so may be an archive: compressed, or a tar.
pub(crate) fn is_archive(start: &[u8]) -> bool {
    packed(start) != Packed::Plain || is_tar(start)
}

/// A tar header says so; one of before 1988 at least has a right checksum.
fn is_tar(start: &[u8]) -> bool {
    if start.get(MAGIC_AT..MAGIC_AT + 5) == Some(b"ustar") {
        return true;
    }
    let Some(block) = start.get(..START) else { return false };
    let header = tar::Header::from_byte_slice(block);
    let sum: u32 = block
        .iter()
        .enumerate()
        .map(|(at, b)| if (148..156).contains(&at) { u32::from(b' ') } else { u32::from(*b) })
        .sum();
    block.iter().any(|b| *b != 0) && header.cksum().is_ok_and(|told| told == sum)
}

/// The stream without its compression.
fn plain<'a>(stream: impl BufRead + 'a, packed: Packed) -> Result<Box<dyn Read + 'a>> {
    Ok(match packed {
        Packed::Plain => Box::new(stream),
        Packed::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(stream)),
        Packed::Zstd => {
            let mut decoder =
                zstd::stream::read::Decoder::with_buffer(stream).context(|| "read a zstd stream")?;
            // 128 MiB, what zstd(1) allows without being asked.
            decoder.window_log_max(27).context(|| "read a zstd stream")?;
            Box::new(decoder)
        }
        Packed::Xz => Box::new(lzma_rust2::XzReader::new_mem_limit(stream, true, 128 << 10)),
    })
}

/// Unpacks the archive on `stream` into an empty directory of ours, as files of ours.
///
/// # Errors
/// [`Kind::Invalid`] for what is no archive; any error of the file system.
pub(crate) fn unpack(stream: &mut dyn BufRead, dir: &Path) -> Result<()> {
    let what = || "unpack the context";
    let start = stream.fill_buf().context(what)?.to_vec();
    let mut archive = tar::Archive::new(plain(stream, packed(&start))?);
    archive.set_preserve_permissions(true);
    archive.set_preserve_mtime(true);
    archive.set_unpack_xattrs(false);
    let mut count = 0u64;
    for entry in archive.entries().context(what)? {
        let mut entry = entry.map_err(|e| Error::invalid(what()).because(e))?;
        count += 1;
        if count > limits::CONTEXT_ENTRIES {
            return Err(Error::new(
                Kind::Limit,
                format!("{}: more than {} entries", what(), limits::CONTEXT_ENTRIES),
            ));
        }
        let kind = entry.header().entry_type();
        // Devices mean nothing in a context, and only root could make them.
        if kind.is_character_special() || kind.is_block_special() || kind.is_pax_global_extensions() {
            continue;
        }
        let path = entry.path().map(|p| p.display().to_string()).unwrap_or_default();
        // Entries that lead out of the directory are left out by `unpack_in`.
        entry.unpack_in(dir).context(|| format!("{}: `{}`", what(), path.escape_debug()))?;
    }
    Ok(())
}

/// What a file turned out to be: an archive, unpacked into a nameless file.
#[derive(Debug)]
pub(crate) struct Spooled(Arc<File>);

/// Looks whether `file` is an archive and takes its compression off, into a file in `tmp`. `None` if it is none.
///
/// # Errors
/// Any error of reading and writing; [`Kind::Limit`] for more than [`limits::CONTEXT`] bytes.
pub(crate) fn spool(mut file: File, tmp: &Path) -> Result<Option<Spooled>> {
    let what = || "look whether it is an archive";
    let mut start = Vec::new();
    (&mut file).take(START as u64).read_to_end(&mut start).context(what)?;
    file.seek(SeekFrom::Start(0)).context(what)?;
    let packed = packed(&start);
    if packed == Packed::Plain {
        return Ok(is_tar(&start).then(|| Spooled(Arc::new(file))));
    }
    let mut stream = plain(BufReader::new(file), packed)?;
    let mut start = Vec::new();
    // A compressed file that is no archive, or a broken one, is copied as it is.
    if (&mut stream).take(START as u64).read_to_end(&mut start).is_err() || !is_tar(&start) {
        return Ok(None);
    }
    let mut out = nameless(tmp)?;
    out.write_all(&start).context(|| "unpack an archive")?;
    let copied =
        std::io::copy(&mut stream.take(limits::CONTEXT), &mut out).context(|| "unpack an archive")?;
    if copied == limits::CONTEXT {
        return Err(Error::new(Kind::Limit, format!("unpack an archive: more than {copied} bytes")));
    }
    Ok(Some(Spooled(Arc::new(out))))
}

/// Puts the content of an archive into the directory `dest`.
///
/// # Errors
/// [`Kind::Invalid`] for entries that lead out of it, and a damaged archive.
pub(crate) fn extract(
    assembly: &mut Assembly,
    spooled: &Spooled,
    dest: &str,
    rules: &Rules<'_>,
) -> Result<()> {
    let what = || "unpack an archive";
    let mut file = spooled.0.as_ref();
    file.seek(SeekFrom::Start(0)).context(what)?;
    let top = assembly.resolve(Path::new(dest))?;
    assembly.make_dirs(&top, &rules.new_dir())?;
    let mut archive = tar::Archive::new(file);
    let mut count = 0u64;
    // Positions, not contents, are kept: the file is read once more when the layer is written.
    for entry in archive.entries_with_seek().context(what)? {
        let mut entry = entry.map_err(|e| Error::invalid(what()).because(e))?;
        count += 1;
        if count > limits::CONTEXT_ENTRIES {
            return Err(Error::new(
                Kind::Limit,
                format!("{}: more than {} entries", what(), limits::CONTEXT_ENTRIES),
            ));
        }
        if entry.header().entry_type().is_pax_global_extensions() {
            continue;
        }
        let path = entry.path().map_err(|e| Error::invalid(what()).because(e))?.into_owned();
        let name = || format!("{}: `{}`", what(), path.display());
        let Some(inside) = inside(&path) else {
            return Err(Error::invalid(format!("{}: it leads out of the archive", name())));
        };
        let kind = entry.header().entry_type();
        if inside.as_os_str().is_empty() {
            continue;
        }
        let real = assembly.resolve_parent(&Path::new("/").join(&top).join(&inside))?;
        let parent = real.parent().unwrap_or(Path::new("")).to_owned();
        assembly.make_dirs(&parent, &rules.new_dir())?;
        let header = entry.header().clone();
        let mode = header.mode().unwrap_or(0o644) & 0o7777;
        let number = |id: std::io::Result<u64>| id.ok().and_then(|id| u32::try_from(id).ok()).unwrap_or(0);
        let mut made =
            rules.made(Content::Directory, mode, header.mtime().ok().and_then(|t| i64::try_from(t).ok()));
        made.mode = mode;
        // What an archive says of owners holds, unless others were asked for.
        made.owner = rules.owner.unwrap_or((number(header.uid()), number(header.gid())));
        let extensions = entry.pax_extensions().context(name)?;
        for extension in extensions.into_iter().flatten().flatten() {
            let attribute = extension.key().ok().and_then(|key| key.strip_prefix("SCHILY.xattr."));
            if let Some(attribute) =
                attribute.filter(|a| *a == "security.capability" || a.starts_with("user."))
            {
                made.attributes.push((attribute.into(), extension.value_bytes().to_vec()));
            }
        }
        let link = || -> Result<PathBuf> {
            let target = entry.link_name().context(name)?;
            Ok(target.map(|t| t.into_owned()).unwrap_or_default())
        };
        made.content = match kind {
            tar::EntryType::Directory => Content::Directory,
            tar::EntryType::Symlink => Content::Symlink(link()?),
            tar::EntryType::Link => {
                let target = link()?;
                let Some(target) = self::inside(&target) else {
                    return Err(Error::invalid(format!("{}: its link leads out of the archive", name())));
                };
                let target = assembly.resolve_parent(&Path::new("/").join(&top).join(target))?;
                let linked = assembly.hardlink(target, made).context(name)?;
                assembly.put(real, linked).context(name)?;
                continue;
            }
            tar::EntryType::Fifo => Content::Node(FileType::Fifo, Device::default()),
            tar::EntryType::Char | tar::EntryType::Block => {
                let device = |n: std::io::Result<Option<u32>>| n.ok().flatten().unwrap_or(0);
                let device = Device::new(device(header.device_major()), device(header.device_minor()));
                let kind = match kind {
                    tar::EntryType::Char => FileType::CharDevice,
                    _ => FileType::BlockDevice,
                };
                Content::Node(kind, device)
            }
            tar::EntryType::GNUSparse => {
                let mut bytes = Vec::new();
                (&mut entry).take(limits::SPARSE_IN_ARCHIVE + 1).read_to_end(&mut bytes).context(name)?;
                if bytes.len() as u64 > limits::SPARSE_IN_ARCHIVE {
                    return Err(Error::new(Kind::Limit, format!("{}: a sparse file this large", name())));
                }
                Content::Bytes(bytes.into())
            }
            _ => Content::Spooled(spooled.0.clone(), entry.raw_file_position(), entry.size()),
        };
        assembly.put(real, made).context(name)?;
    }
    Ok(())
}

/// A path of an archive without `.` and a leading `/`; `None` if it has a `..`.
fn inside(path: &Path) -> Option<PathBuf> {
    let mut inside = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => inside.push(name),
            Component::ParentDir => return None,
            _ => {}
        }
    }
    Some(inside)
}
