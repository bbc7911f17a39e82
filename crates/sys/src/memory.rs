//! This process's own memory: what a process that waits for long can do without.

use crate::Result;
use crate::error::check;

/// Where this program's code and constants are mapped: pages of the executable that are never written to.
#[derive(Debug, Clone, Default)]
pub struct Code {
    ranges: Vec<(usize, usize)>,
}

impl Code {
    /// Finds them; none where /proc cannot be read.
    #[must_use]
    pub fn of_this_program() -> Code {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
        Code { ranges: maps.lines().filter_map(unwritten).collect() }
    }

    /// Lets go of these pages, madvise(2) with MADV_DONTNEED. Those that are needed again are read from the executable,
    /// which is in the page cache as long as anybody runs it; with each come the 15 around it.
    ///
    /// # Errors
    /// Any error of madvise(2).
    #[inline]
    pub fn release(&self) -> Result<()> {
        for &(start, end) in &self.ranges {
            let pointer = std::ptr::with_exposed_provenance_mut::<libc::c_void>(start);
            check(
                // SAFETY: the range is one whole mapping of a file, private and never written to: it has no pages of its
                // own that could be lost. The next use of a page reads the same bytes again.
                unsafe { libc::madvise(pointer, end - start, libc::MADV_DONTNEED) }.into(),
                "madvise",
                || format!("`{start:x}-{end:x}`"),
            )?;
        }
        Ok(())
    }
}

/// The range of a line of proc_pid_maps(5) that is never written to: a file's code, or the beginning of an ELF file (its
/// headers and constants). Other mappings that are read-only now had addresses written into them at the start (RELRO).
fn unwritten(line: &str) -> Option<(usize, usize)> {
    let mut fields = line.split_ascii_whitespace();
    let (start, end) = fields.next()?.split_once('-')?;
    let rights = fields.next()?;
    let offset = fields.next()?;
    let is_file = fields.nth(2)?.starts_with('/');
    let number = |text| usize::from_str_radix(text, 16).ok();
    let is_unwritten = rights == "r-xp" || rights == "r--p" && number(offset) == Some(0);
    Some((number(start)?, number(end)?)).filter(|(start, end)| is_unwritten && is_file && start < end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_never_written_to_is_released() {
        let code = "7fb9ca000000-7fb9ca300000 r-xp 0004a000 fe:00 10059902    /usr/bin/taru-runtime";
        let headers = "7fb9ca000000-7fb9ca300000 r--p 00000000 fe:00 10059902    /usr/bin/taru-runtime";
        for line in [code, headers] {
            assert_eq!(unwritten(line), Some((0x7fb9_ca00_0000, 0x7fb9_ca30_0000)), "{line}");
        }
        for other in [
            "7fb9ca000000-7fb9ca300000 r--p 0004a000 fe:00 10059902    /usr/bin/taru-runtime",
            "7fb9ca000000-7fb9ca300000 rw-p 00000000 fe:00 10059902    /usr/bin/taru-runtime",
            "7fb9ca000000-7fb9ca300000 rwxp 0004a000 fe:00 10059902    /usr/bin/taru-runtime",
            "7fb9caf2d000-7fb9caf2f000 r-xp 00000000 00:00 0           [vdso]",
            "7fb9caf2d000-7fb9caf2f000 r-xp 00000000 00:00 0",
            "",
        ] {
            assert_eq!(unwritten(other), None, "{other}");
        }
        Code::of_this_program().release().unwrap();
        assert_eq!(unwritten(code), Some((0x7fb9_ca00_0000, 0x7fb9_ca30_0000)), "code still runs");
    }
}
