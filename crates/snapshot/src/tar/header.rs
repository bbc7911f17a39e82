//! One 512-byte header.
//!
//! ```text
//!   0 name 100   100 mode 8   108 uid 8   116 gid 8   124 size 12   136 mtime 12   148 checksum 8   156 type 1
//! 157 link 100   257 magic 8  265 uname 32  297 gname 32  329 major 8  337 minor 8  345 prefix 155 (ustar)
//! GNU: 386 four pieces of 12+12   482 more follow?   483 real size 12
//! ```

use taru_stdx::{Error, Result};

/// Everything in a tar is a multiple of this.
pub(crate) const BLOCK: usize = 512;

/// A header's fields, their syntax checked.
pub(crate) struct Header<'a> {
    block: &'a [u8; BLOCK],
}

/// The start of GNU's sparse map.
pub(crate) struct SparseStart {
    /// (offset, length)
    pub(crate) pieces: Vec<(u64, u64)>,
    /// Whether further blocks of pieces follow.
    pub(crate) goes_on: bool,
    /// Of the file, holes included.
    pub(crate) size: u64,
}

/// A field out of a block; the ranges are constants inside it.
fn field(block: &[u8], start: usize, length: usize) -> &[u8] {
    block.get(start..start + length).unwrap_or_default()
}

impl<'a> Header<'a> {
    /// The header in `block`, whose checksum must be right.
    pub(crate) fn new(block: &'a [u8; BLOCK]) -> Result<Header<'a>> {
        let header = Header { block };
        let told = number(field(block, 148, 8), "checksum")?;
        // Old writers summed signed bytes.
        let sum = |of: fn(u8) -> i64| -> i64 {
            let blank = 148..156;
            block.iter().enumerate().map(|(n, &b)| of(if blank.contains(&n) { b' ' } else { b })).sum()
        };
        if told != sum(i64::from) && told != sum(|b| i64::from(b as i8)) {
            return Err(Error::invalid("read a header: its checksum is wrong"));
        }
        Ok(header)
    }

    /// The type flag.
    pub(crate) fn kind(&self) -> u8 {
        self.block[156]
    }

    /// Whether it is GNU tar's own format.
    pub(crate) fn is_gnu(&self) -> bool {
        field(self.block, 257, 8) == b"ustar  \0"
    }

    /// The name, with the prefix that ustar has.
    pub(crate) fn name(&self) -> Vec<u8> {
        let name = until_nul(field(self.block, 0, 100));
        let prefix = until_nul(field(self.block, 345, 155));
        if field(self.block, 257, 6) == b"ustar\0" && !prefix.is_empty() {
            return [prefix, b"/", name].concat();
        }
        name.to_vec()
    }

    /// What a link leads to.
    pub(crate) fn link(&self) -> Vec<u8> {
        until_nul(field(self.block, 157, 100)).to_vec()
    }

    /// Permission bits.
    pub(crate) fn mode(&self) -> Result<u32> {
        let mode = number(field(self.block, 100, 8), "mode")?;
        // Some writers add the file type as stat(2) has it.
        Ok((mode & 0o7777) as u32)
    }

    /// The owner.
    pub(crate) fn uid(&self) -> Result<i64> {
        number(field(self.block, 108, 8), "uid")
    }

    /// The group.
    pub(crate) fn gid(&self) -> Result<i64> {
        number(field(self.block, 116, 8), "gid")
    }

    /// Bytes of content.
    pub(crate) fn size(&self) -> Result<u64> {
        unsigned(field(self.block, 124, 12), "size")
    }

    /// Seconds since 1970.
    pub(crate) fn mtime(&self) -> Result<i64> {
        number(field(self.block, 136, 12), "mtime")
    }

    /// Device numbers.
    pub(crate) fn device(&self) -> Result<(u32, u32)> {
        let half = |start, what| {
            let n = unsigned(field(self.block, start, 8), what)?;
            u32::try_from(n).map_err(|_| Error::invalid(format!("read the {what} number `{n}`: too large")))
        };
        Ok((half(329, "major device")?, half(337, "minor device")?))
    }

    /// GNU's sparse map, as far as it is in this header.
    pub(crate) fn sparse(&self) -> Result<SparseStart> {
        let pieces = pieces(field(self.block, 386, 96))?;
        let size = unsigned(field(self.block, 483, 12), "real size")?;
        Ok(SparseStart { pieces, goes_on: self.block[482] != 0, size })
    }
}

/// Pieces of a sparse map, 24 bytes each, up to the first that is empty.
pub(crate) fn pieces(bytes: &[u8]) -> Result<Vec<(u64, u64)>> {
    let mut all = Vec::new();
    for piece in bytes.chunks_exact(24) {
        if piece[0] == 0 {
            break;
        }
        all.push((unsigned(field(piece, 0, 12), "offset")?, unsigned(field(piece, 12, 12), "length")?));
    }
    Ok(all)
}

fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|&b| b == 0).next().unwrap_or_default()
}

/// A number that may not be negative.
fn unsigned(bytes: &[u8], what: &str) -> Result<u64> {
    let n = number(bytes, what)?;
    u64::try_from(n).map_err(|_| Error::invalid(format!("read the {what} `{n}`: negative")))
}

/// A number in octal digits, ended by NUL or blank; or, with the top bit set, in binary (GNU, star).
fn number(bytes: &[u8], what: &str) -> Result<i64> {
    let bad = || Error::invalid(format!("read the {what} `{}`: no number", bytes.escape_ascii()));
    let first = *bytes.first().ok_or_else(bad)?;
    if first & 0x80 != 0 {
        let start = match first {
            0xff => -1i64,
            0x80..0xc0 => i64::from(first & 0x3f),
            _ => return Err(bad()),
        };
        return bytes[1..].iter().try_fold(start, |n, &b| {
            n.checked_mul(256).and_then(|n| n.checked_add(i64::from(b))).ok_or_else(bad)
        });
    }
    let digits = bytes.trim_ascii_start();
    let end = digits.iter().position(|b| matches!(b, 0 | b' ')).unwrap_or(digits.len());
    let (digits, rest) = digits.split_at(end);
    if rest.iter().any(|b| !matches!(b, 0 | b' ')) && what != "checksum" {
        return Err(bad());
    }
    digits.iter().try_fold(0i64, |n, &b| match b {
        b'0'..=b'7' => n.checked_mul(8).and_then(|n| n.checked_add(i64::from(b - b'0'))).ok_or_else(bad),
        _ => Err(bad()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_both_notations() {
        assert_eq!(number(b"0000644\0", "n").unwrap(), 0o644);
        assert_eq!(number(b"   644 \0", "n").unwrap(), 0o644);
        assert_eq!(number(b"\0\0\0\0\0\0\0\0", "n").unwrap(), 0);
        assert_eq!(number(b"        ", "n").unwrap(), 0);
        assert_eq!(number(b"\x80\0\0\0\0\0\x01\0", "n").unwrap(), 256);
        assert_eq!(number(b"\xff\xff\xff\xff\xff\xff\xff\xfe", "n").unwrap(), -2);
        for bad in
            [&b"9999999\0"[..], b"0x12\0\0\0\0", b"-1\0\0\0\0\0\0", b"12\x0034\0\0\0", b"\xc0\0\0\0\0\0\0\0"]
        {
            assert!(number(bad, "n").is_err(), "{bad:?}");
        }
        assert!(number(b"\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "n").is_err());
    }
}
