//! What a file that is assembled contains, read without its holes.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use taru_oci::{Algorithm, Hasher};
use taru_snapshot::extent;
use taru_stdx::{Context, Error, Kind, Result};
use taru_sys::fs::Device;
use taru_tar::Piece;

use super::{Content, Spool};

/// Bytes that are read together.
const CHUNK: usize = 128 << 10;

/// The content of a regular file.
pub(super) struct Body<'a> {
    /// Bytes of the file, holes included.
    pub size: u64,
    /// Where what is stored lies, if there are holes.
    pub pieces: Option<Vec<Piece>>,
    from: From<'a>,
}

enum From<'a> {
    File(File),
    Spool(&'a Spool),
    Bytes(&'a [u8]),
}

impl Body<'_> {
    /// What is in a regular file; `None` for anything else.
    ///
    /// # Errors
    /// As [`crate::tree::Tree::open`].
    pub(super) fn of(content: &Content) -> Result<Option<Body<'_>>> {
        let body = match content {
            Content::File(tree, node) => {
                let file = tree.open(node)?;
                // The size of the descriptor that is read: the file may have changed since it was looked at.
                let size = file.metadata().context(|| "look at it")?.len();
                Body { size, pieces: extent::pieces(&file, size)?, from: From::File(file) }
            }
            Content::Spooled(spool) => {
                Body { size: spool.size, pieces: spool.pieces.clone(), from: From::Spool(spool) }
            }
            Content::Bytes(bytes) => {
                Body { size: bytes.len() as u64, pieces: None, from: From::Bytes(bytes) }
            }
            _ => return Ok(None),
        };
        Ok(Some(body))
    }

    /// Hands on all that is stored, in order, with where it belongs.
    ///
    /// # Errors
    /// Any error of reading; those of `take`; [`Kind::State`] if the file became shorter.
    pub(super) fn each(&self, take: &mut dyn FnMut(u64, &[u8]) -> Result<()>) -> Result<()> {
        let whole = [Piece { offset: 0, length: self.size }];
        let mut buffer = vec![0; CHUNK];
        let mut stored = 0;
        for piece in self.pieces.as_deref().unwrap_or(&whole) {
            let mut done = 0;
            while done < piece.length {
                let wanted = CHUNK.min(usize::try_from(piece.length - done).unwrap_or(CHUNK));
                let part = buffer.get_mut(..wanted).unwrap_or_default();
                let count = match &self.from {
                    From::File(file) => file.read_at(part, piece.offset + done),
                    From::Spool(spool) => spool.file.read_at(part, spool.offset + stored),
                    From::Bytes(bytes) => {
                        let rest = usize::try_from(stored).ok().and_then(|at| bytes.get(at..));
                        std::io::Read::read(&mut rest.unwrap_or_default(), part)
                    }
                };
                let count = count.context(|| "read it")?;
                // A short file would shift all that follows in an archive.
                if count == 0 {
                    return Err(Error::new(Kind::State, "read it: it became shorter meanwhile"));
                }
                take(piece.offset + done, part.get(..count).unwrap_or_default())?;
                done += count as u64;
                stored += count as u64;
            }
        }
        Ok(())
    }

    /// The digest of it for a key. Holes are as good as zeros, but in an archive, which can say that it has more of those than
    /// could be counted.
    ///
    /// # Errors
    /// As [`Body::each`].
    pub(super) fn fingerprint(&self) -> Result<String> {
        const ZEROS: [u8; 4096] = [0; 4096];
        let is_map = matches!(self.from, From::Spool(_)) && self.pieces.is_some();
        let mut hasher = Hasher::new(Algorithm::Sha256);
        let mut end = 0;
        let hole = |hasher: &mut Hasher, from: u64, to: u64| {
            let mut left = to.saturating_sub(from);
            while !is_map && left > 0 {
                let count = left.min(ZEROS.len() as u64);
                hasher.update(&ZEROS[..count as usize]);
                left -= count;
            }
        };
        self.each(&mut |at, bytes| {
            hole(&mut hasher, end, at);
            hasher.update(bytes);
            end = at + bytes.len() as u64;
            Ok(())
        })?;
        hole(&mut hasher, end, self.size);
        let map = self.pieces.iter().flatten().filter(|_| is_map);
        let map: String = map.map(|piece| format!(" {} {}", piece.offset, piece.length)).collect();
        let size = if is_map { self.size.to_string() } else { String::new() };
        Ok(format!("f{}{size}{map}", hasher.finish()))
    }
}

/// The path under which each file of a tree with several names came first.
#[derive(Default)]
pub(super) struct FirstNames(HashMap<(usize, (usize, Device, u64)), PathBuf>);

impl FirstNames {
    /// Where the file was before, if `path` is a further name of it.
    pub(super) fn of(&mut self, content: &Content, path: &Path) -> Option<PathBuf> {
        let Content::File(tree, node) = content else { return None };
        if node.stat.nlink < 2 {
            return None;
        }
        match self.0.entry((Arc::as_ptr(tree) as usize, node.identity())) {
            Slot::Occupied(first) => Some(first.get().clone()),
            Slot::Vacant(none) => {
                none.insert(path.to_owned());
                None
            }
        }
    }
}
