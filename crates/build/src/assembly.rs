//! A layer under construction: what a step puts over the tree below, and the tar that it becomes.
//!
//! ```text
//! below   the layers so far, read-only        --link: nothing
//! over    path -> entry, of this step alone   always free of links: resolved while it is added
//! ```
//! A directory that is in `below` keeps what it is there, and is written to the tar all the same with exactly that:
//! a layer that had `tmp/x` without `tmp` would make `/tmp` anew.

mod body;
mod layer;
mod plant;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use taru_stdx::{Error, Kind, Result};
use taru_sys::fs::{Device, FileType};
use taru_tar::Piece;

use crate::tree::{Node, Tree, parts};

use body::{Body, FirstNames};

/// How many links may lead to one another.
const LINKS: usize = 40;

/// What an entry contains.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    /// A directory.
    Directory,
    /// A file of a tree.
    File(Arc<Tree>, Node),
    /// A part of a file of ours.
    Spooled(Spool),
    /// Bytes.
    Bytes(Arc<[u8]>),
    /// A link's text.
    Symlink(PathBuf),
    /// Another name of an entry.
    Hardlink(PathBuf),
    /// A device or a pipe.
    Node(FileType, Device),
}

/// A file's content that lies in a file of ours.
#[derive(Debug, Clone)]
pub(crate) struct Spool {
    /// That file.
    pub file: Arc<File>,
    /// Where in it.
    pub offset: u64,
    /// Bytes of the content, holes included.
    pub size: u64,
    /// Where what lies there belongs, if the content has holes.
    pub pieces: Option<Vec<Piece>>,
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
    /// When it was changed: seconds since 1970, and nanoseconds after that second.
    pub mtime: (i64, u32),
    /// Its attributes.
    pub attributes: Vec<(OsString, Vec<u8>)>,
}

impl Entry {
    /// A directory.
    pub(crate) fn directory(mode: u32, owner: (u32, u32), mtime: i64) -> Entry {
        Entry { content: Content::Directory, mode, owner, mtime: (mtime, 0), attributes: Vec::new() }
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
        let mut names = FirstNames::default();
        for (path, entry) in &self.over {
            part(path.as_os_str().as_bytes());
            part(format!("{:o} {} {}", entry.mode, entry.owner.0, entry.owner.1).as_bytes());
            part(&(entry.attributes.len() as u64).to_le_bytes());
            for (name, value) in &entry.attributes {
                part(name.as_bytes());
                part(value);
            }
            if let Some(first) = names.of(&entry.content, path) {
                part(b"h");
                part(first.as_os_str().as_bytes());
                continue;
            }
            if let Some(body) = Body::of(&entry.content)? {
                part(body.fingerprint()?.as_bytes());
                continue;
            }
            match &entry.content {
                Content::Directory => part(b"d"),
                Content::File(..) | Content::Spooled(_) | Content::Bytes(_) => {}
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

    /// All entries, sorted by path; links to others last.
    fn ordered(&self) -> impl Iterator<Item = (&PathBuf, &Entry)> {
        let is_link = |entry: &Entry| matches!(entry.content, Content::Hardlink(_));
        let links = self.over.iter().filter(move |(_, entry)| is_link(entry));
        self.over.iter().filter(move |(_, entry)| !is_link(entry)).chain(links)
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
                        mtime: node.stat.mtime,
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

fn not_a_directory(path: &Path) -> Error {
    Error::invalid(format!("put something into `/{}`: it is no directory", path.display()))
}
