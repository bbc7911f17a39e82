//! Reading the files of a counter, each of which may be missing.

use taru_stdx::Result;

use super::text::{limit, number};
use crate::dir::Dir;
use crate::stats::Counter;

/// The text of a file, empty where there is none.
pub(super) fn read(dir: &Dir, file: &str) -> Result<String> {
    Ok(dir.read_if_there(file)?.unwrap_or_default())
}

/// The files of a counter; those that the layout lacks are `""`.
pub(super) struct CounterFiles<'a> {
    pub(super) usage: &'a str,
    pub(super) peak: &'a str,
    pub(super) limit: &'a str,
    pub(super) failures: &'a str,
}

/// Reads a counter; none where its usage is not counted.
pub(super) fn counter(dir: &Dir, files: &CounterFiles<'_>) -> Result<Option<Counter>> {
    let Some(usage) = dir.read_if_there(files.usage)? else { return Ok(None) };
    let text = |file: &str| if file.is_empty() { Ok(String::new()) } else { read(dir, file) };
    Ok(Some(Counter {
        usage: number(&usage),
        peak: limit(&text(files.peak)?),
        limit: limit(&text(files.limit)?),
        failures: number(&text(files.failures)?),
    }))
}
