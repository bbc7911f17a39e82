//! A file or a tree as a tar, read by handles.
//!
//! The tree may belong to a container that changes it meanwhile: names are opened below the directory they were listed
//! in, links are packed as links, a file is as long as it was when it was looked at, and nothing that could wait
//! (a FIFO, a device) is opened.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use taru_rootdir::RootDir;
use taru_stdx::{Context, Error, Kind, Result};
use taru_sys::fs::{self, AtFlags, FileType, MountId, OpenFlags, Stat};
use taru_sys::{dir, xattr};

/// Entries of one directory, and directories nested in each other.
const MAX_ENTRIES: usize = 10_000_000;
const MAX_DEPTH: usize = 1024;
/// Bytes of all extended attributes of one file: what the kernel lists at most (xattr(7)).
const MAX_XATTRS: usize = 64 << 10;

/// What of a file is packed besides its content.
#[derive(Debug, Clone, Copy, Default)]
pub struct What {
    /// Owners; else all is root's.
    pub owners: bool,
    /// Extended attributes, access control lists and capabilities among them.
    pub xattrs: bool,
    /// Devices and FIFOs; else they are left out.
    pub devices: bool,
    /// Only what is on the file system of the start: nothing of what is mounted below it.
    pub one_file_system: bool,
}

/// Packs `path` of `root` into `to`: a directory as `at` and all below it, anything else as the one entry of its name. The
/// last component is not followed if it is a symbolic link, unless `follow`. Returns how many entries were left out: sockets, devices.
///
/// # Errors
/// Any error of the file system; any error of writing.
pub fn pack(root: &RootDir, path: &Path, at: &Path, follow: bool, what: What, to: impl Write) -> Result<u64> {
    let context = || format!("copy `{}`", path.display());
    let opened = match follow {
        true => root.resolve(path),
        false => root.resolve_nofollow(path),
    };
    let opened = opened.context(context)?;
    let stat = stat(opened.as_fd(), Path::new("")).context(context)?;
    // Left out of a directory, but nothing would come of it alone.
    if !what.devices
        && !matches!(stat.file_type(), FileType::Directory | FileType::Regular | FileType::Symlink)
    {
        return Err(Error::new(
            Kind::Unsupported,
            format!("copy `{}`: it is neither a file nor a directory", path.display()),
        ));
    }
    let mut builder = tar::Builder::new(to);
    builder.sparse(false);
    let mut packer = Packer { builder, what, start: stat.mount_id, links: HashMap::new(), left_out: 0 };
    if stat.is_dir() {
        packer.directory(&opened, at, &stat, 0).context(context)?;
    } else {
        // By its directory: a handle on a symbolic link cannot be read by itself everywhere.
        let (parent, name) = root.parent(path).context(context)?;
        let name = PathBuf::from(name);
        match follow {
            true => packer.followed(root, path, &name, &stat).context(context)?,
            false => packer.entry(parent.as_fd(), &name, &name, 0).context(context)?,
        }
    }
    packer.builder.finish().context(|| "write the archive")?;
    Ok(packer.left_out)
}

fn stat(dir: BorrowedFd<'_>, name: &Path) -> taru_sys::Result<Stat> {
    fs::statx(dir, name, AtFlags::EMPTY_PATH | AtFlags::SYMLINK_NOFOLLOW, MountId::Reused)
}

struct Packer<W: Write> {
    builder: tar::Builder<W>,
    what: What,
    start: Option<u64>,
    /// The first name of each file that has several, by device and inode.
    links: HashMap<(u64, u64), PathBuf>,
    left_out: u64,
}

impl<W: Write> Packer<W> {
    fn directory(&mut self, handle: &OwnedFd, at: &Path, stat: &Stat, depth: usize) -> Result<()> {
        if depth > MAX_DEPTH {
            return Err(Error::new(Kind::Limit, format!("pack `{}`: nested too deep", at.display())));
        }
        let what = || format!("read the directory `{}`", at.display());
        let open = fs::openat(handle.as_fd(), Path::new("."), OpenFlags::RDONLY | OpenFlags::DIRECTORY, 0);
        let open = open.context(what)?;
        let mut header = self.header(stat, tar::EntryType::Directory);
        header.set_size(0);
        // tar(1) tells directories by the slash, too.
        let mut name = at.as_os_str().to_owned();
        name.push("/");
        self.append(&mut header, Path::new(&name), open.as_fd(), io::empty())?;
        let mut entries = dir::read_dir(open.as_fd(), MAX_ENTRIES).context(what)?;
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        for entry in entries {
            let name = Path::new(&entry.name);
            self.entry(open.as_fd(), name, &at.join(name), depth)?;
        }
        Ok(())
    }

