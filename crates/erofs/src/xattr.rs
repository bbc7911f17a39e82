//! Extended attributes as they lie behind an inode.
//!
//! ```text
//! [ header, 12 bytes of zero ][ length of name, which prefix, length of value | name | value | to a multiple of 4 ] ...
//! ```

use taru_stdx::Result;

use crate::file::Xattr;
use crate::output::no_room;

/// What a name begins with; an entry has the rest of it.
const PREFIXES: [(&[u8], u8); 3] = [(b"user.", 1), (b"trusted.", 4), (b"security.", 6)];
/// ACLs are nothing but their prefix.
const WHOLE: [(&[u8], u8); 2] = [(b"system.posix_acl_access", 2), (b"system.posix_acl_default", 3)];
const HEADER: usize = 12;
/// An inode counts them in units of 4 bytes, with 16 bits.
const MOST: usize = HEADER + 4 * (u16::MAX as usize - 1);

/// Appends them to `into`, which is empty.
///
/// # Errors
/// [`taru_stdx::Kind::Limit`] for what has no place there.
pub(crate) fn encode(xattrs: &[Xattr], into: &mut Vec<u8>) -> Result<()> {
    if xattrs.is_empty() {
        return Ok(());
    }
    into.resize(HEADER, 0);
    for (name, value) in xattrs {
        let no_room = || no_room(&format!("the attribute `{}`", name.escape_ascii()));
        let whole = WHOLE.iter().find(|(known, _)| known == name).map(|(_, index)| (*index, &[][..]));
        let part = || PREFIXES.iter().find_map(|(prefix, index)| Some((*index, name.strip_prefix(*prefix)?)));
        let (index, rest) = whole.or_else(part).ok_or_else(no_room)?;
        let length = u8::try_from(rest.len()).map_err(|_| no_room())?;
        let size = u16::try_from(value.len()).map_err(|_| no_room())?;
        into.extend_from_slice(&[length, index]);
        into.extend_from_slice(&size.to_le_bytes());
        into.extend_from_slice(rest);
        into.extend_from_slice(value);
        into.resize(into.len().next_multiple_of(4), 0);
        if into.len() > MOST {
            return Err(no_room());
        }
    }
    Ok(())
}

/// What [`encode`] made.
pub(crate) fn decode(bytes: &[u8]) -> Vec<Xattr> {
    let mut rest = bytes.get(HEADER..).unwrap_or_default();
    let mut xattrs = Vec::new();
    while let Some(([length, index, size @ ..], behind)) = rest.split_first_chunk::<4>() {
        let (length, size) = (usize::from(*length), usize::from(u16::from_le_bytes(*size)));
        let prefix = PREFIXES.iter().chain(&WHOLE).find(|(_, known)| known == index);
        let (Some((prefix, _)), Some((name, value))) = (prefix, behind.split_at_checked(length)) else {
            break;
        };
        let Some(value) = value.get(..size) else { break };
        xattrs.push(([prefix, name].concat(), value.to_vec()));
        rest = rest.get((4 + length + size).next_multiple_of(4)..).unwrap_or_default();
    }
    xattrs
}

/// Whether `bytes` are what [`encode`] makes: no attribute, or entries without a gap up to their end.
pub(crate) fn is_encoded(bytes: &[u8]) -> bool {
    let Some((header, mut rest)) = bytes.split_first_chunk::<HEADER>() else { return bytes.is_empty() };
    if *header != [0; HEADER] || rest.is_empty() {
        return false;
    }
    while let Some(([length, index, size @ ..], behind)) = rest.split_first_chunk::<4>() {
        let (length, size) = (usize::from(*length), usize::from(u16::from_le_bytes(*size)));
        let is_part = PREFIXES.iter().any(|(_, known)| known == index);
        let is_whole = length == 0 && WHOLE.iter().any(|(_, known)| known == index);
        let padded = (length + size).next_multiple_of(4);
        let Some((entry, next)) = behind.split_at_checked(padded) else { return false };
        let (name, padding) = (entry.get(..length), entry.get(length + size..));
        let are_zeros = |bytes: &[u8]| bytes.iter().all(|byte| *byte == 0);
        if !(is_part || is_whole)
            || name.is_none_or(|name| name.contains(&0))
            || !padding.is_some_and(are_zeros)
        {
            return false;
        }
        rest = next;
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_prefix_and_the_rest() {
        let mut bytes = Vec::new();
        encode(&[], &mut bytes).unwrap();
        assert!(bytes.is_empty());
        let xattrs = [
            (b"user.ab".to_vec(), b"xyz".to_vec()),
            (b"system.posix_acl_default".to_vec(), vec![1, 2]),
            (b"security.capability".to_vec(), Vec::new()),
        ];
        encode(&xattrs, &mut bytes).unwrap();
        let expected = [
            &[0; 12][..],
            b"\x02\x01\x03\0abxyz\0\0\0",
            b"\0\x03\x02\0\x01\x02\0\0",
            b"\x0a\x06\0\0capability\0\0",
        ];
        assert_eq!(bytes, expected.concat());
        assert_eq!(decode(&bytes), xattrs);
        assert!(is_encoded(&bytes) && is_encoded(&[]) && !is_encoded(&bytes[..12]));
        for at in [0, 11, 12, 13, 14, 15, 21, 22, 23, 24, 25, 26, 33] {
            let mut wrong = bytes.clone();
            // No length is multiplied by four, no prefix is another's.
            wrong[at] ^= 0x80;
            assert!(!is_encoded(&wrong), "{at}");
        }
        for length in (1..bytes.len()).filter(|length| ![24, 32].contains(length)) {
            assert!(!is_encoded(&bytes[..length]), "{length}");
        }
        for (name, size) in [("system.other", 0), ("user.big", 1 << 16)] {
            let error = encode(&[(name.into(), vec![0; size])], &mut Vec::new()).unwrap_err();
            assert_eq!(error.kind(), taru_stdx::Kind::Limit);
        }
    }
}
