//! `--user`: a name or number looked up in the container's own files.
//!
//! `USER[:GROUP]`, each a name or a number, with Docker's rules: without a group it is the one that
//! passwd(5) names for the user, else 0; the further groups are those that group(5) lists the user in, unless
//! a group was given. The files are foreign data: read within bounds, bad lines passed over.

use taru_stdx::{Error, Kind, Result, parse};

/// Who a process runs as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// User id in the container.
    pub uid: u32,
    /// Group id in the container.
    pub gid: u32,
    /// Further group ids.
    pub groups: Vec<u32>,
    /// The home directory.
    pub home: String,
}

/// The most further groups one user gets; the kernel's limit is 65536.
const GROUPS_LIMIT: usize = 1024;

struct Account<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

/// Looks `wanted` up in the text of passwd(5) and group(5) files.
///
/// # Errors
/// [`Kind::NotFound`] for a name that is not there.
pub fn find(wanted: &str, passwd: &[u8], group: &[u8]) -> Result<User> {
    let passwd = String::from_utf8_lossy(passwd);
    let group = String::from_utf8_lossy(group);
    let (user, group_wanted) = match wanted.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (wanted, None),
    };
    let account = match parse::id(user) {
        Ok(uid) => {
            accounts(&passwd).find(|a| a.uid == uid).unwrap_or(Account { name: "", uid, gid: 0, home: "/" })
        }
        Err(_) => accounts(&passwd).find(|a| a.name == user).ok_or_else(|| {
            Error::new(
                Kind::NotFound,
                format!("find user `{user}` in the container's /etc/passwd: no such user"),
            )
            .hint("a number needs no entry: --user 1000:1000")
        })?,
    };
    let home = if account.home.is_empty() { "/" } else { account.home }.to_owned();
    let (gid, further) = match group_wanted {
        Some(name) => (find_group(name, &group)?, Vec::new()),
        None => (account.gid, memberships(account.name, &group)),
    };
    Ok(User { uid: account.uid, gid, groups: further, home })
}

fn accounts(passwd: &str) -> impl Iterator<Item = Account<'_>> {
    passwd.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let [name, _, uid, gid, _, home, ..] = fields[..] else { return None };
        Some(Account { name, uid: parse::id(uid).ok()?, gid: parse::id(gid).ok()?, home })
    })
}

/// Name, id and members of each group.
fn groups(group: &str) -> impl Iterator<Item = (&str, u32, &str)> {
    group.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let [name, _, gid, members, ..] = fields[..] else { return None };
        Some((name, parse::id(gid).ok()?, members))
    })
}

fn find_group(wanted: &str, group: &str) -> Result<u32> {
    if let Ok(gid) = parse::id(wanted) {
        return Ok(gid);
    }
    let found = groups(group).find(|(name, ..)| *name == wanted).map(|(_, gid, _)| gid);
    found.ok_or_else(|| {
        Error::new(
            Kind::NotFound,
            format!("find group `{wanted}` in the container's /etc/group: no such group"),
        )
    })
}

fn memberships(name: &str, group: &str) -> Vec<u32> {
    if name.is_empty() {
        return Vec::new();
    }
    let member = groups(group).filter(|(.., members)| members.split(',').any(|m| m == name));
    let mut gids: Vec<u32> = member.map(|(_, gid, _)| gid).take(GROUPS_LIMIT).collect();
    gids.sort_unstable();
    gids.dedup();
    gids
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &[u8] = b"root:x:0:0:root:/root:/bin/bash\nbroken\nweb:x:33:34::/var/www:/bin/sh\nmany:x:99999999999:1::/:\n\xff\n";
    const GROUP: &[u8] = b"root:x:0:\nadm:x:4:web,eve\nwww:x:34:\ntty:x:5:web\nbad\n";

    #[test]
    fn names_numbers_and_groups() {
        let find = |wanted| find(wanted, PASSWD, GROUP);
        let user = |uid, gid, groups: &[u32], home: &str| User {
            uid,
            gid,
            groups: groups.to_vec(),
            home: home.into(),
        };
        assert_eq!(find("root").unwrap(), user(0, 0, &[], "/root"));
        assert_eq!(find("web").unwrap(), user(33, 34, &[4, 5], "/var/www"));
        assert_eq!(find("33").unwrap(), user(33, 34, &[4, 5], "/var/www"));
        assert_eq!(find("web:adm").unwrap(), user(33, 4, &[], "/var/www"));
        assert_eq!(find("1234").unwrap(), user(1234, 0, &[], "/"));
        assert_eq!(find("1234:7").unwrap(), user(1234, 7, &[], "/"));
        for missing in ["nobody", "web:nogroup", "", "many", "-1", "4294967295"] {
            assert_eq!(find(missing).unwrap_err().kind(), Kind::NotFound, "{missing}");
        }
    }
}
