//! The id maps of a new user namespace: which ranges, and who writes them.

use std::process::{Command, Stdio};

use taru_mount::idmap::{IdMaps, Range, check, to_text};
use taru_rootdir::Proc;
use taru_stdx::{Context, Error, Kind, Result, parse};
use taru_sys::caps::{self, Capabilities};

/// `--map-users` and `--map-groups` as typed: `OUTER,INNER,COUNT`, or the user's subordinate ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// The first range of `/etc/subuid` or `/etc/subgid`.
    Auto,
    /// This range.
    Range {
        /// The first id outside.
        outer: u32,
        /// The first id inside.
        inner: u32,
        /// How many.
        count: u32,
    },
}

impl std::str::FromStr for Wanted {
    type Err = Error;

    fn from_str(text: &str) -> Result<Wanted> {
        if text == "auto" {
            return Ok(Wanted::Auto);
        }
        let numbers: Vec<u32> = text.split(',').map(parse::id).collect::<Result<_>>()?;
        match numbers[..] {
            [outer, inner, count] => Ok(Wanted::Range { outer, inner, count }),
            _ => Err(Error::invalid(format!("parse `{text}` as a map"))
                .hint("a map is OUTER,INNER,COUNT, such as 100000,0,65536, or `auto`")),
        }
    }
}

/// Joins the one id of `--map-user` (`inner`, `outer`) with a range, which gives way to it: an id of the
/// range that would be mapped twice moves on by one, and the range ends one earlier.
pub fn join(single: Option<(u32, u32)>, range: Option<Range>) -> Vec<Range> {
    let (single, range) = match (single, range) {
        (None, None) => return Vec::new(),
        (Some((inner, outer)), None) => return vec![Range::new(inner, outer, 1)],
        (None, Some(range)) => return vec![range],
        (Some((inner, outer)), Some(range)) => (Range::new(inner, outer, 1), range),
    };
    let holds = |first: u32, id: u32| id.checked_sub(first).is_some_and(|o| o < range.length);
    let mut rest = range;
    // The outer id is mapped once only: leave it out of the range.
    let mut parts = Vec::new();
    if holds(rest.outside, single.outside) {
        let before = single.outside - rest.outside;
        parts.push(Range { length: before, ..rest });
        rest = Range::new(rest.inside + before, rest.outside + before + 1, rest.length - before - 1);
    }
    parts.push(rest);
    // The inner id too: what stands there moves on by one.
    let mut all = vec![single];
    let mut shift = 0;
    for part in parts {
        let part = Range { inside: part.inside.saturating_add(shift), ..part };
        let inside = single.inside.checked_sub(part.inside).filter(|&o| o < part.length);
        match inside {
            Some(before) if shift == 0 => {
                all.push(Range { length: before, ..part });
                // One id fewer where none was left out above, so that the end stays where it was asked for.
                let left_out = u32::from(!holds(range.outside, single.outside));
                let after = (part.length - before).saturating_sub(left_out);
                all.push(Range::new(part.inside + before + 1, part.outside + before, after));
                shift = 1;
            }
            _ => all.push(part),
        }
    }
    all.retain(|r| r.length > 0);
    all.sort_by_key(|r| r.inside);
    all
}

/// Whether this process may write any map: it has the capabilities over the ids.
pub fn is_privileged() -> bool {
    let mut wanted = ["setuid", "setgid"].iter().filter_map(|n| Capabilities::named(n));
    caps::capget().is_ok_and(|own| wanted.all(|cap| own.effective.contains(cap)))
}

/// Writes the maps of another process, which is `in_proc` in `proc` and `pid` here: directly where this
/// process may, else through newuidmap(1) and newgidmap(1), which know the user's subordinate ids.
///
/// # Errors
/// [`Kind::Invalid`] for impossible maps; [`Kind::NotFound`] without the two programs.
pub fn write(proc: &Proc, in_proc: &str, pid: i32, maps: &IdMaps) -> Result<()> {
    for (file, program, map) in [("uid_map", "newuidmap", &maps.uids), ("gid_map", "newgidmap", &maps.gids)] {
        if map.is_empty() {
            continue;
        }
        check(map)?;
        if is_privileged() {
            proc.write(&format!("{in_proc}/{file}"), to_text(map).as_bytes())?;
        } else {
            run_mapper(program, pid, map)?;
        }
    }
    Ok(())
}

fn run_mapper(program: &str, pid: i32, map: &[Range]) -> Result<()> {
    let numbers = map.iter().flat_map(|r| [r.inside, r.outside, r.length]).map(|n| n.to_string());
    let done = Command::new(program).arg(pid.to_string()).args(numbers).stdin(Stdio::null()).output();
    let done = match done {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            return Err(Error::new(Kind::NotFound, format!("execute `{program}`: not installed"))
                .hint("it is in the package `uidmap` (Debian) or `shadow-utils` (Fedora)"));
        }
        done => done.context(|| format!("execute `{program}`"))?,
    };
    if done.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&done.stderr);
    Err(Error::new(Kind::Permission, format!("map ids with `{program}`: {}", said.trim())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn total(ranges: &[Range]) -> u32 {
        ranges.iter().map(|r| r.length).sum()
    }

    #[test]
    fn one_id_and_a_range_share_the_space() {
        let range = |i, o, l| Range::new(i, o, l);
        assert_eq!(join(None, None), []);
        assert_eq!(join(Some((0, 1000)), None), [range(0, 1000, 1)]);
        assert_eq!(join(None, Some(range(0, 100_000, 10))), [range(0, 100_000, 10)]);
        // As `unshare -r --map-auto`: root is the user, the rest follows.
        assert_eq!(
            join(Some((0, 1000)), Some(range(0, 100_000, 10))),
            [range(0, 1000, 1), range(1, 100_000, 9)]
        );
        // In the middle.
        assert_eq!(
            join(Some((5, 1000)), Some(range(0, 100_000, 10))),
            [range(0, 100_000, 5), range(5, 1000, 1), range(6, 100_005, 4)]
        );
        // Beside.
        assert_eq!(
            join(Some((0, 1000)), Some(range(1, 100_000, 10))),
            [range(0, 1000, 1), range(1, 100_000, 10)]
        );
        // The outer id lies in the range.
        assert_eq!(
            join(Some((50, 3)), Some(range(0, 0, 10))),
            [range(0, 0, 3), range(3, 4, 6), range(50, 3, 1)]
        );
        // Both.
        let both = join(Some((2, 5)), Some(range(0, 0, 10)));
        check(&both).unwrap();
        assert_eq!(total(&both), 10);
        // Every combination is a map that the kernel takes.
        for inner in 0..14 {
            for outer in 0..14 {
                let joined = join(Some((inner, outer)), Some(range(2, 3, 8)));
                check(&joined).unwrap_or_else(|e| panic!("{inner} {outer}: {} {joined:?}", e.chain()));
                assert!(joined.contains(&range(inner, outer, 1)) || total(&joined) >= 8, "{inner} {outer}");
            }
        }
    }

    #[test]
    fn maps_as_typed() {
        assert_eq!("auto".parse::<Wanted>().unwrap(), Wanted::Auto);
        let typed = Wanted::Range { outer: 100_000, inner: 0, count: 65536 };
        assert_eq!("100000,0,65536".parse::<Wanted>().unwrap(), typed);
        for bad in ["", "1,2", "1,2,3,4", "a,b,c", "1, 2,3"] {
            assert!(bad.parse::<Wanted>().is_err(), "{bad}");
        }
    }
}
