//! The host's users, groups and subordinate ids, from their files. No name service: a static program
//! loads no library, and namespaces have only numbers.

use std::path::Path;

use taru_stdx::{Error, Kind, Result, fs, parse};

/// No such file has more.
const LIMIT: u64 = 16 << 20;

/// The id of the user `text`: a number, or a name of `/etc/passwd`.
///
/// # Errors
/// [`Kind::NotFound`] for a name that is not there.
pub fn user(text: &str) -> Result<u32> {
    id(text, "user", Path::new("/etc/passwd"))
}

/// The id of the group `text`: a number, or a name of `/etc/group`.
///
/// # Errors
/// [`Kind::NotFound`] for a name that is not there.
pub fn group(text: &str) -> Result<u32> {
    id(text, "group", Path::new("/etc/group"))
}

fn id(text: &str, what: &str, file: &Path) -> Result<u32> {
    if let Ok(id) = parse::id(text) {
        return Ok(id);
    }
    find(&fs::read_bounded(file, LIMIT)?, text).ok_or_else(|| {
        Error::new(Kind::NotFound, format!("find the {what} `{text}` in `{}`: no such name", file.display()))
    })
}

/// The name of the user `uid`, if `/etc/passwd` has one.
pub fn user_name(uid: u32) -> Option<String> {
    let passwd = fs::read_bounded(Path::new("/etc/passwd"), LIMIT).ok()?;
    let text = String::from_utf8_lossy(&passwd);
    let wanted = uid.to_string();
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == wanted).then(|| name.to_owned())
    })
}

/// The first group of the user `uid`, as `/etc/passwd` has it.
pub fn first_group(uid: u32) -> Option<u32> {
    let passwd = fs::read_bounded(Path::new("/etc/passwd"), LIMIT).ok()?;
    let text = String::from_utf8_lossy(&passwd);
    let wanted = uid.to_string();
    text.lines().find_map(|line| {
        let mut fields = line.split(':').skip(2);
        (fields.next()? == wanted).then(|| fields.next().and_then(|gid| parse::id(gid).ok()))?
    })
}

/// The third field of the line whose first is `name`.
fn find(table: &[u8], name: &str) -> Option<u32> {
    let text = String::from_utf8_lossy(table);
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next()? == name).then(|| fields.nth(1).and_then(|id| parse::id(id).ok()))?
    })
}

/// A range of subordinate ids: the first, and how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subordinate {
    /// The first id.
    pub first: u32,
    /// How many.
    pub count: u32,
}

/// The first range that `file` (`/etc/subuid`, `/etc/subgid`) grants the user `uid`, by name or number.
///
/// # Errors
/// [`Kind::NotFound`] where there is none.
pub fn subordinate(file: &Path, uid: u32) -> Result<Subordinate> {
    let none = || {
        Error::new(Kind::NotFound, format!("find user {uid} in `{}`: no range is granted", file.display()))
            .hint(format!("as root: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {uid}"))
    };
    let table = fs::read_bounded(file, LIMIT).map_err(|e| none().because(e))?;
    granted(&table, uid, user_name(uid).as_deref()).ok_or_else(none)
}

fn granted(table: &[u8], uid: u32, name: Option<&str>) -> Option<Subordinate> {
    let (text, number) = (String::from_utf8_lossy(table), uid.to_string());
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let owner = fields.next()?;
        if owner != number && Some(owner) != name {
            return None;
        }
        let (first, count) = (parse::id(fields.next()?).ok()?, parse::id(fields.next()?.trim()).ok()?);
        (count > 0 && first.checked_add(count).is_some()).then_some(Subordinate { first, count })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_read_and_bad_lines_passed_over() {
        let passwd = b"root:x:0:0::/root:/bin/sh\nbad\nweb:x:33:33\n\xff:x:5:5\nhuge:x:99999999999:1\n";
        assert_eq!(find(passwd, "web"), Some(33));
        for missing in ["we", "", "bad", "huge"] {
            assert_eq!(find(passwd, missing), None, "{missing}");
        }
        let sub = b"bob:1:2\neve:x:5\neve:100000:65536\n7:200:10\n";
        let range = |first, count| Some(Subordinate { first, count });
        assert_eq!(granted(sub, 1000, Some("eve")), range(100_000, 65536));
        assert_eq!(granted(sub, 7, None), range(200, 10));
        assert_eq!(granted(sub, 8, Some("e")), None);
        assert_eq!(user("0").unwrap(), 0);
        assert_eq!(user("root").unwrap(), 0);
        assert_eq!(group("no such group").unwrap_err().kind(), Kind::NotFound);
    }
}
