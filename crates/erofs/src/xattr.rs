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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_prefix_and_the_rest() {
        let mut bytes = Vec::new();
        encode(&[], &mut bytes).unwrap();
        assert_eq!(bytes, []);
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
        for (name, size) in [("system.other", 0), ("user.big", 1 << 16)] {
            let error = encode(&[(name.into(), vec![0; size])], &mut Vec::new()).unwrap_err();
            assert_eq!(error.kind(), taru_stdx::Kind::Limit);
        }
    }
}
