//! A tar archive byte by byte: what a test wants in it, right or wrong, and nothing that a library would correct.

/// A tar archive in memory. Each call adds an entry; [`Tar::owned`] and its like change the last one.
///
/// Names are written as they are given (`../x`, `/x`, `a//b`): keeping them is the attack in some tests. Names,
/// targets and owners that do not fit the header go into a PAX header before it, as GNU tar does with `--format=pax`.
#[derive(Clone, Debug, Default)]
pub struct Tar {
    entries: Vec<Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    kind: u8,
    path: Vec<u8>,
    target: Vec<u8>,
    mode: u32,
    uid: u64,
    gid: u64,
    modified: u64,
    device: (u32, u32),
    content: Vec<u8>,
    /// What the header says instead of the content's length.
    size: Option<u64>,
    pax: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Tar {
    /// An empty archive.
    pub fn new() -> Tar {
        Tar::default()
    }

    /// A regular file.
    #[must_use]
    pub fn file(self, path: &str, content: impl AsRef<[u8]>, mode: u32) -> Tar {
        self.add(b'0', path, mode, |entry| entry.content = content.as_ref().to_vec())
    }

    /// A directory.
    #[must_use]
    pub fn dir(self, path: &str, mode: u32) -> Tar {
        let path = if path.ends_with('/') { path.to_owned() } else { format!("{path}/") };
        self.add(b'5', &path, mode, |_| ())
    }

    /// A symbolic link.
    #[must_use]
    pub fn symlink(self, path: &str, target: &str) -> Tar {
        self.add(b'2', path, 0o777, |entry| entry.target = target.into())
    }

    /// Another name for the entry `target` of this archive.
    #[must_use]
    pub fn hard_link(self, path: &str, target: &str) -> Tar {
        self.add(b'1', path, 0o644, |entry| entry.target = target.into())
    }

    /// A named pipe.
    #[must_use]
    pub fn fifo(self, path: &str, mode: u32) -> Tar {
        self.add(b'6', path, mode, |_| ())
    }

    /// A character device.
    #[must_use]
    pub fn char_device(self, path: &str, major: u32, minor: u32, mode: u32) -> Tar {
        self.add(b'3', path, mode, |entry| entry.device = (major, minor))
    }

    /// A block device.
    #[must_use]
    pub fn block_device(self, path: &str, major: u32, minor: u32, mode: u32) -> Tar {
        self.add(b'4', path, mode, |entry| entry.device = (major, minor))
    }

    /// The mark that takes `path` of the layers below away: `DIR/.wh.NAME`.
    #[must_use]
    pub fn whiteout(self, path: &str) -> Tar {
        let marked = match path.rsplit_once('/') {
            Some((dir, name)) => format!("{dir}/.wh.{name}"),
            None => format!(".wh.{path}"),
        };
        self.file(&marked, "", 0)
    }

    /// The mark that takes everything in the directory `path` of the layers below away.
    #[must_use]
    pub fn opaque(self, path: &str) -> Tar {
        self.file(&format!("{}/.wh..wh..opq", path.trim_end_matches('/')), "", 0)
    }

    /// An entry of any type flag, known or not.
    #[must_use]
    pub fn of_kind(self, kind: u8, path: &str, content: impl AsRef<[u8]>) -> Tar {
        self.add(kind, path, 0o644, |entry| entry.content = content.as_ref().to_vec())
    }

    /// The last entry, owned by these ids.
    #[must_use]
    pub fn owned(self, uid: u64, gid: u64) -> Tar {
        self.change(|entry| (entry.uid, entry.gid) = (uid, gid))
    }

    /// The last entry, changed at this second after 1970.
    #[must_use]
    pub fn modified(self, second: u64) -> Tar {
        self.change(|entry| entry.modified = second)
    }

    /// The last entry, with an extended attribute.
    #[must_use]
    pub fn xattr(self, name: &str, value: impl AsRef<[u8]>) -> Tar {
        self.pax(&format!("SCHILY.xattr.{name}"), value)
    }

    /// The last entry, with a record of its PAX header: `path`, `linkpath`, `size`, `GNU.sparse.*`, ...
    #[must_use]
    pub fn pax(self, key: &str, value: impl AsRef<[u8]>) -> Tar {
        self.change(|entry| entry.pax.push((key.into(), value.as_ref().to_vec())))
    }

    /// The last entry, with a header that lies about its size.
    #[must_use]
    pub fn claiming(self, size: u64) -> Tar {
        self.change(|entry| entry.size = Some(size))
    }

    /// The archive with its two closing blocks.
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = self.unfinished();
        out.resize(out.len() + 1024, 0);
        out
    }

    /// The archive without its end: what is left when a writer dies between two entries.
    pub fn unfinished(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for entry in &self.entries {
            entry.write(&mut out);
        }
        out
    }

    fn add(mut self, kind: u8, path: &str, mode: u32, change: impl FnOnce(&mut Entry)) -> Tar {
        let mut entry = Entry {
            kind,
            path: path.into(),
            target: Vec::new(),
            mode,
            uid: 0,
            gid: 0,
            modified: 1_600_000_000,
            device: (0, 0),
            content: Vec::new(),
            size: None,
            pax: Vec::new(),
        };
        change(&mut entry);
        self.entries.push(entry);
        self
    }

