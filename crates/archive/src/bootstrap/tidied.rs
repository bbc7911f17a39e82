//! A root file system without what the machine that made it left in it.

use taru_stdx::Result;
use taru_tar::{Entry, Kind};

use crate::path;

/// Directories whose content is a running machine's.
const EMPTIED: &[&str] = &[
    "dev/",
    "proc/",
    "sys/",
    "run/",
    "tmp/",
    "var/tmp/",
    "var/cache/apt/archives/partial/",
    "var/lib/apt/lists/auxfiles/",
];
/// Directories whose files, at any depth, are logs, caches or lists.
const WITHOUT_FILES: &[&str] = &["var/log/", "var/cache/apt/", "var/lib/apt/lists/"];
/// Files of one machine, and what holds the time of a run.
const REMOVED: &[&str] = &[
    "etc/hostname",
    "etc/resolv.conf",
    "var/lib/dbus/machine-id",
    "var/cache/ldconfig/aux-cache",
    "var/lib/systemd/random-seed",
    "etc/.pwd.lock",
    "var/lib/dpkg/lock",
    "var/lib/dpkg/lock-frontend",
    "var/lib/dpkg/triggers/Lock",
];
/// Copies of the state before the last change.
const OLD: &[&str] = &["var/lib/dpkg/", "var/cache/debconf/"];

/// What stays of an entry; times are at most `epoch`.
pub(super) fn tidied(mut entry: Entry, epoch: u64) -> Result<Option<Entry>> {
    let path = path::normal(&entry.path)?;
    let is_dir = entry.kind == Kind::Directory;
    let below = |dir: &&&str| path.len() > dir.len() - 1 && path.starts_with(**dir);
    if EMPTIED.iter().any(|dir| below(&dir)) || (!is_dir && WITHOUT_FILES.iter().any(|dir| below(&dir))) {
        return Ok(None);
    }
    if REMOVED.contains(&path.as_str()) || (path.ends_with("-old") && OLD.iter().any(|dir| below(&dir))) {
        return Ok(None);
    }
    // Empty: systemd gives each machine its own at its first start (machine-id(5)).
    if path == "etc/machine-id" {
        entry.kind = Kind::file(0);
    }
    // Whole seconds, as some of the tools below know no more.
    entry.mtime = (entry.mtime.0.min(i64::try_from(epoch).unwrap_or(i64::MAX)), 0);
    Ok(Some(entry))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_machine_leaves_is_left_out() {
        let kept = |kind, path: &str| {
            let mut entry = Entry::new(kind, path, 0o644);
            entry.mtime = (2000, 5);
            tidied(entry, 1000).unwrap()
        };
        for gone in [
            "./dev/null",
            "./run/lock/x",
            "var/log/apt/history.log",
            "./var/cache/apt/pkgcache.bin",
            "./etc/hostname",
            "./var/lib/dpkg/status-old",
        ] {
            assert_eq!(kept(Kind::file(5), gone), None, "{gone}");
        }
        assert_eq!(kept(Kind::Directory, "./dev/pts/"), None);
        for dir in ["./", "./dev/", "./run/", "./tmp/", "./var/log/apt/", "./var/cache/apt/archives/"] {
            assert!(kept(Kind::Directory, dir).is_some(), "{dir}");
        }
        assert_eq!(kept(Kind::file(5), "./etc/machine-id").unwrap().stored(), 0);
        let passwd = kept(Kind::file(5), "./etc/passwd").unwrap();
        assert_eq!((passwd.stored(), passwd.mtime), (5, (1000, 0)));
        assert!(kept(Kind::file(5), "./device").is_some());
    }
}
