//! A group's directory in one hierarchy: its files are read and written below an open handle.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use taru_stdx::{Context, Error, Kind, Result};
use taru_sys::fs::{CWD, OpenFlags, Unlink, mkdirat, openat, unlinkat};
use taru_sys::{Errno, errno};

/// The largest file of a group is its list of processes: seven digits and a newline for each of 4 M.
const FILE_LIMIT: u64 = 64 << 20;

/// An open directory of a cgroup file system, and the path it was opened by.
#[derive(Debug)]
pub(crate) struct Dir {
    fd: OwnedFd,
    path: PathBuf,
}

impl Dir {
    /// Opens the directory `path`.
    pub(crate) fn open(path: PathBuf) -> taru_sys::Result<Dir> {
        let fd = openat(CWD, &path, OpenFlags::PATH | OpenFlags::DIRECTORY, 0)?;
        Ok(Dir { fd, path })
    }

    /// Makes the directory `path` and the missing ones above it, down from `top`, and opens it.
    ///
    /// Returns it with the directories that were made, outermost first.
    pub(crate) fn create(top: &Path, path: PathBuf) -> taru_sys::Result<(Dir, Vec<PathBuf>)> {
        let mut made = Vec::new();
        let mut missing: Vec<&Path> = Vec::new();
        let mut at: &Path = &path;
        // The last step alone, in the usual case; on the way up only as far as it is missing.
        loop {
            match mkdirat(CWD, at, 0o755) {
                Ok(()) => {
                    made.push(at.to_owned());
                    match missing.pop() {
                        Some(next) => at = next,
                        None => break,
                    }
                }
                Err(e) if e.errno() == errno::EXIST => match missing.pop() {
                    Some(next) => at = next,
                    None => break,
                },
                Err(e) if e.errno() == errno::NOENT && at != top && missing.len() < 64 => {
                    let Some(parent) = at.parent() else { return Err(e) };
                    missing.push(at);
                    at = parent;
                }
                Err(e) => {
                    remove_made(&made);
                    return Err(e);
                }
            }
        }
        match Dir::open(path) {
            Ok(dir) => Ok((dir, made)),
            Err(e) => {
                remove_made(&made);
                Err(e)
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// The path of `file`, for messages.
    fn operand(&self, file: &str) -> String {
        format!("`{}`", self.path.join(file).display())
    }

    /// Opens `file` to be written.
    pub(crate) fn open_write(&self, file: &str) -> taru_sys::Result<File> {
        openat(self.as_fd(), Path::new(file), OpenFlags::WRONLY, 0).map(File::from)
    }

    /// Opens `file` to be read.
    pub(crate) fn open_read(&self, file: &str) -> taru_sys::Result<File> {
        openat(self.as_fd(), Path::new(file), OpenFlags::RDONLY, 0).map(File::from)
    }

    /// Writes `value` to `file`; for callers that act on the error number.
    pub(crate) fn try_write(&self, file: &str, value: &str) -> taru_sys::Result<()> {
        self.try_write_each(file, &[value])
    }

    /// Writes each of `values` to `file`, which is opened once: that costs more than a write.
    fn try_write_each(&self, file: &str, values: &[&str]) -> taru_sys::Result<()> {
        let failed = |value: &str, e: Errno| {
            taru_sys::Error::new("write", format!("`{value}` to {}", self.operand(file)), e)
        };
        let mut to = self.open_write(file).map_err(|e| failed(values.first().unwrap_or(&""), e.errno()))?;
        for value in values {
            // One write: the kernel reads each as a whole command. It does not see one of no bytes.
            let bytes = if value.is_empty() { b"\n" } else { value.as_bytes() };
            to.write_all(bytes).map_err(|e| failed(value, Errno(e.raw_os_error().unwrap_or(errno::IO.0))))?;
        }
        Ok(())
    }

    /// Writes `value` to `file`.
    ///
    /// A missing file means that this kernel, or the controller, does not have the limit.
    pub(crate) fn write(&self, file: &str, value: &str) -> Result<()> {
        self.try_write(file, value).map_err(|e| self.explain(file, e))
    }

    /// Writes each of `values` to `file`, a command each.
    pub(crate) fn write_each(&self, file: &str, values: &[&str]) -> Result<()> {
        self.try_write_each(file, values).map_err(|e| self.explain(file, e))
    }

    /// The error `e` of writing `file`, with a hint where the number says little.
    pub(crate) fn explain(&self, file: &str, e: taru_sys::Error) -> Error {
        let what = format!("set `{file}`");
        match e.errno() {
            errno::NOENT => Error::new(Kind::Unsupported, what).because(e).hint(format!(
                "`{file}` is not there: the kernel lacks it, or its controller is not enabled for this group"
            )),
            errno::PERM | errno::ACCES | errno::ROFS => Error::new(Kind::Permission, what).because(e),
            errno::INVAL => Error::new(Kind::Invalid, what).because(e),
            errno::BUSY => Error::new(Kind::Busy, what).because(e),
            _ => Error::new(Kind::System, what).because(e),
        }
    }

    /// The text of `file`; for callers that act on the error number.
    pub(crate) fn try_read(&self, file: &str) -> taru_sys::Result<String> {
        read_file(self.as_fd(), file).map_err(|e| taru_sys::Error::new("read", self.operand(file), e.errno()))
    }

    /// The text of `file`.
    pub(crate) fn read(&self, file: &str) -> Result<String> {
        self.try_read(file).context(|| format!("read `{file}`"))
    }

    /// The text of `file`, or `None` if there is no such file or it says that it is not for now (ENOTSUP).
    pub(crate) fn read_if_there(&self, file: &str) -> Result<Option<String>> {
        match self.try_read(file) {
            Ok(text) => Ok(Some(text)),
            Err(e) if [errno::NOENT, errno::NOTSUP, errno::NODEV].contains(&e.errno()) => Ok(None),
            Err(e) => Err(e).context(|| format!("read `{file}`")),
        }
    }

    /// Whether `file` is there.
    pub(crate) fn has(&self, file: &str) -> bool {
        openat(self.as_fd(), Path::new(file), OpenFlags::PATH, 0).is_ok()
    }
}

/// The text of `file` in the open directory `dir`.
pub(crate) fn read_file(dir: BorrowedFd<'_>, file: &str) -> taru_sys::Result<String> {
    let from = File::from(openat(dir, Path::new(file), OpenFlags::RDONLY, 0)?);
    let mut text = Vec::new();
    from.take(FILE_LIMIT).read_to_end(&mut text).map_err(|e| {
        let number = e.raw_os_error().unwrap_or(errno::IO.0);
        taru_sys::Error::new("read", format!("`{file}`"), Errno(number))
    })?;
    Ok(String::from_utf8(text).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned()))
}

/// Whether a call failed because the group was removed meanwhile.
pub(crate) fn is_gone(e: Errno) -> bool {
    e == errno::NOENT || e == errno::NODEV
}

/// Takes back what [`Dir::create`] made, innermost first; what is in use by now stays.
pub(crate) fn remove_made(made: &[PathBuf]) {
    for path in made.iter().rev() {
        let _ = unlinkat(CWD, path, Unlink::Directory);
    }
}
