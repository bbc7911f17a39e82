//! Manifests as files: written, read line by line, searched.

use std::cell::{Cell, RefCell};
use std::cmp::Ordering;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Read, Seek, Write};
use std::os::unix::fs::FileExt;

use taru_oci::{Algorithm, Digest, Hasher, limits};
use taru_stdx::{Context, Error, Result};

use super::record::{Record, order};

/// Bytes of a line: a path, a link's text and extended attributes, all escaped.
const LINE: u64 = (6 * limits::PATH + 3 * limits::XATTRS + 1024) as u64;

/// Writes a manifest.
pub(crate) struct ManifestWriter {
    to: BufWriter<File>,
    hasher: Hasher,
    lines: u64,
    line: Vec<u8>,
}

impl ManifestWriter {
    pub(crate) fn new(to: File) -> ManifestWriter {
        ManifestWriter {
            to: BufWriter::with_capacity(128 << 10, to),
            hasher: Hasher::new(Algorithm::Sha256),
            lines: 0,
            line: Vec::new(),
        }
    }

    pub(crate) fn push(&mut self, record: &Record) -> Result<()> {
        let mut line = std::mem::take(&mut self.line);
        line.clear();
        record.write(&mut line);
        let pushed = self.push_line(&line);
        self.line = line;
        pushed
    }

    /// Takes a line of another manifest, with its end.
    pub(crate) fn push_line(&mut self, line: &[u8]) -> Result<()> {
        self.hasher.update(line);
        self.lines += 1;
        self.to.write_all(line).context(|| "write the manifest")
    }

    pub(crate) fn finish(mut self) -> Result<()> {
        let hash = self.hasher.finish();
        writeln!(self.to, "end\t{}\t{}", self.lines, hash.hex())
            .and_then(|()| self.to.flush())
            .context(|| "write the manifest")
    }
}

/// Reads a manifest from its start; that it is whole shows at its end.
pub(crate) struct Lines {
    from: BufReader<File>,
    hasher: Hasher,
    count: u64,
    is_done: bool,
    line: Vec<u8>,
}

impl Lines {
    pub(crate) fn new(mut file: File) -> Result<Lines> {
        file.rewind().context(|| "read the manifest")?;
        Ok(Lines {
            from: BufReader::with_capacity(64 << 10, file),
            hasher: Hasher::new(Algorithm::Sha256),
            count: 0,
            is_done: false,
            line: Vec::new(),
        })
    }

    /// The next record.
    pub(crate) fn next(&mut self) -> Result<Option<Record>> {
        let parse = |line: &[u8]| Record::parse(line.strip_suffix(b"\n").unwrap_or(line));
        self.next_line()?.map(parse).transpose()
    }

    /// The next line as it stands there, with its end.
    pub(crate) fn next_line(&mut self) -> Result<Option<&[u8]>> {
        if self.is_done {
            return Ok(None);
        }
        let line = &mut self.line;
        line.clear();
        self.from.by_ref().take(LINE).read_until(b'\n', line).context(|| "read the manifest")?;
        let bare =
            line.strip_suffix(b"\n").ok_or_else(|| Error::invalid("read the manifest: it is cut off"))?;
        if let Some(end) =
            bare.strip_prefix(b"end\t").filter(|end| end.iter().filter(|b| **b == b'\t').count() == 1)
        {
            self.is_done = true;
            let hash: Digest = std::mem::replace(&mut self.hasher, Hasher::new(Algorithm::Sha256)).finish();
            let expected = format!("{}\t{}", self.count, hash.hex());
            return match end == expected.as_bytes() {
                true => Ok(None),
                false => Err(Error::invalid("read the manifest: its own checksum is wrong")),
            };
        }
        self.hasher.update(line);
        self.count += 1;
        Ok(Some(line))
    }
}

/// Finds records of a manifest by path. Paths asked for in order are found near the last one.
pub(crate) struct Search {
    file: File,
    size: u64,
    /// A part of the file, and where it starts.
    window: RefCell<(u64, Vec<u8>)>,
    /// Where the line starts that was found last, or the one before whose place is empty.
    last: Cell<u64>,
}

/// Bytes of a window.
const WINDOW: u64 = 32 << 10;

impl Search {
    pub(crate) fn new(file: File) -> Result<Search> {
        let size = file.metadata().context(|| "read the manifest")?.len();
        Ok(Search { file, size, window: RefCell::default(), last: Cell::new(0) })
    }

    /// The record of `path`.
    pub(crate) fn find(&self, path: &[u8]) -> Result<Option<Record>> {
        // Both are starts of lines, or the end of the file. First from the last place on, in longer and longer steps.
        let (mut low, mut high) = (0, self.size);
        let last = self.last.get();
        if last > 0 && self.compare(last, path)? != Some(Ordering::Greater) {
            low = last;
            let mut step = 1 << 10;
            while low + step < high {
                let start = self.line_start(low, low + step)?;
                if self.compare(start, path)? != Some(Ordering::Less) {
                    high = self.next_line(start)?;
                    break;
                }
                low = start;
                step *= 4;
            }
        }
        while low < high {
            let start = self.line_start(low, low + (high - low) / 2)?;
            match self.compare(start, path)? {
                Some(Ordering::Equal) => {
                    self.last.set(start);
                    let line = self.line(start)?;
                    return Record::parse(line.strip_suffix(b"\n").unwrap_or(&line)).map(Some);
                }
                Some(Ordering::Less) => {
                    self.last.set(start);
                    low = self.next_line(start)?;
                }
                Some(Ordering::Greater) | None => high = start,
            }
        }
        Ok(None)
    }

