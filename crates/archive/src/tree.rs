//! A tree of files as a stream of entries, written anew as a layer's tar.

use std::io::{Read, Write};

use taru_stdx::{Context, Result};

use crate::tar::{self, Entry};

/// Entries one after the other; after each, reading reads its content.
pub(crate) trait Tree: Read {
    /// The next entry; `None` at the end.
    fn entry(&mut self) -> Result<Option<Entry>>;
}

impl<R: Read> Tree for tar::Reader<R> {
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
            tar.entry(&entry, &mut &mut *tree).context(|| format!("copy `{}`", entry.name()))?;
        }
    }
    tar.finish().context(|| "write a layer")?;
    Ok(())
}
