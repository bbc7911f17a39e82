//! Whose ids the files of an ordinary user's store have. Written down: what `/etc/subuid` grants may change, and
//! newuidmap(1) may be missing on some `PATH`.
//!
//! | the user's ids, since the store was made | becomes |
//! |---|---|
//! | are the same | – |
//! | are more, the old ones among them | a layer of a single id, which has lost its owners, is taken away once no container stands on it |
//! | are others, or fewer | an error: nobody could read what is there, and not remove it either; but for an empty store |

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};
use taru_mount::idmap::{IdMaps, Range};
use taru_stdx::fs::{Sync, read_bounded, replace};
use taru_stdx::{Context, Error, Kind, Result};

use crate::layout::{IDS, LAYERS, ROOTS, STAGING};

/// As in the file: inside, outside, how many.
type Map = Vec<(u32, u32, u32)>;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    uids: Map,
    gids: Map,
}

impl Known {
    fn of(maps: &IdMaps) -> Known {
        let map = |map: &[Range]| map.iter().map(|r| (r.inside, r.outside, r.length)).collect();
        Known { uids: map(&maps.uids), gids: map(&maps.gids) }
    }

    /// The first range of `then` that is not as it was, and the file that grants such.
    fn lacks<'k>(&self, then: &'k Known) -> Option<(&'k (u32, u32, u32), &'static str)> {
        let first = |now: &Map, then: &'k Map| then.iter().find(|range| !has(now, range));
        let uid = first(&self.uids, &then.uids).map(|range| (range, "/etc/subuid"));
        uid.or_else(|| first(&self.gids, &then.gids).map(|range| (range, "/etc/subgid")))
    }
}

/// Whether ids of `map` are what they are in the range.
fn has(map: &Map, &(inside, outside, length): &(u32, u32, u32)) -> bool {
    map.iter().any(|&(first, at, count)| {
        first <= inside
            && u64::from(inside) + u64::from(length) <= u64::from(first) + u64::from(count)
            && i64::from(outside) - i64::from(at) == i64::from(inside) - i64::from(first)
    })
}

/// Compares the ids that the store in `dir` was kept with to those of today; whether there are more now.
///
/// # Errors
/// [`Kind::State`] where some are missing.
pub(crate) fn check(dir: &Path, maps: &IdMaps) -> Result<bool> {
    let now = Known::of(maps);
    let path = dir.join(IDS);
    let then: Known = match read_bounded(&path, 1 << 16) {
        Err(e) if e.kind() == Kind::NotFound => return keep(dir, maps).map(|()| false),
        text => serde_json::from_slice(&text?).context(|| format!("read `{}`", path.display()))?,
    };
    if then == now {
        return Ok(false);
    }
    let Some((&(_, outside, length), file)) = now.lacks(&then) else { return Ok(true) };
    if is_empty(dir)? {
        return keep(dir, maps).map(|()| false);
    }
    let last = u64::from(outside) + u64::from(length) - 1;
    let text =
        format!("open `{}`: its files have ids that are not yours now: {outside}-{last}", dir.display());
    Err(Error::new(Kind::State, text)
        .hint(format!("`{file}` must grant them, and newuidmap and newgidmap must be on the PATH"))
        .hint("if they are gone for good, only root can remove the directory"))
}

/// Notes the ids of today.
pub(crate) fn keep(dir: &Path, maps: &IdMaps) -> Result<()> {
    let path = dir.join(IDS);
    let text = serde_json::to_vec(&Known::of(maps)).context(|| format!("write `{}`", path.display()))?;
    replace(&path, &text, 0o600, Sync::Durable)
}

fn is_empty(dir: &Path) -> Result<bool> {
    for name in [LAYERS, ROOTS, STAGING] {
        let path = dir.join(name);
        if fs::read_dir(&path).context(|| format!("list `{}`", path.display()))?.next().is_some() {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_the_same_ids_or_missing() {
        let map = vec![(0, 1000, 1), (1, 300_000, 65536)];
        for range in [(0, 1000, 1), (1, 300_000, 65536), (1, 300_000, 10), (11, 300_010, 5)] {
            assert!(has(&map, &range), "{range:?}");
        }
        for range in [(0, 1001, 1), (0, 1000, 2), (1, 300_001, 1), (1, 300_000, 65537), (70_000, 1, 1)] {
            assert!(!has(&map, &range), "{range:?}");
        }
    }
}