    fn change(mut self, change: impl FnOnce(&mut Entry)) -> Tar {
        change(self.entries.last_mut().expect("an entry to change"));
        self
    }
}

impl Entry {
    fn write(&self, out: &mut Vec<u8>) {
        let mut pax = self.pax.clone();
        if self.path.len() > 100 {
            pax.push((b"path".to_vec(), self.path.clone()));
        }
        if self.target.len() > 100 {
            pax.push((b"linkpath".to_vec(), self.target.clone()));
        }
        for (key, id) in [("uid", self.uid), ("gid", self.gid)] {
            if id > 0o7777777 {
                pax.push((key.into(), id.to_string().into_bytes()));
            }
        }
        if !pax.is_empty() {
            let records: Vec<u8> = pax.iter().flat_map(|(key, value)| record(key, value)).collect();
            self.header(out, b'x', b"PaxHeaders/0", records.len() as u64);
            content(out, &records);
        }
        self.header(out, self.kind, &self.path, self.size.unwrap_or(self.content.len() as u64));
        content(out, &self.content);
    }

    /// A ustar header (POSIX.1-2017, pax, "ustar Interchange Format").
    fn header(&self, out: &mut Vec<u8>, kind: u8, path: &[u8], size: u64) {
        let mut header = [0u8; 512];
        let mut put = |at: usize, bytes: &[u8], room: usize| {
            let bytes = &bytes[..bytes.len().min(room)];
            header[at..at + bytes.len()].copy_from_slice(bytes);
        };
        let octal = |value: u64, digits: usize| format!("{value:0digits$o}\0").into_bytes();
        put(0, path, 100);
        put(100, &octal(u64::from(self.mode), 7), 8);
        put(108, &octal(self.uid.min(0o7777777), 7), 8);
        put(116, &octal(self.gid.min(0o7777777), 7), 8);
        if size < 1 << 33 {
            put(124, &octal(size, 11), 12);
        } else {
            // GNU's form for what does not fit: the highest bit set, then a big-endian number.
            put(124, &[0x80, 0, 0, 0], 4);
            put(128, &size.to_be_bytes(), 8);
        }
        put(136, &octal(self.modified, 11), 12);
        put(148, b"        ", 8);
        put(156, &[kind], 1);
        put(157, &self.target, 100);
        put(257, b"ustar\x0000", 8);
        put(329, &octal(u64::from(self.device.0), 7), 8);
        put(337, &octal(u64::from(self.device.1), 7), 8);
        let sum: u64 = header.iter().map(|byte| u64::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        out.extend_from_slice(&header);
    }
}

/// `LENGTH KEY=VALUE\n`, the length counting itself.
fn record(key: &[u8], value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    let mut out = format!("{length} ").into_bytes();
    out.extend_from_slice(key);
    out.push(b'=');
    out.extend_from_slice(value);
    out.push(b'\n');
    out
}

fn content(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(bytes);
    out.resize(out.len().next_multiple_of(512), 0);
}

#[cfg(test)]
mod tests {
    use super::Tar;
    use std::io::Write;
    use std::process::{Command, Stdio};

    #[test]
    fn tar_lists_what_was_put_in() {
        let long = format!("{}/end", "d".repeat(120));
        let tar = Tar::new()
            .dir("a", 0o755)
            .file("a/f", "hello", 0o4755)
            .owned(1000, 3_000_000_000)
            .symlink("a/s", "f")
            .hard_link("a/h", "a/f")
            .char_device("null", 1, 3, 0o666)
            .whiteout("a/gone")
            .file(&long, "x", 0o600)
            .xattr("user.k", "v");
        let mut child = Command::new("tar")
            .args(["--numeric-owner", "-tvf", "-"])
            .env("TZ", "UTC")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("start tar");
        child.stdin.take().expect("a pipe").write_all(&tar.bytes()).expect("write to tar");
        let done = child.wait_with_output().expect("wait for tar");
        assert!(done.status.success());
        let text = String::from_utf8(done.stdout).expect("text");
        let lines: Vec<String> =
            text.lines().map(|l| l.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        let date = "2020-09-13 12:26";
        assert_eq!(lines[0], format!("drwxr-xr-x 0/0 0 {date} a/"));
        assert_eq!(lines[1], format!("-rwsr-xr-x 1000/3000000000 5 {date} a/f"));
        assert_eq!(lines[2], format!("lrwxrwxrwx 0/0 0 {date} a/s -> f"));
        assert_eq!(lines[3], format!("hrw-r--r-- 0/0 0 {date} a/h link to a/f"));
        assert_eq!(lines[4], format!("crw-rw-rw- 0/0 1,3 {date} null"));
        assert_eq!(lines[5], format!("---------- 0/0 0 {date} a/.wh.gone"));
        assert_eq!(lines[6], format!("-rw------- 0/0 1 {date} {long}"));
    }
}
