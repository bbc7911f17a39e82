//! `ps`: the processes of a container.

use std::path::{Path, PathBuf};

use taru_stdx::{Context, Error, Kind, Result};

use crate::state::{Process, Record};

/// The pids of all processes of the container, as this process's pid namespace counts, ascending.
///
/// They are those of its control groups. Without one (an ordinary user's, or `--cgroup-manager disabled`), those in
/// the pid namespace of its init.
///
/// # Errors
/// [`Kind::Unsupported`] if it has neither; unreadable lists.
pub fn pids(record: &Record) -> Result<Vec<i32>> {
    if !record.state.cgroup.paths.is_empty() {
        return Ok(record.cgroup()?.pids_recursive()?.into_iter().map(|pid| pid.0).collect());
    }
    let Some(init) = record.live_init()? else { return Ok(Vec::new()) };
    if !record.state.namespaces.iter().any(|name| name == "pid") {
        let problem =
            format!("list the processes of container `{}`: it has no control group", record.state.id);
        return Err(Error::new(Kind::Unsupported, problem)
            .hint("nor a pid namespace of its own, by which they could be told"));
    }
    in_namespace_of(&init)
}

/// The processes in the pid namespace of `init`. Those below it in nested ones are not seen.
fn in_namespace_of(init: &Process) -> Result<Vec<i32>> {
    let namespace = |pid: i32| std::fs::read_link(PathBuf::from(format!("/proc/{pid}/ns/pid")));
    let ours = namespace(init.pid).context(|| format!("look at the namespaces of process {}", init.pid))?;
    let what = || "read `/proc`";
    let mut pids = Vec::new();
    for entry in std::fs::read_dir(Path::new("/proc")).context(what)? {
        let name = entry.context(what)?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        // One that has ended, or that is another user's, is none of the container's.
        if namespace(pid).is_ok_and(|namespace| namespace == ours) {
            pids.push(pid);
        }
    }
    pids.sort_unstable();
    Ok(pids)
}
