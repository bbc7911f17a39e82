//! Writing a log: each chunk read from the container becomes whole entries, files are rotated.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use taru_stdx::{Context, Result, time};

use super::{CHUNK, LOG, Stream};

/// How large a log may become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// A file is rotated before it exceeds this many bytes.
    pub file_size: u64,
    /// How many files there are at most, the newest included; at least 1.
    pub files: u32,
}

impl Default for Limits {
    /// 3 files of 10 MiB: a disk does not fill because nobody thought of it.
    fn default() -> Limits {
        Limits { file_size: 10 << 20, files: 3 }
    }
}

/// The log of one container, open for writing.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    file: File,
    size: u64,
    limits: Limits,
}

impl Writer {
    /// Opens or makes the log in `dir`; what a former run wrote stays in front.
    ///
    /// # Errors
    /// Any error of the file system, with the path.
    pub fn open(dir: &Path, limits: Limits) -> Result<Writer> {
        let path = dir.join(LOG);
        let mut file = open(&path).context(|| format!("open the log `{}`", path.display()))?;
        let size = end_last_line(&mut file).context(|| format!("read the log `{}`", path.display()))?;
        Ok(Writer { path, file, size, limits })
    }

    /// Writes what was read from `stream` at `now`.
    ///
    /// # Errors
    /// Any error of the file system; the rest of `chunk` is then lost, whole entries stay.
    pub fn write(&mut self, stream: Stream, chunk: &[u8], now: SystemTime) -> Result<()> {
        let head = format!("{} {} ", time::rfc3339(now), stream.word());
        let mut entries = Vec::with_capacity(chunk.len() + 2 * head.len());
        for part in chunk.split_inclusive(|&b| b == b'\n') {
            let (content, tag) = match part.strip_suffix(b"\n") {
                Some(line) => (line, "F "),
                None => (part, "P "),
            };
            // A chunk of nothing but newlines would become 50 times its size in memory.
            if entries.len() > 2 * CHUNK {
                self.append(&entries)?;
                entries.clear();
            }
            entries.extend_from_slice(head.as_bytes());
            entries.extend_from_slice(tag.as_bytes());
            entries.extend_from_slice(content);
            entries.push(b'\n');
        }
        self.append(&entries)
    }

    /// Writes whole entries, to a new file if they do not fit.
    fn append(&mut self, entries: &[u8]) -> Result<()> {
        if self.size > 0 && self.size + entries.len() as u64 > self.limits.file_size {
            self.rotate().context(|| format!("rotate the log `{}`", self.path.display()))?;
        }
        let done = self.file.write_all(entries);
        // After an error (a full disk) part of an entry may stand there: the next begins on a line of its own.
        self.size = match &done {
            Ok(()) => self.size + entries.len() as u64,
            Err(_) => end_last_line(&mut self.file).unwrap_or(self.size),
        };
        done.context(|| format!("write the log `{}`", self.path.display()))
    }

    /// `log.1` becomes `log.2` and so on, the last is dropped, `log` begins anew.
    fn rotate(&mut self) -> std::io::Result<()> {
        let name = |n: u32| match n {
            0 => self.path.clone(),
            n => self.path.with_extension(n.to_string()),
        };
        let last = self.limits.files.saturating_sub(1);
        if last == 0 {
            std::fs::remove_file(name(0))?;
        }
        for n in (0..last).rev() {
            match std::fs::rename(name(n), name(n + 1)) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
        }
        self.file = open(&self.path)?;
        self.size = 0;
        Ok(())
    }
}

fn open(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)
}

/// Ends a line that a crash cut off; returns the size of the file.
fn end_last_line(file: &mut File) -> std::io::Result<u64> {
    let size = file.metadata()?.len();
    if size == 0 {
        return Ok(0);
    }
    let mut last = [0];
    file.seek(SeekFrom::Start(size - 1))?;
    file.read_exact(&mut last)?;
    if last == *b"\n" {
        return Ok(size);
    }
    file.write_all(b"\n")?;
    Ok(size + 1)
}
