//! PAX records, which say what a header has no room for.
//!
//! ```text
//! 30 mtime=1350244992.023960108\n     the length counts itself and the line feed
//! 23 SCHILY.xattr.user.a=\n\n        a value is any bytes
//! ```
//! Not `tar::PaxExtensions`, which divides at line feeds before it looks at a length.

use taru_oci::limits;
use taru_stdx::{Error, Kind, Result};

use crate::entry::{Xattrs, text};

/// What the records before an entry say of it.
#[derive(Debug, Default)]
pub(crate) struct Records {
    pub(crate) path: Option<Vec<u8>>,
    pub(crate) link: Option<Vec<u8>>,
    pub(crate) size: Option<u64>,
    pub(crate) uid: Option<u64>,
    pub(crate) gid: Option<u64>,
    pub(crate) mtime: Option<(i64, u32)>,
    pub(crate) xattrs: Xattrs,
    /// ACLs in words.
    pub(crate) access: Option<Vec<u8>>,
    pub(crate) default: Option<Vec<u8>>,
    /// GNU.sparse.*: version 0 has its map here, version 1 in front of the content.
    pub(crate) sparse: Sparse,
    /// What is none of these, and no time or name that nobody needs.
    pub(crate) other: Vec<(Vec<u8>, Vec<u8>)>,
}

/// GNU's records of a sparse file.
#[derive(Debug, Default)]
pub(crate) struct Sparse {
    pub(crate) name: Option<Vec<u8>>,
    pub(crate) real_size: Option<u64>,
    pub(crate) major: Option<u64>,
    pub(crate) minor: Option<u64>,
    pub(crate) map: Vec<u64>,
    pub(crate) is_used: bool,
    /// Whether the map came as one record.
    is_list: bool,
}

/// The records in `bytes`, each as key and value.
struct Pairs<'a>(&'a [u8]);

impl<'a> Iterator for Pairs<'a> {
    type Item = Result<(&'a [u8], &'a [u8])>;

    fn next(&mut self) -> Option<Self::Item> {
        // Writers may fill up with zeros.
        if self.0.iter().all(|&b| b == 0) {
            return None;
        }
        let bytes = std::mem::take(&mut self.0);
        let bad = || Error::invalid("read a PAX record: not `LENGTH KEY=VALUE`");
        let pair = pair(bytes).map(|(key, value, rest)| {
            self.0 = rest;
            (key, value)
        });
        Some(pair.ok_or_else(bad))
    }
}

/// The first record's key and value, and what follows.
fn pair(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let blank = bytes.iter().take(20).position(|&b| b == b' ')?;
    let length = usize::try_from(decimal(bytes.get(..blank)?).ok()?).ok()?;
    let record = bytes.get(blank + 1..length)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|&b| b == b'=').filter(|&at| at > 0)?;
    Some((record.get(..equals)?, record.get(equals + 1..)?, bytes.get(length..)?))
}

/// Reads the records in `bytes`.
pub(crate) fn parse(bytes: &[u8]) -> Result<Records> {
    let mut records = Records::default();
    let mut of_libarchive = Xattrs::new();
    let mut keys: Vec<&[u8]> = Vec::new();
    for pair in Pairs(bytes) {
        let (key, value) = pair?;
        records.take(key, value, &mut of_libarchive)?;
        // GNU's sparse format 0.0 repeats these two, a pair a piece.
        if !matches!(key, b"GNU.sparse.offset" | b"GNU.sparse.numbytes") {
            keys.push(key);
        }
    }
    keys.sort_unstable();
    if let Some(two) = keys.windows(2).find(|two| matches!(two, [a, b] if a == b)) {
        let key = two.first().map(|key| text(key)).unwrap_or_default();
        return Err(Error::invalid(format!("read the PAX records: `{key}` twice")));
    }
    // bsdtar writes each attribute in both ways; star's is the one that says it plainly.
    let of_star = records.xattrs.len();
    for (name, value) in of_libarchive {
        if !records.xattrs.iter().take(of_star).any(|(known, _)| *known == name) {
            records.xattrs.push((name, value));
        }
    }
    if records.xattrs.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() > limits::XATTRS {
        return Err(Error::new(Kind::Limit, "read extended attributes: more than 128 KiB"));
    }
    records.xattrs.sort();
    if records.xattrs.windows(2).any(|two| matches!(two, [a, b] if a.0 == b.0)) {
        return Err(Error::invalid("read extended attributes: one is given twice"));
    }
    Ok(records)
}

