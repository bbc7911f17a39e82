//! Archives among the files: whether one is a tar, compressed or not, and what is in it.
//!
//! ADD unpacks what is recognised by its content alone: gzip, zstd, xz and plain tar.

use std::cell::Cell;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use taru_oci::limits;
use taru_snapshot::attribute::is_kept;
use taru_stdx::{Context, Error, Kind, Result};
use taru_sys::fs::{Device, FileType};
use taru_tar::{self as tar, Reader};

use crate::assembly::{Assembly, Content, Spool};
use crate::copy::Rules;
use crate::pattern::Ignore;
use crate::scratch::nameless;
use crate::tree::Tree;

/// The first bytes that tell.
const START: usize = tar::BLOCK;

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

/// A header with a right checksum. (Zeros, which are a tar of nothing, may be anything.)
fn is_tar(start: &[u8]) -> bool {
    tar::is_start(start) && start.iter().any(|b| *b != 0)
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

/// Unpacks the archive on `stream` into `dir`, an empty directory of ours, as files of ours. `tmp` is for what is on the way.
///
/// # Errors
/// [`Kind::Invalid`] for what is no archive; [`Kind::Limit`] for one larger than [`limits::CONTEXT`], or of more entries than
/// [`limits::CONTEXT_ENTRIES`]; any error of the file system.
pub(crate) fn unpack(stream: &mut dyn BufRead, dir: &Path, tmp: &Path) -> Result<()> {
    let what = || "unpack the context";
    let packed = packed(stream.fill_buf().context(what)?);
    let file = copy(&mut plain(stream, packed)?, &[], tmp).context(what)?;
    let nothing = Ignore::default();
    let rules = Rules {
        owner: None,
        chmod: None,
        ignore: &nothing,
        exclude: Ignore::default(),
        keeps_owners: false,
        now: 0,
        sets_times: false,
        place: "the archive",
    };
    let mut assembly = Assembly::new(Arc::new(Tree::empty()));
    // Nothing else tells where a stream ends.
    let (reader, position) = file.reader();
    extract_from((reader.needs_end(), position), &mut assembly, &file, "/", &rules).context(what)?;
    assembly.plant(dir).context(what)
}

/// Copies `start`, and what comes after it, into a file in `tmp`.
fn copy(stream: &mut dyn Read, start: &[u8], tmp: &Path) -> Result<Spooled> {
    let what = || "unpack an archive";
    let mut out = nameless(tmp)?;
    out.write_all(start).context(what)?;
    let rest = (limits::CONTEXT + 1).saturating_sub(start.len() as u64);
    let copied = io::copy(&mut stream.take(rest), &mut out).context_as(Kind::Invalid, what)?;
    if copied.saturating_add(start.len() as u64) > limits::CONTEXT {
        return Err(Error::new(Kind::Limit, format!("{}: more than {} bytes", what(), limits::CONTEXT)));
    }
    Ok(Spooled(Arc::new(out)))
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
    copy(&mut stream, &start, tmp).map(Some)
}

impl Spooled {
    /// A reader, and how far it has come.
    fn reader(&self) -> (Reader<Counted>, Rc<Cell<u64>>) {
        let at = Rc::new(Cell::new(0));
        let inner = BufReader::with_capacity(128 << 10, At { file: self.0.clone(), at: 0 });
        let counted = Counted { inner, at: at.clone() };
        (Reader::new(counted, limits::CONTEXT_ENTRIES), at)
    }
}

/// A file read from a place of its own.
struct At {
    file: Arc<File>,
    at: u64,
}

impl Read for At {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

/// Tells how far it was read.
struct Counted {
    inner: BufReader<At>,
    at: Rc<Cell<u64>>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.at.set(self.at.get() + count as u64);
        Ok(count)
    }
}

impl BufRead for Counted {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        self.at.set(self.at.get() + count as u64);
        self.inner.consume(count);
    }
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
    extract_from(spooled.reader(), assembly, spooled, dest, rules).context(|| "unpack an archive")
}

