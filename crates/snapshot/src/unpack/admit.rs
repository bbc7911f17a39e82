//! Extended attributes as a file system on disk would take them: some kinds of files cannot have some, an ACL is checked and
//! changes the mode, one that says no more than the mode is not kept.

use std::borrow::Cow;

use taru_stdx::{Error, Result};
use taru_tar::Xattrs;

use crate::attribute::{DEFAULT_ACL, is_acl};

/// Whose attributes they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    File,
    Directory,
    Symlink,
    /// A device or a fifo.
    Node,
}

/// What is kept.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Admitted<'x> {
    pub(super) mode: u32,
    pub(super) xattrs: Cow<'x, Xattrs>,
    /// Names of those that such a file cannot have.
    pub(super) refused: Vec<Vec<u8>>,
}

/// What becomes of one.
enum Fate {
    Kept,
    /// Such a file cannot have it.
    Refused,
    /// It says no more than the mode.
    Dropped,
}

/// What becomes of `xattrs` and of the mode.
///
/// # Errors
/// For one that the kernel would find wrong.
pub(super) fn admit(mode: u32, xattrs: &Xattrs, of: Of) -> Result<Admitted<'_>> {
    let mut admitted = Admitted { mode, xattrs: Cow::Borrowed(xattrs), refused: Vec::new() };
    if xattrs.is_empty() {
        return Ok(admitted);
    }
    let mut kept = Xattrs::new();
    for (name, value) in xattrs {
        let wrong = |why: &str| Error::invalid(format!("set `{}`: {why}", name.escape_ascii()));
        let fate = match &name[..] {
            name if is_acl(name) => acl(name, value, of, &mut admitted.mode).map_err(wrong)?,
            b"security.capability" if !is_capability(value) => return Err(wrong("it is no capability")),
            // The kernel keeps those of users from what has no content of its own.
            name if name.starts_with(b"user.") && matches!(of, Of::Symlink | Of::Node) => Fate::Refused,
            name if name == b"user." || name.contains(&0) || name.len() > 255 => {
                return Err(wrong("no name of an attribute"));
            }
            _ => Fate::Kept,
        };
        match fate {
            Fate::Kept => kept.push((name.clone(), value.clone())),
            Fate::Refused => admitted.refused.push(name.clone()),
            Fate::Dropped => {}
        }
    }
    if kept.len() < xattrs.len() {
        admitted.xattrs = Cow::Owned(kept);
    }
    Ok(admitted)
}

/// The revision and, of the third, the root's id: linux/capability.h, `struct vfs_ns_cap_data`.
fn is_capability(value: &[u8]) -> bool {
    matches!((value.len(), value.get(3)), (20, Some(2)) | (24, Some(3)))
}

