//! `unified`: files of v2 by name, as the OCI specification has them.

use std::collections::BTreeMap;

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
    let missing = e.errno() == errno::NOENT;
    let error = dir.explain(file, e);
    if !missing {
        return error;
    }
    let controller = file.split('.').next().unwrap_or_default();
    let enabled = dir.read("cgroup.controllers").unwrap_or_default();
    error.hint(format!("it wants the controller `{controller}`; enabled here: {}", enabled.trim()))
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
    fn names() {
        for good in ["memory.high", "io.bfq.weight", "hugetlb.2MB.max"] {
            assert!(check(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "../memory.max", "x/memory.max", "memory", ".max", "memory."] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
