//! Where a file has data, and where holes.

use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;

use taru_oci::limits;
use taru_stdx::{Context, Error, Kind, Result};
use taru_sys::{errno, fs};
use taru_tar::Piece;

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

/// The blocks of a sparse file of `size` bytes that are not all zero: the same wherever its holes are. `None` without holes.
///
/// # Errors
/// As lseek(2) and pread(2); [`Kind::Limit`] for more pieces than a layer may have.
pub fn pieces(file: &File, size: u64) -> Result<Option<Vec<Piece>>> {
    const BLOCK: usize = 4096;
    let runs = data(file, size)?;
    if runs.iter().map(|(start, end)| end - start).sum::<u64>() == size {
        return Ok(None);
    }
    let mut pieces: Vec<Piece> = Vec::new();
    let mut block = [0; BLOCK];
    for (start, end) in runs {
        let mut at = start - start % BLOCK as u64;
        while at < end {
            let wanted = BLOCK.min(usize::try_from(end - at).unwrap_or(BLOCK));
            let length = file.read_at(&mut block[..wanted], at).context(|| "read it")?;
            if block[..length].iter().any(|&b| b != 0) {
                match pieces.last_mut().filter(|last| last.offset + last.length >= at) {
                    Some(last) => last.length = at + length as u64 - last.offset,
                    None => pieces.push(Piece { offset: at, length: length as u64 }),
                }
            }
            at += BLOCK as u64;
        }
    }
    if pieces.len() > limits::SPARSE_PIECES {
        return Err(Error::new(Kind::Limit, "write a sparse file: too many pieces"));
    }
    Ok(Some(pieces))
}
