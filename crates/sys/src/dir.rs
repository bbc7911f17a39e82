//! Reading directories by descriptor: getdents64(2).

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;

use crate::error::check;
use crate::fs::FileType;
use crate::{Error, Result, errno};

/// One entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirEntry {
    /// Its name: one component, never `.` or `..`.
    pub name: std::ffi::OsString,
    /// Its number.
    pub ino: u64,
    /// Its type; `None` where the file system does not say.
    pub file_type: Option<FileType>,
}

/// The next entries of the open directory `dir`, without `.` and `..`; empty at its end (getdents64(2)).
/// A call brings about a thousand.
///
/// # Errors
/// As getdents64(2).
pub fn getdents64(dir: BorrowedFd<'_>) -> Result<Vec<DirEntry>> {
    let mut entries = Vec::new();
    // u64 elements, because the kernel's records are aligned to eight.
    let mut buffer = vec![0u64; 4096];
    while entries.is_empty() {
        // SAFETY: `dir` is open; `buffer` is writable for the length given.
        let value = unsafe {
            libc::syscall(libc::SYS_getdents64, dir.as_raw_fd(), buffer.as_mut_ptr(), buffer.len() * 8)
        };
        let filled = check(value, "getdents64", || "")? as usize;
        if filled == 0 {
            break;
        }
        // SAFETY: the kernel wrote `filled` bytes, no more than the buffer has; all u64 bytes are valid u8.
        let mut rest = unsafe { std::slice::from_raw_parts(buffer.as_ptr().cast::<u8>(), filled) };
        while let Some((entry, length)) = entry_at(rest) {
            rest = rest.get(length..).unwrap_or_default();
            if entry.name != "." && entry.name != ".." {
                entries.push(entry);
            }
        }
    }
    Ok(entries)
}

/// All entries of the open directory `dir` from where it stands on, not more than `limit`.
///
/// # Errors
/// As [`getdents64`]; `EOVERFLOW` where there are more than `limit`.
pub fn read_dir(dir: BorrowedFd<'_>, limit: usize) -> Result<Vec<DirEntry>> {
    let mut all = Vec::new();
    loop {
        let mut batch = getdents64(dir)?;
        if batch.is_empty() {
            return Ok(all);
        }
        all.append(&mut batch);
        if all.len() > limit {
            return Err(Error::new("getdents64", "", errno::OVERFLOW));
        }
    }
}

/// Makes [`getdents64`] start anew (lseek(2) to 0).
///
/// # Errors
/// As lseek(2).
pub fn rewind(dir: BorrowedFd<'_>) -> Result<()> {
    // SAFETY: `dir` is open.
    let value = unsafe { libc::lseek(dir.as_raw_fd(), 0, libc::SEEK_SET) };
    check(value as libc::c_long, "lseek", || "").map(drop)
}

/// The record at the start of `bytes` (`struct linux_dirent64`: ino 8, off 8, reclen 2, type 1, name, NUL)
/// and its length.
fn entry_at(bytes: &[u8]) -> Option<(DirEntry, usize)> {
    let ino = u64::from_ne_bytes(bytes.get(0..8)?.try_into().ok()?);
    let length = usize::from(u16::from_ne_bytes(bytes.get(16..18)?.try_into().ok()?));
    let kind = *bytes.get(18)?;
    let name = CStr::from_bytes_until_nul(bytes.get(19..length)?).ok()?;
    let file_type = match kind {
        libc::DT_REG => Some(FileType::Regular),
        libc::DT_DIR => Some(FileType::Directory),
        libc::DT_LNK => Some(FileType::Symlink),
        libc::DT_CHR => Some(FileType::CharDevice),
        libc::DT_BLK => Some(FileType::BlockDevice),
        libc::DT_FIFO => Some(FileType::Fifo),
        libc::DT_SOCK => Some(FileType::Socket),
        _ => None,
    };
    let name = std::ffi::OsStr::from_bytes(name.to_bytes()).to_owned();
    Some((DirEntry { name, ino, file_type }, length))
}
