//! A layer's tar taken apart. Runs in the disposable child.
//!
//! What the entries of a tar mean together is decided here, and written down as records; where they go is a [`Target`]'s
//! to know: to files below the layer's directory ([`Files`]), or into an image ([`Image`]).
//!
//! The tree that comes out is what overlay stacks: a whiteout is a character device 0:0, a directory that hides
//! what is below carries `user.overlay.opaque` (for containers with users of their own) and `trusted.overlay.opaque`
//! (for those with the host's).

mod admit;
mod files;
mod image;

use std::fs::File;
use std::io::BufRead;

use taru_oci::limits;
use taru_stdx::{Context, Error, Result};
use taru_sys::fs::{Device, FileType};
use taru_tar::{self as tar, Piece, Xattrs};

use crate::attribute::{is_acl, is_kept};
use crate::levels::{Obstacle, missing};
use crate::manifest::{Hash, Kind, Lines, ManifestWriter, Record, Sorter};
use crate::name::{Meaning, join, meaning, split};

use admit::{Of, admit};
pub(crate) use files::Files;
pub(crate) use image::{Image, MEMORY as IMAGE_MEMORY};

/// What is neither a directory nor a file with content.
pub(crate) enum Special<'e> {
    /// A symbolic link with this text.
    Symlink(&'e [u8]),
    /// A device or a fifo.
    Node(FileType, Device),
}

/// What became of a whiteout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hidden {
    /// It is there.
    Whiteout,
    /// This layer has a directory there, which hides what is below now.
    Opaque,
    /// This layer has something else there, which hides what is below anyway.
    Anyway,
}

/// Where entries go. There is a current directory, and what is made is made in it, whatever has the name being removed
/// for it; the name `.` is the current directory itself.
pub(crate) trait Target {
    /// What a further name can be made of.
    type Source;

    /// Makes the directory `path` the current one and returns where it really is, if symbolic links led elsewhere. What is
    /// missing on the way is made, opaque in the place of a whiteout, and `made` is told first.
    fn enter(
        &mut self,
        path: &[u8],
        made: impl FnMut(&[u8], Obstacle) -> Result<()>,
    ) -> Result<Option<Vec<u8>>>;

    /// Makes a directory where there is none, and gives it all of `entry` but its time. Tells whether a whiteout was there;
    /// the directory is opaque then.
    fn directory(&mut self, name: &[u8], entry: &tar::Entry) -> Result<bool>;

    /// Makes a file and gives it all of `entry`.
    fn dense<R: BufRead>(
        &mut self,
        path: &[u8],
        entry: &tar::Entry,
        size: u64,
        content: tar::Content<'_, R>,
    ) -> Result<Hash>;

    /// Makes a file with holes and gives it all of `entry`.
    fn sparse<R: BufRead>(
        &mut self,
        name: &[u8],
        entry: &tar::Entry,
        size: u64,
        pieces: &[Piece],
        content: tar::Content<'_, R>,
    ) -> Result<Hash>;

    /// Makes something without content and gives it all of `entry`.
    fn special(&mut self, name: &[u8], entry: &tar::Entry, special: &Special<'_>) -> Result<()>;

    /// The file of this name, to make a further name of it: no directory and no whiteout.
    fn source(&mut self, name: &[u8]) -> Result<Self::Source>;

    /// Makes a further name of what has the name `from` in another directory.
    fn link(&mut self, source: &Self::Source, from: &[u8], name: &[u8]) -> Result<()>;

    /// Makes a whiteout.
    fn whiteout(&mut self, name: &[u8]) -> Result<Hidden>;

    /// Makes a directory hide what is below.
    fn set_opaque(&mut self, name: &[u8]) -> Result<()>;

    /// The attributes that were refused since this was last asked: the file cannot have them.
    fn take_refused(&mut self) -> Vec<Vec<u8>>;

    /// Waits until all files have their content.
    fn settle(&mut self) -> Result<()>;

    /// Whether a file with several names may have lost one: those that are left may be named after it.
    fn lost_a_link(&self) -> bool;

    /// A further name of a file whose first name, `first`, may have become another file's: then it is a file of its own.
    fn relink(&mut self, record: &Record, first: &[u8]) -> Result<Record>;

    /// Gives a directory what comes last.
    fn finish_directory(&mut self, record: &Record) -> Result<()>;

    /// Gives a directory all that a layer below says of it.
    fn adopt(&mut self, record: &Record) -> Result<()>;

    /// All is told.
    fn end(self) -> Result<()>;
}

/// Unpacks a tar.
pub(crate) struct Unpacker<T> {
    target: T,
    records: Sorter,
    /// All files become root's: there are no other ids.
    squash: bool,
    /// Device nodes cannot be made; they are left out, as other tools do for ordinary users.
    skip_devices: bool,
    entries: u64,
}

impl<T: Target> Unpacker<T> {
    /// `spill` is an empty file to sort in.
    pub(crate) fn new(target: T, spill: File, squash: bool, skip_devices: bool) -> Unpacker<T> {
        Unpacker { target, records: Sorter::new(spill), squash, skip_devices, entries: 0 }
    }

