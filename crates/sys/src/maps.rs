//! What this process's own memory is mapped from: the lines of /proc/self/maps, proc_pid_maps(5).

use std::io::Read;

/// One mapping of this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mapping {
    /// Its first address.
    pub start: usize,
    /// The address behind its last.
    pub end: usize,
    /// Whether it may be read.
    pub is_readable: bool,
    /// Whether it may be written to now.
    pub is_writable: bool,
    /// Whether it is code.
    pub is_executable: bool,
    /// Where it begins in its file.
    pub offset: usize,
    /// Its file's number on its device: major and minor, inode. `None` if it is of no file.
    pub file: Option<(u32, u32, u64)>,
    /// Whether it is the stack of the process's first thread.
    pub is_stack: bool,
}

impl Mapping {
    /// All of this process; none where /proc cannot be read.
    pub(crate) fn all() -> Vec<Mapping> {
        let maps = read("/proc/self/maps").unwrap_or_default();
        maps.lines().filter_map(parse).collect()
    }

    /// Its size in bytes.
    pub(crate) fn size(&self) -> usize {
        self.end - self.start
    }

    /// Whether it has never been written to: a file's code, or the beginning of an ELF file (its headers and constants).
    /// Other mappings that are read-only now had addresses written into them at the start (RELRO).
    pub(crate) fn is_as_in_its_file(&self) -> bool {
        self.file.is_some() && !self.is_writable && (self.is_executable || self.offset == 0)
    }
}

/// A file of /proc whole, in as few reads as there are: the kernel makes its text anew for each, and tells no size.
pub(crate) fn read(path: &str) -> std::io::Result<String> {
    let mut text = String::with_capacity(4096);
    std::fs::File::open(path)?.take(LIMIT).read_to_string(&mut text)?;
    Ok(text)
}

/// Far more than a process with thousands of mappings has.
const LIMIT: u64 = 16 << 20;

/// Parses a line; `None` for one that is shared with other processes, or makes no sense.
fn parse(line: &str) -> Option<Mapping> {
    let mut fields = line.split_ascii_whitespace();
    let (start, end) = fields.next()?.split_once('-')?;
    let rights = fields.next()?.as_bytes();
    let offset = fields.next()?;
    let (major, minor) = fields.next()?.split_once(':')?;
    let inode = fields.next()?.parse().ok()?;
    let number = |text| usize::from_str_radix(text, 16).ok();
    let device = |text| u32::from_str_radix(text, 16).ok();
    let mapping = Mapping {
        start: number(start)?,
        end: number(end)?,
        is_readable: *rights.first()? == b'r',
        is_writable: *rights.get(1)? == b'w',
        is_executable: *rights.get(2)? == b'x',
        offset: number(offset)?,
        file: (inode != 0).then_some((device(major)?, device(minor)?, inode)),
        is_stack: inode == 0 && fields.next() == Some("[stack]"),
    };
    (*rights.get(3)? == b'p' && mapping.start < mapping.end).then_some(mapping)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_kernel() {
        let line = "7fb9ca000000-7fb9ca300000 r-xp 0004a000 fe:01 10059902    /usr/bin/taru-runtime";
        let mapping = parse(line).unwrap();
        assert_eq!((mapping.start, mapping.end), (0x7fb9_ca00_0000, 0x7fb9_ca30_0000));
        assert_eq!((mapping.is_readable, mapping.is_writable), (true, false));
        assert_eq!((mapping.is_executable, mapping.offset), (true, 0x4a000));
        assert_eq!(mapping.file, Some((0xfe, 1, 10_059_902)));
        assert_eq!(mapping.size(), 0x30_0000);
        assert!(!mapping.is_stack);
        let other =
            |name| parse(&format!("7fb9caf2d000-7fb9caf2f000 rw-p 00000000 00:00 0      {name}")).unwrap();
        assert_eq!((other("[heap]").file, other("[heap]").is_stack), (None, false));
        assert_eq!((other("[stack]").file, other("[stack]").is_stack), (None, true));
        for other in
            ["7fb9caf2d000-7fb9caf2f000 rw-s 00000000 fe:01 7 /a", "2-1 r--p 0 0:0 0", "1-2 r--p", ""]
        {
            assert_eq!(parse(other), None, "{other}");
        }
    }

    #[test]
    fn what_was_never_written_to() {
        for (rights, offset, is) in [
            ("r-xp", "0004a000", true),
            ("r--p", "00000000", true),
            ("r--p", "0004a000", false),
            ("rw-p", "00000000", false),
            ("rwxp", "0004a000", false),
        ] {
            let line = format!(
                "7fb9ca000000-7fb9ca300000 {rights} {offset} fe:00 10059902    /usr/bin/taru-runtime"
            );
            assert_eq!(parse(&line).unwrap().is_as_in_its_file(), is, "{line}");
        }
        let vdso = "7fb9caf2d000-7fb9caf2f000 r-xp 00000000 00:00 0           [vdso]";
        assert!(!parse(vdso).unwrap().is_as_in_its_file());
    }

    #[test]
    fn this_process_has_code() {
        assert!(Mapping::all().iter().any(|m| m.is_executable && m.is_as_in_its_file()));
    }
}
