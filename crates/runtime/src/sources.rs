//! Sources of bind mounts: opened by whoever has the right, before or after init is cloned.
//!
//! Init opens most of them itself, in its own copy of the host's mounts. Two kinds it cannot: behind a
//! new user namespace it has no right to pass every directory of the host, and no right to id-map a
//! mount. Those the host process opens first, as detached mounts that init inherits. A third kind, control groups, it opens
//! to save init the time, and sends.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use taru_mount::{Mount, MountAttr, Propagation, change, idmap};
use taru_rootdir::Proc;
use taru_stdx::{Context, Error, Result};
use taru_sys::fs::{self, AtFlags, CWD};
use taru_sys::mount::{Attr, OpenTree, open_tree};
use taru_sys::ns::Namespaces;
use taru_sys::socket;

use crate::host::Host;
use crate::plan::{DevicePlan, Lower, MountKind, MountPlan, Plan};

/// The mount of a source, detached.
pub(crate) fn open(source: &Path, recursive: bool, nofollow: bool) -> Result<Mount> {
    let mut flags = OpenTree::CLONE;
    if recursive {
        flags |= OpenTree::RECURSIVE;
    }
    if nofollow {
        flags |= OpenTree::SYMLINK_NOFOLLOW;
    }
    let fd = open_tree(CWD, source, flags)
        .map_err(|e| e.errno())
        .context(|| format!("open the source `{}`", source.display()))?;
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
            .and_then(|opened| cut(plan, opened))
            .context(|| format!("mount `{}` on `{}`", source.display(), mount.destination.display()))?;
        prepared.push((n, opened));
    }
    Ok(prepared)
}

/// A copy of a shared mount is its peer. Init cuts those off that it has in its own copy of the host's tree,
/// but this one is none of them: without this, the container's mounts below it would show on the host.
fn cut(plan: &Plan, mount: Mount) -> Result<Mount> {
    if let Some(propagation) = plan.root.inbound() {
        mount.propagation(propagation, true)?;
    }
    Ok(mount)
}

/// What only the host process can prepare of the root: its directory, or the lower layers of its overlay,
/// then those of the overlays below. Nothing where init can do it itself: it could mount images only where it has no user
/// namespace of its own, so that they are always mounted here.
pub(crate) fn prepare_root(plan: &Plan, host: &Host) -> Result<Vec<Mount>> {
    let root = &plan.root;
    let shut_out = host.is_privileged && plan.namespaces.has(Namespaces::USER);
    let lower = root.overlay.iter().flat_map(|overlay| &overlay.lower);
    let has_images = lower.clone().any(|lower| matches!(lower, Lower::Image { .. }));
    let inner = root.overlay.iter().flat_map(|o| &o.inner).flat_map(|i| &i.lower);
    let as_they_are: Vec<&Path> = inner.map(|p| p.as_path()).collect();
    if root.idmap.is_none() && !has_images && (!shut_out || root.overlay.is_none()) {
        return Ok(Vec::new());
    }
    let userns = root.idmap.as_ref().map(|maps| idmap::user_namespace(&Proc::open()?, maps)).transpose()?;
    let mut prepared = Vec::new();
    // A layer is one file system; a root comes with all that is mounted below, which keeps its own ids.
    let mut mapped: Vec<(&Path, Mount)> = Vec::new();
    match root.overlay {
        Some(_) => {
            for lower in lower {
                mapped.push((lower.path(), open_lower(lower)?));
            }
        }
        None => mapped.push((&root.path, open(&root.path, true, false)?)),
    }
    for (path, mount) in mapped {
        if let Some(userns) = &userns {
            let what = || format!("show the files of `{}` to the container's users", path.display());
            mount.idmap(userns.as_fd(), false).context(what).map_err(|e| {
                e.hint(
                    "its file system cannot show its files to other users: with `--userns host` it need not",
                )
            })?;
        }
        prepared.push(mount);
    }
    for path in as_they_are {
        prepared.push(open(path, false, false)?);
    }
    Ok(prepared)
}

