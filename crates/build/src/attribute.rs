//! Extended attributes of files on disk, as a layer has them: with no id of this host in them.
//!
//! ```text
//! system.posix_acl_*     version 2, then of each entry: tag 2, permissions 2, id 4 (of the tags USER and GROUP)
//! security.capability    revision and flags 4, four sets of 4, in revision 3 the id that is root where it holds: 4
//! ```
//! All little endian (linux/posix_acl_xattr.h, linux/capability.h).

use taru_snapshot::IdMaps;

use crate::ids;

const CAPABILITY: &[u8] = b"security.capability";
const ACL: &[u8] = b"system.posix_acl_";

/// Whose files they are.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Owners<'a> {
    /// A layer's, with an ordinary user's ids on disk if there are maps.
    Image(Option<&'a IdMaps>),
    /// The host's; this user's, who builds, are root's in the image.
    Host(u32),
}

/// The value in a layer of an attribute that belongs to files of images; `None` for what has no place in one.
pub(crate) fn of_image(name: &[u8], value: Vec<u8>, owners: Owners<'_>) -> Option<Vec<u8>> {
    match owners {
        Owners::Image(None) => Some(value),
        Owners::Image(Some(maps)) if name == CAPABILITY => {
            capability(value, |root| ids::inside(&maps.uids, root))
        }
        Owners::Image(Some(maps)) if name.starts_with(ACL) => acl(value, maps),
        // What a capability is worth in another user namespace of the host is nothing in the image.
        Owners::Host(own) if name == CAPABILITY => capability(value, |root| (root == own).then_some(0)),
        // As its owners, those of an ACL are nobody there.
        Owners::Host(_) if name.starts_with(ACL) => None,
        _ => Some(value),
    }
}

/// A capability whose root is `root` of what it says; in revision 2, which means root's, where that is 0.
fn capability(mut value: Vec<u8>, root: impl Fn(u32) -> Option<u32>) -> Option<Vec<u8>> {
    const REVISION: usize = 3;
    let Some((_, id)) = value.split_at_checked(20).filter(|_| value.get(REVISION) == Some(&3)) else {
        return Some(value);
    };
    match root(u32::from_le_bytes(id.try_into().ok()?))? {
        0 => {
            value.truncate(20);
            *value.get_mut(REVISION)? = 2;
        }
        id => value.get_mut(20..)?.copy_from_slice(&id.to_le_bytes()),
    }
    Some(value)
}

/// An ACL with the ids of the image.
fn acl(mut value: Vec<u8>, maps: &IdMaps) -> Option<Vec<u8>> {
    const USER: u16 = 0x02;
    const GROUP: u16 = 0x08;
    for entry in value.get_mut(4..)?.chunks_exact_mut(8) {
        let (tag, id) = entry.split_at_mut(4);
        let map = match u16::from_le_bytes([tag[0], tag[1]]) {
            USER => &maps.uids,
            GROUP => &maps.gids,
            _ => continue,
        };
        let outside = u32::from_le_bytes((&*id).try_into().ok()?);
        id.copy_from_slice(&ids::inside(map, outside).unwrap_or(ids::NOBODY).to_le_bytes());
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use taru_snapshot::Range;

    fn maps() -> IdMaps {
        let map = vec![Range::new(0, 1000, 1), Range::new(1, 100_000, 65535)];
        IdMaps { uids: map.clone(), gids: map }
    }

    #[test]
    fn capabilities_lose_the_hosts_root() {
        let of = |revision: u8, root: &[u8]| {
            let mut value = vec![1, 0, 0, revision, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
            value.extend_from_slice(root);
            value
        };
        let image = |value, owners| of_image(CAPABILITY, value, owners);
        let (maps, plain) = (maps(), of(2, &[]));
        for owners in [Owners::Image(None), Owners::Image(Some(&maps)), Owners::Host(1000)] {
            assert_eq!(image(plain.clone(), owners), Some(plain.clone()));
        }
        let (mine, other) = (of(3, &1000u32.to_le_bytes()), of(3, &100_004u32.to_le_bytes()));
        assert_eq!(image(mine.clone(), Owners::Image(Some(&maps))), Some(plain.clone()));
        assert_eq!(image(other.clone(), Owners::Image(Some(&maps))), Some(of(3, &5u32.to_le_bytes())));
        assert_eq!(image(other.clone(), Owners::Image(None)), Some(other.clone()));
        assert_eq!(image(mine, Owners::Host(1000)), Some(plain));
        assert_eq!(image(other, Owners::Host(1000)), None);
        assert_eq!(image(of(3, &7u32.to_le_bytes()), Owners::Image(Some(&maps))), None);
    }

    #[test]
    fn acls_have_the_ids_of_the_image() {
        let of = |user: u32, group: u32| {
            let mut value = vec![2, 0, 0, 0, 1, 0, 7, 0, 255, 255, 255, 255];
            for (tag, id) in [(2, user), (8, group)] {
                value.extend_from_slice(&[tag, 0, 6, 0]);
                value.extend_from_slice(&id.to_le_bytes());
            }
            value.extend_from_slice(&[16, 0, 7, 0, 255, 255, 255, 255]);
            value
        };
        let image = |value, owners| of_image(b"system.posix_acl_access", value, owners);
        let maps = maps();
        assert_eq!(image(of(100_032, 1000), Owners::Image(Some(&maps))), Some(of(33, 0)));
        assert_eq!(image(of(5, 6), Owners::Image(Some(&maps))), Some(of(ids::NOBODY, ids::NOBODY)));
        assert_eq!(image(of(5, 6), Owners::Image(None)), Some(of(5, 6)));
        assert_eq!(image(of(5, 6), Owners::Host(0)), None);
        assert_eq!(of_image(b"user.a", vec![1], Owners::Host(0)), Some(vec![1]));
    }
}
