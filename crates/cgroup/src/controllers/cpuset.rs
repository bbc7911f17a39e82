//! `cpuset`: which CPUs and memory nodes. The files are the same in both versions.

use taru_stdx::{Error, Result};

use crate::dir::Dir;
use crate::limits::Cpuset;

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
