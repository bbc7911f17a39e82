//! Reading a log from its oldest file to its newest, and on while it grows.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use taru_stdx::{Context, Result};

use super::{ENTRY_LIMIT, LOG};

/// The most files of one log that are looked at.
const FILES_LIMIT: u32 = 1000;

/// A position in a log. [`Reader::next_line`] returns line after line, then `None` until there is more.
#[derive(Debug)]
pub struct Reader {
    dir: PathBuf,
    /// Files still to be read, oldest first; the newest is opened anew when it is its turn.
    older: VecDeque<File>,
    current: Option<BufReader<File>>,
    line: Vec<u8>,
    /// Whether `line` was returned and is to be forgotten.
    done: bool,
}

impl Reader {
    /// A reader at the beginning of the log in `dir`, which need not exist yet.
    ///
    /// # Errors
    /// Any error of opening but that there is no such file.
    pub fn open(dir: &Path) -> Result<Reader> {
        let mut reader = Reader {
            dir: dir.to_owned(),
            older: VecDeque::new(),
            current: None,
            line: Vec::new(),
            done: true,
        };
        // Newest first: a rotation meanwhile makes one file appear twice, never not at all.
        let mut seen = Vec::new();
        for file in reader.files()? {
            let id = inode(&file)?;
            if !seen.contains(&id) {
                seen.push(id);
                reader.older.push_front(file);
            }
        }
        reader.current = reader.older.pop_front().map(BufReader::new);
        Ok(reader)
    }

    /// The next whole line, without its newline; `None` at the end of what is there now.
    ///
    /// # Errors
    /// Any error of reading.
    pub fn next_line(&mut self) -> Result<Option<&[u8]>> {
        loop {
            if self.current.is_none() {
                self.current = self.open_file(0)?.map(BufReader::new);
            }
            let Some(file) = &mut self.current else { return Ok(None) };
            if std::mem::take(&mut self.done) {
                self.line.clear();
            }
            if read_line(file, &mut self.line).context(|| format!("read `{}`", self.dir.display()))? {
                self.done = true;
                return Ok(Some(&self.line));
            }
            // The end of this file: the next one is an older sibling's successor, or the new `log` after a rotation.
            if let Some(next) = self.older.pop_front() {
                self.line.clear();
                self.current = Some(BufReader::new(next));
            } else if !self.rotated()? {
                return Ok(None);
            }
        }
    }

    /// If `log` is no longer the file being read, goes on with the file that followed it.
    fn rotated(&mut self) -> Result<bool> {
        let Some(current) = &self.current else { return Ok(false) };
        let id = inode(current.get_ref())?;
        let mut newer = Vec::new();
        for file in self.files()? {
            if inode(&file)? == id {
                break;
            }
            newer.push(file);
        }
        if newer.is_empty() {
            return Ok(false);
        }
        // What was appended between our last read and the rotation comes first.
        let Some(current) = &mut self.current else { return Ok(false) };
        let more = !current.fill_buf().context(|| format!("read `{}`", self.dir.display()))?.is_empty();
        self.older.extend(newer.into_iter().rev());
        if !more {
            self.line.clear();
            self.current = self.older.pop_front().map(BufReader::new);
        }
        Ok(true)
    }

    /// The files there are, newest first. While they are renamed one of the names may be missing.
    fn files(&self) -> Result<Vec<File>> {
        let mut files = Vec::new();
        let mut missing = 0;
        for n in 0..FILES_LIMIT {
            match self.open_file(n)? {
                Some(file) => files.push(file),
                None if missing == 1 => break,
                None => missing += 1,
            }
        }
        Ok(files)
    }

    fn open_file(&self, n: u32) -> Result<Option<File>> {
        let path = match n {
            0 => self.dir.join(LOG),
            n => self.dir.join(format!("{LOG}.{n}")),
        };
        match File::open(&path) {
            Ok(file) => Ok(Some(file)),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e).context(|| format!("open the log `{}`", path.display())),
        }
    }
}

/// Adds to `line` up to a newline, without it; whether one was met. What there is of an unfinished
/// line stays in `line`; a line longer than any that taru writes is cut.
fn read_line(file: &mut BufReader<File>, line: &mut Vec<u8>) -> std::io::Result<bool> {
    loop {
        let there = file.fill_buf()?;
        if there.is_empty() {
            return Ok(false);
        }
        let (taken, ended) = match there.iter().position(|&b| b == b'\n') {
            Some(at) => (at + 1, true),
            None => (there.len(), false),
        };
        if line.len() <= ENTRY_LIMIT {
            line.extend_from_slice(&there[..taken - usize::from(ended)]);
        }
        file.consume(taken);
        if ended {
            return Ok(true);
        }
    }
}

