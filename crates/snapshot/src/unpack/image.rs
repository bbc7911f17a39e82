//! Entries as an image of erofs: a file that the parent opened, and nothing but that file is written to.
//!
//! Contents go into the image as they come, names are kept in memory ([`taru_erofs`]). What a kernel would make of an entry
//! on disk is done here: which attributes a file can have ([`super::admit`]), that an ACL changes a mode. What directories
//! have is known at the end, by their records: what overlay reads of them, `trusted.overlay.opaque`, too, is written by the
//! child, since nobody can add it later.

use std::fs::File;
use std::io::BufRead;

use sha2::{Digest as _, Sha256};
use taru_erofs::{self as erofs, Dir, Entry, Inode};
use taru_stdx::{Context, Error, Kind, Result};
use taru_sys::fs::FileType;
use taru_tar::{self as tar, Piece, Xattrs};

use super::admit::{Admitted, Of, admit};
use super::{Hidden, Special, Target};
use crate::attribute::{OPAQUE, TRUSTED_OPAQUE};
use crate::hash::SparseHasher;
use crate::levels::{Found, Levels, Obstacle, Walk, missing};
use crate::manifest::{self, Hash, Record};
use crate::name::split;

/// Bytes of names and directories in memory: some 250 000 entries. The child has 64 MiB for all; a window of zstd may take
/// half of them, chunks on their way and records that are sorted 16 MiB.
pub(crate) const MEMORY: usize = 12 << 20;

/// So many files of so many bytes together are a crowd, which is what an image is better for.
const CROWD: u64 = 256;
const CROWD_SIZE: u64 = 2 << 20;

/// Whether the files that come first are a crowd.
struct Crowd {
    files: u64,
    bytes: u64,
}

/// An image that is being made.
pub(crate) struct Image {
    image: erofs::Image,
    levels: Levels<Dir>,
    uuid: [u8; 16],
    /// The first files, as long as they may have to show that they are a crowd.
    first: Option<Crowd>,
    /// There are files with several names.
    has_links: bool,
    /// One of them may have lost one.
    lost_a_link: bool,
    /// Attributes of the current entry that its file cannot have.
    refused: Vec<Vec<u8>>,
}

/// Steps in an image; given what is told of directories that are made.
struct InImage<'i, M> {
    image: &'i mut erofs::Image,
    made: M,
}

impl<M: FnMut(&[u8], Obstacle) -> Result<()>> Walk<Dir> for InImage<'_, M> {
    fn look(&mut self, dir: &Dir, part: &[u8]) -> Result<Found<Dir>> {
        Ok(match self.image.find(*dir, part) {
            None => Found::Obstacle(Obstacle::Absent),
            Some(Entry::Directory(dir)) => Found::Directory(dir),
            Some(Entry::Inode(inode)) if inode.file_type == erofs::FileType::Symlink => {
                Found::Link(self.image.read_link(inode)?)
            }
            Some(Entry::Inode(inode)) => match is_whiteout(self.image, inode)? {
                true => Found::Obstacle(Obstacle::Whiteout),
                false => Found::Other,
            },
        })
    }

    fn make(&mut self, dir: &Dir, path: &[u8], obstacle: Obstacle) -> Result<()> {
        (self.made)(path, obstacle)?;
        self.image.make_dir(*dir, split(path).1).map(drop)
    }
}

fn is_whiteout(image: &erofs::Image, inode: Inode) -> Result<bool> {
    Ok(inode.file_type == erofs::FileType::Character && image.stat(inode)?.device == (0, 0))
}

fn attributes<'x>(entry: &tar::Entry, admitted: &'x Admitted<'_>) -> erofs::Attributes<'x> {
    erofs::Attributes {
        mode: admitted.mode,
        uid: entry.uid,
        gid: entry.gid,
        mtime: entry.mtime,
        xattrs: &admitted.xattrs,
    }
}

impl Image {
    /// In `file`, which is empty and can be read. `uuid` becomes that of the file system. With `only_crowd` there is no room for
    /// a layer that does not begin with a crowd of small files.
    pub(crate) fn new(file: File, uuid: [u8; 16], only_crowd: bool) -> Image {
        Image {
            image: erofs::Image::new(file, MEMORY),
            levels: Levels::new(Dir::ROOT),
            uuid,
            first: only_crowd.then_some(Crowd { files: 0, bytes: 0 }),
            has_links: false,
            lost_a_link: false,
            refused: Vec::new(),
        }
    }

