//! Archives among the files: whether one is a tar, compressed or not, and what is in it.
//!
//! ADD unpacks what is recognised by its content alone: gzip, zstd, xz and plain tar.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
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

/// Bytes that may be read for the headers of one entry: its name, the text of its link, its extended header and the map of
/// its holes may each be as large as one of them. The reader of tars holds them in memory, and asks nobody how large.
const HEADERS: u64 = 4 * limits::TAR_EXTENSION;

/// A reader that gives no more bytes than it was allowed.
struct Metered<'a, R> {
    inner: R,
    left: &'a Cell<u64>,
}

impl<R: Read> Read for Metered<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = u64::try_from(buffer.len()).unwrap_or(u64::MAX).min(self.left.get());
        if wanted == 0 && !buffer.is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                format!("more than {HEADERS} bytes of headers of one entry"),
            ));
        }
        let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
        let count = self.inner.read(buffer.get_mut(..wanted).unwrap_or_default())?;
        self.left.set(self.left.get().saturating_sub(count as u64));
        Ok(count)
    }
}

impl<R: Seek> Seek for Metered<'_, R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.inner.seek(to)
    }
}

/// What is wrong with an archive that cannot be read on.
fn broken(what: &str, e: io::Error) -> Error {
    let kind = match e.kind() {
        io::ErrorKind::FileTooLarge => Kind::Limit,
        _ => Kind::Invalid,
    };
    Error::new(kind, what).because(e)
}

/// A number of a header; one that is not told (blank) is `otherwise`.
fn number(field: &[u8], number: io::Result<u64>, otherwise: u32) -> Result<u32> {
    if field.iter().all(|b| matches!(b, 0 | b' ')) && !field.is_empty() {
        return Ok(otherwise);
    }
    let number = number.map_err(|e| Error::invalid("read a number of its header").because(e))?;
    u32::try_from(number)
        .map_err(|e| Error::invalid(format!("read the number {number} of its header")).because(e))
}

/// The device of a header.
fn device(header: &tar::Header) -> Result<Device> {
    let half = |half: io::Result<Option<u32>>| match half {
        Ok(Some(half)) => Ok(half),
        Ok(None) => Err(Error::invalid("read the number of its device: there is none")),
        Err(e) => Err(Error::invalid("read the number of its device").because(e)),
    };
    Ok(Device::new(half(header.device_major())?, half(header.device_minor())?))
}

/// Whether entries of this type mean something outside a dump of tapes.
fn is_known(kind: tar::EntryType) -> bool {
    use tar::EntryType as T;
    matches!(
        kind,
        T::Regular
            | T::Continuous
            | T::GNUSparse
            | T::Directory
            | T::Symlink
            | T::Link
            | T::Fifo
            | T::Char
            | T::Block
    )
}

/// Unpacks the archive on `stream` into an empty directory of ours, as files of ours.
///
/// # Errors
/// [`Kind::Invalid`] for what is no archive; [`Kind::Limit`] for one larger than [`limits::CONTEXT`], or of more entries than
/// [`limits::CONTEXT_ENTRIES`]; any error of the file system.
pub(crate) fn unpack(stream: &mut dyn BufRead, dir: &Path) -> Result<()> {
    let what = || "unpack the context";
    let start = stream.fill_buf().context(what)?.to_vec();
    let left = Cell::new(HEADERS);
    let mut archive = tar::Archive::new(Metered { inner: plain(stream, packed(&start))?, left: &left });
    archive.set_preserve_permissions(true);
    archive.set_preserve_mtime(true);
    archive.set_unpack_xattrs(false);
    let (mut count, mut bytes) = (0u64, 0u64);
    let mut entries = archive.entries().context(what)?;
    loop {
        left.set(HEADERS);
        let Some(entry) = entries.next() else { break };
        let mut entry = entry.map_err(|e| broken(what(), e))?;
        left.set(u64::MAX);
        count += 1;
        bytes = bytes.saturating_add(entry.size());
        too_many(what(), count)?;
        too_large(what(), bytes)?;
        let kind = entry.header().entry_type();
        let path = entry.path().map(|p| p.display().to_string()).unwrap_or_default();
        let name = || format!("{}: `{}`", what(), path.escape_debug());
        // Devices mean nothing in a context, and only root could make them.
        let is_left_out =
            kind.is_character_special() || kind.is_block_special() || kind.is_pax_global_extensions();
        if !is_left_out {
            if !is_known(kind) {
                return Err(unknown(name(), kind));
            }
            // Entries that lead out of the directory are left out by `unpack_in`.
            entry.unpack_in(dir).context(name)?;
        }
        // What is left of it would count as headers of the next.
        io::copy(&mut entry, &mut io::sink()).context(name)?;
    }
    Ok(())
}

fn too_many(what: &str, count: u64) -> Result<()> {
    match count > limits::CONTEXT_ENTRIES {
        true => {
            Err(Error::new(Kind::Limit, format!("{what}: more than {} entries", limits::CONTEXT_ENTRIES)))
        }
        false => Ok(()),
    }
}

fn too_large(what: &str, bytes: u64) -> Result<()> {
    match bytes > limits::CONTEXT {
        true => Err(Error::new(Kind::Limit, format!("{what}: more than {} bytes", limits::CONTEXT))),
        false => Ok(()),
    }
}

