//! Records sorted within bounded memory, and reduced to what is left of them in the end.
//!
//! A tar may name a path many times, and take away a directory with all it made below. Records come in the
//! order of the tar and leave in the order of a walk, the last of each path, less those below what replaced
//! their directory.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::FileExt;

use taru_stdx::{Context, Error, Result};

use super::packed::{LENGTH, Packed, pack};
use super::record::{Kind, Record, order};

/// Bytes of records that are kept in memory.
const MEMORY: usize = 6 << 20;
/// Bytes that are reserved at once.
const STEP: usize = 512 << 10;

/// Sorts records, in a file where there are many.
pub(crate) struct Sorter {
    spill: File,
    /// Where each sorted run in the file starts and ends.
    runs: Vec<(u64, u64)>,
    /// Packed records, and where each begins.
    held: Vec<u8>,
    places: Vec<u32>,
    memory: usize,
    next: u32,
}

/// The order in runs: by path, then by time.
#[derive(PartialEq, Eq)]
struct Head {
    path: Vec<u8>,
    number: u32,
    run: usize,
}

impl Ord for Head {
    fn cmp(&self, other: &Head) -> std::cmp::Ordering {
        order(&self.path, &other.path).then(self.number.cmp(&other.number)).then(self.run.cmp(&other.run))
    }
}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Head) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Sorter {
    /// `spill` is an empty file for what does not fit into memory.
    pub(crate) fn new(spill: File) -> Sorter {
        Sorter { spill, runs: Vec::new(), held: Vec::new(), places: Vec::new(), memory: MEMORY, next: 0 }
    }

    /// Takes the next record.
    pub(crate) fn push(&mut self, record: Record) -> Result<()> {
        // Not twice as much each time: what is reserved is memory, too.
        if self.held.capacity() - self.held.len() < STEP / 2 {
            self.held.reserve_exact(STEP);
        }
        self.places.push(self.held.len() as u32);
        pack(&record, self.next, &mut self.held);
        self.next += 1;
        let taken = self.held.len() + self.places.len() * size_of::<u32>();
        if taken > self.memory { self.spill() } else { Ok(()) }
    }

    /// Sorts what is held: by path, then by time.
    fn sort(&mut self) {
        let key = |at: &u32| Packed::at(&self.held, *at as usize).and_then(Packed::key).unwrap_or_default();
        self.places.sort_unstable_by(|a, b| {
            let ((a, n), (b, m)) = (key(a), key(b));
            order(a, b).then(n.cmp(&m))
        });
    }

    fn spill(&mut self) -> Result<()> {
        let what = || "sort the manifest";
        self.sort();
        let start = self.runs.last().map_or(0, |(_, end)| *end);
        let mut end = start;
        let mut buffer = Vec::with_capacity(256 << 10);
        for at in self.places.drain(..) {
            let packed = Packed::at(&self.held, at as usize).unwrap_or_default();
            buffer.extend_from_slice(&(packed.len() as u32).to_ne_bytes());
            buffer.extend_from_slice(packed);
            if buffer.len() > 192 << 10 {
                self.spill.write_all(&buffer).context(what)?;
                end += buffer.len() as u64;
                buffer.clear();
            }
        }
        self.spill.write_all(&buffer).context(what)?;
        self.runs.push((start, end + buffer.len() as u64));
        self.held.clear();
        Ok(())
    }

    /// Hands out what is left in the end, in order.
    pub(crate) fn finish(mut self, mut take: impl FnMut(Record) -> Result<()>) -> Result<()> {
        let mut reduce = Reduce::default();
        if self.runs.is_empty() {
            self.sort();
            for at in &self.places {
                let packed = Packed::at(&self.held, *at as usize).and_then(Packed::unpack);
                let (number, record) = packed.ok_or_else(damaged)?;
                reduce.push(number, record, &mut take)?;
            }
            return reduce.flush(&mut take);
        }
        self.spill()?;
        let mut runs: Vec<Run<'_>> =
            self.runs.iter().map(|&(at, end)| Run::new(&self.spill, at, end)).collect();
        let mut current: Vec<Option<Record>> = Vec::new();
        let mut heap = BinaryHeap::new();
        for (run, from) in runs.iter_mut().enumerate() {
            let next = from.next()?;
            heap.extend(
                next.as_ref().map(|(number, r)| Reverse(Head { path: r.path.clone(), number: *number, run })),
            );
            current.push(next.map(|(_, r)| r));
        }
        while let Some(Reverse(Head { number, run, .. })) = heap.pop() {
            let (Some(place), Some(from)) = (current.get_mut(run), runs.get_mut(run)) else { break };
            let next = from.next()?;
            heap.extend(
                next.as_ref().map(|(number, r)| Reverse(Head { path: r.path.clone(), number: *number, run })),
            );
            if let Some(record) = std::mem::replace(place, next.map(|(_, r)| r)) {
                reduce.push(number, record, &mut take)?;
            }
        }
        reduce.flush(&mut take)
    }
}