    /// Takes note of a file that is about to come.
    ///
    /// # Errors
    /// [`Kind::Limit`] once it is clear that the first ones are no crowd.
    fn count(&mut self, size: u64) -> Result<()> {
        let Some(first) = &mut self.first else { return Ok(()) };
        first.files += 1;
        first.bytes = first.bytes.saturating_add(size);
        if first.bytes > CROWD_SIZE {
            return Err(Error::new(Kind::Limit, "make an image: the files are no crowd"));
        }
        if first.files == CROWD {
            self.first = None;
        }
        Ok(())
    }

    /// What the attributes of an entry are on disk.
    fn admit<'e>(&mut self, entry: &'e tar::Entry, of: Of) -> Result<Admitted<'e>> {
        let mut admitted = admit(entry.mode, &entry.xattrs, of)?;
        self.refused.append(&mut admitted.refused);
        Ok(admitted)
    }

    /// What the name leads to in the current directory, which is about to be something else.
    fn replace(&mut self, name: &[u8]) -> Option<Entry> {
        let found = self.image.find(*self.levels.current(), name);
        self.lost_a_link |= self.has_links && found.is_some();
        found
    }

    /// Gives a new inode its name.
    fn insert(&mut self, name: &[u8], inode: Inode) -> Result<()> {
        self.replace(name);
        self.image.insert(*self.levels.current(), name, inode)
    }

    /// The inode at `path`, which is there.
    fn inode(&mut self, path: &[u8]) -> Result<Inode> {
        let (dir, last) = split(path);
        super::enter_existing(self, dir)?;
        match self.image.find(*self.levels.current(), last) {
            Some(Entry::Inode(inode)) => Ok(inode),
            _ => Err(missing(path)),
        }
    }

    /// The hash of a file's blocks that are not zero.
    fn hash(&mut self, inode: Inode) -> Result<Hash> {
        self.image.flush()?;
        let mut hasher = SparseHasher::new();
        let mut buffer = vec![0; 128 << 10];
        for extent in self.image.extents(inode)? {
            let mut done = 0;
            while done < extent.length {
                let part = buffer.len().min(usize::try_from(extent.length - done).unwrap_or(usize::MAX));
                let into = buffer.get_mut(..part).unwrap_or_default();
                self.image.read(extent.at + done, into)?;
                hasher.update(extent.offset + done, into);
                done += part as u64;
            }
        }
        Ok(hasher.finish())
    }
}

impl Target for Image {
    /// The directory that it is in.
    type Source = Dir;

    fn enter(
        &mut self,
        path: &[u8],
        made: impl FnMut(&[u8], Obstacle) -> Result<()>,
    ) -> Result<Option<Vec<u8>>> {
        self.levels.enter(path, &mut InImage { image: &mut self.image, made })
    }

    fn directory(&mut self, name: &[u8], entry: &tar::Entry) -> Result<bool> {
        // All that it is given is in its record.
        self.admit(entry, Of::Directory)?;
        let dir = *self.levels.current();
        if name == b"." || matches!(self.image.find(dir, name), Some(Entry::Directory(_))) {
            return Ok(false);
        }
        let hides = match self.replace(name) {
            Some(Entry::Inode(inode)) => is_whiteout(&self.image, inode)?,
            _ => false,
        };
        self.image.make_dir(dir, name)?;
        Ok(hides)
    }

    fn dense<R: BufRead>(
        &mut self,
        path: &[u8],
        entry: &tar::Entry,
        size: u64,
        mut content: tar::Content<'_, R>,
    ) -> Result<Hash> {
        self.count(size)?;
        let admitted = self.admit(entry, Of::File)?;
        let attributes = attributes(entry, &admitted);
        let mut open = self.image.begin(&attributes, size)?;
        let mut hasher = Sha256::new();
        let mut left = size;
        while left > 0 {
            left -= content.next(left, |bytes| {
                hasher.update(bytes);
                self.image.append(&mut open, bytes)
            })?;
        }
        let inode = self.image.end(open, &attributes)?;
        self.insert(split(path).1, inode)?;
        Ok(hasher.finalize().into())
    }

    fn sparse<R: BufRead>(
        &mut self,
        name: &[u8],
        entry: &tar::Entry,
        size: u64,
        pieces: &[Piece],
        mut content: tar::Content<'_, R>,
    ) -> Result<Hash> {
        self.count(size)?;
        let admitted = self.admit(entry, Of::File)?;
        let attributes = attributes(entry, &admitted);
        let mut open = self.image.begin_sparse(&attributes, size)?;
        let mut hasher = SparseHasher::new();
        for piece in pieces {
            let mut done = 0;
            while done < piece.length {
                let at = piece.offset + done;
                done += content.next(piece.length - done, |bytes| {
                    hasher.update(at, bytes);
                    self.image.append_at(&mut open, at, bytes)
                })?;
            }
        }
        let inode = self.image.end(open, &attributes)?;
        self.insert(name, inode)?;
        Ok(hasher.finish())
    }

