//! Extended regular expressions of regex(7), by the C library.

use std::ffi::{CStr, CString};
use std::mem::MaybeUninit;

use crate::{Error, Result, errno};

/// A compiled expression.
pub struct Regex(libc::regex_t);

impl Regex {
    /// Compiles an extended regular expression, regcomp(3).
    ///
    /// # Errors
    /// EINVAL, with what the C library says of the expression.
    pub fn new(expression: &str) -> Result<Regex> {
        let invalid = |why: &str| Error::new("regcomp", format!("`{expression}`: {why}"), errno::INVAL);
        let text = CString::new(expression).map_err(|_| invalid("a NUL byte"))?;
        let mut compiled = MaybeUninit::<libc::regex_t>::uninit();
        let flags = libc::REG_EXTENDED | libc::REG_NOSUB;
        // SAFETY: the first pointer is to memory of a regex_t's size that is ours, the second to a string
        // that ends with NUL; regcomp keeps neither.
        let code = unsafe { libc::regcomp(compiled.as_mut_ptr(), text.as_ptr(), flags) };
        if code != 0 {
            return Err(invalid(&explain(code, &compiled)));
        }
        // SAFETY: regcomp returned 0: it has filled the whole of it.
        Ok(Regex(unsafe { compiled.assume_init() }))
    }

    /// Whether it matches somewhere in `text`, regexec(3).
    pub fn is_match(&self, text: &CStr) -> bool {
        // SAFETY: `self.0` was compiled and is not freed yet; `text` ends with NUL; with REG_NOSUB no match is
        // written, so an empty array of them will do.
        unsafe { libc::regexec(&raw const self.0, text.as_ptr(), 0, std::ptr::null_mut(), 0) == 0 }
    }
}

impl Drop for Regex {
    fn drop(&mut self) {
        // SAFETY: it was compiled, and is freed only here.
        unsafe { libc::regfree(&raw mut self.0) }
    }
}

/// What regerror(3) says of `code`.
fn explain(code: libc::c_int, compiled: &MaybeUninit<libc::regex_t>) -> String {
    let mut text = [0u8; 128];
    // SAFETY: after a failed regcomp its first argument may still be handed to regerror; the buffer is ours and
    // of the length given, and regerror ends what it writes with NUL.
    unsafe { libc::regerror(code, compiled.as_ptr(), text.as_mut_ptr().cast(), text.len()) };
    CStr::from_bytes_until_nul(&text).unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_and_refuses() {
        let regex = Regex::new("^web-[0-9]+$").unwrap();
        assert!(regex.is_match(c"web-12"));
        assert!(!regex.is_match(c"web-x"));
        assert!(Regex::new("(a|b").is_err());
        assert_eq!(Regex::new("[").err().map(|e| e.errno()), Some(errno::INVAL));
    }
}
