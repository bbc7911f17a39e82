//! What is mounted: `/proc/PID/mountinfo` (proc_pid_mountinfo(5)).
//!
//! ```text
//! 36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
//! id parent dev root point options  fields... - type source   file system's options
//! ```

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use taru_rootdir::Proc;
use taru_stdx::{Error, Result};
use taru_sys::fs::Device;

/// A table larger than this is refused; the kernel's default limit of 100 000 mounts stays far below.
pub const MAX_SIZE: u64 = 64 << 20;

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its id, as [`taru_sys::fs::Stat::mount_id`] has it.
    pub id: u64,
    /// The id of the mount it stands on; its own for the root.
    pub parent: u64,
    /// The file system's device number.
    pub device: Device,
    /// The directory of the file system that is mounted.
    pub root: PathBuf,
    /// Where, seen from the reading process's root.
    pub point: PathBuf,
    /// The mount's options.
    pub options: String,
    /// Its peer group, if it is shared.
    pub shared: Option<u32>,
    /// The peer group it receives from, if it is a slave.
    pub master: Option<u32>,
    /// The nearest group of the reader's that mounts come from, where it is not the master.
    pub propagate_from: Option<u32>,
    /// Whether it cannot be bound.
    pub unbindable: bool,
    /// The file system's type, with its subtype: `ext4`, `fuse.sshfs`.
    pub fstype: String,
    /// Where it comes from; `none` and the like for what has no device.
    pub source: OsString,
    /// The file system's options.
    pub super_options: String,
}

impl Entry {
    /// Whether the mount has `name` among its options.
    pub fn has_option(&self, name: &str) -> bool {
        self.options.split(',').any(|o| o == name)
    }

    /// Whether the file system has `name` among its options.
    pub fn has_super_option(&self, name: &str) -> bool {
        self.super_options.split(',').any(|o| o == name)
    }
}

/// The mounts in a table's text, in its order: a mount after those it stands on or covers.
///
/// ```
/// let table = "25 1 0:22 / /proc rw,nosuid shared:5 - proc proc rw\n";
/// let mounts = taru_mount::mountinfo::parse(table)?;
/// assert_eq!(mounts[0].point, std::path::Path::new("/proc"));
/// assert_eq!(mounts[0].shared, Some(5));
/// # Ok::<(), taru_stdx::Error>(())
/// ```
///
/// # Errors
/// [`taru_stdx::Kind::Invalid`] with the first line that is not one of such a table.
pub fn parse(table: impl AsRef<[u8]>) -> Result<Vec<Entry>> {
    table
        .as_ref()
        .split(|&b| b == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| {
            parse_line(line).ok_or_else(|| {
                let shown = String::from_utf8_lossy(line.get(..200).unwrap_or(line)).into_owned();
                Error::invalid(format!("parse `{shown}` as a line of mountinfo"))
            })
        })
        .collect()
}

/// This process's mounts.
///
/// # Errors
/// As [`Proc::read_bounded`].
pub fn read(proc: &Proc) -> Result<Vec<Entry>> {
    parse(proc.read_bounded("self/mountinfo", MAX_SIZE)?)
}

fn parse_line(line: &[u8]) -> Option<Entry> {
    let mut fields = line.split(|&b| b == b' ');
    let mut next = || fields.next();
    let id = number(next()?)?;
    let parent = number(next()?)?;
    let (major, minor) = text(next()?)?.split_once(':').map(|(a, b)| (a.parse(), b.parse()))?;
    let device = Device::new(major.ok()?, minor.ok()?);
    let root = PathBuf::from(unescape(next()?));
    let point = PathBuf::from(unescape(next()?));
    let options = text(next()?)?.to_owned();
    let mut entry = Entry {
        id,
        parent,
        device,
        root,
        point,
        options,
        shared: None,
        master: None,
        propagate_from: None,
        unbindable: false,
        fstype: String::new(),
        source: OsString::new(),
        super_options: String::new(),
    };
    loop {
        // Unknown fields are to be ignored, says the manual page.
        match text(next()?)? {
            "-" => break,
            "unbindable" => entry.unbindable = true,
            field => match field.split_once(':') {
                Some(("shared", group)) => entry.shared = Some(group.parse().ok()?),
                Some(("master", group)) => entry.master = Some(group.parse().ok()?),
                Some(("propagate_from", group)) => entry.propagate_from = Some(group.parse().ok()?),
                _ => {}
            },
        }
    }
    entry.fstype = String::from_utf8_lossy(unescape(next()?).as_encoded_bytes()).into_owned();
    entry.source = unescape(next()?);
    // A file system may show an option with a space that it forgot to escape: the rest is all its own.
    let mut rest = next().unwrap_or_default().to_vec();
    while let Some(more) = next() {
        rest.push(b' ');
        rest.extend_from_slice(more);
    }
    entry.super_options = String::from_utf8_lossy(&rest).into_owned();
    Some(entry)
}

