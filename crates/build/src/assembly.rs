//! A layer under construction: what a step puts over the tree below, and the tar that it becomes.
//!
//! ```text
//! below   the layers so far, read-only        --link: nothing
//! over    path -> entry, of this step alone   always free of links: resolved while it is added
//! ```
//! A directory that is in `below` keeps what it is there, and is written to the tar all the same with exactly that:
//! a layer that had `tmp/x` without `tmp` would make `/tmp` anew.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use taru_stdx::{Context, Error, Kind, Result};
use taru_sys::fs::{Device, FileType};

use crate::tree::{Node, Tree, parts};

/// How many links may lead to one another.
const LINKS: usize = 40;

/// What an entry contains.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    /// A directory.
    Directory,
    /// A file of a tree.
    File(Arc<Tree>, Node),
    /// Bytes of a spooled file.
    Spooled(Arc<File>, u64, u64),
    /// Bytes.
    Bytes(Arc<[u8]>),
    /// A link's text.
    Symlink(PathBuf),
    /// Another name of an entry.
    Hardlink(PathBuf),
    /// A device or a pipe.
    Node(FileType, Device),
}

/// An entry of the layer.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// What it contains.
    pub content: Content,
    /// Its twelve permission bits.
    pub mode: u32,
    /// Its owner and group.
    pub owner: (u32, u32),
    /// When it was changed: seconds since 1970.
    pub mtime: i64,
    /// Its attributes.
    pub attributes: Vec<(OsString, Vec<u8>)>,
}

impl Entry {
    /// A directory.
    pub(crate) fn directory(mode: u32, owner: (u32, u32), mtime: i64) -> Entry {
        Entry { content: Content::Directory, mode, owner, mtime, attributes: Vec::new() }
    }
}

/// A layer under construction.
#[derive(Debug)]
pub(crate) struct Assembly {
    below: Arc<Tree>,
    over: BTreeMap<PathBuf, Entry>,
}

impl Assembly {
    /// Nothing yet, over `below`.
    pub(crate) fn new(below: Arc<Tree>) -> Assembly {
        Assembly { below, over: BTreeMap::new() }
    }

    /// Whether nothing was put into it.
    pub(crate) fn is_empty(&self) -> bool {
        self.over.is_empty()
    }

    /// Where `path` leads to, links followed inside the root, what does not exist included.
    ///
    /// # Errors
    /// [`Kind::Limit`] for links without end; any error of the file system.
    pub(crate) fn resolve(&self, path: &Path) -> Result<PathBuf> {
        let mut todo = parts(path);
        let mut real = PathBuf::new();
        let mut links = 0;
        while let Some(name) = todo.pop() {
            if name == ".." {
                real.pop();
                continue;
            }
            let next = real.join(&name);
            let Some(target) = self.link(&next)? else {
                real = next;
                continue;
            };
            links += 1;
            if links > LINKS {
                return Err(Error::new(Kind::Limit, format!("resolve `{}`: too many links", path.display())));
            }
            if target.is_absolute() {
                real = PathBuf::new();
            }
            todo.extend(parts(&target));
        }
        Ok(real)
    }

    /// As [`Assembly::resolve`], but for the last component, which stands for itself.
    ///
    /// # Errors
    /// As [`Assembly::resolve`]; [`Kind::Invalid`] for a path without a last component.
    pub(crate) fn resolve_parent(&self, path: &Path) -> Result<PathBuf> {
        match (path.parent(), path.file_name()) {
            (Some(parent), Some(name)) => Ok(self.resolve(parent)?.join(name)),
            _ => Err(Error::invalid(format!("put something at `{}`: no file name", path.display()))),
        }
    }

    fn link(&self, real: &Path) -> Result<Option<PathBuf>> {
        match self.over.get(real) {
            Some(Entry { content: Content::Symlink(target), .. }) => return Ok(Some(target.clone())),
            Some(_) => return Ok(None),
            None => {}
        }
        match self.lower(real)? {
            Some(node) if node.stat.file_type() == FileType::Symlink => self.below.link(&node).map(Some),
            _ => Ok(None),
        }
    }

    /// What is at `real` below, if nothing of this step hides it.
    fn lower(&self, real: &Path) -> Result<Option<Node>> {
        let is_hidden = real.ancestors().skip(1).any(|above| {
            self.over.get(above).is_some_and(|entry| !matches!(entry.content, Content::Directory))
        });
        if is_hidden { Ok(None) } else { self.below.find_nofollow(Path::new("/").join(real).as_path()) }
    }

    /// Whether `real` is a directory (`Some(true)`), something else, or nothing.
    ///
    /// # Errors
    /// Any error of the file system.
    pub(crate) fn is_dir(&self, real: &Path) -> Result<Option<bool>> {
        if real.as_os_str().is_empty() {
            return Ok(Some(true));
        }
        if let Some(entry) = self.over.get(real) {
            return Ok(Some(matches!(entry.content, Content::Directory)));
        }
        Ok(self.lower(real)?.map(|node| node.is_dir()))
    }