/// Checks a global header, which some readers apply to the entries that follow and others pass over: it may say
/// nothing but a comment, as git does.
pub(crate) fn check_global(bytes: &[u8]) -> Result<()> {
    for pair in Pairs(bytes) {
        let (key, _) = pair?;
        if key != b"comment" {
            return Err(Error::invalid(format!("read a global PAX header: it sets `{}`", text(key))));
        }
    }
    Ok(())
}

impl Records {
    fn take(&mut self, key: &[u8], value: &[u8], of_libarchive: &mut Xattrs) -> Result<()> {
        const STAR: &[u8] = b"SCHILY.xattr.";
        const LIBARCHIVE: &[u8] = b"LIBARCHIVE.xattr.";
        // An empty value means the header's to POSIX, and the empty name to some readers.
        let name = || match value.is_empty() || value.contains(&0) {
            true => {
                Err(Error::invalid(format!("read the PAX record `{}`: empty, or a zero in it", text(key))))
            }
            false => Ok(value.to_vec()),
        };
        match key {
            b"path" => self.path = Some(name()?),
            b"linkpath" => self.link = Some(name()?),
            b"size" => self.size = Some(decimal(value)?),
            b"uid" => self.uid = Some(decimal(value)?),
            b"gid" => self.gid = Some(decimal(value)?),
            b"mtime" => self.mtime = Some(time(value)?),
            b"SCHILY.acl.access" => self.access = Some(value.to_vec()),
            b"SCHILY.acl.default" => self.default = Some(value.to_vec()),
            b"uname" | b"gname" | b"atime" | b"ctime" | b"comment" | b"charset" | b"hdrcharset" => {}
            _ if key.starts_with(b"GNU.sparse.") => {
                self.sparse.is_used = true;
                self.sparse.take(key, value, name)?;
            }
            _ => {
                if let Some(attribute) = key.strip_prefix(STAR) {
                    xattr(&mut self.xattrs, attribute, value.to_vec())?;
                } else if let Some(attribute) = key.strip_prefix(LIBARCHIVE) {
                    xattr(of_libarchive, &percent_decoded(attribute), base64(value)?)?;
                } else {
                    self.other.push((key.to_vec(), value.to_vec()));
                }
            }
        }
        Ok(())
    }
}

impl Sparse {
    fn take(&mut self, key: &[u8], value: &[u8], name: impl FnOnce() -> Result<Vec<u8>>) -> Result<()> {
        let bad = || Error::invalid(format!("read the PAX record `{}`: the map is not in order", text(key)));
        match key {
            b"GNU.sparse.major" => self.major = Some(decimal(value)?),
            b"GNU.sparse.minor" => self.minor = Some(decimal(value)?),
            // Version 0 calls the file's real size so, version 1 `realsize`.
            b"GNU.sparse.size" | b"GNU.sparse.realsize" => match self.real_size.replace(decimal(value)?) {
                None => {}
                Some(_) => return Err(bad()),
            },
            b"GNU.sparse.name" => self.name = Some(name()?),
            b"GNU.sparse.offset" | b"GNU.sparse.numbytes" => {
                let is_offset = key.ends_with(b"offset");
                if self.is_list || is_offset != self.map.len().is_multiple_of(2) {
                    return Err(bad());
                }
                self.push(decimal(value)?)?;
            }
            b"GNU.sparse.map" => {
                if !self.map.is_empty() {
                    return Err(bad());
                }
                self.is_list = true;
                for number in value.split(|&b| b == b',').filter(|n| !n.is_empty()) {
                    self.push(decimal(number)?)?;
                }
            }
            // The number of pieces, which one sees.
            _ => {}
        }
        Ok(())
    }

    fn push(&mut self, number: u64) -> Result<()> {
        self.map.push(number);
        match self.map.len() > 2 * limits::SPARSE_PIECES {
            true => Err(Error::new(Kind::Limit, "read a sparse map: too many pieces")),
            false => Ok(()),
        }
    }
}

fn xattr(into: &mut Xattrs, name: &[u8], value: Vec<u8>) -> Result<()> {
    if name.is_empty() || name.len() > 255 || name.contains(&0) {
        return Err(Error::invalid(format!("read the extended attribute `{}`: no name", text(name))));
    }
    into.push((name.to_vec(), value));
    Ok(())
}

/// A decimal number without sign.
pub(crate) fn decimal(text: &[u8]) -> Result<u64> {
    let bad = || Error::invalid(format!("read the number `{}`", text.escape_ascii()));
    if text.is_empty() {
        return Err(bad());
    }
    text.iter().try_fold(0u64, |n, &b| match b {
        b'0'..=b'9' => n.checked_mul(10).and_then(|n| n.checked_add(u64::from(b - b'0'))).ok_or_else(bad),
        _ => Err(bad()),
    })
}

