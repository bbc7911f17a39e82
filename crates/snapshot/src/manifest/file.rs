//! Manifests as files: written, read line by line, searched.

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
        self.line.clear();
        record.write(&mut self.line);
        self.hasher.update(&self.line);
        self.lines += 1;
        self.to.write_all(&self.line).context(|| "write the manifest")
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
}

impl Lines {
    pub(crate) fn new(mut file: File) -> Result<Lines> {
        file.rewind().context(|| "read the manifest")?;
        Ok(Lines {
            from: BufReader::with_capacity(64 << 10, file),
            hasher: Hasher::new(Algorithm::Sha256),
            count: 0,
            is_done: false,
        })
    }

    /// The next record.
    pub(crate) fn next(&mut self) -> Result<Option<Record>> {
        if self.is_done {
            return Ok(None);
        }
        let mut line = Vec::new();
        self.from.by_ref().take(LINE).read_until(b'\n', &mut line).context(|| "read the manifest")?;
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
        self.hasher.update(&line);
        self.count += 1;
        Record::parse(bare).map(Some)
    }
}

/// Finds records of a manifest by path.
pub(crate) struct Search {
    file: File,
    size: u64,
}

impl Search {
    pub(crate) fn new(file: File) -> Result<Search> {
        let size = file.metadata().context(|| "read the manifest")?.len();
        Ok(Search { file, size })
    }

    /// The record of `path`.
    pub(crate) fn find(&self, path: &[u8]) -> Result<Option<Record>> {
        // Both are starts of lines, or the end of the file.
        let (mut low, mut high) = (0u64, self.size);
        while low < high {
            let start = self.line_start(low, low + (high - low) / 2)?;
            let line = self.line(start)?;
            let next = start + line.len() as u64;
            let is_end = line.starts_with(b"end\t") && next == self.size;
            let bare = line.strip_suffix(b"\n").unwrap_or(&line);
            let record = if is_end { None } else { Some(Record::parse(bare)?) };
            match record.map(|r| (order(&r.path, path), r)) {
                Some((Ordering::Equal, record)) => return Ok(Some(record)),
                Some((Ordering::Less, _)) => low = next,
                Some((Ordering::Greater, _)) | None => high = start,
            }
        }
        Ok(None)
    }

    /// Where the line starts that byte `at` belongs to, not before `low`, which starts one.
    fn line_start(&self, low: u64, at: u64) -> Result<u64> {
        let mut end = at;
        while end > low {
            let start = end.saturating_sub(512).max(low);
            let mut bytes = vec![0; (end - start) as usize];
            self.file.read_exact_at(&mut bytes, start).context(|| "read the manifest")?;
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
            let mut part = [0; 1024];
            let at = start + line.len() as u64;
            let length = self.file.read_at(&mut part, at).context(|| "read the manifest")?;
            let part = part.get(..length).unwrap_or_default();
            match part.iter().position(|&b| b == b'\n') {
                Some(end) => {
                    line.extend_from_slice(part.get(..=end).unwrap_or_default());
                    return Ok(line);
                }
                None if part.is_empty() || line.len() as u64 > LINE => {
                    return Err(Error::invalid("read the manifest: it is cut off"));
                }
                None => line.extend_from_slice(part),
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
