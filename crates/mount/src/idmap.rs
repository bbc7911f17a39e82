//! Id maps, and user namespaces that exist only to carry one.

use std::fmt::Write;
use std::os::fd::{AsFd, OwnedFd};

use taru_rootdir::Proc;
use taru_stdx::{Context, Error, Result};
use taru_sys::fs::OpenFlags;
use taru_sys::ns::Namespaces;
use taru_sys::process::{self, Clone};

/// The kernel's bound on the ranges of one map (user_namespaces(7), since 4.15).
pub const MAX_RANGES: usize = 340;

/// A range of ids: `length` of them from `inside` on mean those from `outside` on.
///
/// For a mount `inside` is the id on the file system, `outside` the one that processes see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Range {
    /// The first id in the namespace.
    pub inside: u32,
    /// The first id in its parent.
    pub outside: u32,
    /// How many.
    pub length: u32,
}

impl Range {
    /// A range.
    pub const fn new(inside: u32, outside: u32, length: u32) -> Range {
        Range { inside, outside, length }
    }

    /// What `id` inside is outside.
    pub fn to_outside(self, id: u32) -> Option<u32> {
        let offset = id.checked_sub(self.inside).filter(|&o| o < self.length)?;
        self.outside.checked_add(offset)
    }
}

/// The maps of users and of groups.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IdMaps {
    /// Users.
    pub uids: Vec<Range>,
    /// Groups.
    pub gids: Vec<Range>,
}

/// A map as `uid_map` takes it: a line a range.
pub fn to_text(map: &[Range]) -> String {
    map.iter().fold(String::new(), |mut text, r| {
        let _ = writeln!(text, "{} {} {}", r.inside, r.outside, r.length);
        text
    })
}

/// The map in the text of a `uid_map`.
///
/// # Errors
/// [`taru_stdx::Kind::Invalid`] with the first line that is no range.
pub fn parse(text: &str) -> Result<Vec<Range>> {
    text.lines().filter(|line| !line.trim().is_empty()).map(parse_line).collect()
}

fn parse_line(line: &str) -> Result<Range> {
    let bad = || Error::invalid(format!("parse `{line}` as a range of ids"));
    let numbers: Vec<u32> =
        line.split_ascii_whitespace().map(|n| n.parse().map_err(|_| bad())).collect::<Result<_>>()?;
    match numbers[..] {
        [inside, outside, length] => Ok(Range { inside, outside, length }),
        _ => Err(bad()),
    }
}

/// Checks what the kernel would refuse with a bare `EINVAL`: emptiness, overflow, overlap, number.
///
/// # Errors
/// [`taru_stdx::Kind::Invalid`] with the range.
pub fn check(map: &[Range]) -> Result<()> {
    if map.is_empty() || map.len() > MAX_RANGES {
        return Err(Error::invalid(format!("map ids: {} ranges, not 1 to {MAX_RANGES}", map.len())));
    }
    for (at, range) in map.iter().enumerate() {
        let shown = format!("map ids `{} {} {}`", range.inside, range.outside, range.length);
        let end = |first: u32| u64::from(first) + u64::from(range.length);
        // 2³²−1 means "no id" to the kernel.
        if range.length == 0 || end(range.inside) > u32::MAX.into() || end(range.outside) > u32::MAX.into() {
            return Err(Error::invalid(format!("{shown}: empty or beyond 4294967294")));
        }
        let overlaps = |a: u32, a_length: u32, b: u32, b_length: u32| {
            u64::from(a) < u64::from(b) + u64::from(b_length)
                && u64::from(b) < u64::from(a) + u64::from(a_length)
        };
        for other in map.iter().take(at) {
            if overlaps(range.inside, range.length, other.inside, other.length)
                || overlaps(range.outside, range.length, other.outside, other.length)
            {
                return Err(Error::invalid(format!("{shown}: overlaps another range")));
            }
        }
    }
    Ok(())
}

/// A user namespace with these maps and no process in it, for [`crate::Mount::idmap`].
///
/// A child is made for a moment: it waits in the new namespace until its maps are written and the
/// namespace's descriptor is taken, and ends. The caller must have one thread only, as for every clone.
///
/// # Errors
/// [`taru_stdx::Kind::Invalid`] for maps that cannot be; [`taru_stdx::Kind::Permission`] without the right
/// to the ids outside.
pub fn user_namespace(proc: &Proc, maps: &IdMaps) -> Result<OwnedFd> {
    let what = || "make a user namespace for an id map";
    check(&maps.uids).context(what)?;
    check(&maps.gids).context(what)?;
    let (parent, child_end) = taru_sys::socket::seqpacket_pair().context(what)?;
    let how = Clone { namespaces: Namespaces::USER, ..Clone::default() };
    let Some(child) = process::clone3(&how).context(what)? else {
        // *child*: tells by which number `proc` knows it (it may count another pid namespace than ours),
        // and is there until the parent closes its end, however that comes about.
        drop(parent);
        let name = proc.read_link("self").unwrap_or_default();
        let number = name.as_os_str().as_encoded_bytes();
        if taru_sys::socket::send_with_fds(child_end.as_fd(), number, &[]).is_ok() {
            let _ = taru_sys::socket::receive_with_fds(child_end.as_fd(), 1);
        }
        process::exit_now(0);
    };
    drop(child_end);
    let made = (|| {
        let message = taru_sys::socket::receive_with_fds(parent.as_fd(), 32).context(what)?;
        let number = std::str::from_utf8(&message.data).ok().and_then(|n| n.parse().ok());
        let dir = proc.pid(number.ok_or_else(|| Error::invalid("read `/proc/self`: not a number"))?)?;
        dir.write("uid_map", to_text(&maps.uids).as_bytes())?;
        dir.write("gid_map", to_text(&maps.gids).as_bytes())?;
        dir.follow("ns/user", OpenFlags::RDONLY)
    })();
    drop(parent);
    process::wait_pidfd(child.pidfd.as_fd()).context(what)?;
    made.context(what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_are_read_written_and_checked() {
        let map = parse("         0     100000      65536\n 65536 1 2\n").unwrap();
        assert_eq!(map, [Range::new(0, 100_000, 65536), Range::new(65536, 1, 2)]);
        assert_eq!(to_text(&map), "0 100000 65536\n65536 1 2\n");
        assert_eq!(map[0].to_outside(5), Some(100_005));
        assert_eq!(map[0].to_outside(65536), None);
        check(&map).unwrap();
        check(&[Range::new(0, 0, u32::MAX)]).unwrap();
        for bad in [
            &[][..],
            &[Range::new(0, 0, 0)],
            &[Range::new(1, 0, u32::MAX)],
            &[Range::new(0, 0, 10), Range::new(9, 100, 1)],
            &[Range::new(0, 0, 10), Range::new(100, 9, 1)],
            &[Range::new(0, 0, 1); 341],
        ] {
            assert!(check(bad).is_err(), "{bad:?}");
        }
        for bad in ["1 2", "1 2 3 4", "a b c", "-1 0 1", "0 0 4294967296"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