/// The mount of a layer, detached. What an overlay shows of it is up to the overlay's own mount.
fn open_lower(lower: &Lower) -> Result<Mount> {
    match lower {
        Lower::Directory(path) => open(path, false, false),
        Lower::Image { image } => {
            Mount::image(image, Attr::RDONLY | Attr::NOSUID | Attr::NODEV | Attr::NOEXEC)
        }
    }
}

/// The listed device nodes of a container with a new user namespace, where init can make none: on a file
/// system of the host's, each by the name of its place in the plan. Who may open them is up to the device rules.
pub(crate) fn prepare_devices(plan: &Plan, host: &Host) -> Result<Option<Mount>> {
    let shut_out = host.is_privileged && plan.namespaces.new.contains(Namespaces::USER);
    if !shut_out || !plan.devices.iter().any(DevicePlan::is_lent) {
        return Ok(None);
    }
    let fs = Mount::fs("tmpfs", None, &[("mode", Some("0755"))], Attr::NOSUID | Attr::NOEXEC)?;
    for (n, device) in plan.devices.iter().enumerate().filter(|(_, d)| d.is_lent()) {
        lend(plan, &fs, Path::new(&n.to_string()), device)
            .context(|| format!("make the device `{}`", device.path.display()))?;
    }
    Ok(Some(fs))
}

fn lend(plan: &Plan, fs: &Mount, name: &Path, device: &DevicePlan) -> Result<()> {
    let (dir, ids) = (fs.as_fd(), &plan.namespaces);
    let unmapped =
        |what, id| Error::invalid(format!("own it as {what} {id}: the user namespace has no mapping"));
    let uid = ids.host_id(&ids.uid_map, device.uid).ok_or_else(|| unmapped("user", device.uid))?;
    let gid = ids.host_id(&ids.gid_map, device.gid).ok_or_else(|| unmapped("group", device.gid))?;
    fs::mknodat(dir, name, device.kind, 0, device.device).context(|| "make the node")?;
    fs::fchownat(dir, name, Some(uid), Some(gid), AtFlags::default()).context(|| "set the owner")?;
    fs::fchmodat(dir, name, device.mode, AtFlags::default()).context(|| "set the mode")
}

/// The groups in the directories `paths` as the plan's first mount of control groups shows them, one for each: while init
/// mounts what stands before it. None where init makes them: in a cgroup namespace they are file systems of its own, behind a
/// user namespace what is locked depends on who mounts, and a message carries only so many.
pub(crate) fn prepare_groups(
    plan: &Plan,
    host: &Host,
    paths: &BTreeMap<String, PathBuf>,
) -> Result<Vec<OwnedFd>> {
    let namespaces = &plan.namespaces;
    let Some(mount) = plan.mounts.iter().find(|mount| mount.kind == MountKind::Cgroup) else {
        return Ok(Vec::new());
    };
    // Each is a descriptor beside the one of its group's file.
    let are_too_many = 2 * paths.len() > socket::FDS_MAX;
    let is_inits = namespaces.has(Namespaces::CGROUP) || namespaces.has(Namespaces::USER);
    if is_inits || !host.is_privileged || are_too_many {
        return Ok(Vec::new());
    }
    paths.values().map(|dir| open_group(dir, mount.group_attributes()).map(Mount::into_fd)).collect()
}

/// The mount of a group's directory, which no mount of the host's has to do with any more.
pub(crate) fn open_group(dir: &Path, set: Attr) -> Result<Mount> {
    let mount = open(dir, false, false)?;
    let attr = MountAttr { set, propagation: Some(Propagation::Private), ..MountAttr::default() };
    change(mount.as_fd(), &attr, false)?;
    Ok(mount)
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
    let flags = fs::OpenFlags::RDONLY;
    fs::openat(CWD, path, flags, 0).context(|| format!("open the user namespace `{}`", path.display()))
}
