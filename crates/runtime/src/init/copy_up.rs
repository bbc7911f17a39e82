//! `tmpcopyup`: a tmpfs, or a directory that is bound, that begins with what the root has at its place.
//!
//! The tree is the container's own, so nothing in it is trusted: names are opened below handles,
//! links are copied as links, and depth and number are bounded.

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::path::Path;

use taru_rootdir::RootDir;
use taru_stdx::{Context, Error, Kind, Result};
use taru_sys::fs::{self, AtFlags, FileType, OpenFlags, Stat};

/// Directories nested deeper than this are refused.
const MAX_DEPTH: usize = 64;
/// More entries than this are refused: a tmpfs or a volume that begins so large is a mistake.
const MAX_ENTRIES: usize = 200_000;

/// Copies everything below `from` into `to`, with modes and owners.
pub(crate) fn copy(from: &RootDir, to: &RootDir) -> Result<()> {
    let mut left = MAX_ENTRIES;
    copy_dir(from, to, &mut left, MAX_DEPTH)?;
    let stat = from.metadata(Path::new("."))?;
    own(to, &stat)
}

fn copy_dir(from: &RootDir, to: &RootDir, left: &mut usize, depth: usize) -> Result<()> {
    let too_much = || Error::new(Kind::Limit, "copy the directory up: it holds too much");
    if depth == 0 {
        return Err(too_much());
    }
    let dir = from.open_file(Path::new("."), OpenFlags::RDONLY | OpenFlags::DIRECTORY)?;
    for entry in taru_sys::dir::read_dir(dir.as_fd(), MAX_ENTRIES).context(|| "list the directory")? {
        *left = left.checked_sub(1).ok_or_else(too_much)?;
        let name = Path::new(&entry.name);
        copy_entry(from, to, name, left, depth).context(|| format!("copy `{}` up", name.display()))?;
    }
    Ok(())
}

fn copy_entry(from: &RootDir, to: &RootDir, name: &Path, left: &mut usize, depth: usize) -> Result<()> {
    let stat = from.symlink_metadata(name)?;
    match stat.file_type() {
        FileType::Directory => {
            let inside = RootDir::from_fd(to.create_dir_all(name, 0o700)?);
            copy_dir(&from.subdir(name)?, &inside, left, depth - 1)?;
            own(&inside, &stat)
        }
        FileType::Regular => {
            let source =
                from.open_file(name, OpenFlags::RDONLY | OpenFlags::NOFOLLOW | OpenFlags::NONBLOCK)?;
            let mut target = to.open_file(name, OpenFlags::WRONLY | OpenFlags::CREATE | OpenFlags::EXCL)?;
            // As long as the file was when it was looked at: one that grows meanwhile ends there.
            copy_bytes(source, &mut target, stat.size)?;
            fs::fchownat(target.as_fd(), Path::new(""), Some(stat.uid), Some(stat.gid), AtFlags::EMPTY_PATH)
                .context(|| "set the owner")?;
            fs::fchmod(target.as_fd(), stat.permissions()).context(|| "set the mode")
        }
        FileType::Symlink => to.symlink(&from.read_link(name)?, name),
        FileType::Fifo
        | FileType::Socket
        | FileType::CharDevice
        | FileType::BlockDevice
        | FileType::Other => to.mknod(name, stat.file_type(), stat.permissions(), stat.rdev).map(drop),
    }
}

fn copy_bytes(source: std::fs::File, target: &mut std::fs::File, size: u64) -> Result<()> {
    let mut source = source.take(size);
    let mut buffer = vec![0; 64 << 10];
    loop {
        let n = source.read(&mut buffer).context(|| "read it")?;
        if n == 0 {
            return Ok(());
        }
        target.write_all(&buffer[..n]).context(|| "write it")?;
    }
}

fn own(dir: &RootDir, stat: &Stat) -> Result<()> {
    let fd = dir.open_file(Path::new("."), OpenFlags::RDONLY | OpenFlags::DIRECTORY)?;
    fs::fchownat(fd.as_fd(), Path::new(""), Some(stat.uid), Some(stat.gid), AtFlags::EMPTY_PATH)
        .context(|| "set the owner")?;
    fs::fchmod(fd.as_fd(), stat.permissions()).context(|| "set the mode")?;
    Ok(())
}
