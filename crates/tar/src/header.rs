//! One 512-byte header, as the library reads it, less what it reads leniently.
//!
//! ```text
//!   0 name 100   100 mode 8   108 uid 8   116 gid 8   124 size 12   136 mtime 12   148 checksum 8   156 type 1
//! 157 link 100   257 magic 8  265 uname 32  297 gname 32  329 major 8  337 minor 8  345 prefix 155 (ustar)
//! GNU: 386 four pieces of 12+12   482 more follow?   483 real size 12
//! ```
//! A number is octal digits, ended by NUL or blank; or, with the top bit set, binary (GNU, star). The library takes
//! also a sign, and digits with anything behind their NUL; of binary ones the last eight bytes, whatever stands before
//! them. So the notation is looked at first.

use std::io;

use tar::{EntryType, GnuSparseHeader};
use taru_stdx::{Context, Error, Result};

use crate::BLOCK;

/// A header whose checksum is right.
pub(crate) struct Header<'a>(&'a tar::Header);

/// The start of GNU's sparse map.
pub(crate) struct SparseStart {
    /// (offset, length)
    pub(crate) pieces: Vec<(u64, u64)>,
    /// Whether further blocks of pieces follow.
    pub(crate) goes_on: bool,
    /// Of the file, holes included.
    pub(crate) size: u64,
}

