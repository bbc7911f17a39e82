//! What the groups above a group must give it: CPUs and memory nodes on v1, enabled controllers on v2.

use std::path::{Path, PathBuf};

use taru_stdx::{Context, Error, Result, fs::read_bounded};
use taru_sys::errno;
use taru_sys::process::Pid;

use crate::Controller;
use crate::dir::Dir;

/// The controllers that work for single threads.
pub(crate) const THREADED: [&str; 4] = ["cpu", "cpuset", "perf_event", "pids"];

/// Copies CPUs and memory nodes from the parent into each of the new v1 cpuset directories `made`, outermost
/// first: a new cpuset has none, and the kernel refuses processes to such a one (ENOSPC).
pub(crate) fn inherit_cpuset(made: &[PathBuf]) -> Result<()> {
    let Some(top) = made.first() else { return Ok(()) };
    let Some(above) = top.parent() else { return Ok(()) };
    let open = |path: &Path| Dir::open(path.to_owned()).context(|| "open the cpuset");
    let above = open(above)?;
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let value = above.read(file)?;
        // With the option `cpuset_v2_mode` an empty list means the parent's.
        if value.trim().is_empty() {
            continue;
        }
        for path in made {
            open(path)?.write(file, value.trim())?;
        }
    }
    Ok(())
}

/// Enables for `group` every controller that the hierarchy has at `point`.
///
/// A new group has what its parent's `cgroup.subtree_control` names, so usually there is nothing to do. What an
/// ancestor refuses (EBUSY: it has processes of its own) is left out here, and reported when a limit needs it.
pub(crate) fn enable_controllers(point: &Path, group: &Dir) -> Result<()> {
    let read = |dir: &Dir| dir.read("cgroup.controllers");
    let top = Dir::open(point.to_owned()).context(|| "open the cgroup2 mount")?;
    let (all, has) = (read(&top)?, read(group)?);
    let wanted: Vec<&str> = missing(&all, &has);
    if wanted.is_empty() {
        return Ok(());
    }
    enable_above(group, &wanted)?;
    // A group made below a threaded one is invalid until it is made threaded too; then it can have the
    // threaded controllers only.
    if group.try_read("cgroup.type").is_ok_and(|t| t.trim() == "domain invalid") {
        group.write("cgroup.type", "threaded")?;
    }
    Ok(())
}

/// Enables `controller` for `group` if it is not; what hinders it shows when a limit is written.
pub(crate) fn ensure_enabled(group: &Dir, controller: Controller) -> Result<()> {
    let name = controller.v2_name();
    if group.read_if_there("cgroup.controllers")?.is_none_or(|has| has.split_whitespace().any(|c| c == name))
    {
        return Ok(());
    }
    enable_above(group, &[name])
}

/// Enables `wanted` in every group above `group`, from the top of the mount down.
fn enable_above(group: &Dir, wanted: &[&str]) -> Result<()> {
    let is_group = |path: &&Path| path.join("cgroup.subtree_control").exists();
    let above: Vec<&Path> = group.path().ancestors().skip(1).take_while(is_group).collect();
    for path in above.into_iter().rev() {
        let dir = Dir::open(path.to_owned()).context(|| "open a parent group")?;
        enable(&dir, wanted);
    }
    Ok(())
}

/// Enables `wanted` for the children of `dir`: at once, and if one of them is refused, one by one.
///
/// A group with processes refuses domain controllers (EBUSY), but would take threaded ones, and become a
/// threaded domain by that, whose children no process from elsewhere can enter. So it is left alone.
fn enable(dir: &Dir, wanted: &[&str]) {
    let only_threaded = wanted.iter().all(|name| THREADED.contains(name));
    if only_threaded && has_processes(dir) {
        return;
    }
    let all: Vec<String> = wanted.iter().map(|name| format!("+{name}")).collect();
    match dir.try_write("cgroup.subtree_control", &all.join(" ")) {
        Ok(()) => {}
        Err(e) if e.errno() == errno::BUSY || has_processes(dir) => {}
        Err(_) => all.iter().for_each(|one| drop(dir.try_write("cgroup.subtree_control", one))),
    }
}

/// Whether the rule of no inner processes applies to `dir` and would be broken; the root is exempt.
fn has_processes(dir: &Dir) -> bool {
    dir.has("cgroup.type") && dir.try_read("cgroup.procs").is_ok_and(|text| !text.is_empty())
}

/// The words of `all` that `has` lacks.
fn missing<'a>(all: &'a str, has: &str) -> Vec<&'a str> {
    all.split_whitespace().filter(|name| !has.split_whitespace().any(|h| h == *name)).collect()
}

/// The groups of the process `pid` by hierarchy, from /proc/PID/cgroup: names of controllers (none: v2) and path.
pub(crate) fn groups_of(pid: Pid) -> Result<Vec<(Vec<String>, PathBuf)>> {
    let path = PathBuf::from(format!("/proc/{pid}/cgroup"));
    let text = read_bounded(&path, 1 << 20).map_err(|e| {
        // A process that is gone before it was read is ESRCH instead of ENOENT.
        let gone = std::error::Error::source(&e)
            .and_then(|s| s.downcast_ref::<std::io::Error>())
            .is_some_and(|e| e.raw_os_error() == Some(errno::SRCH.0));
        if gone {
            Error::new(taru_stdx::Kind::NotFound, format!("read the groups of process `{pid}`")).because(e)
        } else {
            e
        }
    })?;
    let text = String::from_utf8_lossy(&text);
    let mut groups = Vec::new();
    for line in text.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(names), Some(group)) = (fields.next(), fields.next()) else {
            return Err(Error::invalid(format!("parse `{line}` of `{}`", path.display())));
        };
        let names = names.split(',').filter(|n| !n.is_empty()).map(str::to_owned).collect();
        groups.push((names, PathBuf::from(group.strip_suffix(" (deleted)").unwrap_or(group))));
    }
    Ok(groups)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_controllers() {
        assert_eq!(missing("cpuset cpu io\n", "cpu\n"), ["cpuset", "io"]);
        assert!(missing("hugetlb\n", "hugetlb\n").is_empty());
        assert!(missing("\n", "\n").is_empty());
    }
}
