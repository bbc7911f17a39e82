//! `hugetlb`: huge pages by size, in use and reserved.

use std::collections::BTreeMap;

use taru_stdx::{Error, Result};
use taru_sys::errno;

use super::files::{CounterFiles, counter, read};
use super::text;
use crate::dir::Dir;
use crate::group::Place;
use crate::stats::Counter;

pub(super) fn apply(place: Place<'_>, limits: &BTreeMap<String, u64>) -> Result<()> {
    for (size, bytes) in limits {
        check(size)?;
        let value = bytes.to_string();
        match place {
            Place::V1(dir) => {
                dir.write(&format!("hugetlb.{size}.limit_in_bytes"), &value)?;
                reserved(dir, &format!("hugetlb.{size}.rsvd.limit_in_bytes"), &value)?;
            }
            Place::V2(dir) => {
                dir.write(&format!("hugetlb.{size}.max"), &value)?;
                reserved(dir, &format!("hugetlb.{size}.rsvd.max"), &value)?;
            }
            Place::Nowhere => {}
        }
    }
    Ok(())
}

/// Reservations are limited too, where the kernel counts them (Linux 5.7): a limit on faults alone kills
/// with SIGBUS.
fn reserved(dir: &Dir, file: &str, value: &str) -> Result<()> {
    match dir.try_write(file, value) {
        Err(e) if e.errno() != errno::NOENT => Err(dir.explain(file, e)),
        _ => Ok(()),
    }
}

/// A page size as the kernel writes it in file names.
fn check(size: &str) -> Result<()> {
    let digits = size.trim_end_matches(|c: char| c.is_ascii_uppercase());
    let ok = !digits.is_empty()
        && digits.bytes().all(|b| b.is_ascii_digit())
        && ["KB", "MB", "GB"].contains(&&size[digits.len()..]);
    if ok {
        return Ok(());
    }
    Err(Error::invalid(format!("limit huge pages of size `{}`", size.escape_debug()))
        .hint("page sizes are written as 64KB, 2MB, 1GB"))
}

/// Usage by page size. The sizes are those of the files that are there.
pub(super) fn stats(place: Place<'_>) -> Result<BTreeMap<String, Counter>> {
    let (dir, v1) = match place {
        Place::V1(dir) => (dir, true),
        Place::V2(dir) => (dir, false),
        Place::Nowhere => return Ok(BTreeMap::new()),
    };
    let mut all = BTreeMap::new();
    for size in sizes() {
        let file = |end: &str| format!("hugetlb.{size}.{end}");
        let read = match v1 {
            true => counter(
                dir,
                &CounterFiles {
                    usage: &file("usage_in_bytes"),
                    peak: &file("max_usage_in_bytes"),
                    limit: &file("limit_in_bytes"),
                    failures: &file("failcnt"),
                },
            )?,
            false => {
                let files =
                    CounterFiles { usage: &file("current"), peak: "", limit: &file("max"), failures: "" };
                let events = text::flat(&read(dir, &file("events"))?);
                let failures = events.get("max").copied().unwrap_or(0);
                counter(dir, &files)?.map(|c| Counter { failures, ..c })
            }
        };
        if let Some(counter) = read {
            all.insert(size, counter);
        }
    }
    Ok(all)
}

/// The page sizes of this kernel, as the names of files have them; /sys has them in kB.
fn sizes() -> Vec<String> {
    let Ok(entries) = std::fs::read_dir("/sys/kernel/mm/hugepages") else { return Vec::new() };
    let name = |entry: std::fs::DirEntry| size_name(entry.file_name().to_str()?);
    entries.flatten().filter_map(name).collect()
}

/// `hugepages-2048kB` is `2MB`.
fn size_name(name: &str) -> Option<String> {
    let kb: u64 = name.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse().ok()?;
    Some(match kb {
        kb if kb >= 1 << 20 => format!("{}GB", kb >> 20),
        kb if kb >= 1 << 10 => format!("{}MB", kb >> 10),
        kb => format!("{kb}KB"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_sizes() {
        for (file, name) in [
            ("hugepages-2048kB", Some("2MB")),
            ("hugepages-1048576kB", Some("1GB")),
            ("hugepages-64kB", Some("64KB")),
            ("x", None),
        ] {
            assert_eq!(size_name(file).as_deref(), name, "{file}");
        }
    }

    #[test]
    fn checked_sizes() {
        for good in ["64KB", "2MB", "1GB"] {
            assert!(check(good).is_ok(), "{good}");
        }
        for bad in ["", "MB", "2", "2mb", "../2MB", "2MB/x", "2TB"] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