impl<'a> Header<'a> {
    /// The header in `block`.
    ///
    /// # Errors
    /// [`taru_stdx::Kind::Invalid`] if its checksum is not that of its bytes.
    pub(crate) fn new(block: &'a [u8; BLOCK]) -> Result<Header<'a>> {
        let header = tar::Header::from_byte_slice(block);
        let sum = |bytes: &[u8]| bytes.iter().map(|&b| u32::from(b)).sum::<u32>();
        // The sum is taken with the field itself as eight blanks. The library only sums to write, and allocates then.
        let right = sum(block) - sum(&header.as_old().cksum) + 8 * u32::from(b' ');
        match header.cksum() {
            Ok(told) if told == right => Ok(Header(header)),
            _ => Err(Error::invalid("read a tar: a header's checksum is wrong")),
        }
    }

    /// The type.
    pub(crate) fn kind(&self) -> EntryType {
        self.0.entry_type()
    }

    /// The name, with the prefix that ustar has.
    pub(crate) fn name(&self) -> Result<Vec<u8>> {
        // Some readers look at the version behind the magic, and some do not.
        let is_ustar = self.0.as_ustar().is_some();
        if !is_ustar && self.0.as_bytes()[257..263] == *b"ustar\0" && self.0.as_bytes()[345] != 0 {
            return Err(Error::invalid("read a header: a prefix, but ustar in an unknown version"));
        }
        Ok(self.0.path_bytes().into_owned())
    }

    /// What a link leads to.
    pub(crate) fn link(&self) -> Vec<u8> {
        self.0.link_name_bytes().unwrap_or_default().into_owned()
    }

    /// Permission bits.
    pub(crate) fn mode(&self) -> Result<u32> {
        let mode = unsigned(&self.0.as_old().mode, "mode", || self.0.mode().map(u64::from))?;
        // Some writers add the file type as stat(2) has it.
        Ok((mode & 0o7777) as u32)
    }

    /// The owner.
    pub(crate) fn uid(&self) -> Result<u64> {
        unsigned(&self.0.as_old().uid, "uid", || self.0.uid())
    }

    /// The group.
    pub(crate) fn gid(&self) -> Result<u64> {
        unsigned(&self.0.as_old().gid, "gid", || self.0.gid())
    }

    /// Bytes of content.
    pub(crate) fn size(&self) -> Result<u64> {
        unsigned(&self.0.as_old().size, "size", || self.0.entry_size())
    }

    /// Seconds since 1970.
    pub(crate) fn mtime(&self) -> Result<i64> {
        signed(&self.0.as_old().mtime, "mtime", || self.0.mtime())
    }

    /// Device numbers.
    pub(crate) fn device(&self) -> Result<(u32, u32)> {
        let (major, minor) = match (self.0.as_ustar(), self.0.as_gnu()) {
            (Some(ustar), _) => (&ustar.dev_major, &ustar.dev_minor),
            (None, Some(gnu)) => (&gnu.dev_major, &gnu.dev_minor),
            (None, None) => {
                return Err(Error::invalid("read a header: a device, in a format without their numbers"));
            }
        };
        let read = |half: io::Result<Option<u32>>| half.map(|n| u64::from(n.unwrap_or_default()));
        // Octal alone, and so less than 2^24.
        let major = unsigned(major, "major device", || read(self.0.device_major()))?;
        let minor = unsigned(minor, "minor device", || read(self.0.device_minor()))?;
        Ok((major as u32, minor as u32))
    }

    /// GNU's sparse map, as far as it is in this header.
    pub(crate) fn sparse(&self) -> Result<SparseStart> {
        let Some(gnu) = self.0.as_gnu() else {
            return Err(Error::invalid("read a sparse file: the header is not GNU tar's"));
        };
        let size = unsigned(&gnu.realsize, "real size", || gnu.real_size())?;
        let goes_on = goes_on(gnu.isextended, gnu.is_extended())?;
        Ok(SparseStart { pieces: pieces(&gnu.sparse)?, goes_on, size })
    }
}

/// Whether a map goes on in another block: to the library if the byte is 1, to GNU tar if it is not 0.
pub(crate) fn goes_on(byte: [u8; 1], is_extended: bool) -> Result<bool> {
    match byte {
        [0 | 1] => Ok(is_extended),
        _ => Err(Error::invalid("read a sparse map: whether it goes on is not clear")),
    }
}

/// Pieces of a sparse map, up to the first that is empty.
pub(crate) fn pieces(all: &[GnuSparseHeader]) -> Result<Vec<(u64, u64)>> {
    let used = all.iter().take_while(|piece| !piece.is_empty());
    used.map(|piece| {
        let offset = unsigned(&piece.offset, "offset", || piece.offset())?;
        Ok((offset, unsigned(&piece.numbytes, "length", || piece.length())?))
    })
    .collect()
}

/// How a number stands in its field.
enum Notation {
    /// Not at all, which is 0.
    Blank,
    /// So that the library reads the number that everybody reads.
    Plain,
    /// In binary, below zero: the library takes it for a large one.
    Negative(i64),
}

fn notation(field: &[u8]) -> Option<Notation> {
    let (high, low) = field.split_last_chunk::<8>()?;
    match field.first()? {
        0xff if high.iter().all(|b| *b == 0xff) => {
            Some(i64::from_be_bytes(*low)).filter(|n| *n < 0).map(Notation::Negative)
        }
        0x80 if high.iter().skip(1).all(|b| *b == 0) => Some(Notation::Plain),
        // In eight bytes 62 bits are left for the number.
        0x81..0xc0 if high.is_empty() => Some(Notation::Plain),
        0x80.. => None,
        _ => {
            let blanks = field.iter().take_while(|b| **b == b' ').count();
            let digits = field.get(blanks..).unwrap_or_default();
            let end = digits.iter().position(|b| !b.is_ascii_digit()).unwrap_or(digits.len());
            let (digits, rest) = digits.split_at(end);
            let is_ended = rest.iter().all(|b| matches!(b, 0 | b' '));
            is_ended.then_some(if digits.is_empty() { Notation::Blank } else { Notation::Plain })
        }
    }
}

/// A number that the library reads by `read`.
fn signed(field: &[u8], what: &str, read: impl FnOnce() -> io::Result<u64>) -> Result<i64> {
    let bad = || Error::invalid(format!("read the {what} `{}`: no number", field.escape_ascii()));
    match notation(field).ok_or_else(bad)? {
        Notation::Blank => Ok(0),
        Notation::Negative(n) => Ok(n),
        Notation::Plain => {
            let n = read().context_as(taru_stdx::Kind::Invalid, || format!("read the {what} of a header"))?;
            i64::try_from(n).map_err(|_| bad())
        }
    }
}

/// A number that may not be negative.
fn unsigned(field: &[u8], what: &str, read: impl FnOnce() -> io::Result<u64>) -> Result<u64> {
    let n = signed(field, what, read)?;
    u64::try_from(n).map_err(|_| Error::invalid(format!("read the {what} `{n}`: negative")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uid(field: &[u8; 8]) -> Result<i64> {
        let mut header = tar::Header::new_ustar();
        header.as_old_mut().uid = *field;
        signed(field, "n", || header.uid())
    }

    fn size(field: &[u8; 12]) -> Result<i64> {
        let mut header = tar::Header::new_ustar();
        header.as_old_mut().size = *field;
        signed(field, "n", || header.entry_size())
    }

    #[test]
    fn numbers_in_both_notations() {
        for (field, number) in [
            (b"0000644\0", 0o644),
            (b"   644 \0", 0o644),
            (b"12345670", 0o12_345_670),
            (b"\0\0\0\0\0\0\0\0", 0),
            (b"        ", 0),
            (b"\x80\0\0\0\0\0\x01\0", 256),
            (b"\x81\0\0\0\0\0\0\0", 1 << 56),
            (b"\xff\xff\xff\xff\xff\xff\xff\xfe", -2),
        ] {
            assert_eq!(uid(field).unwrap(), number, "{}", field.escape_ascii());
        }
        for bad in [
            b"9999999\0",
            b"0x12\0\0\0\0",
            b"-1\0\0\0\0\0\0",
            b"+1\0\0\0\0\0\0",
            b"12\x0034\0\0\0",
            b"12 34\0\0\0",
            b"\xc0\0\0\0\0\0\0\0",
        ] {
            assert!(uid(bad).is_err(), "{}", bad.escape_ascii());
        }
        assert_eq!(size(b"\x80\0\0\0\0\0\0\x04\0\0\0\0").unwrap(), 1 << 34);
        assert_eq!(size(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff").unwrap(), -1);
        // The library reads eight bytes, and so 1.
        assert!(size(b"\x80\0\0\x01\0\0\0\0\0\0\0\x01").is_err());
        assert!(size(b"\xff\0\0\0\0\0\0\0\0\0\0\x01").is_err());
        assert!(size(b"\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff").is_err());
    }

    #[test]
    fn what_the_library_cuts_or_skips_is_refused() {
        let mut header = tar::Header::new_ustar();
        header.as_ustar_mut().unwrap().dev_major = *b"0000010\0";
        header.as_ustar_mut().unwrap().dev_minor = *b"3777777\0";
        assert_eq!(Header(&header).device().unwrap(), (8, 0o3_777_777));
        header.as_ustar_mut().unwrap().dev_minor = *b"\x80\0\0\0\0\0\0\x01";
        assert!(Header(&header).device().is_err());
        header.as_ustar_mut().unwrap().dev_minor = *b"0000001\0";
        header.as_ustar_mut().unwrap().prefix[0] = b'p';
        header.as_ustar_mut().unwrap().name[0] = b'n';
        assert_eq!(Header(&header).name().unwrap(), b"p/n");
        header.as_ustar_mut().unwrap().version = *b"01";
        assert!(Header(&header).name().is_err());
        assert!(Header(&header).device().is_err());
        header.set_cksum();
        assert!(Header::new(header.as_bytes()).is_ok());
        header.as_old_mut().name[0] = b'm';
        assert!(Header::new(header.as_bytes()).is_err());
    }
}
