//! ACLs as text, the way star, GNU tar and libarchive put them into PAX records, and as the kernel takes them.
//!
//! ```text
//! SCHILY.acl.access, SCHILY.acl.default            system.posix_acl_access, system.posix_acl_default
//! user::rw-            GNU tar: a line each        version 2, then of each entry
//! user:1234:rwx                                        tag 2, permissions 2, id 4
//! group::r--,mask::rwx star, bsdtar: commas            (linux/posix_acl_xattr.h, all little endian)
//! group:adm:r-x:4      with the id behind it
//! ```
//! A name means somebody only where it was written down: GNU tar writes names alone, whatever `--numeric-owner` says,
//! and numbers for ids that have none. The id that is given counts, then a number in the name's place, then `root`, which is
//! 0 everywhere. An entry for any other name is left out. The mask stays, so that nobody else gets more by that: without
//! the whole ACL, what the mask allows would be the owning group's.

use taru_oci::limits;
use taru_stdx::{Error, Kind, Result};

use crate::entry::{Xattrs, text};
use crate::pax::{Records, decimal};

const VERSION: u32 = 2;
const NO_ID: u32 = u32::MAX;

const USER_OBJ: u16 = 0x01;
const USER: u16 = 0x02;
const GROUP_OBJ: u16 = 0x04;
const GROUP: u16 = 0x08;
const MASK: u16 = 0x10;
const OTHER: u16 = 0x20;

/// One entry; they sort as the kernel wants them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Allowance {
    tag: u16,
    id: u32,
    permissions: u16,
}

/// The extended attributes of an entry of this mode: those that `records` has, and its ACLs. One that is given as an
/// attribute itself, with ids and not with names, is the one.
pub(crate) fn attributes(records: &mut Records, mode: u32) -> Result<Xattrs> {
    let mut xattrs = std::mem::take(&mut records.xattrs);
    let acls = [
        (&b"system.posix_acl_access"[..], records.access.take(), Some(mode)),
        (b"system.posix_acl_default", records.default.take(), None),
    ];
    for (name, words, mode) in acls {
        let Some(words) = words else { continue };
        let value = attribute(&words, mode)?;
        if let (Some(value), Err(at)) = (value, xattrs.binary_search_by(|(other, _)| other[..].cmp(name))) {
            xattrs.insert(at, (name.to_vec(), value));
        }
    }
    Ok(xattrs)
}

/// The attribute of an ACL in words; `None` if it says no more than a mode does, and of a default one if it says nothing.
///
/// `mode` is that of the file whose access it is: what both tell, the mode tells, as after chmod(2).
fn attribute(words: &[u8], mode: Option<u32>) -> Result<Option<Vec<u8>>> {
    let mut acl: Vec<Allowance> = Vec::new();
    let (mut has_left_out, mut is_empty) = (false, true);
    for words in words.split(|byte| matches!(byte, b'\n' | b',')) {
        // What getfacl(1) notes behind an entry.
        let words = words.split(|byte| *byte == b'#').next().unwrap_or_default().trim_ascii();
        if words.is_empty() {
            continue;
        }
        is_empty = false;
        let bad = || Error::invalid(format!("read the ACL entry `{}`", text(words)));
        match entry(words).ok_or_else(bad)? {
            Some(allowance) => acl.push(allowance),
            None => has_left_out = true,
        }
        if acl.len() * 8 > limits::XATTRS {
            return Err(Error::new(Kind::Limit, "read an ACL: it has too many entries"));
        }
    }
    if is_empty {
        return Ok(None);
    }
    acl.sort_unstable();
    if acl.windows(2).any(|two| matches!(two, [a, b] if (a.tag, a.id) == (b.tag, b.id))) {
        return Err(Error::invalid("read an ACL: an entry stands twice"));
    }
    let has = |tag: u16| acl.iter().any(|allowance| allowance.tag == tag);
    if ![USER_OBJ, GROUP_OBJ, OTHER].into_iter().all(has) {
        return Err(Error::invalid(
            "read an ACL: the entry of the owner, the group or the others is missing",
        ));
    }
    if (has(USER) || has(GROUP) || has_left_out) && !has(MASK) {
        return Err(Error::invalid("read an ACL: it has no mask"));
    }
    if let Some(mode) = mode {
        if !has(MASK) {
            return Ok(None);
        }
        for allowance in &mut acl {
            let shift = match allowance.tag {
                USER_OBJ => 6,
                MASK => 3,
                OTHER => 0,
                _ => continue,
            };
            allowance.permissions = (mode >> shift & 7) as u16;
        }
    }
    let mut value = VERSION.to_le_bytes().to_vec();
    for Allowance { tag, id, permissions } in acl {
        value.extend_from_slice(&tag.to_le_bytes());
        value.extend_from_slice(&permissions.to_le_bytes());
        value.extend_from_slice(&id.to_le_bytes());
    }
    Ok(Some(value))
}

