//! Documents that are handed to a command.

use std::io::Read;
use std::path::Path;

use taru_stdx::{Context, Error, Kind, Result};

/// Reads `file`, or standard input if it is `-`, refusing more than `limit` bytes.
///
/// # Errors
/// Any error of reading; [`Kind::Limit`].
pub(crate) fn read(file: &Path, limit: u64) -> Result<Vec<u8>> {
    if file.as_os_str() != "-" {
        return taru_stdx::fs::read_bounded(file, limit);
    }
    let mut text = Vec::new();
    std::io::stdin().lock().take(limit + 1).read_to_end(&mut text).context(|| "read standard input")?;
    if text.len() as u64 > limit {
        return Err(Error::new(Kind::Limit, format!("read standard input: larger than {limit} bytes")));
    }
    Ok(text)
}