    /// How the path of the line at `start` compares with `path`; `None` at the last line, which has none.
    fn compare(&self, start: u64, path: &[u8]) -> Result<Option<Ordering>> {
        let line = self.line(start)?;
        if line.starts_with(b"end\t") && start + line.len() as u64 == self.size {
            return Ok(None);
        }
        Record::path_of(&line).map(|own| Some(order(&own, path)))
    }

    fn next_line(&self, start: u64) -> Result<u64> {
        Ok(start + self.line(start)?.len() as u64)
    }

    /// Bytes from `at` on, at least one unless the file ends there.
    fn bytes<T>(&self, at: u64, take: impl FnOnce(&[u8]) -> T) -> Result<T> {
        let mut window = self.window.borrow_mut();
        let (start, held) = &mut *window;
        if at < *start || at >= *start + held.len() as u64 {
            *start = at.saturating_sub(WINDOW / 4);
            held.resize((self.size - *start).min(WINDOW) as usize, 0);
            self.file.read_exact_at(held, *start).context(|| "read the manifest")?;
        }
        Ok(take(held.get((at - *start) as usize..).unwrap_or_default()))
    }

    /// Where the line starts that byte `at` belongs to, not before `low`, which starts one.
    fn line_start(&self, low: u64, at: u64) -> Result<u64> {
        let mut end = at;
        while end > low {
            let start = end.saturating_sub(512).max(low);
            let length = (end - start) as usize;
            let mut bytes: Vec<u8> = Vec::with_capacity(length);
            while bytes.len() < length {
                self.bytes(start + bytes.len() as u64, |part| {
                    bytes.extend(part.iter().take(length - bytes.len()))
                })?;
            }
            if let Some(found) = bytes.iter().rposition(|&b| b == b'\n') {
                return Ok(start + found as u64 + 1);
            }
            end = start;
        }
        Ok(low)
    }

    /// The line that starts at `start`, with its end.
    fn line(&self, start: u64) -> Result<Vec<u8>> {
        let mut line = Vec::new();
        loop {
            let at = start + line.len() as u64;
            if at >= self.size || line.len() as u64 > LINE {
                return Err(Error::invalid("read the manifest: it is cut off"));
            }
            let is_whole = self.bytes(at, |part| match part.iter().position(|&b| b == b'\n') {
                Some(end) => {
                    line.extend_from_slice(part.get(..=end).unwrap_or_default());
                    true
                }
                None => {
                    line.extend_from_slice(part);
                    false
                }
            })?;
            if is_whole {
                return Ok(line);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::Kind;
    use super::*;

    fn memory() -> File {
        File::from(taru_sys::fd::memfd_create(c"manifest", false).unwrap())
    }

    fn fifo(path: String) -> Record {
        Record {
            path: path.into_bytes(),
            kind: Kind::Fifo,
            mode: 0,
            uid: 0,
            gid: 0,
            mtime: (0, 0),
            xattrs: Vec::new(),
        }
    }

    #[test]
    fn all_lines_are_found_and_damage_shows() {
        for count in [0usize, 1, 2, 3, 700] {
            let file = memory();
            let mut writer = ManifestWriter::new(file.try_clone().unwrap());
            let names: Vec<String> = (0..count).map(|n| format!("{n:05}{}", "x".repeat(n))).collect();
            names.iter().for_each(|name| writer.push(&fifo(name.clone())).unwrap());
            writer.finish().unwrap();
            let search = Search::new(file.try_clone().unwrap()).unwrap();
            for name in &names {
                assert_eq!(search.find(name.as_bytes()).unwrap(), Some(fifo(name.clone())));
                assert_eq!(search.find(format!("{name}!").as_bytes()).unwrap(), None);
            }
            assert_eq!(search.find(b"").unwrap(), None);
            let mut lines = Lines::new(file.try_clone().unwrap()).unwrap();
            let mut read = 0;
            while lines.next().unwrap().is_some() {
                read += 1;
            }
            assert_eq!(read, count);
            if count > 1 {
                file.write_all_at(b"1", 2).unwrap();
                let mut lines = Lines::new(file.try_clone().unwrap()).unwrap();
                assert!(std::iter::from_fn(|| lines.next().transpose()).any(|line| line.is_err()));
                file.set_len(40).unwrap();
                let mut lines = Lines::new(file).unwrap();
                assert!(std::iter::from_fn(|| lines.next().transpose()).any(|line| line.is_err()));
            }
        }
    }
}
