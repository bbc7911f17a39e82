//! A layer's tar onto disk. Runs in the disposable child, whose root is the layer's directory.
//!
//! The tree that comes out is what overlay stacks: a whiteout is a character device 0:0, a directory that hides
//! what is below carries `user.overlay.opaque` (for containers with users of their own) and, set by the parent,
//! `trusted.overlay.opaque` (for those with the host's). Every call is relative to an open directory; a file costs open,
//! write, futimens and close, and chown, chmod where they matter; of a small file all but the open is done on another
//! core ([`crate::fill`]).

use std::cell::RefCell;
use std::fs::File;
use std::io::{BufRead, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;

use sha2::{Digest as _, Sha256};
use taru_oci::limits;
use taru_rootdir::RootDir;
use taru_stdx::{Context, Error, Result};
use taru_sys::fs::{self, AtFlags, Device, FileType, OpenFlags, Unlink};
use taru_sys::{errno, xattr};
use taru_tar::{self as tar, Piece, Xattrs};

use crate::attribute::{DEFAULT_ACL, OPAQUE, is_acl, is_kept};
use crate::fill::{Attributes, Filler, Filling, SMALL, refused_owner};
use crate::hash::{self, SparseHasher};
use crate::manifest::{Kind, Lines, ManifestWriter, Record, Sorter};
use crate::name::{Meaning, join, meaning, split};
use crate::tree::{Obstacle, Tree, is_refused, is_whiteout, name};

/// Unpacks a tar into `root`.
pub(crate) struct Unpacker {
    tree: Tree,
    records: Sorter,
    /// All files become root's: there are no other ids.
    squash: bool,
    /// Device nodes cannot be made; they are left out, as other tools do for ordinary users.
    skip_devices: bool,
    entries: u64,
    /// A file with several names lost one: those that are left may be named after it.
    lost_a_link: bool,
    /// Attributes of the current entry that its file cannot have.
    refused: RefCell<Vec<Vec<u8>>>,
    /// Fills small files, while entries are read.
    filler: Option<Filler>,
}

impl Unpacker {
    /// `spill` is an empty file to sort in.
    pub(crate) fn new(root: OwnedFd, spill: File, squash: bool, skip_devices: bool) -> Result<Unpacker> {
        let tree = Tree::new(root)?;
        let records = Sorter::new(spill);
        Ok(Unpacker {
            tree,
            records,
            squash,
            skip_devices,
            entries: 0,
            lost_a_link: false,
            refused: RefCell::default(),
            filler: None,
        })
    }

    /// All entries of the tar.
    pub(crate) fn unpack<R: BufRead>(&mut self, reader: &mut tar::Reader<R>) -> Result<()> {
        self.filler = Some(Filler::start());
        let read = self.entries(reader);
        // A filler that failed is the cause of what failed here.
        self.filler.take().map_or(Ok(()), Filler::end)?;
        read
    }

    fn entries<R: BufRead>(&mut self, reader: &mut tar::Reader<R>) -> Result<()> {
        // A tar need not name its root.
        self.records.push(implicit(b""))?;
        while let Some(mut entry) = reader.entry()? {
            self.entries += 1;
            if self.squash {
                (entry.uid, entry.gid) = (0, 0);
                // There is nobody else whom an ACL could mean.
                entry.xattrs.retain(|(attribute, _)| !is_acl(attribute));
            }
            entry.xattrs.retain(|(attribute, _)| is_kept(attribute));
            let path = std::mem::take(&mut entry.path);
            let what = || format!("unpack `{}`", path.escape_ascii());
            match meaning(&path)? {
                Meaning::Root => self.root(&entry).context(what)?,
                Meaning::Path(path) => self.entry(path, &entry, reader.content()).context(what)?,
                Meaning::Whiteout(path) => self.whiteout(&path).context(what)?,
                Meaning::Opaque(dir) => {
                    let dir = self.enter(&dir).context(what)?.unwrap_or(dir);
                    self.make_opaque(&dir).context(what)?;
                }
            }
        }
        Ok(())
    }

    /// Makes `dir` the current directory; what is missing on the way is made.
    fn enter(&mut self, dir: &[u8]) -> Result<Option<Vec<u8>>> {
        let records = &mut self.records;
        self.tree.enter(dir, |at, path, obstacle| {
            let (_, last) = split(path);
            if matches!(obstacle, Obstacle::Whiteout) {
                fs::unlinkat(at, name(last), Unlink::File).context(|| "replace a whiteout")?;
            }
            fs::mkdirat(at, name(last), 0o755)
                .context(|| format!("make the directory `{}`", path.escape_ascii()))?;
            records.push(implicit(path))?;
            if matches!(obstacle, Obstacle::Whiteout) {
                set_opaque(at, last)?;
                records.push(Record { kind: Kind::Directory { is_opaque: true }, ..implicit(path) })?;
            }
            Ok(())
        })
    }

    fn root(&mut self, entry: &tar::Entry) -> Result<()> {
        if entry.kind != tar::Kind::Directory {
            return Err(Error::invalid("the root is no directory"));
        }
        self.tree.enter_existing(b"")?;
        self.set_directory(b".", entry)?;
        self.record(Vec::new(), Kind::Directory { is_opaque: false }, entry)
    }

    fn record(&mut self, path: Vec<u8>, kind: Kind, entry: &tar::Entry) -> Result<()> {
        // A link has its file's attributes, a symbolic link no mode of its own.
        let refused = std::mem::take(&mut *self.refused.borrow_mut());
        let mode = if matches!(kind, Kind::Symlink { .. }) { 0o777 } else { entry.mode };
        self.records.push(Record {
            path,
            kind,
            mode,
            uid: entry.uid,
            gid: entry.gid,
            mtime: entry.mtime,
            xattrs: entry.xattrs.iter().filter(|(name, _)| !refused.contains(name)).cloned().collect(),
        })
    }

    fn entry<R: BufRead>(
        &mut self,
        path: Vec<u8>,
        entry: &tar::Entry,
        content: tar::Content<'_, R>,
    ) -> Result<()> {
        let (dir, last) = split(&path);
        let path = match self.enter(dir)? {
            None => path.clone(),
            Some(elsewhere) => join(&elsewhere, last),
        };
        let (_, last) = split(&path);
        let kind = match &entry.kind {
            tar::Kind::Directory => return self.directory(&path, entry),
            tar::Kind::File { size, pieces: None } => self.dense(&path, entry, *size, content)?,
            tar::Kind::File { size, pieces: Some(pieces) } => {
                self.sparse(last, entry, *size, pieces, content)?
            }
            tar::Kind::Link { target } => return self.link(&path, target, entry),
            tar::Kind::Symlink { target } => {
                if target.is_empty() || target.len() > limits::PATH || target.contains(&0) {
                    return Err(Error::invalid("a symbolic link that leads nowhere"));
                }
                self.make(last, |dir| fs::symlinkat(name(target), dir, name(last)))?;
                Kind::Symlink { target: target.clone() }
            }
            tar::Kind::Character { major, minor } => {
                let device = Device::new(*major, *minor);
                // To overlay, this device is no device.
                if device == Device::new(0, 0) {
                    return Err(Error::invalid("a device 0:0, which is a whiteout to overlay"));
                }
                if self.skip_devices {
                    return Ok(());
                }
                self.node(last, FileType::CharDevice, entry.mode, device)?;
                Kind::Character { major: *major, minor: *minor }
            }
            tar::Kind::Block { major, minor } => {
                if self.skip_devices {
                    return Ok(());
                }
                self.node(last, FileType::BlockDevice, entry.mode, Device::new(*major, *minor))?;
                Kind::Block { major: *major, minor: *minor }
            }
            tar::Kind::Fifo => {
                self.node(last, FileType::Fifo, entry.mode, Device::default())?;
                Kind::Fifo
            }
        };
        if !matches!(kind, Kind::File { .. } | Kind::Sparse { .. }) {
            self.set_attributes(last, entry)?;
        }
        self.record(path, kind, entry)
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

    fn node(&mut self, last: &[u8], kind: FileType, mode: u32, device: Device) -> Result<()> {
        self.make(last, |dir| fs::mknodat(dir, name(last), kind, mode, device))
    }

    fn directory(&mut self, path: &[u8], entry: &tar::Entry) -> Result<()> {
        let (_, last) = split(path);
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
        self.record(path.to_vec(), Kind::Directory { is_opaque: false }, entry)?;
        if hides {
            set_opaque(self.tree.dir(), last)?;
            let implicit = implicit(path);
            self.records.push(Record { kind: Kind::Directory { is_opaque: true }, ..implicit })?;
        }
        Ok(())
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

    fn dense<R: BufRead>(
        &mut self,
        path: &[u8],
        entry: &tar::Entry,
        size: u64,
        mut content: tar::Content<'_, R>,
    ) -> Result<Kind> {
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
            return Ok(Kind::File { size, hash: hasher.finalize().into() });
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
        Ok(Kind::File { size, hash: hasher.finalize().into() })
    }

    fn sparse<R: BufRead>(
        &mut self,
        last: &[u8],
        entry: &tar::Entry,
        size: u64,
        pieces: &[Piece],
        mut content: tar::Content<'_, R>,
    ) -> Result<Kind> {
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
        Ok(Kind::Sparse { size, hash: hasher.finish() })
    }

    fn link(&mut self, path: &[u8], target: &[u8], entry: &tar::Entry) -> Result<()> {
        let (dir, last) = split(path);
        let target = match meaning(target)? {
            Meaning::Path(target) => target,
            _ => return Err(Error::invalid("a link to what is no file")),
        };
        if target == path {
            return Err(Error::invalid("a link to itself"));
        }
        let to = || format!("link to `{}`", target.escape_ascii());
        let (target_dir, target_name) = split(&target);
        let led = self.tree.enter_existing(target_dir).context(to)?;
        let stat = self.tree.stat(target_name).context(to)?;
        if stat.is_dir() || is_whiteout(&stat) {
            return Err(Error::invalid(format!("{}: it is no file", to())));
        }
        let from = self.tree.dir().try_clone_to_owned().context(to)?;
        let real = join(led.as_deref().unwrap_or(target_dir), target_name);
        self.tree.enter_existing(dir)?;
        self.make(last, |at| fs::linkat(from.as_fd(), name(target_name), at, name(last), AtFlags::empty()))
            .context(to)?;
        self.record(path.to_vec(), Kind::Link { target: real }, entry)
    }

    fn whiteout(&mut self, path: &[u8]) -> Result<()> {
        let (dir, last) = split(path);
        let path = match self.enter(dir)? {
            None => path.to_vec(),
            Some(elsewhere) => join(&elsewhere, last),
        };
        let (_, last) = split(&path);
        match fs::mknodat(self.tree.dir(), name(last), FileType::CharDevice, 0, Device::new(0, 0)) {
            // It says what is below is gone; what this layer has itself stays, but hides it.
            Err(e) if e.errno() == errno::EXIST => {
                match self.tree.stat(last).context(|| "look at what is there")?.is_dir() {
                    true => {
                        set_opaque(self.tree.dir(), last)?;
                        let implicit = implicit(&path);
                        self.records.push(Record { kind: Kind::Directory { is_opaque: true }, ..implicit })
                    }
                    false => Ok(()),
                }
            }
            made => {
                made.context(|| "make a whiteout")?;
                self.records.push(Record { kind: Kind::Whiteout, mode: 0, ..implicit(&path) })
            }
        }
    }

    fn make_opaque(&mut self, dir: &[u8]) -> Result<()> {
        set_opaque(self.tree.dir(), b".")?;
        self.records.push(Record { kind: Kind::Directory { is_opaque: true }, ..implicit(dir) })
    }

    /// What is left to do when all entries are there: times of directories, and the manifest.
    pub(crate) fn finish(self, manifest: File) -> Result<(u64, Tree)> {
        let Unpacker { mut tree, records, lost_a_link, entries, .. } = self;
        let mut writer = ManifestWriter::new(manifest);
        records.finish(|mut record| {
            if let Kind::Link { target } = &record.kind
                && lost_a_link
            {
                record = relink(&mut tree, &record, target)?;
            }
            if record.kind.is_directory() {
                finish_directory(&mut tree, &record)?;
            }
            writer.push(&record)
        })?;
        writer.finish()?;
        Ok((entries, tree))
    }
}

/// Gives directories what the layers below say of them: `lines` are their records.
pub(crate) fn adopt(tree: &mut Tree, mut lines: Lines) -> Result<()> {
    while let Some(record) = lines.next()? {
        let what = || format!("adopt `{}`", record.path.escape_ascii());
        let (dir, last) = split(&record.path);
        tree.enter_existing(dir).context(what)?;
        let last: &[u8] = if last.is_empty() { b"." } else { last };
        let ids = (Some(record.uid), Some(record.gid));
        fs::fchownat(tree.dir(), name(last), ids.0, ids.1, AtFlags::SYMLINK_NOFOLLOW).context(what)?;
        fs::fchmodat(tree.dir(), name(last), record.mode, AtFlags::empty()).context(what)?;
        tree.set_xattrs(last, record.xattrs.iter()).map(drop).context(what)?;
        finish_directory(tree, &record)?;
    }
    Ok(())
}

fn implicit(path: &[u8]) -> Record {
    Record {
        path: path.to_vec(),
        kind: Kind::Implicit,
        mode: 0o755,
        uid: 0,
        gid: 0,
        mtime: (0, 0),
        xattrs: Xattrs::new(),
    }
}

fn set_opaque(dir: BorrowedFd<'_>, last: &[u8]) -> Result<()> {
    let what = || "make the directory opaque";
    let flags = OpenFlags::DIRECTORY | OpenFlags::NOFOLLOW;
    let fd = fs::openat(dir, name(last), flags, 0).context(what)?;
    xattr::fsetxattr(fd.as_fd(), OPAQUE.as_ref(), b"y", xattr::SetFlags::empty()).context(what)
}

fn set_open_xattrs(fd: BorrowedFd<'_>, xattrs: &Xattrs) -> Result<Vec<Vec<u8>>> {
    use std::os::unix::ffi::OsStrExt;
    let mut refused = Vec::new();
    for (name, value) in xattrs {
        let attribute = std::ffi::OsStr::from_bytes(name);
        match xattr::fsetxattr(fd, attribute, value, xattr::SetFlags::empty()) {
            Err(e) if is_refused(attribute, e.errno()) => refused.push(name.clone()),
            done => done.context(|| format!("set `{}`", attribute.display()))?,
        }
    }
    Ok(refused)
}

fn finish_directory(tree: &mut Tree, record: &Record) -> Result<()> {
    let what = || format!("finish the directory `{}`", record.path.escape_ascii());
    let (dir, last) = split(&record.path);
    tree.enter_existing(dir).context(what)?;
    let last: &[u8] = if last.is_empty() { b"." } else { last };
    let late = record.xattrs.iter().filter(|(attribute, _)| attribute == DEFAULT_ACL);
    tree.set_xattrs(last, late).map(drop).context(what)?;
    fs::utimensat(tree.dir(), name(last), record.mtime, record.mtime, AtFlags::SYMLINK_NOFOLLOW).context(what)
}

/// A further name of a file whose first name may have become another file's: then it is a file of its own.
fn relink(tree: &mut Tree, record: &Record, target: &[u8]) -> Result<Record> {
    let what = || format!("look at `{}`", record.path.escape_ascii());
    let number = |tree: &mut Tree, path: &[u8]| -> Result<u64> {
        let (dir, last) = split(path);
        tree.enter_existing(dir)?;
        Ok(tree.stat(last).context(what)?.ino)
    };
    let there = number(tree, target).ok();
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
            use std::os::unix::ffi::OsStrExt;
            let target = fs::readlinkat(tree.dir(), name(last)).context(what)?;
            Kind::Symlink { target: target.as_os_str().as_bytes().to_vec() }
        }
        FileType::CharDevice => Kind::Character { major: stat.rdev.major, minor: stat.rdev.minor },
        FileType::BlockDevice => Kind::Block { major: stat.rdev.major, minor: stat.rdev.minor },
        _ => Kind::Fifo,
    };
    Ok(Record {
        kind,
        mode: stat.permissions(),
        uid: stat.uid,
        gid: stat.gid,
        mtime: stat.mtime,
        ..record.clone()
    })
}