    /// Makes the directory `real`, which [`Assembly::resolve`] found, and what is missing above it, all like `like`.
    ///
    /// # Errors
    /// [`Kind::Invalid`] where something else stands in the way.
    pub(crate) fn make_dirs(&mut self, real: &Path, like: &Entry) -> Result<()> {
        let mut above: Vec<&Path> = real.ancestors().filter(|p| !p.as_os_str().is_empty()).collect();
        above.reverse();
        for dir in above {
            match self.is_dir(dir)? {
                Some(true) => {}
                Some(false) => return Err(not_a_directory(dir)),
                None => drop(self.over.insert(dir.to_owned(), like.clone())),
            }
        }
        Ok(())
    }

    /// Puts `entry` at `real`, whose parent is a directory. A directory changes the one that is there.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for a file in place of a directory, and the other way round.
    pub(crate) fn put(&mut self, real: PathBuf, entry: Entry) -> Result<()> {
        let is_dir = matches!(entry.content, Content::Directory);
        match self.is_dir(&real)? {
            Some(true) if !is_dir => {
                Err(Error::invalid(format!("put a file at `/{}`: a directory is there", real.display())))
            }
            Some(false) if is_dir => Err(not_a_directory(&real)),
            _ => {
                self.over.insert(real, entry);
                Ok(())
            }
        }
    }

    /// Another name for what is at `target`: a copy where that is in a layer below.
    ///
    /// # Errors
    /// [`Kind::NotFound`] if nothing is there; [`Kind::Invalid`] for a directory.
    pub(crate) fn hardlink(&self, target: PathBuf, like: Entry) -> Result<Entry> {
        match self.over.get(&target) {
            Some(Entry { content: Content::Directory, .. }) => {
                Err(Error::invalid(format!("link to `/{}`: it is a directory", target.display())))
            }
            Some(entry @ Entry { content: Content::Hardlink(_), .. }) => Ok(entry.clone()),
            Some(entry) => Ok(Entry { content: Content::Hardlink(target), ..entry.clone() }),
            None => match self.lower(&target)? {
                Some(node) if node.stat.file_type() == FileType::Regular => {
                    Ok(Entry { content: Content::File(self.below.clone(), node), ..like })
                }
                _ => Err(Error::new(Kind::NotFound, format!("link to `/{}`: no file", target.display()))),
            },
        }
    }

    /// What goes into a key: every entry with its metadata and the digest of its content, but for times.
    ///
    /// # Errors
    /// Any error of reading.
    pub(crate) fn fingerprint(&self, mut part: impl FnMut(&[u8])) -> Result<()> {
        for (path, entry) in &self.over {
            part(path.as_os_str().as_bytes());
            part(format!("{:o} {} {}", entry.mode, entry.owner.0, entry.owner.1).as_bytes());
            part(&(entry.attributes.len() as u64).to_le_bytes());
            for (name, value) in &entry.attributes {
                part(name.as_bytes());
                part(value);
            }
            match &entry.content {
                Content::Directory => part(b"d"),
                Content::File(tree, node) => part(&hash(tree.open(node)?)?),
                Content::Spooled(file, offset, size) => {
                    let mut file = file.as_ref();
                    file.seek(SeekFrom::Start(*offset)).context(|| "read the archive")?;
                    part(&hash(file.take(*size))?);
                }
                Content::Bytes(bytes) => part(&hash(&bytes[..])?),
                Content::Symlink(target) => {
                    part(b"l");
                    part(target.as_os_str().as_bytes());
                }
                Content::Hardlink(target) => {
                    part(b"h");
                    part(target.as_os_str().as_bytes());
                }
                Content::Node(kind, device) => {
                    let kind: &[u8] = match kind {
                        FileType::CharDevice => b"c",
                        FileType::BlockDevice => b"b",
                        FileType::Fifo => b"p",
                        _ => b"?",
                    };
                    part(kind);
                    part(format!("{}:{}", device.major, device.minor).as_bytes());
                }
            }
        }
        Ok(())
    }

    /// Writes the layer as a tar archive, sorted by path; links to other entries last.
    ///
    /// # Errors
    /// Any error of reading what it is made of, and of writing.
    pub(crate) fn write(mut self, out: &mut dyn Write, clamp: Option<i64>) -> Result<()> {
        self.add_parents()?;
        let mut tar = tar::Builder::new(out);
        tar.sparse(false);
        let mut names = HashMap::new();
        let is_link = |entry: &Entry| matches!(entry.content, Content::Hardlink(_));
        let entries = self.over.iter().filter(|(_, e)| !is_link(e));
        for (path, entry) in entries.chain(self.over.iter().filter(|(_, e)| is_link(e))) {
            let what = || format!("write `/{}` into the layer", path.display());
            append(&mut tar, path, entry, clamp, &mut names).context(what)?;
        }
        tar.into_inner().context(|| "write the layer")?;
        Ok(())
    }