/// A sorted part of the file.
struct Run<'f> {
    from: BufReader<std::io::Take<At<'f>>>,
    /// For one record.
    packed: Vec<u8>,
}

/// A file read from a place of its own.
struct At<'f> {
    file: &'f File,
    at: u64,
}

impl Read for At<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let length = self.file.read_at(into, self.at)?;
        self.at += length as u64;
        Ok(length)
    }
}

impl<'f> Run<'f> {
    fn new(file: &'f File, at: u64, end: u64) -> Run<'f> {
        let from = BufReader::with_capacity(32 << 10, At { file, at }.take(end - at));
        Run { from, packed: Vec::new() }
    }

    fn next(&mut self) -> Result<Option<(u32, Record)>> {
        let what = || "sort the manifest";
        if self.from.fill_buf().context(what)?.is_empty() {
            return Ok(None);
        }
        let mut length = [0; LENGTH];
        self.from.read_exact(&mut length).context(what)?;
        self.packed.resize(u32::from_ne_bytes(length) as usize, 0);
        self.from.read_exact(&mut self.packed).context(what)?;
        Packed::unpack(&self.packed).map(Some).ok_or_else(damaged)
    }
}

fn damaged() -> Error {
    Error::invalid("sort the manifest: a record is damaged")
}

/// Takes records sorted by path and time, and lets through what is left in the end.
#[derive(Default)]
struct Reduce {
    /// The directories above the current path, and since when what is below them counts.
    above: Vec<(Vec<u8>, u32)>,
    /// The records of the current path.
    same: Option<Same>,
}

struct Same {
    record: Record,
    is_opaque: bool,
    /// Since when entries below count: after the last that was no directory.
    since: u32,
}

impl Reduce {
    fn push(
        &mut self,
        number: u32,
        record: Record,
        take: &mut impl FnMut(Record) -> Result<()>,
    ) -> Result<()> {
        if self.same.as_ref().is_some_and(|same| same.record.path != record.path) {
            self.flush(take)?;
        }
        while self.above.last().is_some_and(|(dir, _)| !is_below(&record.path, dir)) {
            self.above.pop();
        }
        let since = self.above.last().map_or(0, |(_, since)| *since);
        if number < since {
            return Ok(());
        }
        let is_opaque = matches!(record.kind, Kind::Directory { is_opaque: true });
        match &mut self.same {
            Some(same) => {
                if record.kind.is_directory() {
                    same.is_opaque |= is_opaque;
                    // A directory that was there already and is needed is not made again; one that is made opaque
                    // keeps its attributes.
                    let keeps = record.kind == Kind::Implicit || is_opaque;
                    if !(keeps && same.record.kind.is_directory()) {
                        same.record = record;
                    }
                } else {
                    *same = Same { record, is_opaque: false, since: number };
                }
            }
            None => {
                let since = if record.kind.is_directory() { since } else { number };
                self.same = Some(Same { record, is_opaque, since });
            }
        }
        Ok(())
    }