/// An ACL as linux/posix_acl_xattr.h has it: a version, then tag, permissions and id of each entry.
fn acl(name: &[u8], value: &[u8], of: Of, mode: &mut u32) -> std::result::Result<Fate, &'static str> {
    const NONE: &str = "it is no ACL";
    // Tags: the owner, a user, the owning group, a group, the mask, all others.
    const OWNER: u16 = 1;
    const USER: u16 = 2;
    const OWNING: u16 = 4;
    const GROUP: u16 = 8;
    const MASK: u16 = 0x10;
    const OTHER: u16 = 0x20;
    if of == Of::Symlink {
        return Ok(Fate::Refused);
    }
    let Some((version, rest)) = value.split_at_checked(4) else {
        return if value.is_empty() { Ok(Fate::Dropped) } else { Err(NONE) };
    };
    if version != [2, 0, 0, 0] {
        return Ok(Fate::Refused);
    }
    let entries = rest.chunks_exact(8);
    if !entries.remainder().is_empty() {
        return Err(NONE);
    }
    if rest.is_empty() {
        return Ok(Fate::Dropped);
    }
    // Entries come in the order of their tags; whoever is named needs a mask.
    let (mut before, mut names, mut permissions) = (0, false, 0);
    for entry in entries {
        let short = |at: usize| u16::from_le_bytes([entry[at], entry[at + 1]]);
        let (tag, may) = (short(0), short(2));
        let is_named = matches!(tag, USER | GROUP);
        let is_next = match tag {
            OWNER => before == 0,
            USER => matches!(before, OWNER | USER),
            OWNING => matches!(before, OWNER | USER),
            GROUP | MASK => matches!(before, OWNING | GROUP),
            OTHER => before == MASK || matches!(before, OWNING | GROUP) && !names,
            _ => false,
        };
        if !is_next || may > 7 || is_named && entry[4..] == [0xff; 4] {
            return Err(NONE);
        }
        let shift = match tag {
            OWNER => Some(6),
            OWNING | MASK => Some(3),
            OTHER => Some(0),
            _ => None,
        };
        if let Some(shift) = shift {
            permissions = permissions & !(7 << shift) | u32::from(may) << shift;
        }
        names |= is_named;
        before = tag;
    }
    if before != OTHER {
        return Err(NONE);
    }
    if name == DEFAULT_ACL {
        return if of == Of::Directory { Ok(Fate::Kept) } else { Err("it is no directory") };
    }
    *mode = *mode & !0o777 | permissions;
    let has_mask = value.len() > 4 + 3 * 8;
    Ok(if has_mask { Fate::Kept } else { Fate::Dropped })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCESS: &str = "system.posix_acl_access";

    fn value(entries: &[(u16, u16, u32)]) -> Vec<u8> {
        let mut value = vec![2, 0, 0, 0];
        for (tag, may, id) in entries {
            value.extend(tag.to_le_bytes().into_iter().chain(may.to_le_bytes()).chain(id.to_le_bytes()));
        }
        value
    }

    fn one(name: &str, value: Vec<u8>) -> Xattrs {
        vec![(name.into(), value)]
    }

    /// Mode, how many are kept, how many refused.
    fn fate(xattrs: &Xattrs, of: Of) -> Option<(u32, usize, usize)> {
        admit(0o4640, xattrs, of).ok().map(|a| (a.mode, a.xattrs.len(), a.refused.len()))
    }

    const NONE: u32 = u32::MAX;

    #[test]
    fn what_a_file_system_would_do_is_done() {
        let large =
            one(ACCESS, value(&[(1, 7, NONE), (2, 4, 5), (4, 1, NONE), (16, 5, NONE), (32, 0, NONE)]));
        assert_eq!(fate(&large, Of::File), Some((0o4750, 1, 0)));
        assert_eq!(fate(&large, Of::Node), Some((0o4750, 1, 0)));
        assert_eq!(fate(&large, Of::Symlink), Some((0o4640, 0, 1)));
        let small = one(ACCESS, value(&[(1, 7, NONE), (4, 5, NONE), (32, 1, NONE)]));
        assert_eq!(fate(&small, Of::Directory), Some((0o4751, 0, 0)));
        let default = one("system.posix_acl_default", value(&[(1, 7, NONE), (4, 5, NONE), (32, 1, NONE)]));
        assert_eq!(fate(&default, Of::Directory), Some((0o4640, 1, 0)));
        assert_eq!(fate(&default, Of::File), None);
        assert_eq!(fate(&one(ACCESS, vec![2, 0, 0, 0]), Of::File), Some((0o4640, 0, 0)));
        assert_eq!(fate(&one(ACCESS, vec![1, 0, 0, 0]), Of::File), Some((0o4640, 0, 1)));
        for wrong in [
            &[(1, 7, NONE), (4, 5, NONE)][..],
            &[(1, 7, NONE), (2, 4, 5), (4, 5, NONE), (32, 1, NONE)],
            &[(4, 7, NONE), (1, 5, NONE), (32, 1, NONE)],
            &[(1, 8, NONE), (4, 5, NONE), (32, 1, NONE)],
            &[(1, 7, NONE), (2, 4, NONE), (4, 1, NONE), (16, 5, NONE), (32, 0, NONE)],
            &[(1, 7, NONE), (4, 5, NONE), (32, 1, NONE), (32, 1, NONE)],
        ] {
            assert_eq!(fate(&one(ACCESS, value(wrong)), Of::File), None, "{wrong:?}");
        }
        let user = one("user.a", Vec::new());
        assert_eq!(fate(&user, Of::File), Some((0o4640, 1, 0)));
        assert_eq!(fate(&user, Of::Node), Some((0o4640, 0, 1)));
        assert_eq!(fate(&one("user.", Vec::new()), Of::File), None);
        assert_eq!(fate(&one("security.capability", vec![0; 20]), Of::File), None);
    }
}
