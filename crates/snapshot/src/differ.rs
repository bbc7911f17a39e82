//! What a container changed, against what its layers say: as a tar, or as a list.
//!
//! Runs in the disposable child, whose root is the container's upper directory, or its whole tree; ids are shifted back by
//! an id-mapped mount. Of the layers only the manifests are read.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;

use taru_stdx::{Context, Error, Kind as Class, Result};
use taru_sys::fs::FileType;
use taru_tar::{self as tar, Xattrs};

use crate::attribute::{OPAQUE, is_kept};
use crate::inherit::Below;
use crate::manifest::{Kind, Record};
use crate::name::{join, opaque_of, split, whiteout_of};
use crate::tree::is_whiteout;
use crate::walk::{Found, Walk};
use crate::{extent, hash};

/// Takes the changes one after the other, in the order of a walk.
pub(crate) trait Sink {
    /// `found` is new (`was` is none) or differs from what it was.
    fn changed(&mut self, walk: &Walk, found: &Found, xattrs: Xattrs, was: Option<&Record>) -> Result<()>;
    /// The path is gone.
    fn deleted(&mut self, path: &[u8]) -> Result<()>;
    /// All that was in the directory is gone; what is there is new.
    fn emptied(&mut self, dir: &[u8]) -> Result<()>;
    /// A file that did not change has several names, of which one may be new.
    fn linked(&mut self, found: &Found) -> Result<()>;
    /// A directory that did not change, in which something may have.
    fn entered(&mut self, walk: &Walk, found: &Found, xattrs: Xattrs) -> Result<()>;
}

/// Walks overlay's upper directory.
pub(crate) fn overlay(mut walk: Walk, below: &Below, sink: &mut impl Sink) -> Result<()> {
    // How many layers show through in the directories on the way.
    let mut visible: Vec<(Vec<u8>, usize)> = Vec::new();
    while let Some(found) = walk.next()? {
        let path = &found.path;
        let (dir, _) = split(path);
        while visible.last().is_some_and(|(above, _)| above != dir) {
            visible.pop();
        }
        let count = visible.last().map_or(below.count(), |(_, count)| *count);
        let was = below.find_in(path, count)?;
        if is_whiteout(&found.stat) {
            if was.is_some() {
                sink.deleted(path)?;
            }
            continue;
        }
        // Directories that were renamed, and files of which only the attributes are there.
        let mark = match found.stat.file_type() {
            FileType::Directory => Some("user.overlay.redirect"),
            FileType::Regular => Some("user.overlay.metacopy"),
            _ => None,
        };
        if mark.is_some_and(|mark| walk.xattr(&found, mark).is_some()) {
            let what = format!("compare `{}`: overlay only keeps a reference to it", path.escape_ascii());
            return Err(Error::new(Class::Unsupported, what)
                .hint("the overlay was mounted with redirect_dir or metacopy"));
        }
        if found.stat.is_dir() {
            let hides = walk.xattr(&found, OPAQUE).is_some_and(|value| value == b"y");
            let had = was.as_ref().is_some_and(|was| was.kind.is_directory());
            let now = if hides || !had { 0 } else { below.visible(path, count)? };
            visible.push((path.clone(), now));
            directory(&walk, &found, was.as_ref(), sink)?;
            if hides && had {
                sink.emptied(path)?;
            }
            continue;
        }
        other(&walk, &found, was.as_ref(), sink)?;
    }
    Ok(())
}

/// Walks a whole tree beside what the layers say, which comes sorted. What is the same in its attributes and older than
/// `since` is not read.
pub(crate) fn whole(
    mut walk: Walk,
    mut layers: impl FnMut() -> Result<Option<Record>>,
    sink: &mut impl Sink,
) -> Result<()> {
    let mut next = layers()?;
    let mut gone: Option<Vec<u8>> = None;
    loop {
        let found = walk.next()?;
        // What comes before it in the layers is not there any more.
        while let Some(was) = next.take_if(|was| {
            found.as_ref().is_none_or(|found| crate::manifest::order(&was.path, &found.path).is_lt())
        }) {
            if !gone.as_ref().is_some_and(|gone| is_below(&was.path, gone)) {
                sink.deleted(&was.path)?;
                gone = Some(was.path);
            }
            next = layers()?;
        }
        let Some(found) = found else { return Ok(()) };
        let was = next.take_if(|was| was.path == found.path);
        if was.is_some() {
            next = layers()?;
        }
        if let Some(was) = was.as_ref().filter(|was| was.kind.is_directory() && !found.stat.is_dir()) {
            // All below it went with it.
            gone = Some(was.path.clone());
        }
        if found.stat.is_dir() {
            directory(&walk, &found, was.as_ref(), sink)?;
        } else {
            other(&walk, &found, was.as_ref(), sink)?;
        }
    }
}

fn is_below(path: &[u8], dir: &[u8]) -> bool {
    path.strip_prefix(dir).is_some_and(|rest| rest.first() == Some(&b'/'))
}

