//! Entries as files on disk, below the layer's directory, which is the child's root.
//!
//! Every call is relative to an open directory; a file costs open, write, futimens and close, and chown, chmod where they
//! matter; of a small file all but the open is done on another core ([`crate::fill`]). The mark `trusted.overlay.opaque`
//! is the parent's to set: the child has no right to.

use std::cell::RefCell;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;

use sha2::{Digest as _, Sha256};
use taru_rootdir::RootDir;
use taru_stdx::{Context, Error, Result};
use taru_sys::fs::{self, AtFlags, Device, FileType, OpenFlags, Unlink};
use taru_sys::{errno, xattr};
use taru_tar::{self as tar, Piece, Xattrs};

use super::{Hidden, Special, Target};
use crate::attribute::{DEFAULT_ACL, OPAQUE, is_kept};
use crate::fill::{Attributes, Filler, Filling, SMALL, refused_owner};
use crate::hash::{self, SparseHasher};
use crate::levels::Obstacle;
use crate::manifest::{Hash, Kind, Record};
use crate::name::split;
use crate::tree::{Tree, is_refused, is_whiteout, name, xattrs_of};

/// Files below a directory.
pub(crate) struct Files {
    tree: Tree,
    /// A file with several names lost one.
    lost_a_link: bool,
    /// Attributes of the current entry that its file cannot have.
    refused: RefCell<Vec<Vec<u8>>>,
    /// Fills small files, while entries are read.
    filler: Option<Filler>,
}

impl Files {
    /// Below `root`, which is empty.
    pub(crate) fn new(root: OwnedFd) -> Result<Files> {
        let filler = Some(Filler::start());
        Ok(Files { tree: Tree::new(root)?, lost_a_link: false, refused: RefCell::default(), filler })
    }

    /// Does `act`, which makes something in the current directory; whatever has the name is removed for it.
    fn make<T>(
        &mut self,
        last: &[u8],
        mut act: impl FnMut(BorrowedFd<'_>) -> taru_sys::Result<T>,
    ) -> Result<T> {
        match act(self.tree.dir()) {
            Err(e) if e.errno() == errno::EXIST => {}
            done => return done.context(|| "make it"),
        }
        self.clear(last)?;
        act(self.tree.dir()).context(|| "make it")
    }

    /// Removes `last` from the current directory.
    fn clear(&mut self, last: &[u8]) -> Result<()> {
        let stat = self.tree.stat(last).context(|| "look at what is there")?;
        if stat.is_dir() {
            // Any name below may be a link to something that stays.
            self.lost_a_link = true;
            let dir = self.tree.dir().try_clone_to_owned().context(|| "replace a directory")?;
            return RootDir::from_fd(dir).remove_all(name(last));
        }
        self.lost_a_link |= stat.nlink > 1;
        fs::unlinkat(self.tree.dir(), name(last), Unlink::File).context(|| "replace a file")
    }

    /// Owner, mode and attributes of a directory that is there; its times come last.
    fn set_directory(&self, last: &[u8], entry: &tar::Entry) -> Result<()> {
        self.chown(last, entry)?;
        let needs_mode = last == b"." || entry.mode & 0o6000 != 0 || entry.uid != 0 || entry.gid != 0;
        if needs_mode || self.tree.gives_group() {
            fs::fchmodat(self.tree.dir(), name(last), entry.mode, AtFlags::empty())
                .context(|| "set its mode")?;
        }
        let kept = entry.xattrs.iter().filter(|(attribute, _)| attribute != DEFAULT_ACL);
        self.refused.borrow_mut().extend(self.tree.set_xattrs(last, kept)?);
        Ok(())
    }

    fn chown(&self, last: &[u8], entry: &tar::Entry) -> Result<()> {
        let (dir, nofollow) = (self.tree.dir(), AtFlags::SYMLINK_NOFOLLOW);
        fs::fchownat(dir, name(last), Some(entry.uid), Some(entry.gid), nofollow)
            .map_err(|e| refused_owner(e, entry.uid, entry.gid))
    }

    /// Everything of what is not a file or a directory.
    fn set_attributes(&self, last: &[u8], entry: &tar::Entry) -> Result<()> {
        if entry.uid != 0 || entry.gid != 0 || self.tree.gives_group() {
            self.chown(last, entry)?;
        }
        if entry.mode & 0o7000 != 0 && !matches!(entry.kind, tar::Kind::Symlink { .. }) {
            fs::fchmodat(self.tree.dir(), name(last), entry.mode, AtFlags::empty())
                .context(|| "set its mode")?;
        }
        self.refused.borrow_mut().extend(self.tree.set_xattrs(last, entry.xattrs.iter())?);
        fs::utimensat(self.tree.dir(), name(last), entry.mtime, entry.mtime, AtFlags::SYMLINK_NOFOLLOW)
            .context(|| "set its times")
    }

    fn create(&mut self, last: &[u8], mode: u32) -> Result<File> {
        let flags = OpenFlags::WRONLY | OpenFlags::CREATE | OpenFlags::EXCL | OpenFlags::NOFOLLOW;
        self.make(last, |dir| fs::openat(dir, name(last), flags, mode & 0o777)).map(File::from)
    }

    /// What a new file has to be given besides its content and its extended attributes.
    fn attributes(&self, entry: &tar::Entry) -> Attributes {
        let is_others = entry.uid != 0 || entry.gid != 0 || self.tree.gives_group();
        Attributes {
            owner: is_others.then_some((entry.uid, entry.gid)),
            mode: (entry.mode & 0o7000 != 0).then_some(entry.mode),
            mtime: entry.mtime,
        }
    }

    /// Everything of an open file but its content.
    fn finish_file(&self, file: &File, entry: &tar::Entry) -> Result<()> {
        // Capabilities go with a change of the owner (and so are set behind it).
        let attributes = self.attributes(entry);
        attributes.set_owner_and_mode(file)?;
        self.refused.borrow_mut().extend(set_open_xattrs(file.as_fd(), &entry.xattrs)?);
        attributes.set_times(file)
    }
}

impl Target for Files {
    /// The directory that it is in.
    type Source = OwnedFd;

