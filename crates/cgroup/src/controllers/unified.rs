//! `unified`: files of v2 by name, as the OCI specification has them.

use std::collections::BTreeMap;
use std::path::Path;

use taru_stdx::{Error, Kind, Result};
use taru_sys::errno;

use crate::Cgroup;
use crate::dir::Dir;

pub(super) fn apply(group: &Cgroup, files: &BTreeMap<String, String>) -> Result<()> {
    if files.is_empty() {
        return Ok(());
    }
    files.keys().try_for_each(|name| check(name))?;
    let dir = match &group.v2 {
        Some(v2) if !v2.hybrid => &v2.dir,
        _ => {
            return Err(Error::new(Kind::Unsupported, "set unified resources: cgroup v2 is not alone here")
                .hint("`unified` names files of cgroup v2; use the other fields of the limits instead"));
        }
    };
    for (file, value) in files {
        // Each line is a command of its own to files as `io.max`; an empty value is one too.
        let lines: Vec<&str> = if value.is_empty() { vec![""] } else { value.lines().collect() };
        for line in lines {
            dir.try_write(file, line).map_err(|e| refused(dir, file, e))?;
        }
    }
    Ok(())
}

fn refused(dir: &Dir, file: &str, e: taru_sys::Error) -> Error {
    if e.errno() != errno::NOENT {
        return dir.explain(file, e);
    }
    let enabled = dir.read("cgroup.controllers").unwrap_or_default();
    Error::new(Kind::Unsupported, format!("set `{file}`")).because(e).hint(why_missing(
        file,
        enabled.trim(),
        dir.path(),
    ))
}

/// Why there is no `file` in `dir`, where the controllers `enabled` are.
fn why_missing(file: &str, enabled: &str, dir: &Path) -> String {
    let controller = file.split('.').next().unwrap_or_default();
    if controller == "cgroup" || enabled.split_whitespace().any(|c| c == controller) {
        return format!("this kernel has no `{file}`");
    }
    let others = if enabled.is_empty() { "none" } else { enabled };
    format!("controller `{controller}` is not available under `{}`; there are: {others}", dir.display())
}

/// A name is `CONTROLLER.FILE`, and of this directory.
fn check(name: &str) -> Result<()> {
    let bad =
        |why: &str| Err(Error::invalid(format!("set unified resource `{}`: {why}", name.escape_debug())));
    if name.contains('/') || name.contains('\0') {
        return bad("it must be a file name (no slashes)");
    }
    match name.split_once('.') {
        Some((controller, file)) if !controller.is_empty() && !file.is_empty() => Ok(()),
        _ => bad("it must be in the form CONTROLLER.PARAMETER"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_file_is_explained() {
        let why = |file, enabled| why_missing(file, enabled, Path::new("/g"));
        assert_eq!(
            why("memory.high", "cpu pids"),
            "controller `memory` is not available under `/g`; there are: cpu pids"
        );
        assert_eq!(why("foo.bar", ""), "controller `foo` is not available under `/g`; there are: none");
        assert_eq!(why("memory.nosuch", "cpu memory"), "this kernel has no `memory.nosuch`");
        assert_eq!(why("cgroup.nosuch", "cpu"), "this kernel has no `cgroup.nosuch`");
    }

    #[test]
    fn names() {
        for good in ["memory.high", "io.bfq.weight", "hugetlb.2MB.max"] {
            assert!(check(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "../memory.max", "x/memory.max", "memory", ".max", "memory."] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