fn directory(walk: &Walk, found: &Found, was: Option<&Record>, sink: &mut impl Sink) -> Result<()> {
    let xattrs = walk.xattrs(found, is_kept)?;
    match was {
        Some(was) if was.kind.is_directory() && is_same(found, &xattrs, was) => {
            sink.entered(walk, found, xattrs)
        }
        was => sink.changed(walk, found, xattrs, was),
    }
}

fn other(walk: &Walk, found: &Found, was: Option<&Record>, sink: &mut impl Sink) -> Result<()> {
    let xattrs = walk.xattrs(found, is_kept)?;
    if let Some(was) = was
        && is_same(found, &xattrs, was)
        && has_same_content(walk, found, was)?
    {
        let has_names = found.stat.file_type() == FileType::Regular && found.stat.nlink > 1;
        return if has_names { sink.linked(found) } else { Ok(()) };
    }
    sink.changed(walk, found, xattrs, was)
}

/// Whether attributes are what they were. What a program changes gets a new time, unless it takes pains.
fn is_same(found: &Found, xattrs: &Xattrs, was: &Record) -> bool {
    found.stat.mtime == was.mtime && has_same_attributes(found, xattrs, was)
}

/// Whether they are but for the time.
fn has_same_attributes(found: &Found, xattrs: &Xattrs, was: &Record) -> bool {
    let stat = &found.stat;
    (stat.permissions(), stat.uid, stat.gid) == (was.mode, was.uid, was.gid) && *xattrs == was.xattrs
}

fn has_same_content(walk: &Walk, found: &Found, was: &Record) -> Result<bool> {
    let stat = &found.stat;
    Ok(match (&was.kind, stat.file_type()) {
        (Kind::File { size, hash }, FileType::Regular) => {
            *size == stat.size && hash::of_file(&walk.open(found)?)? == *hash
        }
        (Kind::Sparse { size, hash }, FileType::Regular) => {
            *size == stat.size && hash::of_sparse(&walk.open(found)?, *size)? == *hash
        }
        (Kind::Symlink { target }, FileType::Symlink) => walk.read_link(found)? == *target,
        (Kind::Character { major, minor }, FileType::CharDevice)
        | (Kind::Block { major, minor }, FileType::BlockDevice) => {
            (stat.rdev.major, stat.rdev.minor) == (*major, *minor)
        }
        (Kind::Fifo, FileType::Fifo) => true,
        // A further name of a file: which one it was is not known any more.
        _ => false,
    })
}

/// Writes the changes as a layer.
pub(crate) struct Layer<W> {
    tar: tar::Writer<W>,
    /// No file is newer than this.
    epoch: Option<i64>,
    /// The first name of each file that has several.
    names: HashMap<u64, Vec<u8>>,
    /// Names of files that did not change, by their file: to be links if one comes that is new.
    unchanged: HashMap<u64, Vec<Found>>,
    /// Directories that did not change, and are only written if something in them did.
    above: Vec<tar::Entry>,
}

impl<W: Write> Layer<W> {
    pub(crate) fn new(to: W, epoch: Option<i64>) -> Layer<W> {
        let (names, unchanged) = (HashMap::new(), HashMap::new());
        Layer { tar: tar::Writer::new(to), epoch, names, unchanged, above: Vec::new() }
    }

    pub(crate) fn finish(self) -> Result<()> {
        self.tar.finish().map(drop)
    }

    fn entry(&self, found: &Found, kind: tar::Kind, xattrs: Xattrs) -> tar::Entry {
        let stat = &found.stat;
        let mtime = match self.epoch {
            Some(epoch) if stat.mtime > (epoch, 0) => (epoch, 0),
            _ => stat.mtime,
        };
        let path = if found.path.is_empty() { b".".to_vec() } else { found.path.clone() };
        let (mode, uid, gid) = (stat.permissions(), stat.uid, stat.gid);
        tar::Entry { path, kind, mode, uid, gid, mtime, xattrs, records: Vec::new() }
    }

    /// Writes the directories that lead to `path` and were not written yet.
    fn lead_to(&mut self, path: &[u8]) -> Result<()> {
        for dir in std::mem::take(&mut self.above) {
            if dir.path == b"." || is_below(path, &dir.path) {
                self.tar.entry(&dir)?;
            }
        }
        Ok(())
    }

    /// Writes `found` as a further name of the file that was written as `target`.
    fn link(&mut self, found: &Found, target: Vec<u8>) -> Result<()> {
        self.tar.entry(&self.entry(found, tar::Kind::Link { target }, Vec::new()))
    }

    fn mark(&mut self, path: Vec<u8>) -> Result<()> {
        let mtime = (self.epoch.unwrap_or(0).min(0), 0);
        self.tar.entry(&tar::Entry { mtime, ..tar::Entry::new(tar::Kind::file(0), path, 0o600) })
    }

    fn file(&mut self, file: &File, found: &Found, xattrs: Xattrs) -> Result<()> {
        let size = found.stat.size;
        let what = || format!("read `{}`", found.path.escape_ascii());
        let Some(pieces) = extent::pieces(file, size).context(what)? else {
            self.tar.entry(&self.entry(found, tar::Kind::file(size), xattrs))?;
            return self.copy(file, 0, size).context(what);
        };
        let kind = tar::Kind::File { size, pieces: Some(pieces.clone()) };
        self.tar.entry(&self.entry(found, kind, xattrs))?;
        for piece in &pieces {
            self.copy(file, piece.offset, piece.length).context(what)?;
        }
        Ok(())
    }

