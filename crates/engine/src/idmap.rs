//! Which ids of the host a container's users are.
//!
//! * Started by root: each container has 65536 host ids that no other container, user or service has
//!   (blocks from 0x7000_0000, a range that no convention gives away: systemd's own containers end below
//!   it). What breaks out of it, or shares a kernel object with another container, is nobody.
//! * Started by an ordinary user: root inside is that user; the other ids are the user's subordinate
//!   ones, where `/etc/subuid` and `/etc/subgid` grant some and newuidmap(1) is installed, else there are none.
//! * With `--userns host` ids are the host's, as with Docker's defaults; only root can ask for it.

use std::path::Path;

use taru_runtime::spec::IdMapping;
use taru_stdx::fs::read_bounded;
use taru_stdx::{Error, Kind, Result};

use crate::config::Userns;

/// The first host id of the first block.
const FIRST: u32 = 0x7000_0000;
/// How many ids a block has: what nobody(65534) and systemd in a container need.
pub const SIZE: u32 = 1 << 16;
/// How many blocks there are: up to 0x7ffd_ffff, below the range systemd keeps for foreign images.
const BLOCKS: u32 = 0xffe;

/// Whose ids a container has, and how they are mapped. Empty maps: the host's own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IdMaps {
    /// User ids.
    pub uids: Vec<IdMapping>,
    /// Group ids.
    pub gids: Vec<IdMapping>,
}

/// The user who runs `taru`.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Effective user id.
    pub uid: u32,
    /// Effective group id.
    pub gid: u32,
    /// The name, if `/etc/passwd` has one.
    pub name: Option<String>,
}

impl Caller {
    /// The user of this process.
    pub fn current() -> Caller {
        let (uid, gid) = (taru_sys::user::geteuid(), taru_sys::user::getegid());
        // Only an ordinary user's name is needed: for the grants in /etc/subuid.
        let passwd = if uid == 0 {
            Vec::new()
        } else {
            read_bounded(Path::new("/etc/passwd"), 1 << 20).unwrap_or_default()
        };
        let passwd = String::from_utf8_lossy(&passwd);
        let name = passwd.lines().find_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            (fields.nth(1)? == uid.to_string()).then(|| name.to_owned())
        });
        Caller { uid, gid, name }
    }
}

impl IdMaps {
    /// Whether the container has a user namespace.
    pub fn is_private(&self) -> bool {
        !self.uids.is_empty()
    }

    /// The host's (uid, gid) that root is in the container.
    pub fn root(&self) -> (u32, u32) {
        let of = |maps: &[IdMapping]| maps.iter().find(|m| m.container_id == 0).map_or(0, |m| m.host_id);
        (of(&self.uids), of(&self.gids))
    }
}

/// The lowest block that is not among `taken`, which is sorted.
pub(crate) fn free_block(taken: &[u32]) -> Option<u32> {
    let mut taken = taken.iter().peekable();
    for block in 0..BLOCKS {
        let base = FIRST + block * SIZE;
        while taken.peek().is_some_and(|&&t| t < base) {
            taken.next();
        }
        if taken.peek() != Some(&&base) {
            return Some(base);
        }
    }
    None
}

/// Decides the maps of a container.
///
/// # Errors
/// [`Kind::Permission`] if an ordinary user asks for the host's ids.
pub fn choose(caller: &Caller, userns: Userns, block: Option<u32>) -> Result<IdMaps> {
    match (userns, caller.uid, block) {
        (Userns::Host, 0, _) => Ok(IdMaps::default()),
        (Userns::Host, ..) => Err(Error::new(Kind::Permission, "run with --userns host as an ordinary user")
            .hint("leave the option out: root inside is then you outside")),
        (Userns::Private, 0, Some(base)) => {
            let all = vec![IdMapping { container_id: 0, host_id: base, size: SIZE }];
            Ok(IdMaps { uids: all.clone(), gids: all })
        }
        (Userns::Private, ..) => {
            Ok(subordinate(caller, |path| read_bounded(Path::new(path), 1 << 20).unwrap_or_default()))
        }
    }
}

/// The caller as root, then the ids granted to the caller; both files must grant some, and the two
/// programs that write such a map must be there.
fn subordinate(caller: &Caller, read: impl Fn(&str) -> Vec<u8>) -> IdMaps {
    let single = |id| IdMapping { container_id: 0, host_id: id, size: 1 };
    let mut maps = IdMaps { uids: vec![single(caller.uid)], gids: vec![single(caller.gid)] };
    let grant = |path| granted(&read(path), caller);
    if let (Some(uids), Some(gids)) = (grant("/etc/subuid"), grant("/etc/subgid"))
        && ["newuidmap", "newgidmap"].iter().all(|p| is_installed(p))
    {
        maps.uids.push(IdMapping { container_id: 1, host_id: uids.0, size: uids.1.min(SIZE) });
        maps.gids.push(IdMapping { container_id: 1, host_id: gids.0, size: gids.1.min(SIZE) });
    }
    maps
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.is_absolute() && dir.join(program).exists())
}

/// The first range of subuid(5) text that is the caller's: (first id, how many).
fn granted(text: &[u8], caller: &Caller) -> Option<(u32, u32)> {
    let number = caller.uid.to_string();
    String::from_utf8_lossy(text).lines().find_map(|line| {
        let mut fields = line.split(':');
        let owner = fields.next()?;
        if owner != number && Some(owner) != caller.name.as_deref() {
            return None;
        }
        let first: u32 = fields.next()?.trim().parse().ok()?;
        let count: u32 = fields.next()?.trim().parse().ok()?;
        (first > 0 && count > 0 && first.checked_add(count).is_some()).then_some((first, count))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_disjoint_and_end() {
        assert_eq!(free_block(&[]), Some(0x7000_0000));
        assert_eq!(free_block(&[0x7000_0000, 0x7002_0000]), Some(0x7001_0000));
        assert_eq!(free_block(&[5, 0x7000_0000, 0x7001_0000]), Some(0x7002_0000));
        let all: Vec<u32> = (0..BLOCKS).map(|b| FIRST + b * SIZE).collect();
        assert_eq!(free_block(&all), None);
        assert_eq!(all.last().unwrap() + SIZE - 1, 0x7ffd_ffff);
    }

    #[test]
    fn subordinate_ids_are_found_by_name_or_number_and_bad_lines_passed_over() {
        let caller = Caller { uid: 1000, gid: 1000, name: Some("eve".into()) };
        let find = |text: &str| granted(text.as_bytes(), &caller);
        assert_eq!(find("bob:1:2\neve:100000:65536\n"), Some((100_000, 65_536)));
        assert_eq!(find("1000:100000:65536"), Some((100_000, 65_536)));
        for bad in ["", "eve", "eve:x:1", "eve:1:0", "eve:0:5", "eve:4294967295:2", "evel:1:2"] {
            assert_eq!(find(bad), None, "{bad}");
        }
        let none = subordinate(&caller, |_| Vec::new());
        assert_eq!((none.uids.len(), none.root()), (1, (1000, 1000)));
    }

    #[test]
    fn only_root_has_the_hosts_ids() {
        let user = Caller { uid: 1000, gid: 1000, name: None };
        assert_eq!(choose(&user, Userns::Host, None).unwrap_err().kind(), Kind::Permission);
        let root = Caller { uid: 0, gid: 0, name: None };
        assert!(!choose(&root, Userns::Host, None).unwrap().is_private());
        assert_eq!(choose(&root, Userns::Private, Some(FIRST)).unwrap().root(), (FIRST, FIRST));
    }
}