    /// Directories of the tree below that something is put into, as they are.
    fn add_parents(&mut self) -> Result<()> {
        let mut missing = BTreeMap::new();
        for path in self.over.keys() {
            for above in path.ancestors().skip(1).filter(|p| !p.as_os_str().is_empty()) {
                if self.over.contains_key(above) || missing.contains_key(above) {
                    continue;
                }
                let entry = match self.below.find_nofollow(&Path::new("/").join(above))? {
                    Some(node) => Entry {
                        content: Content::Directory,
                        mode: node.stat.permissions(),
                        owner: (node.stat.uid, node.stat.gid),
                        mtime: node.stat.mtime.0,
                        attributes: self.below.attributes(&node).unwrap_or_default(),
                    },
                    None => Entry::directory(0o755, (0, 0), 0),
                };
                missing.insert(above.to_owned(), entry);
            }
        }
        self.over.extend(missing);
        Ok(())
    }
}

/// The digest of a file's content, behind an `f`.
fn hash(mut content: impl Read) -> Result<Vec<u8>> {
    let mut hasher = taru_oci::Hasher::new(taru_oci::Algorithm::Sha256);
    let mut buffer = vec![0; 1 << 17];
    loop {
        let count = content.read(&mut buffer).context(|| "read a file that is copied")?;
        if count == 0 {
            break;
        }
        hasher.update(buffer.get(..count).unwrap_or_default());
    }
    Ok(format!("f{}", hasher.finish()).into_bytes())
}

fn not_a_directory(path: &Path) -> Error {
    Error::invalid(format!("put something into `/{}`: it is no directory", path.display()))
}

/// The path under which each file of a tree with several names was written first.
type FirstNames = HashMap<(usize, (usize, Device, u64)), PathBuf>;

fn append(
    tar: &mut tar::Builder<&mut dyn Write>,
    path: &Path,
    entry: &Entry,
    clamp: Option<i64>,
    names: &mut FirstNames,
) -> Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_mode(entry.mode);
    header.set_uid(entry.owner.0.into());
    header.set_gid(entry.owner.1.into());
    let mtime = clamp.map_or(entry.mtime, |limit| entry.mtime.min(limit)).max(0);
    header.set_mtime(mtime.unsigned_abs());
    header.set_size(0);
    let attributes: Vec<(String, &[u8])> = entry
        .attributes
        .iter()
        .filter_map(|(name, value)| Some((format!("SCHILY.xattr.{}", name.to_str()?), value.as_slice())))
        .collect();
    if !attributes.is_empty() {
        let pairs = attributes.iter().map(|(name, value)| (name.as_str(), *value));
        tar.append_pax_extensions(pairs).context(|| "write its attributes")?;
    }
    let write = || "write its entry";
    match &entry.content {
        Content::Directory => {
            header.set_entry_type(tar::EntryType::Directory);
            let mut name = path.as_os_str().as_bytes().to_vec();
            name.push(b'/');
            let name = PathBuf::from(std::ffi::OsStr::from_bytes(&name).to_owned());
            tar.append_data(&mut header, name, std::io::empty()).context(write)
        }
        Content::File(tree, node) => {
            if node.stat.nlink > 1 {
                let key = (Arc::as_ptr(tree) as usize, node.identity());
                if let Some(first) = names.get(&key) {
                    header.set_entry_type(tar::EntryType::Link);
                    return tar.append_link(&mut header, path, first).context(write);
                }
                names.insert(key, path.to_owned());
            }
            let file = tree.open(node)?;
            // The size of the descriptor that is read: the file may have changed since it was looked at.
            let size = file.metadata().context(|| "look at it")?.len();
            regular(tar, &mut header, path, file.take(size), size)
        }
        Content::Spooled(file, offset, size) => {
            let mut file = file.as_ref();
            file.seek(SeekFrom::Start(*offset)).context(|| "read the archive")?;
            regular(tar, &mut header, path, file.take(*size), *size)
        }
        Content::Bytes(bytes) => regular(tar, &mut header, path, &bytes[..], bytes.len() as u64),
        Content::Symlink(target) => {
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_mode(0o777);
            tar.append_link(&mut header, path, target).context(write)
        }
        Content::Hardlink(target) => {
            header.set_entry_type(tar::EntryType::Link);
            tar.append_link(&mut header, path, target).context(write)
        }
        Content::Node(kind, device) => {
            header.set_entry_type(match kind {
                FileType::Fifo => tar::EntryType::Fifo,
                FileType::BlockDevice => tar::EntryType::Block,
                _ => tar::EntryType::Char,
            });
            header.set_device_major(device.major).context(write)?;
            header.set_device_minor(device.minor).context(write)?;
            tar.append_data(&mut header, path, std::io::empty()).context(write)
        }
    }
}

fn regular(
    tar: &mut tar::Builder<&mut dyn Write>,
    header: &mut tar::Header,
    path: &Path,
    content: impl Read,
    size: u64,
) -> Result<()> {
    header.set_entry_type(tar::EntryType::Regular);
    header.set_size(size);
    let mut content = Counted { inner: content, left: size };
    tar.append_data(header, path, &mut content).context(|| "write its content")?;
    match content.left {
        0 => Ok(()),
        left => Err(Error::new(Kind::State, format!("read it: it became {left} bytes shorter meanwhile"))),
    }
}

/// Counts what is still to be read: a short file would shift all that follows in the archive.
struct Counted<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.left = self.left.saturating_sub(count as u64);
        Ok(count)
    }
}