    fn special(&mut self, name: &[u8], entry: &tar::Entry, special: &Special<'_>) -> Result<()> {
        let inode = match special {
            Special::Symlink(text) => {
                let admitted = Admitted { mode: 0o777, ..self.admit(entry, Of::Symlink)? };
                self.image.symlink(&attributes(entry, &admitted), text)?
            }
            Special::Node(file_type, device) => {
                let admitted = self.admit(entry, Of::Node)?;
                let file_type = match file_type {
                    FileType::CharDevice => erofs::FileType::Character,
                    FileType::BlockDevice => erofs::FileType::Block,
                    _ => erofs::FileType::Fifo,
                };
                let numbers = (device.major, device.minor);
                self.image.node(&attributes(entry, &admitted), file_type, numbers)?
            }
        };
        self.insert(name, inode)
    }

    fn source(&mut self, name: &[u8]) -> Result<Dir> {
        let dir = *self.levels.current();
        match self.image.find(dir, name) {
            None => Err(Error::new(Kind::NotFound, "it does not exist")),
            Some(Entry::Inode(inode)) if !is_whiteout(&self.image, inode)? => Ok(dir),
            Some(_) => Err(Error::invalid("it is no file")),
        }
    }

    fn link(&mut self, source: &Dir, from: &[u8], name: &[u8]) -> Result<()> {
        self.replace(name);
        self.has_links = true;
        self.image.link((*source, from), *self.levels.current(), name)
    }

    fn whiteout(&mut self, name: &[u8]) -> Result<Hidden> {
        match self.image.find(*self.levels.current(), name) {
            Some(Entry::Directory(_)) => Ok(Hidden::Opaque),
            Some(Entry::Inode(_)) => Ok(Hidden::Anyway),
            None => {
                let none = erofs::Attributes { mode: 0, uid: 0, gid: 0, mtime: (0, 0), xattrs: &[] };
                let inode = self.image.node(&none, erofs::FileType::Character, (0, 0))?;
                self.insert(name, inode)?;
                Ok(Hidden::Whiteout)
            }
        }
    }

    fn set_opaque(&mut self, _: &[u8]) -> Result<()> {
        // Its record says so.
        Ok(())
    }

    fn take_refused(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.refused)
    }

    fn settle(&mut self) -> Result<()> {
        Ok(())
    }

    fn lost_a_link(&self) -> bool {
        self.lost_a_link
    }

    fn relink(&mut self, record: &Record, first: &[u8]) -> Result<Record> {
        let there = self.inode(first).ok();
        let inode = self.inode(&record.path).context(|| "look at a further name")?;
        if there == Some(inode) {
            return Ok(record.clone());
        }
        let stat = self.image.stat(inode)?;
        let (major, minor) = stat.device;
        let kind = match inode.file_type {
            erofs::FileType::Regular => manifest::Kind::Sparse { size: stat.size, hash: self.hash(inode)? },
            erofs::FileType::Symlink => manifest::Kind::Symlink { target: self.image.read_link(inode)? },
            erofs::FileType::Character => manifest::Kind::Character { major, minor },
            erofs::FileType::Block => manifest::Kind::Block { major, minor },
            erofs::FileType::Fifo => manifest::Kind::Fifo,
        };
        let erofs::Stat { mode, uid, gid, mtime, .. } = stat;
        let xattrs = self.image.xattrs(inode)?;
        Ok(Record { path: record.path.clone(), kind, mode, uid, gid, mtime, xattrs })
    }

    fn finish_directory(&mut self, record: &Record) -> Result<()> {
        let what = || format!("finish the directory `{}`", record.path.escape_ascii());
        super::enter_existing(self, &record.path).context(what)?;
        let mut admitted = admit(record.mode, &record.xattrs, Of::Directory).context(what)?;
        if record.kind == (manifest::Kind::Directory { is_opaque: true }) {
            let marks: Xattrs = [OPAQUE, TRUSTED_OPAQUE].map(|name| (name.into(), b"y".to_vec())).into();
            admitted.xattrs.to_mut().extend(marks);
        }
        let attributes = erofs::Attributes {
            mode: admitted.mode,
            uid: record.uid,
            gid: record.gid,
            mtime: record.mtime,
            xattrs: &admitted.xattrs,
        };
        self.image.set(*self.levels.current(), &attributes).context(what)
    }

    fn adopt(&mut self, record: &Record) -> Result<()> {
        self.finish_directory(record)
    }

    fn end(self) -> Result<()> {
        self.image.finish(&self.uuid)
    }
}
