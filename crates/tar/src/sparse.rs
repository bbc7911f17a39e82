//! Where the data of a sparse file lies.

use taru_oci::limits;
use taru_stdx::{Error, Kind, Result};

/// A run of data: `length` bytes at `offset`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// Where in the file.
    pub offset: u64,
    /// How much of it.
    pub length: u64,
}

/// Checks that pieces are in order, lie within `size` and hold `stored` bytes in all. Empty ones, which mark
/// where the file ends, are dropped.
pub(crate) fn check(pieces: Vec<(u64, u64)>, size: u64, stored: u64) -> Result<Vec<Piece>> {
    let bad = || Error::invalid("read a sparse map: pieces overlap, or do not fit the sizes");
    if pieces.len() > limits::SPARSE_PIECES {
        return Err(Error::new(Kind::Limit, "read a sparse map: too many pieces"));
    }
    let (mut end, mut sum) = (0u64, 0u64);
    let mut kept = Vec::with_capacity(pieces.len());
    for (offset, length) in pieces {
        if offset < end {
            return Err(bad());
        }
        end = offset.checked_add(length).filter(|end| *end <= size).ok_or_else(bad)?;
        sum += length;
        if length > 0 {
            kept.push(Piece { offset, length });
        }
    }
    if sum != stored { Err(bad()) } else { Ok(kept) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_must_fit() {
        let ok = check(vec![(0, 5), (10, 5), (20, 0)], 20, 10).unwrap();
        assert_eq!(ok, [Piece { offset: 0, length: 5 }, Piece { offset: 10, length: 5 }]);
        for (pieces, size, stored) in [
            (vec![(5, 5), (0, 5)], 20, 10),
            (vec![(0, 5), (4, 5)], 20, 10),
            (vec![(0, 21)], 20, 21),
            (vec![(0, 5)], 20, 6),
            (vec![(u64::MAX, 5)], 20, 5),
        ] {
            assert!(check(pieces, size, stored).is_err());
        }
    }
}