/// Seconds since 1970 with a fraction, perhaps negative: `-1.5` is 1.5 seconds before.
fn time(text: &[u8]) -> Result<(i64, u32)> {
    let bad = || Error::invalid(format!("read the time `{}`", text.escape_ascii()));
    let (is_negative, digits) = match text.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = match digits.iter().position(|&b| b == b'.') {
        Some(at) => (&digits[..at], digits.get(at + 1..).unwrap_or_default()),
        None => (digits, &[][..]),
    };
    let whole = i64::try_from(decimal(whole)?).map_err(|_| bad())?;
    if !fraction.iter().all(u8::is_ascii_digit) {
        return Err(bad());
    }
    let nanoseconds = (0..9).fold(0u32, |n, at| n * 10 + fraction.get(at).map_or(0, |b| u32::from(b - b'0')));
    match (is_negative, nanoseconds) {
        (false, n) => Ok((whole, n)),
        (true, 0) => Ok((-whole, 0)),
        (true, n) => Ok((-whole - 1, 1_000_000_000 - n)),
    }
}

/// `%41` is `A`.
fn percent_decoded(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, tail)) = rest.split_first() {
        let hex = tail.get(..2).and_then(|h| std::str::from_utf8(h).ok());
        match hex.filter(|_| first == b'%').and_then(|h| u8::from_str_radix(h, 16).ok()) {
            Some(byte) => {
                plain.push(byte);
                rest = tail.get(2..).unwrap_or_default();
            }
            None => {
                plain.push(first);
                rest = tail;
            }
        }
    }
    plain
}

/// Base64 as libarchive writes it, with or without padding.
fn base64(text: &[u8]) -> Result<Vec<u8>> {
    let bad = || Error::invalid("read an extended attribute: not base64");
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    let (mut bits, mut held) = (0u32, 0u32);
    for &c in text.iter().filter(|c| **c != b'=') {
        let six = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return Err(bad()),
        };
        bits = bits << 6 | u32::from(six);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held & 0xff) as u8);
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_and_clashes_refused() {
        let r = parse(b"9 path=a\n18 mtime=-1.25000\n26 SCHILY.xattr.user.a=b\x00\n").unwrap();
        assert_eq!(r.path.as_deref(), Some(&b"a"[..]));
        assert_eq!(r.mtime, Some((-2, 750_000_000)));
        assert_eq!(r.xattrs, [(b"user.a".to_vec(), b"b\0".to_vec())]);
        let r = parse(b"33 LIBARCHIVE.xattr.user.%61=Yg\n").err().map(|e| e.to_string());
        assert!(r.is_some(), "a wrong length");
        let r = parse(b"32 LIBARCHIVE.xattr.user.%61=Yg\n").unwrap();
        assert_eq!(r.xattrs, [(b"user.a".to_vec(), b"b".to_vec())]);
        for bad in [
            &b"9 path=a\n9 path=b\n"[..],
            b"11 path=a\n",
            b"8 path=a\n",
            b"99999999999999999999 path=a\n",
            b"9 path=a",
            b"5 =a\n",
            b"11 size=-1\n",
            b"10 path=a\0\n",
            b"7 path=\n",
            b"7 size=\n",
            b"12 atime=1\n",
            b"11 atime=1\n11 atime=2\n",
            b"9 ab=1\n9 ab=2\n",
            b"25 SCHILY.xattr.user.a=b\n25 SCHILY.xattr.user.a=c\n",
            b"32 LIBARCHIVE.xattr.user.%61=Yg\n30 LIBARCHIVE.xattr.user.a=Yg\n",
            b"25 GNU.sparse.numbytes=1\n23 GNU.sparse.offset=1\n",
            b"21 GNU.sparse.size=1\n25 GNU.sparse.realsize=1\n",
        ] {
            assert!(parse(bad).is_err(), "{}", bad.escape_ascii());
        }
        // A line feed in a value is no end of a record, whatever looks like one behind it.
        let r = parse(b"34 SCHILY.xattr.user.a=\n9 path=a\n\n").unwrap();
        assert_eq!(r.xattrs, [(b"user.a".to_vec(), b"\n9 path=a\n".to_vec())]);
        assert_eq!(r.path, None);
        // In both ways, star's first or last.
        for both in [
            &b"30 LIBARCHIVE.xattr.user.a=Yg\n25 SCHILY.xattr.user.a=c\n"[..],
            b"25 SCHILY.xattr.user.a=c\n30 LIBARCHIVE.xattr.user.a=Yg\n",
        ] {
            assert_eq!(parse(both).unwrap().xattrs, [(b"user.a".to_vec(), b"c".to_vec())]);
        }
        check_global(b"14 comment=ab\n").unwrap();
        assert!(check_global(b"9 path=a\n").is_err());
    }
}