fn extract_from(
    (mut reader, position): (Reader<Counted>, Rc<Cell<u64>>),
    assembly: &mut Assembly,
    spooled: &Spooled,
    dest: &str,
    rules: &Rules<'_>,
) -> Result<()> {
    let top = assembly.resolve(Path::new(dest))?;
    assembly.make_dirs(&top, &rules.new_dir())?;
    while let Some(entry) = reader.entry()? {
        let name = || format!("unpack `{}`", entry.name());
        // Positions, not contents, are kept: the file is read once more when the layer is written.
        put(assembly, &entry, (spooled, position.get()), &top, rules).context(name)?;
    }
    Ok(())
}

/// Puts an entry, whose content lies at `position` of the archive, below the directory `top`.
fn put(
    assembly: &mut Assembly,
    entry: &tar::Entry,
    position: (&Spooled, u64),
    top: &Path,
    rules: &Rules<'_>,
) -> Result<()> {
    let leads_out = |what: &str| Error::invalid(format!("{what} leads out of the archive"));
    let inside = |path: &[u8]| inside(Path::new(OsStr::from_bytes(path)));
    let path = inside(&entry.path).ok_or_else(|| leads_out("its path"))?;
    if path.as_os_str().is_empty() {
        return Ok(());
    }
    let real = assembly.resolve_parent(&Path::new("/").join(top).join(&path))?;
    let parent = real.parent().unwrap_or(Path::new("")).to_owned();
    assembly.make_dirs(&parent, &rules.new_dir())?;
    let content = match &entry.kind {
        tar::Kind::Directory | tar::Kind::Link { .. } => Content::Directory,
        tar::Kind::Symlink { target } => Content::Symlink(OsStr::from_bytes(target).into()),
        tar::Kind::Fifo => Content::Node(FileType::Fifo, Device::default()),
        tar::Kind::Character { major, minor } => {
            Content::Node(FileType::CharDevice, Device::new(*major, *minor))
        }
        tar::Kind::Block { major, minor } => {
            Content::Node(FileType::BlockDevice, Device::new(*major, *minor))
        }
        tar::Kind::File { size, pieces } => {
            let (spooled, offset) = position;
            Content::Spooled(Spool { file: spooled.0.clone(), offset, size: *size, pieces: pieces.clone() })
        }
    };
    let mut made = rules.made(content, entry.mode, Some(entry.mtime.0));
    made.mode = entry.mode;
    // What an archive says of owners holds, unless others were asked for.
    made.owner = rules.owner.unwrap_or((entry.uid, entry.gid));
    let kept = entry.xattrs.iter().filter(|(name, _)| is_kept(name));
    made.attributes = kept.map(|(name, value)| (OsStr::from_bytes(name).to_owned(), value.clone())).collect();
    if let tar::Kind::Link { target } = &entry.kind {
        let target = inside(target).ok_or_else(|| leads_out("its link"))?;
        let target = assembly.resolve_parent(&Path::new("/").join(top).join(target))?;
        made = assembly.hardlink(target, made)?;
    }
    assembly.put(real, made)
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
    use crate::scratch::Scratch;
    // The library writes what no reader of ours lets through.
    use ::tar;

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
        let into = Scratch::new(dir.path()).unwrap();
        let unpacked = unpack(&mut &bytes[..], into.path(), dir.path());
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
            let large = vec![b'a'; usize::try_from(limits::TAR_EXTENSION + 1).unwrap()];
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
            for done in read(kind, b"", change) {
                assert_eq!(done.unwrap_err().kind(), Kind::Invalid, "{at}");
            }
        }
        let blank: Change = |h| (h.as_old_mut().uid, h.as_old_mut().gid) = ([0; 8], [b' '; 8]);
        for done in read(b'0', b"content", blank) {
            done.unwrap();
        }
    }
}