    fn flush(&mut self, take: &mut impl FnMut(Record) -> Result<()>) -> Result<()> {
        let Some(Same { mut record, is_opaque, since }) = self.same.take() else { return Ok(()) };
        // An opaque directory that is implicit, too, has no parent to take attributes from.
        if is_opaque {
            record.kind = Kind::Directory { is_opaque: true };
        }
        self.above.push((record.path.clone(), since));
        take(record)
    }
}

fn is_below(path: &[u8], dir: &[u8]) -> bool {
    dir.is_empty() || path.strip_prefix(dir).is_some_and(|rest| rest.first() == Some(&b'/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(path: &str, kind: Kind, mode: u32) -> Record {
        Record { path: path.into(), kind, mode, uid: 0, gid: 0, mtime: (0, 0), xattrs: Vec::new() }
    }

    fn sorter() -> Sorter {
        Sorter::new(File::from(taru_sys::fd::memfd_create(c"spill", false).unwrap()))
    }

    fn finish(sorter: Sorter) -> Vec<(String, Kind, u32)> {
        let mut all = Vec::new();
        let take = |r: Record| {
            all.push((String::from_utf8(r.path).unwrap(), r.kind, r.mode));
            Ok(())
        };
        sorter.finish(take).unwrap();
        all
    }

    #[test]
    fn the_last_of_each_path_is_left_less_what_was_replaced_above_it() {
        let dir = Kind::Directory { is_opaque: false };
        let opaque = Kind::Directory { is_opaque: true };
        let mut s = sorter();
        for (path, kind, mode) in [
            ("a", Kind::Implicit, 0),
            ("a/b", Kind::Fifo, 1),
            ("a", dir.clone(), 2),
            ("a", Kind::Implicit, 0),
            ("x", dir.clone(), 3),
            ("x/y", Kind::Fifo, 4),
            ("x/y.z", Kind::Fifo, 4),
            ("x", Kind::Fifo, 5),
            ("o", Kind::Whiteout, 0),
            ("o", opaque.clone(), 0),
            ("o", dir.clone(), 6),
            ("o/p", Kind::Fifo, 7),
            ("r", Kind::Fifo, 0),
            ("r/s", Kind::Fifo, 0),
            ("r", Kind::Fifo, 0),
            ("r", dir.clone(), 8),
            ("r/t", Kind::Fifo, 9),
        ] {
            s.push(record(path, kind, mode)).unwrap();
        }
        let left = finish(s);
        let expected = [
            ("a", dir.clone(), 2),
            ("a/b", Kind::Fifo, 1),
            ("o", opaque, 6),
            ("o/p", Kind::Fifo, 7),
            ("r", dir, 8),
            ("r/t", Kind::Fifo, 9),
            ("x", Kind::Fifo, 5),
        ];
        assert_eq!(left, expected.map(|(path, kind, mode)| (path.to_owned(), kind, mode)));
    }

    #[test]
    fn many_are_sorted_in_the_file() {
        let mut s = Sorter { memory: 64 << 10, ..sorter() };
        let name = |n: u32| format!("d{}/f{n:06}", n % 7);
        for n in (0..5_000u32).rev() {
            s.push(record(&name(n), Kind::Fifo, n % 512)).unwrap();
        }
        for n in (0..5_000).step_by(10) {
            s.push(record(&name(n), Kind::Fifo, 512)).unwrap();
        }
        assert!(s.runs.len() > 1);
        let left = finish(s);
        assert_eq!(left.len(), 5_000);
        assert!(left.is_sorted_by(|a, b| order(a.0.as_bytes(), b.0.as_bytes()).is_lt()));
        assert_eq!(left.iter().filter(|(_, _, mode)| *mode == 512).count(), 500);
    }
}
