//! One block of a tar archive: the ustar header, its numbers and its checksum.
//!
//! ```text
//!   0 name 100    148 checksum 8     265 owner's name 32     345 prefix 155
//! 100 mode   8    156 type     1     297 group's name 32
//! 108 uid    8    157 link   100     329 major  8
//! 116 gid    8    257 magic    8     337 minor  8
//! 124 size  12
//! 136 mtime 12
//! ```
//! POSIX.1-2017 (pax, "ustar Interchange Format"); GNU writes numbers that do not fit in base 256, marked by the
//! highest bit, and has no prefix but other fields there.

use taru_stdx::{Error, Result};

/// Bytes of a block.
pub(crate) const BLOCK: usize = 512;

/// The largest number that eleven octal digits hold, plus one.
pub(crate) const OCTAL_SIZE: u64 = 1 << 33;

/// A header's block, its checksum verified.
pub(crate) struct Header([u8; BLOCK]);

impl Header {
    /// Takes `block` for a header.
    ///
    /// # Errors
    /// [`taru_stdx::Kind::Invalid`] if its checksum is not that of its bytes.
    pub(crate) fn new(block: [u8; BLOCK]) -> Result<Header> {
        let header = Header(block);
        let said = header.octal(148, 8)?;
        let unsigned: u64 = header.0.iter().map(|b| u64::from(*b)).sum();
        let field: u64 = header.field(148, 8).iter().map(|b| u64::from(*b)).sum();
        // The sum is taken with the field itself as eight spaces.
        if said != unsigned - field + 8 * 32 {
            return Err(Error::invalid("not a tar archive: a header's checksum is wrong"));
        }
        Ok(header)
    }

    /// The `length` bytes at `at`.
    fn field(&self, at: usize, length: usize) -> &[u8] {
        self.0.get(at..at + length).unwrap_or_default()
    }

    /// A text field, which ends at its first NUL.
    pub(crate) fn text(&self, at: usize, length: usize) -> &[u8] {
        let field = self.field(at, length);
        field.split(|b| *b == 0).next().unwrap_or_default()
    }

    /// The type flag.
    pub(crate) fn kind(&self) -> u8 {
        self.0[156]
    }

    /// The name; ustar's prefix stands before it.
    pub(crate) fn path(&self) -> Vec<u8> {
        let name = self.text(0, 100);
        let prefix = self.text(345, 155);
        // GNU's magic is `ustar  `: what stands there are times.
        if self.field(257, 6) != b"ustar\0" || prefix.is_empty() {
            return name.to_vec();
        }
        [prefix, b"/", name].concat()
    }

    /// A number of any field: octal, or base 256.
    pub(crate) fn number(&self, at: usize, length: usize) -> Result<u64> {
        let field = self.field(at, length);
        match field.first() {
            Some(first) if first & 0x80 != 0 => {
                let negative = first & 0x40 != 0;
                let too_large = || Error::invalid("a number of a header is too large");
                if negative {
                    return Err(Error::invalid("a number of a header is negative"));
                }
                let (high, low) = field.split_at(field.len().saturating_sub(8));
                let mut bytes = [0u8; 8];
                bytes.get_mut(8 - low.len()..).ok_or_else(too_large)?.copy_from_slice(low);
                if length == 8 {
                    bytes[0] &= 0x7f;
                } else if high.iter().enumerate().any(|(at, b)| if at == 0 { *b != 0x80 } else { *b != 0 }) {
                    return Err(too_large());
                }
                Ok(u64::from_be_bytes(bytes))
            }
            _ => self.octal(at, length),
        }
    }

    /// A time of change: as a number, but one before 1970 is 1970.
    pub(crate) fn time(&self, at: usize, length: usize) -> Result<u64> {
        match self.field(at, length).first() {
            Some(first) if first & 0xc0 == 0xc0 => Ok(0),
            _ => self.number(at, length),
        }
    }

    fn octal(&self, at: usize, length: usize) -> Result<u64> {
        let field = self.field(at, length);
        let digits: Vec<u8> =
            field.iter().copied().skip_while(|b| *b == b' ').take_while(|b| !matches!(b, 0 | b' ')).collect();
        digits.iter().try_fold(0u64, |sum, digit| match digit {
            b'0'..=b'7' => Ok(sum << 3 | u64::from(digit - b'0')),
            _ => Err(Error::invalid("not a tar archive: a number of a header is not octal")),
        })
    }
}

/// What a header is written from.
pub(crate) struct Fields<'a> {
    pub(crate) kind: u8,
    /// Cut to 100 bytes: a PAX record then has the whole.
    pub(crate) path: &'a [u8],
    /// Likewise.
    pub(crate) link: &'a [u8],
    pub(crate) mode: u32,
    /// Written as 0 where it does not fit, and so is each number that follows.
    pub(crate) uid: u64,
    pub(crate) gid: u64,
    pub(crate) size: u64,
    pub(crate) modified: u64,
    pub(crate) device: (u32, u32),
}

/// The block that says this, without names of owners: a number is what counts.
pub(crate) fn write(fields: &Fields<'_>) -> [u8; BLOCK] {
    let mut block = [0u8; BLOCK];
    let mut put = |at: usize, bytes: &[u8], room: usize| {
        for (place, byte) in block.iter_mut().skip(at).take(room).zip(bytes) {
            *place = *byte;
        }
    };
    let octal = |value: u64, digits: u32| {
        let fitting = if value < 1 << (3 * digits) { value } else { 0 };
        format!("{fitting:0width$o}\0", width = digits as usize).into_bytes()
    };
    put(0, fields.path, 100);
    put(100, &octal(u64::from(fields.mode & 0o7777), 7), 8);
    put(108, &octal(fields.uid, 7), 8);
    put(116, &octal(fields.gid, 7), 8);
    put(124, &octal(fields.size, 11), 12);
    put(136, &octal(fields.modified, 11), 12);
    put(148, b"        ", 8);
    put(156, &[fields.kind], 1);
    put(157, fields.link, 100);
    put(257, b"ustar\x0000", 8);
    put(329, &octal(u64::from(fields.device.0), 7), 8);
    put(337, &octal(u64::from(fields.device.1), 7), 8);
    let sum: u64 = block.iter().map(|b| u64::from(*b)).sum();
    let text = format!("{sum:06o}\0 ").into_bytes();
    for (place, byte) in block.iter_mut().skip(148).zip(text) {
        *place = byte;
    }
    block
}
