//! Sources of bind mounts: opened by whoever has the right, before or after init is cloned.
//!
//! Init opens most of them itself, in its own copy of the host's mounts. Two kinds it cannot: behind a
//! new user namespace it has no right to pass every directory of the host, and no right to id-map a
//! mount. Those the host process opens first, as detached mounts that init inherits.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use taru_mount::{Mount, idmap};
use taru_rootdir::Proc;
use taru_stdx::{Context, Result};
use taru_sys::fs::CWD;
use taru_sys::mount::{OpenTree, open_tree};
use taru_sys::ns::Namespaces;

use crate::host::Host;
use crate::plan::{MountKind, MountPlan, Plan};

/// The mount of a source, detached.
pub(crate) fn open(source: &Path, recursive: bool, nofollow: bool) -> Result<Mount> {
    let mut flags = OpenTree::CLONE;
    if recursive {
        flags |= OpenTree::RECURSIVE;
    }
    if nofollow {
        flags |= OpenTree::SYMLINK_NOFOLLOW;
    }
    let fd = open_tree(CWD, source, flags).context(|| format!("open the source `{}`", source.display()))?;
    Ok(Mount::from_fd(fd))
}

/// The sources that only the host process can prepare, by their place in the plan.
pub(crate) fn prepare(plan: &Plan, host: &Host) -> Result<Vec<(usize, Mount)>> {
    let shut_out = host.is_privileged && plan.namespaces.has(Namespaces::USER);
    let mut prepared = Vec::new();
    for (n, mount) in plan.mounts.iter().enumerate() {
        let MountKind::Bind { source, recursive } = &mount.kind else { continue };
        if !shut_out && mount.idmap.is_none() {
            continue;
        }
        let opened = open(source, *recursive, mount.options.src_nofollow)
            .and_then(|opened| map_ids(plan, mount, opened))
            .context(|| format!("mount `{}` on `{}`", source.display(), mount.destination.display()))?;
        prepared.push((n, opened));
    }
    Ok(prepared)
}

fn map_ids(plan: &Plan, mount: &MountPlan, opened: Mount) -> Result<Mount> {
    if let Some(map) = &mount.idmap {
        let userns = match &map.maps {
            Some(maps) => idmap::user_namespace(&Proc::open()?, maps)?,
            None => joined_user_namespace(plan)?,
        };
        opened.idmap(userns.as_fd(), map.recursive)?;
    }
    Ok(opened)
}

fn joined_user_namespace(plan: &Plan) -> Result<OwnedFd> {
    let path = plan
        .namespaces
        .join
        .iter()
        .find(|(kind, _)| *kind == Namespaces::USER)
        .map(|(_, path)| path.as_path());
    let path = path.unwrap_or(Path::new("/proc/self/ns/user"));
    let flags = taru_sys::fs::OpenFlags::RDONLY;
    taru_sys::fs::openat(CWD, path, flags, 0)
        .context(|| format!("open the user namespace `{}`", path.display()))
}
