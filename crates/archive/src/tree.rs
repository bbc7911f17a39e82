//! A tree of files as a stream of entries, written anew as a layer's tar.

use std::io::{BufReader, Read, Write};

use taru_stdx::{Context, Result};
use taru_tar::{self as tar, Entry};

/// Bytes of a stream that are looked at together.
const CHUNK: usize = 64 << 10;

/// Reads the tar `reader`, of which nothing else tells whether it is whole: it must have its end.
pub(crate) fn reader<R: Read>(reader: R, most: u64) -> tar::Reader<BufReader<R>> {
    tar::Reader::new(BufReader::with_capacity(CHUNK, reader), most).needs_end()
}

/// Entries one after the other; after each, reading reads its content.
pub(crate) trait Tree: Read {
    /// The next entry; `None` at the end.
    fn entry(&mut self) -> Result<Option<Entry>>;
}

impl<R: Read> Tree for tar::Reader<BufReader<R>> {
    fn entry(&mut self) -> Result<Option<Entry>> {
        tar::Reader::entry(self)
    }
}

/// Writes those entries that `change` lets through, as it leaves them.
pub(crate) fn write(
    tree: &mut dyn Tree,
    writer: &mut dyn Write,
    mut change: impl FnMut(Entry) -> Result<Option<Entry>>,
) -> Result<()> {
    let mut tar = tar::Writer::new(writer);
    while let Some(entry) = tree.entry()? {
        if let Some(entry) = change(entry)? {
            tar.copy(&entry, &mut &mut *tree).context(|| format!("copy `{}`", entry.name()))?;
        }
    }
    tar.finish().context(|| "write a layer").map(drop)
}