    fn enter(
        &mut self,
        path: &[u8],
        mut made: impl FnMut(&[u8], Obstacle) -> Result<()>,
    ) -> Result<Option<Vec<u8>>> {
        self.tree.enter(path, |at, path, obstacle| {
            made(path, obstacle)?;
            let (_, last) = split(path);
            if obstacle == Obstacle::Whiteout {
                fs::unlinkat(at, name(last), Unlink::File).context(|| "replace a whiteout")?;
            }
            let what = || format!("make the directory `{}`", path.escape_ascii());
            fs::mkdirat(at, name(last), 0o755).context(what)?;
            // A directory with the bit gives it on, and its group.
            if fs::fstat(at).context(what)?.mode & 0o2000 != 0 {
                fs::fchownat(at, name(last), Some(0), Some(0), AtFlags::SYMLINK_NOFOLLOW).context(what)?;
                fs::fchmodat(at, name(last), 0o755, AtFlags::empty()).context(what)?;
            }
            match obstacle {
                Obstacle::Absent => Ok(()),
                Obstacle::Whiteout => set_opaque(at, last),
            }
        })
    }

    fn directory(&mut self, last: &[u8], entry: &tar::Entry) -> Result<bool> {
        let mut hides = false;
        match fs::mkdirat(self.tree.dir(), name(last), entry.mode & 0o1777) {
            Err(e) if e.errno() == errno::EXIST => {
                let stat = self.tree.stat(last).context(|| "look at what is there")?;
                if !stat.is_dir() {
                    hides = is_whiteout(&stat);
                    self.clear(last)?;
                    fs::mkdirat(self.tree.dir(), name(last), entry.mode & 0o1777).context(|| "make it")?;
                } else {
                    fs::fchmodat(self.tree.dir(), name(last), entry.mode, AtFlags::empty())
                        .context(|| "set its mode")?;
                }
            }
            made => made.context(|| "make it")?,
        }
        self.set_directory(last, entry)?;
        if hides {
            set_opaque(self.tree.dir(), last)?;
        }
        Ok(hides)
    }

