//! The maps of sparse files: GNU tar's own format, and its three by PAX records.

use std::io::BufRead;

use tar::GnuExtSparseHeader;
use taru_oci::limits;
use taru_stdx::{Error, Kind as Class, Result};

use super::Reader;
use crate::entry::Kind;
use crate::header::{self, Header, SparseStart};
use crate::{BLOCK, pax, sparse};

/// Pieces of a sparse file that GNU tar's header has room for.
const GNU_PIECES: usize = 4;

impl<R: BufRead> Reader<R> {
    /// A sparse file of GNU tar's own format: the map begins in the header and goes on in blocks behind it.
    pub(super) fn gnu_sparse(&mut self, header: &Header<'_>, stored: u64) -> Result<Kind> {
        let SparseStart { mut pieces, mut goes_on, size } = header.sparse()?;
        let mut room = GNU_PIECES;
        while goes_on {
            // Or the map would have no end.
            if pieces.len() < room {
                return Err(Error::invalid("read a sparse map: it goes on behind its end"));
            }
            if pieces.len() > limits::SPARSE_PIECES {
                return Err(Error::new(Class::Limit, "read a sparse map: too many pieces"));
            }
            let mut block = GnuExtSparseHeader::new();
            self.read_exact_of_stream(block.as_mut_bytes())?;
            pieces.extend(header::pieces(block.sparse())?);
            goes_on = header::goes_on(block.isextended, block.is_extended())?;
            room += block.sparse().len();
        }
        Ok(Kind::File { size, pieces: Some(sparse::check(pieces, size, stored)?) })
    }

    /// A sparse file by PAX records: 0.0 and 0.1 have the map in them, 1.0 in front of the data.
    pub(super) fn pax_sparse(&mut self, told: pax::Sparse, stored: u64) -> Result<Kind> {
        let bad = || Error::invalid("read a sparse file: its PAX records are not those of a known version");
        let size = told.real_size.ok_or_else(bad)?;
        let (numbers, stored) = match (told.major, told.minor) {
            (None, None) | (Some(0), Some(0 | 1)) => (told.map, stored),
            (Some(1), Some(0)) if told.map.is_empty() => {
                let numbers = self.sparse_map_in_front()?;
                (numbers, self.content)
            }
            _ => return Err(bad()),
        };
        if numbers.len() % 2 != 0 {
            return Err(bad());
        }
        let pieces = numbers.as_chunks().0.iter().map(|[offset, length]| (*offset, *length)).collect();
        Ok(Kind::File { size, pieces: Some(sparse::check(pieces, size, stored)?) })
    }

    /// Version 1.0: decimal numbers, a line each, the first says how many pairs; filled up to whole blocks.
    fn sparse_map_in_front(&mut self) -> Result<Vec<u64>> {
        let bad = || Error::invalid("read a sparse map: not numbers on lines");
        let mut numbers = Vec::new();
        let mut wanted = None;
        let mut line = Vec::new();
        while wanted != Some(numbers.len()) {
            if self.content < BLOCK as u64 {
                return Err(bad());
            }
            let mut block = [0u8; BLOCK];
            self.read_exact_of_stream(&mut block)?;
            self.content -= BLOCK as u64;
            for &b in &block {
                if wanted == Some(numbers.len()) {
                    break;
                }
                if b != b'\n' {
                    line.push(b);
                    if line.len() > 20 {
                        return Err(bad());
                    }
                    continue;
                }
                let number = pax::decimal(&line)?;
                line.clear();
                match wanted {
                    None => {
                        let pairs = usize::try_from(number).ok().filter(|n| *n <= limits::SPARSE_PIECES);
                        wanted = Some(2 * pairs.ok_or_else(bad)?);
                    }
                    Some(_) => numbers.push(number),
                }
            }
        }
        Ok(numbers)
    }
}