    /// Packs `name` of `dir` as `at`.
    fn entry(&mut self, dir: BorrowedFd<'_>, name: &Path, at: &Path, depth: usize) -> Result<()> {
        let what = || format!("read `{}`", at.display());
        let stat = match stat(dir, name) {
            // Gone since it was listed.
            Err(e) if e.errno() == taru_sys::errno::NOENT && depth > 0 => return Ok(()),
            other => other.context(what)?,
        };
        if self.what.one_file_system && stat.mount_id != self.start {
            // The place of a mount, without what is mounted there.
            if stat.is_dir() {
                let mut header = self.header(&stat, tar::EntryType::Directory);
                header.set_size(0);
                return self.builder.append_data(&mut header, at.join(""), io::empty()).context(what);
            }
            return Ok(());
        }
        match stat.file_type() {
            FileType::Directory => {
                let flags = OpenFlags::PATH | OpenFlags::DIRECTORY | OpenFlags::NOFOLLOW;
                let handle = fs::openat(dir, name, flags, 0).context(what)?;
                self.directory(&handle, at, &stat, depth + 1)
            }
            FileType::Regular => self.regular(dir, name, at),
            FileType::Symlink => {
                let target = fs::readlinkat(dir, name).context(what)?;
                let mut header = self.header(&stat, tar::EntryType::Symlink);
                header.set_size(0);
                self.builder.append_link(&mut header, at, target).context(what)
            }
            kind => {
                if !self.what.devices || matches!(kind, FileType::Socket | FileType::Other) {
                    self.left_out += 1;
                    return Ok(());
                }
                let kind = match kind {
                    FileType::CharDevice => tar::EntryType::Char,
                    FileType::BlockDevice => tar::EntryType::Block,
                    _ => tar::EntryType::Fifo,
                };
                let mut header = self.header(&stat, kind);
                header.set_size(0);
                header.set_device_major(stat.rdev.major).context(what)?;
                header.set_device_minor(stat.rdev.minor).context(what)?;
                self.builder.append_data(&mut header, at, io::empty()).context(what)
            }
        }
    }

    fn regular(&mut self, dir: BorrowedFd<'_>, name: &Path, at: &Path) -> Result<()> {
        let what = || format!("read `{}`", at.display());
        let flags = OpenFlags::RDONLY | OpenFlags::NOFOLLOW | OpenFlags::NONBLOCK;
        let file = fs::openat(dir, name, flags, 0).context(what)?;
        // What was opened, not what was listed.
        let stat = stat(file.as_fd(), Path::new("")).context(what)?;
        if stat.file_type() != FileType::Regular {
            return Err(Error::new(Kind::Busy, format!("{}: it was replaced meanwhile", what())));
        }
        if stat.nlink > 1 {
            if let Some(first) = self.links.get(&(stat.device.to_raw(), stat.ino)) {
                let first = first.clone();
                let mut header = self.header(&stat, tar::EntryType::Link);
                header.set_size(0);
                return self.builder.append_link(&mut header, at, first).context(what);
            }
            self.links.insert((stat.device.to_raw(), stat.ino), at.to_owned());
        }
        self.content(File::from(file), at, &stat)
    }

    /// What `path` leads to through links, as `at`.
    fn followed(&mut self, root: &RootDir, path: &Path, at: &Path, stat: &Stat) -> Result<()> {
        let what = || format!("read `{}`", at.display());
        if stat.file_type() != FileType::Regular {
            return Err(Error::new(Kind::Unsupported, format!("{}: it is no file", what())));
        }
        let file = root.open_file(path, OpenFlags::RDONLY | OpenFlags::NONBLOCK)?;
        // What was opened: the link may lead elsewhere by now.
        let stat = fs::fstat(file.as_fd()).context(what)?;
        if stat.file_type() != FileType::Regular {
            return Err(Error::new(Kind::Busy, format!("{}: it was replaced meanwhile", what())));
        }
        self.content(file, at, &stat)
    }

    fn content(&mut self, file: File, at: &Path, stat: &Stat) -> Result<()> {
        let mut header = self.header(stat, tar::EntryType::Regular);
        header.set_size(stat.size);
        // As long as it was: a file that shrinks meanwhile is filled up with zeros, as tar(1) does.
        let padded = (&file).chain(io::repeat(0)).take(stat.size);
        self.append(&mut header, at, file.as_fd(), padded)
    }

    /// Appends an entry, its extended attributes before it.
    fn append(
        &mut self,
        header: &mut tar::Header,
        at: &Path,
        fd: BorrowedFd<'_>,
        data: impl Read,
    ) -> Result<()> {
        let what = || format!("pack `{}`", at.display());
        if self.what.xattrs {
            let mut records = Vec::new();
            let mut total = 0;
            for name in xattr::flistxattr(fd).unwrap_or_default() {
                // Gone meanwhile, or not for us to read.
                let Ok(value) = xattr::fgetxattr(fd, &name) else { continue };
                total += name.len() + value.len();
                if total > MAX_XATTRS {
                    return Err(Error::new(Kind::Limit, format!("{}: too many attributes", what())));
                }
                records.push((format!("SCHILY.xattr.{}", String::from_utf8_lossy(name.as_bytes())), value));
            }
            let records = records.iter().map(|(name, value)| (name.as_str(), value.as_slice()));
            self.builder.append_pax_extensions(records).context(what)?;
        }
        self.builder.append_data(header, at, data).context(what)
    }

    fn header(&self, stat: &Stat, kind: tar::EntryType) -> tar::Header {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(stat.permissions());
        let (uid, gid) = if self.what.owners { (stat.uid, stat.gid) } else { (0, 0) };
        header.set_uid(uid.into());
        header.set_gid(gid.into());
        header.set_mtime(u64::try_from(stat.mtime.0).unwrap_or(0));
        header
    }
}