    fn dense<R: BufRead>(
        &mut self,
        path: &[u8],
        entry: &tar::Entry,
        size: u64,
        mut content: tar::Content<'_, R>,
    ) -> Result<Hash> {
        let (_, last) = split(path);
        let mut file = self.create(last, entry.mode)?;
        let mut hasher = Sha256::new();
        let mut left = size;
        if size > SMALL || !entry.xattrs.is_empty() {
            while left > 0 {
                left -= content.next(left, |bytes| {
                    hasher.update(bytes);
                    file.write_all(bytes).context(|| "write its content")
                })?;
            }
            self.finish_file(&file, entry)?;
            return Ok(hasher.finalize().into());
        }
        let mut small = Vec::with_capacity(size as usize);
        while left > 0 {
            left -= content.next(left, |bytes| {
                hasher.update(bytes);
                small.extend_from_slice(bytes);
                Ok(())
            })?;
        }
        let filling =
            Filling { path: path.to_vec(), file, content: small, attributes: self.attributes(entry) };
        let goes_on = self.filler.as_mut().is_some_and(|filler| filler.fill(filling));
        if !goes_on {
            // The filler's own error is the one that is reported.
            return Err(Error::invalid("a file before it could not be filled"));
        }
        Ok(hasher.finalize().into())
    }

    fn sparse<R: BufRead>(
        &mut self,
        last: &[u8],
        entry: &tar::Entry,
        size: u64,
        pieces: &[Piece],
        mut content: tar::Content<'_, R>,
    ) -> Result<Hash> {
        let file = self.create(last, entry.mode)?;
        file.set_len(size).context(|| "set its size")?;
        let mut hasher = SparseHasher::new();
        for piece in pieces {
            let mut done = 0;
            while done < piece.length {
                let at = piece.offset + done;
                done += content.next(piece.length - done, |bytes| {
                    hasher.update(at, bytes);
                    file.write_all_at(bytes, at).context(|| "write its content")
                })?;
            }
        }
        self.finish_file(&file, entry)?;
        Ok(hasher.finish())
    }

    fn special(&mut self, last: &[u8], entry: &tar::Entry, special: &Special<'_>) -> Result<()> {
        match special {
            Special::Symlink(target) => {
                self.make(last, |dir| fs::symlinkat(name(target), dir, name(last)))?;
            }
            Special::Node(kind, device) => {
                self.make(last, |dir| fs::mknodat(dir, name(last), *kind, entry.mode, *device))?;
            }
        }
        self.set_attributes(last, entry)
    }

    fn source(&mut self, last: &[u8]) -> Result<OwnedFd> {
        let stat = self.tree.stat(last).context(|| "look at it")?;
        if stat.is_dir() || is_whiteout(&stat) {
            return Err(Error::invalid("it is no file"));
        }
        self.tree.dir().try_clone_to_owned().context(|| "keep its directory open")
    }

    fn link(&mut self, source: &OwnedFd, from: &[u8], last: &[u8]) -> Result<()> {
        self.make(last, |at| fs::linkat(source.as_fd(), name(from), at, name(last), AtFlags::empty()))
    }

    fn whiteout(&mut self, last: &[u8]) -> Result<Hidden> {
        match fs::mknodat(self.tree.dir(), name(last), FileType::CharDevice, 0, Device::new(0, 0)) {
            // It says what is below is gone; what this layer has itself stays, but hides it.
            Err(e) if e.errno() == errno::EXIST => {
                if self.tree.stat(last).context(|| "look at what is there")?.is_dir() {
                    set_opaque(self.tree.dir(), last)?;
                    return Ok(Hidden::Opaque);
                }
                Ok(Hidden::Anyway)
            }
            made => made.context(|| "make a whiteout").map(|()| Hidden::Whiteout),
        }
    }

    fn set_opaque(&mut self, last: &[u8]) -> Result<()> {
        set_opaque(self.tree.dir(), last)
    }

    fn take_refused(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(self.refused.get_mut())
    }

    fn settle(&mut self) -> Result<()> {
        self.filler.take().map_or(Ok(()), Filler::end)
    }

    fn lost_a_link(&self) -> bool {
        self.lost_a_link
    }

