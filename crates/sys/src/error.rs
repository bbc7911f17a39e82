//! A failed system call: its name, its operands, its errno.

use std::fmt;

pub use taru_stdx::Errno;

/// The result of a system call.
pub type Result<T> = std::result::Result<T, Error>;

/// The error numbers of errno(3) that taru tells apart, without their `E`.
#[allow(missing_docs, reason = "the names are errno(3)'s")]
pub mod errno {
    use super::Errno;

    pub const PERM: Errno = Errno(libc::EPERM);
    pub const NOENT: Errno = Errno(libc::ENOENT);
    pub const SRCH: Errno = Errno(libc::ESRCH);
    pub const INTR: Errno = Errno(libc::EINTR);
    pub const IO: Errno = Errno(libc::EIO);
    pub const NXIO: Errno = Errno(libc::ENXIO);
    pub const NOEXEC: Errno = Errno(libc::ENOEXEC);
    pub const BADF: Errno = Errno(libc::EBADF);
    pub const CHILD: Errno = Errno(libc::ECHILD);
    pub const AGAIN: Errno = Errno(libc::EAGAIN);
    pub const NOMEM: Errno = Errno(libc::ENOMEM);
    pub const ACCES: Errno = Errno(libc::EACCES);
    pub const BUSY: Errno = Errno(libc::EBUSY);
    pub const EXIST: Errno = Errno(libc::EEXIST);
    pub const XDEV: Errno = Errno(libc::EXDEV);
    pub const NODEV: Errno = Errno(libc::ENODEV);
    pub const NOTDIR: Errno = Errno(libc::ENOTDIR);
    pub const ISDIR: Errno = Errno(libc::EISDIR);
    pub const INVAL: Errno = Errno(libc::EINVAL);
    pub const NOTTY: Errno = Errno(libc::ENOTTY);
    pub const NOSPC: Errno = Errno(libc::ENOSPC);
    pub const ROFS: Errno = Errno(libc::EROFS);
    pub const NOSYS: Errno = Errno(libc::ENOSYS);
    pub const NOTEMPTY: Errno = Errno(libc::ENOTEMPTY);
    pub const LOOP: Errno = Errno(libc::ELOOP);
    pub const NODATA: Errno = Errno(libc::ENODATA);
    pub const OVERFLOW: Errno = Errno(libc::EOVERFLOW);
    pub const NOTSUP: Errno = Errno(libc::EOPNOTSUPP);
    pub const CONNREFUSED: Errno = Errno(libc::ECONNREFUSED);
    pub const PIPE: Errno = Errno(libc::EPIPE);
    pub const CONNRESET: Errno = Errno(libc::ECONNRESET);
    pub const RANGE: Errno = Errno(libc::ERANGE);
    pub const NAMETOOLONG: Errno = Errno(libc::ENAMETOOLONG);
    pub const TXTBSY: Errno = Errno(libc::ETXTBSY);
    pub const NOBUFS: Errno = Errno(libc::ENOBUFS);
    pub const ADDRNOTAVAIL: Errno = Errno(libc::EADDRNOTAVAIL);
    pub const AFNOSUPPORT: Errno = Errno(libc::EAFNOSUPPORT);
    pub const PROTONOSUPPORT: Errno = Errno(libc::EPROTONOSUPPORT);
    pub const TOOBIG: Errno = Errno(libc::E2BIG);
    pub const NOTBLK: Errno = Errno(libc::ENOTBLK);
    pub const BADMSG: Errno = Errno(libc::EBADMSG);
    pub const UCLEAN: Errno = Errno(libc::EUCLEAN);
}

/// The calling thread's errno.
pub(crate) fn last() -> Errno {
    Errno(std::io::Error::last_os_error().raw_os_error().unwrap_or(0))
}

/// A system call that failed. Prints as ``openat2 `etc/passwd`: No such file or directory``.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    call: &'static str,
    operands: String,
    errno: Errno,
}

impl Error {
    /// A failure of `call` with `operands` (already in backquotes, or empty).
    pub fn new(call: &'static str, operands: impl Into<String>, errno: Errno) -> Error {
        Error { call, operands: operands.into(), errno }
    }

    /// The error number.
    pub fn errno(&self) -> Errno {
        self.errno
    }

    /// The system call's name.
    pub fn call(&self) -> &'static str {
        self.call
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.call)?;
        if !self.operands.is_empty() {
            write!(f, " {}", self.operands)?;
        }
        Ok(())
    }
}

/// The number itself is the cause: the chain prints ``call `operand`: text``.
impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.errno)
    }
}

/// Also as the standard library's error, for code that mixes both.
impl From<Error> for std::io::Error {
    fn from(e: Error) -> std::io::Error {
        std::io::Error::from_raw_os_error(e.errno.0)
    }
}

/// The value of a raw system call that returns -1 and sets errno; `operands` is only built on failure.
pub(crate) fn check<S: Into<String>>(
    value: libc::c_long,
    call: &'static str,
    operands: impl FnOnce() -> S,
) -> Result<libc::c_long> {
    if value == -1 {
        let errno = last();
        return Err(Error::new(call, operands(), errno));
    }
    Ok(value)
}
