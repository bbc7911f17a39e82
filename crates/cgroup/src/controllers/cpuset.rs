//! `cpuset`: which CPUs and memory nodes. The files are the same in both versions.

use std::collections::BTreeMap;

use taru_stdx::{Error, Result};

use super::files::read;
use crate::dir::Dir;
use crate::limits::Cpuset;
use crate::stats::CpusetStats;

pub(super) fn apply(dir: &Dir, cpuset: &Cpuset) -> Result<()> {
    for (file, list) in [("cpuset.cpus", &cpuset.cpus), ("cpuset.mems", &cpuset.mems)] {
        let Some(list) = list else { continue };
        check(file, list)?;
        dir.write(file, list)?;
    }
    Ok(())
}

/// The kernel takes words too; here it is numbers, commas and dashes (and the stride `0-7:1/2`).
fn check(file: &str, list: &str) -> Result<()> {
    if list.chars().all(|c| c.is_ascii_digit() || ",-:/".contains(c)) {
        return Ok(());
    }
    Err(Error::invalid(format!("set `{file}` to `{}`: not a list of numbers", list.escape_debug()))
        .hint("a list is as `0-2,7`"))
}

/// The files of v1 that hold one number.
const SWITCHES: [&str; 9] = [
    "cpu_exclusive",
    "mem_exclusive",
    "mem_hardwall",
    "memory_migrate",
    "memory_pressure",
    "memory_spread_page",
    "memory_spread_slab",
    "sched_load_balance",
    "sched_relax_domain_level",
];

pub(super) fn stats(dir: &Dir) -> Result<CpusetStats> {
    // v1 has `effective_cpus`, v2 `cpus.effective`.
    let list = |v2: &str, v1: &str| -> Result<String> {
        let text = match dir.read_if_there(v2)? {
            Some(text) => text,
            None => read(dir, v1)?,
        };
        Ok(text.trim().to_owned())
    };
    let mut switches = BTreeMap::new();
    for name in SWITCHES {
        let text = dir.read_if_there(&format!("cpuset.{name}"))?;
        if let Some(number) = text.and_then(|text| text.trim().parse().ok()) {
            switches.insert(name.to_owned(), number);
        }
    }
    Ok(CpusetStats {
        cpus: list("cpuset.cpus.effective", "cpuset.effective_cpus")?,
        mems: list("cpuset.mems.effective", "cpuset.effective_mems")?,
        switches,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists() {
        for good in ["", "0", "0-2,7", "0-7:1/2"] {
            assert!(check("cpuset.cpus", good).is_ok(), "{good}");
        }
        for bad in ["a", "0 1", "0\n", "1;2"] {
            assert!(check("cpuset.cpus", bad).is_err(), "{bad}");
        }
    }
}
