//! Paths on their way into the kernel: NUL-terminated, on the stack where they fit.

use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::{Error, Result, errno};

/// Longer paths go to the heap; nearly none are.
const ON_STACK: usize = 384;

/// Calls `f` with `path` as a C string.
///
/// A path with a NUL byte inside names no file: `EINVAL`, before the kernel sees half of it.
pub(crate) fn with_c<T>(path: &Path, call: &'static str, f: impl FnOnce(&CStr) -> Result<T>) -> Result<T> {
    bytes_with_c(path.as_os_str().as_bytes(), call, f)
}

/// As [`with_c`], for text that is not a path: a file system's name, an option.
pub(crate) fn bytes_with_c<T>(
    bytes: &[u8],
    call: &'static str,
    f: impl FnOnce(&CStr) -> Result<T>,
) -> Result<T> {
    let bad = |_| Error::new(call, format!("`{}`", String::from_utf8_lossy(bytes)), errno::INVAL);
    if bytes.len() < ON_STACK {
        let mut buffer = [MaybeUninit::<u8>::uninit(); ON_STACK];
        let start = buffer.as_mut_ptr().cast::<u8>();
        // SAFETY: `bytes` and the terminator fit into `buffer`, as just compared; both are distinct
        // memory; exactly the bytes written are made into the slice.
        let filled = unsafe {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), start, bytes.len());
            start.add(bytes.len()).write(0);
            std::slice::from_raw_parts(start, bytes.len() + 1)
        };
        return f(CStr::from_bytes_with_nul(filled).map_err(|_| bad(()))?);
    }
    f(&std::ffi::CString::new(bytes).map_err(|_| bad(()))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_long_and_impossible_paths() {
        for length in [0, 1, ON_STACK - 1, ON_STACK, 5000] {
            let text = "x".repeat(length);
            let seen = with_c(Path::new(&text), "open", |c| Ok(c.to_bytes().len())).unwrap();
            assert_eq!(seen, length);
        }
        let e = with_c(Path::new("a\0b"), "open", |_| Ok(())).unwrap_err();
        assert_eq!(e.errno(), errno::INVAL);
    }
}