    /// All entries of the tar.
    pub(crate) fn unpack<R: BufRead>(&mut self, reader: &mut tar::Reader<R>) -> Result<()> {
        let read = self.entries(reader);
        // What fills files, if that failed, is the cause of what failed here.
        self.target.settle()?;
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
                Meaning::Whiteout(path) => self.whiteout(path).context(what)?,
                Meaning::Opaque(dir) => {
                    let dir = self.enter(&dir).context(what)?.unwrap_or(dir);
                    self.target.set_opaque(b".").context(what)?;
                    self.records.push(opaque(&dir))?;
                }
            }
        }
        Ok(())
    }

    /// Makes `dir` the current directory; what is missing on the way is made.
    fn enter(&mut self, dir: &[u8]) -> Result<Option<Vec<u8>>> {
        let records = &mut self.records;
        self.target.enter(dir, |path, obstacle| {
            records.push(implicit(path))?;
            match obstacle {
                Obstacle::Absent => Ok(()),
                Obstacle::Whiteout => records.push(opaque(path)),
            }
        })
    }

    /// Makes the directory of `path` the current one, and tells the path that its last part has there.
    fn enter_above(&mut self, path: Vec<u8>) -> Result<Vec<u8>> {
        let (dir, last) = split(&path);
        Ok(match self.enter(dir)? {
            None => path,
            Some(elsewhere) => join(&elsewhere, last),
        })
    }

    fn root(&mut self, entry: &tar::Entry) -> Result<()> {
        if entry.kind != tar::Kind::Directory {
            return Err(Error::invalid("the root is no directory"));
        }
        enter_existing(&mut self.target, b"")?;
        self.target.directory(b".", entry)?;
        self.record(Vec::new(), Kind::Directory { is_opaque: false }, entry)
    }

    fn record(&mut self, path: Vec<u8>, kind: Kind, entry: &tar::Entry) -> Result<()> {
        // A link has its file's attributes, a symbolic link no mode of its own.
        let refused = self.target.take_refused();
        let mut mode = if matches!(kind, Kind::Symlink { .. }) { 0o777 } else { entry.mode };
        let mut xattrs: Xattrs =
            entry.xattrs.iter().filter(|(name, _)| !refused.contains(name)).cloned().collect();
        // What was refused of other files is gone; whatever an ACL did to the mode, the target has done.
        if let Ok(admitted) = admit(mode, &xattrs, Of::Directory) {
            mode = admitted.mode;
            xattrs = admitted.xattrs.into_owned();
        }
        let tar::Entry { uid, gid, mtime, .. } = *entry;
        self.records.push(Record { path, kind, mode, uid, gid, mtime, xattrs })
    }

    fn entry<R: BufRead>(
        &mut self,
        path: Vec<u8>,
        entry: &tar::Entry,
        content: tar::Content<'_, R>,
    ) -> Result<()> {
        let path = self.enter_above(path)?;
        let (_, last) = split(&path);
        let kind = match &entry.kind {
            tar::Kind::Directory => return self.directory(path, entry),
            tar::Kind::File { size, pieces: None } => {
                Kind::File { size: *size, hash: self.target.dense(&path, entry, *size, content)? }
            }
            tar::Kind::File { size, pieces: Some(pieces) } => {
                let hash = self.target.sparse(last, entry, *size, pieces, content)?;
                Kind::Sparse { size: *size, hash }
            }
            tar::Kind::Link { target } => return self.link(path, target, entry),
            tar::Kind::Symlink { target } => {
                if target.is_empty() || target.len() > limits::PATH || target.contains(&0) {
                    return Err(Error::invalid("a symbolic link that leads nowhere"));
                }
                self.target.special(last, entry, &Special::Symlink(target))?;
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
                self.target.special(last, entry, &Special::Node(FileType::CharDevice, device))?;
                Kind::Character { major: *major, minor: *minor }
            }
            tar::Kind::Block { major, minor } => {
                if self.skip_devices {
                    return Ok(());
                }
                let device = Device::new(*major, *minor);
                self.target.special(last, entry, &Special::Node(FileType::BlockDevice, device))?;
                Kind::Block { major: *major, minor: *minor }
            }
            tar::Kind::Fifo => {
                self.target.special(last, entry, &Special::Node(FileType::Fifo, Device::default()))?;
                Kind::Fifo
            }
        };
        self.record(path, kind, entry)
    }

    fn directory(&mut self, path: Vec<u8>, entry: &tar::Entry) -> Result<()> {
        let (_, last) = split(&path);
        let hides = self.target.directory(last, entry)?;
        let opaque = hides.then(|| opaque(&path));
        self.record(path, Kind::Directory { is_opaque: false }, entry)?;
        opaque.map_or(Ok(()), |record| self.records.push(record))
    }

    fn link(&mut self, path: Vec<u8>, target: &[u8], entry: &tar::Entry) -> Result<()> {
        let (dir, last) = split(&path);
        let target = match meaning(target)? {
            Meaning::Path(target) => target,
            _ => return Err(Error::invalid("a link to what is no file")),
        };
        if target == path {
            return Err(Error::invalid("a link to itself"));
        }
        let to = || format!("link to `{}`", target.escape_ascii());
        let (target_dir, target_name) = split(&target);
        let led = enter_existing(&mut self.target, target_dir).context(to)?;
        let source = self.target.source(target_name).context(to)?;
        let real = join(led.as_deref().unwrap_or(target_dir), target_name);
        if real.strip_prefix(&path[..]).is_some_and(|rest| matches!(rest, [] | [b'/', ..])) {
            return Err(Error::invalid("a link to itself, or to what it would replace"));
        }
        enter_existing(&mut self.target, dir)?;
        self.target.link(&source, target_name, last).context(to)?;
        self.record(path, Kind::Link { target: real }, entry)
    }

    fn whiteout(&mut self, path: Vec<u8>) -> Result<()> {
        let path = self.enter_above(path)?;
        let (_, last) = split(&path);
        match self.target.whiteout(last)? {
            Hidden::Whiteout => {
                self.records.push(Record { kind: Kind::Whiteout, mode: 0, ..implicit(&path) })
            }
            Hidden::Opaque => self.records.push(opaque(&path)),
            Hidden::Anyway => Ok(()),
        }
    }

    /// What is left to do when all entries are there: times of directories, and the manifest.
    pub(crate) fn finish(self, manifest: File) -> Result<(u64, T)> {
        let Unpacker { mut target, records, entries, .. } = self;
        let mut writer = ManifestWriter::new(manifest);
        records.finish(|mut record| {
            if let Kind::Link { target: first } = &record.kind
                && target.lost_a_link()
            {
                record = target.relink(&record, first)?;
            }
            if record.kind.is_directory() {
                target.finish_directory(&record)?;
            }
            writer.push(&record)
        })?;
        writer.finish()?;
        Ok((entries, target))
    }
}

/// Gives directories what the layers below say of them: `lines` are their records.
pub(crate) fn adopt(target: &mut impl Target, mut lines: Lines) -> Result<()> {
    while let Some(record) = lines.next()? {
        target.adopt(&record).context(|| format!("adopt `{}`", record.path.escape_ascii()))?;
    }
    Ok(())
}

/// As [`Target::enter`], where nothing may be missing.
fn enter_existing(target: &mut impl Target, path: &[u8]) -> Result<Option<Vec<u8>>> {
    target.enter(path, |path, _| Err(missing(path)))
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

fn opaque(path: &[u8]) -> Record {
    Record { kind: Kind::Directory { is_opaque: true }, ..implicit(path) }
}
