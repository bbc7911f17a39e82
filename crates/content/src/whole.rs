//! Whether a blob is whole, and its bytes if it is.

use std::fs::File;

use rusqlite::{Connection, OptionalExtension};
use taru_oci::{Descriptor, Digest, Hasher};
use taru_stdx::{Context, Error, Kind, Result};

use crate::db::Explain;
use crate::layout::Layout;

/// The size of the blob, if it has a row and a file of that size: a power cut may leave either alone.
pub(crate) fn size(db: &Connection, layout: &Layout, digest: &Digest) -> Result<Option<u64>> {
    let row: Option<i64> = db
        .query_row("SELECT size FROM blob WHERE digest = ?1", [digest.to_string()], |row| row.get(0))
        .optional()
        .told(|| format!("look for the blob `{digest}`"))?;
    let Some(size) = row.and_then(|size| u64::try_from(size).ok()) else { return Ok(None) };
    let path = layout.blob(digest);
    match std::fs::symlink_metadata(&path) {
        Ok(meta) => Ok((meta.is_file() && meta.len() == size).then_some(size)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e).context(|| format!("look at the blob `{digest}`")),
    }
}

pub(crate) fn missing(digest: &Digest) -> Error {
    Error::new(Kind::NotFound, format!("open the blob `{digest}`: it is not in the store"))
}

/// The bytes of a blob, verified.
pub(crate) fn read(layout: &Layout, descriptor: &Descriptor, limit: u64) -> Result<Vec<u8>> {
    let digest = &descriptor.digest;
    let what = || format!("read the blob `{digest}`");
    if descriptor.size > limit {
        let text = format!("{}: {} bytes, at most {limit}", what(), descriptor.size);
        return Err(Error::new(Kind::Limit, text));
    }
    let file = match File::open(layout.blob(digest)) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Err(missing(digest)),
        other => other.context(what)?,
    };
    let damaged = |why: String| {
        Error::invalid(format!("{}: {why}", what()))
            .hint("`taru store check --repair` removes what is damaged, and pulling again brings it back")
    };
    let length = file.metadata().context(what)?.len();
    if length != descriptor.size {
        return Err(damaged(format!("{length} bytes, not {}", descriptor.size)));
    }
    let bytes = taru_stdx::fs::read_file_bounded(&file, descriptor.size, what)?;
    let mut hasher = Hasher::new(digest.algorithm());
    hasher.update(&bytes);
    if hasher.finish() != *digest {
        return Err(damaged("its bytes have another digest".to_owned()));
    }
    Ok(bytes)
}
