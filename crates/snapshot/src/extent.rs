//! Where a file has data, and where holes.

use std::fs::File;
use std::os::fd::AsFd;

use taru_stdx::{Context, Result};
use taru_sys::{errno, fs};

/// The runs of data of the first `size` bytes, as (start, end), one after the other.
///
/// # Errors
/// As lseek(2).
pub(crate) fn data(file: &File, size: u64) -> Result<Vec<(u64, u64)>> {
    let what = || "find the holes of the file";
    let mut all = Vec::new();
    let mut at = 0;
    while at < size {
        let start = match fs::seek_data(file.as_fd(), at) {
            Err(e) if e.errno() == errno::NXIO => break,
            start => start.context(what)?,
        };
        let end = fs::seek_hole(file.as_fd(), start).context(what)?.min(size);
        if start >= size {
            break;
        }
        all.push((start, end));
        at = end;
    }
    Ok(all)
}
