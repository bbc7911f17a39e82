//! An assembly as files in a directory.

use std::fs::{File, Permissions};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;

use taru_rootdir::RootDir;
use taru_stdx::{Context, Result};
use taru_sys::errno;
use taru_sys::fs::{
    AtFlags, Device, FileType, OpenFlags, Unlink, linkat, mknodat, openat, symlinkat, unlinkat, utimensat,
};

use super::body::{Body, FirstNames};
use super::{Assembly, Content};

impl Assembly {
    /// Makes its files in the directory `dir`, as files of this user's; files there of their names are replaced, directories merge.
    /// Attributes and devices are left out. No link in the directory leads out of it.
    ///
    /// # Errors
    /// Any error of reading what it is made of, and of the file system.
    pub(crate) fn plant(&self, dir: &Path) -> Result<()> {
        let root = RootDir::open(dir)?;
        let mut names = FirstNames::default();
        let mut directories = Vec::new();
        for (path, entry) in self.ordered() {
            let what = || format!("make `{}`", path.display());
            if matches!(entry.content, Content::Directory) {
                root.create_dir_all(path, 0o700).context(what)?;
                directories.push((path, entry));
                continue;
            }
            let (parent, name) = root.parent(path).context(what)?;
            let (parent, name) = (parent.as_fd(), Path::new(&name));
            match unlinkat(parent, name, Unlink::File) {
                Err(e) if e.errno() == errno::NOENT => {}
                gone => gone.context(what)?,
            }
            let first = match &entry.content {
                Content::Hardlink(target) => Some(target.clone()),
                content => names.of(content, path),
            };
            if let Some(first) = first {
                let (from, first) = root.parent(&first).context(what)?;
                linkat(from.as_fd(), Path::new(&first), parent, name, AtFlags::empty()).context(what)?;
                continue;
            }
            match &entry.content {
                Content::Symlink(target) => symlinkat(target, parent, name).context(what)?,
                Content::Node(FileType::Fifo, _) => {
                    mknodat(parent, name, FileType::Fifo, entry.mode, Device::default()).context(what)?;
                }
                content => {
                    // Devices mean nothing there, and only root could make them.
                    let Some(body) = Body::of(content).context(what)? else { continue };
                    let flags = OpenFlags::WRONLY | OpenFlags::CREATE | OpenFlags::EXCL | OpenFlags::NOFOLLOW;
                    let file = File::from(openat(parent, name, flags, 0o600).context(what)?);
                    file.set_len(body.size).context(what)?;
                    body.each(&mut |at, bytes| file.write_all_at(bytes, at).context(|| "write it"))
                        .context(what)?;
                    file.set_permissions(Permissions::from_mode(entry.mode)).context(what)?;
                }
            }
            utimensat(parent, name, entry.mtime, entry.mtime, AtFlags::SYMLINK_NOFOLLOW).context(what)?;
        }
        // Last, and those inside first: one may be closed to its owner, and making files in it changes its time.
        for (path, entry) in directories.into_iter().rev() {
            let what = || format!("make `{}`", path.display());
            let dir = root.open_file(path, OpenFlags::DIRECTORY).context(what)?;
            dir.set_permissions(Permissions::from_mode(entry.mode)).context(what)?;
            utimensat(dir.as_fd(), Path::new("."), entry.mtime, entry.mtime, AtFlags::empty())
                .context(what)?;
        }
        Ok(())
    }
}