fn text(field: &[u8]) -> Option<&str> {
    std::str::from_utf8(field).ok()
}

fn number(field: &[u8]) -> Option<u64> {
    text(field)?.parse().ok()
}

/// Takes the kernel's octal escapes back: `\040` is a space, `\134` a backslash.
fn unescape(field: &[u8]) -> OsString {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, tail)) = rest.split_first() {
        let octal = |b: u8| (b'0'..=b'7').contains(&b).then(|| u32::from(b - b'0'));
        let escaped = match (first, tail) {
            (b'\\', &[a, b, c, ..]) => octal(a).zip(octal(b)).zip(octal(c)),
            _ => None,
        };
        match escaped.map(|((a, b), c)| a << 6 | b << 3 | c).and_then(|v| u8::try_from(v).ok()) {
            Some(byte) => {
                plain.push(byte);
                rest = tail.get(3..).unwrap_or_default();
            }
            None => {
                plain.push(first);
                rest = tail;
            }
        }
    }
    OsString::from_vec(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn lines_of_real_tables() {
        let table = concat!(
            "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue\n",
            "40 36 0:44 / /with\\040space\\011tab\\134 ro,nosuid shared:7 master:2 propagate_from:3 - fuse.x\\040y a\\040b rw\n",
            "41 36 0:4 mnt:[4026531841] /run/ns rw unbindable future:9 - nsfs nsfs rw\n",
            "42 36 0:5 /a//deleted /b rw - overlay overlay rw,lowerdir=/x y:/z\n",
            "43 36 0:6 / /c rw - tmpfs  rw\n",
        );
        let mounts = parse(table).unwrap();
        assert_eq!(mounts.len(), 5);
        assert_eq!((mounts[0].id, mounts[0].parent, mounts[0].device), (36, 35, Device::new(98, 0)));
        assert_eq!((mounts[0].shared, mounts[0].master), (None, Some(1)));
        assert!(mounts[0].has_option("noatime") && !mounts[0].has_option("atime"));
        assert!(mounts[0].has_super_option("errors=continue"));
        assert_eq!(mounts[1].point, Path::new("/with space\ttab\\"));
        assert_eq!((mounts[1].fstype.as_str(), mounts[1].source.to_str()), ("fuse.x y", Some("a b")));
        assert_eq!((mounts[1].shared, mounts[1].propagate_from), (Some(7), Some(3)));
        assert!(mounts[2].unbindable);
        assert_eq!(mounts[2].root, Path::new("mnt:[4026531841]"));
        assert_eq!(mounts[3].super_options, "rw,lowerdir=/x y:/z");
        assert_eq!(mounts[4].source, "");
    }

    #[test]
    fn paths_that_are_not_utf8_stay_what_they_are() {
        let mounts = parse(b"1 1 0:1 / /\xff\xfe rw - t s rw".as_slice()).unwrap();
        assert_eq!(mounts[0].point.as_os_str().as_encoded_bytes(), b"/\xff\xfe");
    }

    #[test]
    fn garbage_is_an_error_and_never_a_panic() {
        let good = "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw";
        for cut in 0..good.len() {
            let _ = parse(&good[..cut]);
        }
        for bad in
            ["x", "1 2 3 4 5 6 - 7", "36 35 98 / / rw - a b c", "1 1 0:1 / / rw shared:x - a b c", "\0", " "]
        {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
        assert_eq!(unescape(b"\\04"), "\\04");
        assert_eq!(unescape(b"\\777"), "\\777");
        assert_eq!(unescape(b"\\"), "\\");
        // Bytes of every kind in every place.
        let mut state = 1u32;
        for _ in 0..2000 {
            let noise: Vec<u8> = (0..60)
                .map(|_| {
                    state = state.wrapping_mul(1664525).wrapping_add(1013904223);
                    b"0123456789 :/-\\\xff\n,rw"[(state >> 24) as usize % 20]
                })
                .collect();
            let _ = parse(noise);
        }
    }
}
