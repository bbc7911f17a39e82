//! A tree copied into an empty directory. Runs in the disposable child.
//!
//! Files share their content where the file system can (FICLONE); else the kernel copies it, without the holes.

use std::collections::HashMap;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};

use taru_stdx::{Context, Result};
use taru_sys::errno;
use taru_sys::fs::{self, AtFlags, FileType, OpenFlags};

use crate::attribute::{OPAQUE, is_kept};
use crate::extent;
use crate::name::split;
use crate::tree::{Tree, name};
use crate::walk::{Found, Walk};

/// Copies all below `from` into `to`.
pub(crate) fn copy(from: OwnedFd, to: OwnedFd) -> Result<()> {
    let mut walk = Walk::new(from);
    let mut tree = Tree::new(to)?;
    let mut links: HashMap<u64, Vec<u8>> = HashMap::new();
    // Times of directories come last, when all is in them.
    let mut directories = Vec::new();
    while let Some(found) = walk.next()? {
        let what = || format!("copy `{}`", found.path.escape_ascii());
        let stat = found.stat;
        let (dir, last) = split(&found.path);
        let last: &[u8] = if last.is_empty() { b"." } else { last };
        let xattrs = walk.xattrs(&found, |attribute| is_kept(attribute) || attribute == OPAQUE.as_bytes())?;
        tree.enter_existing(dir).context(what)?;
        let at = tree.dir();
        match stat.file_type() {
            FileType::Directory if last == b"." => {}
            FileType::Directory => fs::mkdirat(at, name(last), 0o700).context(what)?,
            FileType::Regular => {
                if stat.nlink > 1 {
                    if let Some(first) = links.get(&stat.ino) {
                        let (first_dir, first_name) = split(first);
                        let at = at.try_clone_to_owned().context(what)?;
                        tree.enter_existing(first_dir).context(what)?;
                        fs::linkat(tree.dir(), name(first_name), at.as_fd(), name(last), AtFlags::empty())
                            .context(what)?;
                        continue;
                    }
                    links.insert(stat.ino, found.path.clone());
                }
                let flags = OpenFlags::RDWR | OpenFlags::CREATE | OpenFlags::EXCL | OpenFlags::NOFOLLOW;
                let file = File::from(fs::openat(at, name(last), flags, 0o600).context(what)?);
                content(&walk.open(&found)?, &found, &file).context(what)?;
            }
            FileType::Symlink => {
                let target = walk.read_link(&found)?;
                fs::symlinkat(name(&target), at, name(last)).context(what)?;
            }
            FileType::Socket | FileType::Other => continue,
            kind => fs::mknodat(at, name(last), kind, stat.permissions(), stat.rdev).context(what)?,
        }
        fs::fchownat(at, name(last), Some(stat.uid), Some(stat.gid), AtFlags::SYMLINK_NOFOLLOW)
            .context(what)?;
        if stat.file_type() != FileType::Symlink {
            fs::fchmodat(at, name(last), stat.permissions(), AtFlags::empty()).context(what)?;
        }
        if stat.is_dir() {
            directories.push((found.path, stat.mtime, xattrs));
            continue;
        }
        tree.set_xattrs(last, xattrs.iter()).map(drop).context(what)?;
        fs::utimensat(at, name(last), stat.mtime, stat.mtime, AtFlags::SYMLINK_NOFOLLOW).context(what)?;
    }
    for (path, mtime, xattrs) in directories {
        let what = || format!("copy `{}`", path.escape_ascii());
        let (dir, last) = split(&path);
        let last: &[u8] = if last.is_empty() { b"." } else { last };
        tree.enter_existing(dir).context(what)?;
        // An ACL that new files inherit, too: none is made any more.
        tree.set_xattrs(last, xattrs.iter()).map(drop).context(what)?;
        fs::utimensat(tree.dir(), name(last), mtime, mtime, AtFlags::SYMLINK_NOFOLLOW).context(what)?;
    }
    Ok(())
}

/// The content of one file.
fn content(from: &File, found: &Found, to: &File) -> Result<()> {
    let size = found.stat.size;
    match fs::clone_file(from.as_fd(), to.as_fd()) {
        Ok(()) => return Ok(()),
        Err(e) if [errno::NOTSUP, errno::INVAL, errno::NOTTY, errno::XDEV].contains(&e.errno()) => {}
        Err(e) => return Err(e).context(|| "share its content"),
    }
    let what = || "copy its content";
    to.set_len(size).context(what)?;
    for (start, end) in extent::data(from, size)? {
        let mut at = start;
        while at < end {
            let wanted = usize::try_from(end - at).unwrap_or(usize::MAX).min(1 << 30);
            let copied = match fs::copy_file_range(from.as_fd(), at, to.as_fd(), at, wanted) {
                // Between file systems, or on one that cannot: by hand.
                Err(e) if [errno::NOTSUP, errno::INVAL, errno::XDEV].contains(&e.errno()) => {
                    by_hand(from, at, to, wanted)?
                }
                copied => copied.context(what)?,
            };
            if copied == 0 {
                break;
            }
            at += copied as u64;
        }
    }
    Ok(())
}

fn by_hand(from: &File, at: u64, to: &File, wanted: usize) -> Result<usize> {
    use std::os::unix::fs::FileExt;
    let mut buffer = vec![0; wanted.min(1 << 20)];
    let read = from.read_at(&mut buffer, at).context(|| "copy its content")?;
    to.write_all_at(buffer.get(..read).unwrap_or_default(), at).context(|| "copy its content")?;
    Ok(read)
}