/// An entry: `None` if it is none, `Some(None)` for somebody whose id nobody tells.
fn entry(words: &[u8]) -> Option<Option<Allowance>> {
    let mut fields: Vec<&[u8]> = words.split(|byte| *byte == b':').map(<[u8]>::trim_ascii).collect();
    if matches!(fields.first(), Some(&(b"default" | b"d"))) && fields.len() > 2 {
        fields.remove(0);
    }
    let (kind, who, permissions, id) = match fields[..] {
        // As Solaris writes those that have nobody's name.
        [kind @ (b"mask" | b"m" | b"other" | b"o"), permissions] => (kind, &b""[..], permissions, None),
        [kind, who, permissions] => (kind, who, permissions, None),
        [kind, who, permissions, id] => (kind, who, permissions, Some(number(id)?)),
        _ => return None,
    };
    let permissions = allowed(permissions)?;
    let tag = match (kind, who.is_empty()) {
        (b"user" | b"u", true) => USER_OBJ,
        (b"user" | b"u", false) => USER,
        (b"group" | b"g", true) => GROUP_OBJ,
        (b"group" | b"g", false) => GROUP,
        (b"mask" | b"m", true) => MASK,
        (b"other" | b"o", true) => OTHER,
        _ => return None,
    };
    if who.is_empty() {
        return id.is_none().then_some(Some(Allowance { tag, id: NO_ID, permissions }));
    }
    let id = match id {
        Some(id) => Some(id),
        None if who.iter().all(u8::is_ascii_digit) => Some(number(who)?),
        None => (who == b"root").then_some(0),
    };
    Some(id.map(|id| Allowance { tag, id, permissions }))
}

/// `r-x`, and what acl_from_text(3) takes as well: letters in any order, dashes or none.
fn allowed(letters: &[u8]) -> Option<u16> {
    let bits = letters.iter().try_fold(0, |bits, letter| {
        let bit = match letter {
            b'r' => 4,
            b'w' => 2,
            b'x' => 1,
            b'-' => return Some(bits),
            _ => return None,
        };
        (bits & bit == 0).then_some(bits | bit)
    });
    bits.filter(|_| !letters.is_empty())
}

