//! The image in large parts: what is asked for lies mostly in a row.

use std::fs::File;
use std::os::unix::fs::FileExt;

use taru_stdx::{Context, Result};

/// Bytes that are read at once.
const PART: u64 = 256 << 10;

/// The part of the image that was read last.
pub(super) struct Window<'f> {
    file: &'f File,
    /// Bytes of the image.
    size: u64,
    at: u64,
    buffer: Vec<u8>,
}

impl<'f> Window<'f> {
    pub(super) fn new(file: &'f File, size: u64) -> Window<'f> {
        Window { file, size, at: 0, buffer: Vec::new() }
    }

    /// `length` bytes from `at` on; `None` where the image has less.
    pub(super) fn bytes(&mut self, at: u64, length: usize) -> Result<Option<&[u8]>> {
        let Some(left) = self.size.checked_sub(at).filter(|left| length as u64 <= *left) else {
            return Ok(None);
        };
        let is_held = at >= self.at && at - self.at + length as u64 <= self.buffer.len() as u64;
        if !is_held {
            let part = PART.max(length as u64).min(left);
            self.buffer.resize(part as usize, 0);
            self.at = at;
            self.file.read_exact_at(&mut self.buffer, at).context(|| "read the image")?;
        }
        let start = (at - self.at) as usize;
        Ok(self.buffer.get(start..start + length))
    }
}