fn unknown(name: String, kind: tar::EntryType) -> Error {
    let kind = std::ascii::escape_default(kind.as_byte());
    Error::invalid(format!("{name}: it is of the unknown type `{kind}`"))
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
    // One that was just written stands at its end.
    file.seek(SeekFrom::Start(0)).context(what)?;
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
    let rest = (limits::CONTEXT + 1).saturating_sub(start.len() as u64);
    let copied = io::copy(&mut stream.take(rest), &mut out).context(|| "unpack an archive")?;
    too_large("unpack an archive", copied.saturating_add(start.len() as u64))?;
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
    let left = Cell::new(HEADERS);
    let mut archive = tar::Archive::new(Metered { inner: file, left: &left });
    let mut count = 0u64;
    // Positions, not contents, are kept: the file is read once more when the layer is written.
    let mut entries = archive.entries_with_seek().context(what)?;
    loop {
        left.set(HEADERS);
        let Some(entry) = entries.next() else { break };
        let mut entry = entry.map_err(|e| broken(what(), e))?;
        left.set(u64::MAX);
        count += 1;
        too_many(what(), count)?;
        if entry.header().entry_type().is_pax_global_extensions() {
            continue;
        }
        let path = entry.path().map_err(|e| Error::invalid(what()).because(e))?.into_owned();
        let name = || format!("{}: `{}`", what(), path.display());
        let Some(inside) = inside(&path) else {
            return Err(Error::invalid(format!("{}: it leads out of the archive", name())));
        };
        let kind = entry.header().entry_type();
        if !is_known(kind) {
            return Err(unknown(name(), kind));
        }
        if inside.as_os_str().is_empty() {
            continue;
        }
        let real = assembly.resolve_parent(&Path::new("/").join(&top).join(&inside))?;
        let parent = real.parent().unwrap_or(Path::new("")).to_owned();
        assembly.make_dirs(&parent, &rules.new_dir())?;
        let header = entry.header().clone();
        let old = header.as_old();
        let mode = number(&old.mode, header.mode().map(u64::from), 0o644).context(name)? & 0o7777;
        let uid = number(&old.uid, header.uid(), 0).context(name)?;
        let gid = number(&old.gid, header.gid(), 0).context(name)?;
        let mtime = header.mtime().ok().and_then(|time| i64::try_from(time).ok());
        let mut made = rules.made(Content::Directory, mode, mtime);
        made.mode = mode;
        // What an archive says of owners holds, unless others were asked for.
        made.owner = rules.owner.unwrap_or((uid, gid));
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
                let device = device(&header).context(name)?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pattern::Ignore;
    use crate::scratch::Scratch;
    use crate::tree::Tree;

    fn header(kind: u8, size: u64) -> tar::Header {
        let mut header = tar::Header::new_ustar();
        header.set_path("x").unwrap();
        header.set_entry_type(tar::EntryType::new(kind));
        header.set_mode(0o600);
        header.set_uid(7);
        header.set_gid(8);
        header.set_mtime(9);
        header.set_size(size);
        header.set_cksum();
        header
    }

    /// The chain of errors of both readers, for an archive of one entry that `change` changed.
    fn read(kind: u8, content: &[u8], change: impl Fn(&mut tar::Header)) -> [Result<()>; 2] {
        let mut header = header(kind, content.len() as u64);
        change(&mut header);
        header.set_cksum();
        let mut bytes = header.as_bytes().to_vec();
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
        bytes.extend_from_slice(self::header(b'0', 0).as_bytes());
        bytes.resize(bytes.len() + 1024, 0);
        let dir = Scratch::new(&std::env::temp_dir()).unwrap();
        let unpacked = unpack(&mut &bytes[..], dir.path());
        let mut file = nameless(dir.path()).unwrap();
        file.write_all(&bytes).unwrap();
        file.rewind().unwrap();
        let spooled = spool(file, dir.path()).unwrap().unwrap();
        let ignore = Ignore::default();
        let rules = Rules {
            owner: None,
            chmod: None,
            ignore: &ignore,
            exclude: Ignore::default(),
            keeps_owners: true,
            now: 0,
            sets_times: false,
            place: "the test",
        };
        let mut assembly = Assembly::new(Arc::new(Tree::empty()));
        [unpacked, extract(&mut assembly, &spooled, "/", &rules)]
    }

    #[test]
    fn headers_without_end_are_not_held_in_memory() {
        for kind in [b'L', b'K', b'x'] {
            let large = vec![b'a'; usize::try_from(HEADERS).unwrap()];
            for done in read(kind, &large, |_| {}) {
                let e = done.unwrap_err();
                assert_eq!(e.kind(), Kind::Limit, "{}", e.chain());
            }
            // One that says that it is larger than all memory.
            for done in read(kind, b"", |header| header.set_size(1 << 62)) {
                assert!(done.is_err());
            }
        }
    }

    #[test]
    fn what_an_entry_does_not_say_clearly_is_refused() {
        type Change = fn(&mut tar::Header);
        let changes: [(u8, Change); 6] = [
            (b'0', |h| h.as_old_mut().uid = *b"12x4567\0"),
            (b'0', |h| h.set_gid(1 << 32)),
            (b'0', |h| h.as_old_mut().mode = *b"rwx    \0"),
            (b'3', |h| h.as_ustar_mut().unwrap().dev_minor = *b"99999999"),
            (b'V', |_| {}),
            (b'M', |_| {}),
        ];
        for (at, (kind, change)) in changes.into_iter().enumerate() {
            let [unpacked, extracted] = read(kind, b"", change);
            let e = extracted.unwrap_err();
            assert_eq!(e.kind(), Kind::Invalid);
            assert!(e.chain().to_string().contains("`x`"), "{at}: {}", e.chain());
            // Of owners and devices a context knows nothing.
            assert_eq!(unpacked.is_err(), at > 3, "{at}");
        }
        let blank: Change = |h| (h.as_old_mut().uid, h.as_old_mut().gid) = ([0; 8], [b' '; 8]);
        for done in read(b'0', b"content", blank) {
            done.unwrap();
        }
    }
}
