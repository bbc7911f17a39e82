//! PAX records: `LENGTH KEY=VALUE\n`, which say what a header has no room for.

use taru_oci::limits;
use taru_stdx::{Error, Kind, Result};

use super::Xattrs;

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
    /// GNU.sparse.*: version 0 has its map here, version 1 in front of the content.
    pub(crate) sparse: Sparse,
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
}

/// Reads the records in `bytes`.
pub(crate) fn parse(mut bytes: &[u8]) -> Result<Records> {
    let mut records = Records::default();
    while !bytes.is_empty() {
        // Writers may fill up with zeros.
        if bytes.iter().all(|&b| b == 0) {
            break;
        }
        let bad = || Error::invalid("read a PAX record: not `LENGTH KEY=VALUE`");
        let blank = bytes.iter().take(20).position(|&b| b == b' ').ok_or_else(bad)?;
        let (length, _) = bytes.split_at(blank);
        let length = usize::try_from(decimal(length)?).map_err(|_| bad())?;
        let record = bytes.get(blank + 1..length).ok_or_else(bad)?;
        let record = record.strip_suffix(b"\n").ok_or_else(bad)?;
        bytes = bytes.get(length..).ok_or_else(bad)?;
        let equals = record.iter().position(|&b| b == b'=').filter(|&at| at > 0).ok_or_else(bad)?;
        let (key, value) = record.split_at(equals);
        records.take(key, value.get(1..).unwrap_or_default())?;
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

/// Checks a global header, which other readers pass over or apply: it may say nothing that matters.
pub(crate) fn check_global(bytes: &[u8]) -> Result<()> {
    let records = parse(bytes)?;
    let Records { path, link, size, uid, gid, mtime, xattrs, sparse } = &records;
    let matters = path.is_some()
        || link.is_some()
        || size.is_some()
        || uid.is_some()
        || gid.is_some()
        || mtime.is_some()
        || !xattrs.is_empty()
        || sparse.is_used;
    match matters {
        true => Err(Error::invalid("read a global PAX header: it changes the entries that follow")),
        false => Ok(()),
    }
}

/// Puts `value` where none is yet.
fn once<T>(place: &mut Option<T>, key: &[u8], value: T) -> Result<()> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(Error::invalid(format!("read the PAX record `{}`: given twice", key.escape_ascii()))),
    }
}

impl Records {
    fn take(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        const STAR: &[u8] = b"SCHILY.xattr.";
        const LIBARCHIVE: &[u8] = b"LIBARCHIVE.xattr.";
        let no_nul = || match value.contains(&0) {
            true => Err(Error::invalid(format!("read the PAX record `{}`: a NUL byte", key.escape_ascii()))),
            false => Ok(value.to_vec()),
        };
        match key {
            b"path" => once(&mut self.path, key, no_nul()?),
            b"linkpath" => once(&mut self.link, key, no_nul()?),
            b"size" => once(&mut self.size, key, decimal(value)?),
            b"uid" => once(&mut self.uid, key, decimal(value)?),
            b"gid" => once(&mut self.gid, key, decimal(value)?),
            b"mtime" => once(&mut self.mtime, key, time(value)?),
            b"GNU.sparse.major" => self.sparse_number(|s| &mut s.major, key, value),
            b"GNU.sparse.minor" => self.sparse_number(|s| &mut s.minor, key, value),
            // Version 0 calls the file's real size so, version 1 `realsize`.
            b"GNU.sparse.size" | b"GNU.sparse.realsize" => {
                self.sparse_number(|s| &mut s.real_size, key, value)
            }
            b"GNU.sparse.name" => {
                self.sparse.is_used = true;
                once(&mut self.sparse.name, key, no_nul()?)
            }
            b"GNU.sparse.numblocks" => {
                self.sparse.is_used = true;
                Ok(())
            }
            b"GNU.sparse.offset" | b"GNU.sparse.numbytes" => self.sparse_map(decimal(value)?),
            b"GNU.sparse.map" => {
                self.sparse.is_used = true;
                let numbers = value.split(|&b| b == b',').filter(|n| !n.is_empty());
                numbers.map(decimal).try_for_each(|n| self.sparse_map(n?))
            }
            _ if key.starts_with(STAR) => self.xattr(&key[STAR.len()..], value.to_vec()),
            _ if key.starts_with(LIBARCHIVE) => {
                let name = percent_decoded(&key[LIBARCHIVE.len()..]);
                // bsdtar writes both; star's is the one that says it plainly.
                match self.xattrs.iter().any(|(known, _)| *known == name) {
                    true => Ok(()),
                    false => self.xattr(&name, base64(value)?),
                }
            }
            _ => Ok(()),
        }
    }

    fn sparse_number(
        &mut self,
        place: fn(&mut Sparse) -> &mut Option<u64>,
        key: &[u8],
        value: &[u8],
    ) -> Result<()> {
        self.sparse.is_used = true;
        once(place(&mut self.sparse), key, decimal(value)?)
    }

    fn sparse_map(&mut self, number: u64) -> Result<()> {
        self.sparse.is_used = true;
        self.sparse.map.push(number);
        match self.sparse.map.len() > 2 * limits::SPARSE_PIECES {
            true => Err(Error::new(Kind::Limit, "read a sparse map: too many pieces")),
            false => Ok(()),
        }
    }

    fn xattr(&mut self, name: &[u8], value: Vec<u8>) -> Result<()> {
        if name.is_empty() || name.len() > 255 || name.contains(&0) {
            return Err(Error::invalid(format!(
                "read the extended attribute `{}`: no name",
                name.escape_ascii()
            )));
        }
        // libarchive's spelling came first: star's wins.
        self.xattrs.retain(|(known, _)| known != name);
        self.xattrs.push((name.to_vec(), value));
        Ok(())
    }
}

/// A decimal number without sign.
pub(super) fn decimal(text: &[u8]) -> Result<u64> {
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
        ] {
            assert!(parse(bad).is_err(), "{}", bad.escape_ascii());
        }
        check_global(b"14 comment=ab\n").unwrap();
        assert!(check_global(b"9 path=a\n").is_err());
    }
}
