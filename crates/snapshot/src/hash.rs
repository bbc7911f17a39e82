//! Hashes of files.
//!
//! Of a dense file: SHA-256. Of a sparse one: SHA-256 over its 4096-byte blocks that are not all zero, each with its
//! number (8 bytes, little-endian) before it, the last filled up with zeros: wherever the file system keeps holes, the
//! hash is the same, and holes cost nothing.

use std::fs::File;
use std::os::unix::fs::FileExt;

use sha2::{Digest as _, Sha256};
use taru_stdx::{Context, Result};

use crate::manifest::Hash;

/// Bytes of a block.
const BLOCK: usize = 4096;

/// Hashes sparse content that comes in order of its offsets.
pub(crate) struct SparseHasher {
    state: Sha256,
    block: Box<[u8; BLOCK]>,
    number: u64,
}

impl SparseHasher {
    pub(crate) fn new() -> SparseHasher {
        SparseHasher { state: Sha256::new(), block: Box::new([0; BLOCK]), number: 0 }
    }

    /// Takes in `bytes` at `offset`, which is not before the end of what came last.
    pub(crate) fn update(&mut self, mut offset: u64, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let number = offset / BLOCK as u64;
            if number != self.number {
                self.flush();
                self.number = number;
            }
            let start = (offset % BLOCK as u64) as usize;
            let length = bytes.len().min(BLOCK - start);
            let (now, rest) = bytes.split_at(length);
            self.block[start..start + length].copy_from_slice(now);
            offset += length as u64;
            bytes = rest;
        }
    }

    fn flush(&mut self) {
        if self.block.iter().any(|&b| b != 0) {
            self.state.update(self.number.to_le_bytes());
            self.state.update(&self.block[..]);
            self.block.fill(0);
        }
    }

    pub(crate) fn finish(mut self) -> Hash {
        self.flush();
        self.state.finalize().into()
    }
}

/// The hash of a dense file.
pub(crate) fn of_file(file: &File) -> Result<Hash> {
    let mut state = Sha256::new();
    let mut buffer = vec![0; 128 << 10];
    let mut at = 0;
    loop {
        let length = file.read_at(&mut buffer, at).context(|| "read the file")?;
        if length == 0 {
            return Ok(state.finalize().into());
        }
        state.update(buffer.get(..length).unwrap_or_default());
        at += length as u64;
    }
}

/// The hash of a sparse file of `size` bytes.
pub(crate) fn of_sparse(file: &File, size: u64) -> Result<Hash> {
    let mut hasher = SparseHasher::new();
    let mut buffer = vec![0; 128 << 10];
    for (start, end) in crate::extent::data(file, size)? {
        let mut at = start;
        while at < end {
            let part = buffer.len().min(usize::try_from(end - at).unwrap_or(usize::MAX));
            let length = file.read_at(&mut buffer[..part], at).context(|| "read the file")?;
            if length == 0 {
                break;
            }
            hasher.update(at, &buffer[..length]);
            at += length as u64;
        }
    }
    Ok(hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sparse_hash_does_not_see_where_holes_are() {
        let file = File::from(taru_sys::fd::memfd_create(c"sparse", false).unwrap());
        file.set_len(1 << 40).unwrap();
        file.write_all_at(b"data", 1 << 30).unwrap();
        file.write_all_at(&[0; 10_000], 1 << 31).unwrap();
        file.write_all_at(b"end", (1 << 40) - 3).unwrap();
        let mut hasher = SparseHasher::new();
        hasher.update(1 << 30, b"da");
        hasher.update((1 << 30) + 2, b"ta");
        hasher.update(1 << 35, &[0; 4096]);
        hasher.update((1 << 40) - 3, b"end");
        assert_eq!(of_sparse(&file, 1 << 40).unwrap(), hasher.finish());
        file.write_all_at(b"x", 1 << 32).unwrap();
        let mut hasher = SparseHasher::new();
        hasher.update(1 << 30, b"data");
        assert_ne!(of_sparse(&file, 1 << 40).unwrap(), hasher.finish());
    }
}