    fn relink(&mut self, record: &Record, first: &[u8]) -> Result<Record> {
        let tree = &mut self.tree;
        let what = || format!("look at `{}`", record.path.escape_ascii());
        let number = |tree: &mut Tree, path: &[u8]| -> Result<u64> {
            let (dir, last) = split(path);
            tree.enter_existing(dir)?;
            Ok(tree.stat(last).context(what)?.ino)
        };
        let there = number(tree, first).ok();
        if there == Some(number(tree, &record.path)?) {
            return Ok(record.clone());
        }
        let (_, last) = split(&record.path);
        let stat = tree.stat(last).context(what)?;
        let kind = match stat.file_type() {
            FileType::Regular => {
                let fd = fs::openat(tree.dir(), name(last), OpenFlags::NOFOLLOW, 0).context(what)?;
                Kind::Sparse { size: stat.size, hash: hash::of_sparse(&File::from(fd), stat.size)? }
            }
            FileType::Symlink => {
                let target = fs::readlinkat(tree.dir(), name(last)).context(what)?;
                Kind::Symlink { target: target.as_os_str().as_bytes().to_vec() }
            }
            FileType::CharDevice => Kind::Character { major: stat.rdev.major, minor: stat.rdev.minor },
            FileType::BlockDevice => Kind::Block { major: stat.rdev.major, minor: stat.rdev.minor },
            _ => Kind::Fifo,
        };
        fs::fchdir(tree.dir()).context(what)?;
        Ok(Record {
            path: record.path.clone(),
            kind,
            mode: stat.permissions(),
            uid: stat.uid,
            gid: stat.gid,
            mtime: stat.mtime,
            xattrs: xattrs_of(name(last), is_kept).context(what)?,
        })
    }

    fn finish_directory(&mut self, record: &Record) -> Result<()> {
        let what = || format!("finish the directory `{}`", record.path.escape_ascii());
        let (dir, last) = split(&record.path);
        self.tree.enter_existing(dir).context(what)?;
        let last: &[u8] = if last.is_empty() { b"." } else { last };
        let late = record.xattrs.iter().filter(|(attribute, _)| attribute == DEFAULT_ACL);
        self.tree.set_xattrs(last, late).map(drop).context(what)?;
        fs::utimensat(self.tree.dir(), name(last), record.mtime, record.mtime, AtFlags::SYMLINK_NOFOLLOW)
            .context(what)
    }

    fn adopt(&mut self, record: &Record) -> Result<()> {
        let (dir, last) = split(&record.path);
        self.tree.enter_existing(dir)?;
        let last: &[u8] = if last.is_empty() { b"." } else { last };
        let ids = (Some(record.uid), Some(record.gid));
        fs::fchownat(self.tree.dir(), name(last), ids.0, ids.1, AtFlags::SYMLINK_NOFOLLOW)
            .context(|| "set its owner")?;
        fs::fchmodat(self.tree.dir(), name(last), record.mode, AtFlags::empty())
            .context(|| "set its mode")?;
        self.tree.set_xattrs(last, record.xattrs.iter())?;
        self.finish_directory(record)
    }

    fn end(self) -> Result<()> {
        Ok(())
    }
}

fn set_opaque(dir: BorrowedFd<'_>, last: &[u8]) -> Result<()> {
    let what = || "make the directory opaque";
    let flags = OpenFlags::DIRECTORY | OpenFlags::NOFOLLOW;
    let fd = fs::openat(dir, name(last), flags, 0).context(what)?;
    xattr::fsetxattr(fd.as_fd(), OPAQUE.as_ref(), b"y", xattr::SetFlags::empty()).context(what)
}

fn set_open_xattrs(fd: BorrowedFd<'_>, xattrs: &Xattrs) -> Result<Vec<Vec<u8>>> {
    let mut refused = Vec::new();
    for (name, value) in xattrs {
        let attribute = OsStr::from_bytes(name);
        match xattr::fsetxattr(fd, attribute, value, xattr::SetFlags::empty()) {
            Err(e) if is_refused(attribute, e.errno()) => refused.push(name.clone()),
            done => done.context(|| format!("set `{}`", attribute.display()))?,
        }
    }
    Ok(refused)
}
