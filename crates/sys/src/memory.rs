//! This process's own memory: what a process that waits for long can do without.

use crate::Result;
use crate::error::check;

/// Lets go of the pages of this program's code, madvise(2) with MADV_DONTNEED. Those that are needed again are
/// read from the executable, which is in the page cache as long as anybody runs it.
///
/// # Errors
/// Any error of madvise(2). A /proc that cannot be read is none: nothing is released then.
pub fn release_code() -> Result<()> {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    for (start, end) in maps.lines().filter_map(code) {
        let pointer = std::ptr::with_exposed_provenance_mut::<libc::c_void>(start);
        check(
            // SAFETY: the range is one whole mapping of a file, private, executable and never writable: it
            // has no pages of its own that could be lost. The next use of a page reads the same bytes again.
            unsafe { libc::madvise(pointer, end - start, libc::MADV_DONTNEED) }.into(),
            "madvise",
            || format!("`{start:x}-{end:x}`"),
        )?;
    }
    Ok(())
}

/// The range of a line of proc_pid_maps(5) that is code of a file.
fn code(line: &str) -> Option<(usize, usize)> {
    let mut fields = line.split_ascii_whitespace();
    let (start, end) = fields.next()?.split_once('-')?;
    let is_code = fields.next()? == "r-xp";
    let is_file = fields.nth(3)?.starts_with('/');
    let number = |text| usize::from_str_radix(text, 16).ok();
    Some((number(start)?, number(end)?)).filter(|(start, end)| is_code && is_file && start < end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_code_of_files_is_released() {
        let line = "7fb9ca000000-7fb9ca300000 r-xp 0004a000 fe:00 10059902    /usr/bin/taru-runtime";
        assert_eq!(code(line), Some((0x7fb9_ca00_0000, 0x7fb9_ca30_0000)));
        for other in [
            "7fb9ca000000-7fb9ca300000 r--p 0004a000 fe:00 10059902    /usr/bin/taru-runtime",
            "7fb9ca000000-7fb9ca300000 rwxp 0004a000 fe:00 10059902    /usr/bin/taru-runtime",
            "7fb9caf2d000-7fb9caf2f000 r-xp 00000000 00:00 0           [vdso]",
            "7fb9caf2d000-7fb9caf2f000 r-xp 00000000 00:00 0",
            "",
        ] {
            assert_eq!(code(other), None, "{other}");
        }
        release_code().unwrap();
        assert_eq!(code(line), Some((0x7fb9_ca00_0000, 0x7fb9_ca30_0000)), "code still runs");
    }
}