/// An id; 2^32-1 means "no id" to the kernel.
fn number(digits: &[u8]) -> Option<u32> {
    let id = decimal(digits).ok()?;
    u32::try_from(id).ok().filter(|id| *id != NO_ID)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The attribute as `TAG:ID:PERMISSIONS` of each entry, with `-` for no id.
    fn access(words: &str, mode: u32) -> Result<Option<String>> {
        Ok(attribute(words.as_bytes(), Some(mode))?.map(|value| shown(&value)))
    }

    fn default(words: &str) -> Result<Option<String>> {
        Ok(attribute(words.as_bytes(), None)?.map(|value| shown(&value)))
    }

    fn shown(value: &[u8]) -> String {
        let (version, entries) = value.split_first_chunk::<4>().unwrap();
        assert_eq!(u32::from_le_bytes(*version), 2);
        let (entries, []) = entries.as_chunks::<8>() else { panic!("{value:?}") };
        let words = entries.iter().map(|entry| {
            let [a, b, c, d, id @ ..] = *entry;
            let id = match u32::from_le_bytes(id) {
                NO_ID => "-".to_owned(),
                id => id.to_string(),
            };
            format!("{}:{id}:{}", u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d]))
        });
        words.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn an_acl_is_read_in_every_form() {
        let whole = Some("1:-:6 2:7:4 2:1234:7 4:-:4 8:4:5 16:-:7 32:-:4".to_owned());
        for words in [
            // GNU tar, where nobody has a name.
            "user::rw-\nuser:7:r--\nuser:1234:rwx\ngroup::r--\ngroup:4:r-x\nmask::rwx\nother::r--\n",
            // bsdtar and star.
            "user::rw-,user:daemon:r--:7,user:x:rwx:1234,group::r--,group:adm:r-x:4,mask::rwx,other::r--",
            "user::rw-,group::r--,mask:rwx,other:r--,user:1234:rwx,user:7:r--:7,group:4:r-x",
            // By hand.
            " u::rw\nu:7:r\t#effective:r--\n\nu:1234:xwr\n# a note\ng::r\ng:4:rx\nm::rwx\no::r",
        ] {
            assert_eq!(access(words, 0o100_674).unwrap(), whole, "{words}");
        }
        // Numbers are names of somebody else where an id says so.
        let numbered = "u::rw-,u:7:r--:8,g::r--,m::r--,o::---";
        assert_eq!(access(numbered, 0o640).unwrap().unwrap(), "1:-:6 2:8:4 4:-:4 16:-:4 32:-:0");
    }

    #[test]
    fn the_mode_tells_what_both_tell() {
        assert_eq!(access("user::rwx\ngroup::r-x\nother::r-x\n", 0o700).unwrap(), None);
        assert_eq!(
            access("u::---,u:7:rwx,g::rwx,m::---,o::rwx", 0o4750).unwrap().unwrap(),
            "1:-:7 2:7:7 4:-:7 16:-:5 32:-:0"
        );
        // Of a default one there is no mode, and three entries are one.
        assert_eq!(default("user::rwx\ngroup::r-x\nother::r-x").unwrap().unwrap(), "1:-:7 4:-:5 32:-:5");
        assert_eq!(
            default("default:user::rwx,d:u:7:r--,d:g::r-x,default:mask:r-x,d:o::---").unwrap().unwrap(),
            { "1:-:7 2:7:4 4:-:5 16:-:5 32:-:0" }
        );
        assert_eq!((default("").unwrap(), access("\n", 0).unwrap()), (None, None));
    }

    #[test]
    fn a_name_without_an_id_is_left_out_and_the_mask_stays() {
        let words =
            "user::rw-\nuser:root:rw-\nuser:daemon:rwx\ngroup::---\ngroup:adm:r-x\nmask::rwx\nother::---";
        assert_eq!(access(words, 0o670).unwrap().unwrap(), "1:-:6 2:0:6 4:-:0 16:-:7 32:-:0");
        let only = "user::rw-,user:daemon:rwx,group::---,mask::rwx,other::---";
        assert_eq!(access(only, 0o670).unwrap().unwrap(), "1:-:6 4:-:0 16:-:7 32:-:0");
    }

    #[test]
    fn what_is_no_acl_is_refused() {
        for words in [
            "acl",
            "user::rwx",
            "user::rwx,group::r-x",
            "user::rwx,group::r-x,other::rwxrwx",
            "user::rwx,group::r-x,other::",
            "user::rwx,group::r-x,other::r-s",
            "user::rwx,group::r-x,other:7:r-x",
            "user::rwx,group::r-x,other::r-x:7",
            "user::rwx,group::r-x,other::r-x,who::r-x",
            "user::rwx,group::r-x,other::r-x,user:7:r-x",
            "user::rwx,group::r-x,other::r-x,user:daemon:r-x",
            "user::rwx,user::rwx,group::r-x,other::r-x",
            "user::rwx,user:7:r--,user:a:rwx:7,group::r-x,mask::r-x,other::r-x",
            "user::rwx,user:4294967295:r--,group::r-x,mask::r-x,other::r-x",
            "user::rwx,user:99999999999999999999:r--,group::r-x,mask::r-x,other::r-x",
            "user::rwx,user:a:r--:b,group::r-x,mask::r-x,other::r-x",
            "user::rwx,user:a:r--:1:2,group::r-x,mask::r-x,other::r-x",
            "owner@:rwx::allow",
            "\u{0}",
        ] {
            assert!(access(words, 0o755).is_err() && default(words).is_err(), "{words}");
        }
        let crowd: String = (0..20_000).map(|id| format!("user:{id}:r--\n")).collect();
        assert_eq!(default(&crowd).unwrap_err().kind(), Kind::Limit);
    }
}