fn inode(file: &File) -> Result<(u64, u64)> {
    let meta = file.metadata().context(|| "look at a log file")?;
    Ok((meta.dev(), meta.ino()))
}

#[cfg(test)]
mod tests {
    use super::super::{Limits, Stream, Writer, parse};
    use super::*;
    use std::time::SystemTime;

    struct Dir(PathBuf);

    impl Dir {
        fn new(name: &str) -> Dir {
            let dir = std::env::temp_dir().join(format!("taru-log-{name}-{}", std::process::id()));
            std::fs::create_dir(&dir).unwrap();
            Dir(dir)
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    /// What the log says was written to `stream`.
    fn written(reader: &mut Reader, stream: Stream) -> Vec<u8> {
        let mut all = Vec::new();
        while let Some(line) = reader.next_line().unwrap() {
            let entry = parse(line).unwrap();
            if entry.stream == stream {
                all.extend_from_slice(entry.content);
                all.extend_from_slice(if entry.ends_line { b"\n" } else { b"" });
            }
        }
        all
    }

    #[test]
    fn gives_back_every_byte_of_each_stream() {
        let dir = Dir::new("bytes");
        let mut log = Writer::open(&dir.0, Limits::default()).unwrap();
        let (out, err) = (b"a\n\n\xff\0b\r\nno newline".to_vec(), vec![b'\n'; 20_000]);
        for chunk in out.chunks(4) {
            log.write(Stream::Stdout, chunk, SystemTime::now()).unwrap();
        }
        for chunk in err.chunks(8192) {
            log.write(Stream::Stderr, chunk, SystemTime::now()).unwrap();
        }
        assert_eq!(written(&mut Reader::open(&dir.0).unwrap(), Stream::Stdout), out);
        assert_eq!(written(&mut Reader::open(&dir.0).unwrap(), Stream::Stderr), err);
    }

    #[test]
    fn rotates_within_its_limits_and_a_follower_misses_nothing() {
        let dir = Dir::new("rotate");
        let limits = Limits { file_size: 1000, files: 3 };
        let mut log = Writer::open(&dir.0, limits).unwrap();
        let mut reader = Reader::open(&dir.0).unwrap();
        let (mut all, mut seen) = (Vec::new(), Vec::new());
        for n in 0..100 {
            let line = format!("line {n}\n");
            log.write(Stream::Stdout, line.as_bytes(), SystemTime::now()).unwrap();
            all.extend_from_slice(line.as_bytes());
            if n % 15 == 0 {
                seen.extend(written(&mut reader, Stream::Stdout));
            }
        }
        seen.extend(written(&mut reader, Stream::Stdout));
        assert_eq!(seen, all);
        let sizes: Vec<u64> =
            std::fs::read_dir(&dir.0).unwrap().map(|f| f.unwrap().metadata().unwrap().len()).collect();
        assert_eq!(sizes.len(), 3);
        assert!(sizes.iter().all(|&s| s <= 1000), "{sizes:?}");
        let rest = written(&mut Reader::open(&dir.0).unwrap(), Stream::Stdout);
        assert!(all.ends_with(&rest) && !rest.is_empty());
    }

    #[test]
    fn a_line_cut_off_by_a_crash_is_passed_over() {
        let dir = Dir::new("cut");
        let path = dir.0.join(LOG);
        std::fs::write(&path, b"2026-11-22T00:09:31.000000042Z std").unwrap();
        let mut log = Writer::open(&dir.0, Limits::default()).unwrap();
        log.write(Stream::Stdout, b"x\n", SystemTime::now()).unwrap();
        let mut reader = Reader::open(&dir.0).unwrap();
        assert_eq!(parse(reader.next_line().unwrap().unwrap()), None);
        assert_eq!(parse(reader.next_line().unwrap().unwrap()).unwrap().content, b"x");
        assert_eq!(reader.next_line().unwrap(), None);
        log.write(Stream::Stderr, b"y", SystemTime::now()).unwrap();
        assert_eq!(parse(reader.next_line().unwrap().unwrap()).unwrap().content, b"y");
    }
}