    /// Exactly `length` bytes, even if the file shrinks meanwhile: the header has been written.
    fn copy(&mut self, file: &File, start: u64, length: u64) -> Result<()> {
        let mut buffer = vec![0; 128 << 10];
        let mut done = 0;
        while done < length {
            let part = buffer.len().min(usize::try_from(length - done).unwrap_or(usize::MAX));
            let read = file.read_at(&mut buffer[..part], start + done).context(|| "read it")?;
            if read == 0 {
                buffer[..part].fill(0);
            }
            let read = if read == 0 { part } else { read };
            self.tar.content(&buffer[..read])?;
            done += read as u64;
        }
        Ok(())
    }
}

impl<W: Write> Sink for Layer<W> {
    fn changed(&mut self, walk: &Walk, found: &Found, xattrs: Xattrs, _: Option<&Record>) -> Result<()> {
        let stat = &found.stat;
        let kind = match stat.file_type() {
            FileType::Directory => tar::Kind::Directory,
            FileType::Regular => {
                self.lead_to(&found.path)?;
                if stat.nlink > 1 {
                    if let Some(target) = self.names.get(&stat.ino) {
                        return self.link(found, target.clone());
                    }
                    self.names.insert(stat.ino, found.path.clone());
                }
                self.file(&walk.open(found)?, found, xattrs)?;
                let others = self.unchanged.remove(&stat.ino).unwrap_or_default();
                return others.iter().try_for_each(|other| self.link(other, found.path.clone()));
            }
            FileType::Symlink => tar::Kind::Symlink { target: walk.read_link(found)? },
            FileType::CharDevice => tar::Kind::Character { major: stat.rdev.major, minor: stat.rdev.minor },
            FileType::BlockDevice => tar::Kind::Block { major: stat.rdev.major, minor: stat.rdev.minor },
            FileType::Fifo => tar::Kind::Fifo,
            // A socket means nothing without the process that made it; no tar has them.
            FileType::Socket | FileType::Other => return Ok(()),
        };
        self.lead_to(&found.path)?;
        self.tar.entry(&self.entry(found, kind, xattrs))
    }

    fn deleted(&mut self, path: &[u8]) -> Result<()> {
        self.lead_to(path)?;
        let (dir, last) = split(path);
        self.mark(join(dir, &whiteout_of(last)))
    }

    fn emptied(&mut self, dir: &[u8]) -> Result<()> {
        self.lead_to(&join(dir, b"x"))?;
        self.mark(opaque_of(dir))
    }

    fn linked(&mut self, found: &Found) -> Result<()> {
        if let Some(target) = self.names.get(&found.stat.ino) {
            let target = target.clone();
            self.lead_to(&found.path)?;
            return self.link(found, target);
        }
        let found = Found { path: found.path.clone(), stat: found.stat };
        self.unchanged.entry(found.stat.ino).or_default().push(found);
        Ok(())
    }

    fn entered(&mut self, _: &Walk, found: &Found, xattrs: Xattrs) -> Result<()> {
        self.above.retain(|dir| dir.path == b"." || is_below(&found.path, &dir.path));
        let entry = self.entry(found, tar::Kind::Directory, xattrs);
        self.above.push(entry);
        Ok(())
    }
}

/// Writes the changes as lines: `A`, `C` or `D`, the path, NUL. `T` is a directory of which only the time changed.
pub(crate) struct List<W> {
    to: W,
}

impl<W: Write> List<W> {
    pub(crate) fn new(to: W) -> List<W> {
        List { to }
    }

    pub(crate) fn finish(mut self) -> Result<()> {
        self.to.flush().context(|| "write the list")
    }

    fn line(&mut self, kind: u8, path: &[u8]) -> Result<()> {
        self.to.write_all(&[&[kind], path, &[0]].concat()).context(|| "write the list")
    }
}

impl<W: Write> Sink for List<W> {
    fn changed(&mut self, _: &Walk, found: &Found, xattrs: Xattrs, was: Option<&Record>) -> Result<()> {
        if found.path.is_empty() {
            return Ok(());
        }
        let is_time = |was: &Record| {
            was.kind.is_directory() && found.stat.is_dir() && has_same_attributes(found, &xattrs, was)
        };
        let kind = match was {
            None => b'A',
            Some(was) if is_time(was) => b'T',
            Some(_) => b'C',
        };
        self.line(kind, &found.path)
    }

    fn deleted(&mut self, path: &[u8]) -> Result<()> {
        self.line(b'D', path)
    }

    fn emptied(&mut self, _: &[u8]) -> Result<()> {
        Ok(())
    }

    fn linked(&mut self, _: &Found) -> Result<()> {
        Ok(())
    }

    fn entered(&mut self, _: &Walk, _: &Found, _: Xattrs) -> Result<()> {
        Ok(())
    }
}
