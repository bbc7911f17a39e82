//! Everything that is mounted below the root.
//!
//! Each mount is made detached, given its attributes, and only then attached to a handle that was
//! resolved inside the root: at no instant does it stand somewhere with lesser restrictions.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use taru_mount::{Attr, Mount, MountAttr, Options, Propagation, change, reconfigure};
use taru_rootdir::RootDir;
use taru_stdx::{Context, Error, Kind, Result};
use taru_sys::fs::{self, FileType, FsType, OpenFlags};
use taru_sys::ns::Namespaces;

use super::groups::Groups;
use super::{copy_up, rootfs};
use crate::plan::{MountKind, MountPlan, Plan};
use crate::{sources, wire};

/// Mounts all of the plan, in order. Returns the mounts that are to be read-only once their content is made.
pub(crate) fn mount_all(
    plan: &Plan,
    root: &RootDir,
    mut sources: Vec<(usize, Mount)>,
    groups: &mut Groups<'_>,
) -> Result<Vec<OwnedFd>> {
    let mut later = Vec::new();
    for (n, mount) in plan.mounts.iter().enumerate() {
        if needs_groups(mount) {
            groups.join()?;
        }
        let prepared = sources.iter().position(|(at, _)| *at == n).map(|i| sources.swap_remove(i).1);
        let done = match &mount.kind {
            MountKind::Bind { source, recursive } => bind(root, mount, source, *recursive, prepared),
            MountKind::Cgroup => groups.join().and_then(|groups| cgroups(plan, root, mount, groups)),
            MountKind::Fs { fstype, source } => {
                file_system(plan, root, mount, fstype, source.as_deref(), &mut later)
            }
            MountKind::Remount => remount(root, mount),
        };
        done.context(|| describe(mount))?;
    }
    Ok(later)
}

/// Whether what `mount` takes is to be the container's: the memory of what is copied, and a device that its rules may forbid.
fn needs_groups(mount: &MountPlan) -> bool {
    let is_of_device =
        matches!(&mount.kind, MountKind::Fs { source: Some(source), .. } if source.starts_with('/'));
    mount.options.tmpcopyup || is_of_device
}

/// Makes mounts read-only whose content is complete now.
pub(crate) fn make_read_only(mounts: Vec<OwnedFd>) -> Result<()> {
    let attr = MountAttr { set: Attr::RDONLY, ..MountAttr::default() };
    mounts.iter().try_for_each(|m| change(m.as_fd(), &attr, false).context(|| "make a mount read-only"))
}

fn describe(mount: &MountPlan) -> String {
    let to = mount.destination.display();
    match &mount.kind {
        MountKind::Bind { source, .. } => format!("mount `{}` on `{to}`", source.display()),
        MountKind::Fs { fstype, .. } => format!("mount `{fstype}` on `{to}`"),
        MountKind::Cgroup => format!("mount `cgroup` on `{to}`"),
        MountKind::Remount => format!("remount `{to}`"),
    }
}

fn bind(
    root: &RootDir,
    plan: &MountPlan,
    source: &Path,
    recursive: bool,
    prepared: Option<Mount>,
) -> Result<()> {
    if plan.options.copy_symlink && copy_symlink(root, plan, source)? {
        return Ok(());
    }
    let mount = match prepared {
        Some(mount) => mount,
        None => sources::open(source, recursive, plan.options.src_nofollow)?,
    };
    let target = mount_point(root, plan, rootfs::is_dir(mount.as_fd())?)?;
    attributes(&mount, &plan.options)?;
    // After the copy of the propagation that the source has: `bind` alone keeps it, as mount(8) does.
    propagate(&mount, &plan.options)?;
    if plan.options.tmpcopyup {
        // A volume that begins with what the root has there. Its maker leaves the option out once it is filled.
        copy_up::copy(&RootDir::from_fd(target.try_clone().context(|| "copy up")?), &mount.root()?)?;
    }
    mount.attach(target).map(drop)
}

/// crun's `copy-symlink`: a source that is a link is made again instead of followed.
fn copy_symlink(root: &RootDir, plan: &MountPlan, source: &Path) -> Result<bool> {
    let Ok(target) = std::fs::read_link(source) else { return Ok(false) };
    if let Some(parent) = plan.destination.parent() {
        root.create_dir_all(parent, 0o755)?;
    }
    match root.symlink(&target, &plan.destination) {
        Err(e)
            if e.kind() == Kind::Exists && root.read_link(&plan.destination).is_ok_and(|t| t == target) =>
        {
            Ok(true)
        }
        other => other.map(|()| true),
    }
}

/// The place in the root, made if it is missing.
fn mount_point(root: &RootDir, plan: &MountPlan, is_dir: bool) -> Result<OwnedFd> {
    let path = &plan.destination;
    if plan.options.dest_nofollow {
        match root.resolve_nofollow(path) {
            Err(e) if e.kind() == Kind::NotFound => {}
            other => return other,
        }
    }
    if is_dir { root.create_dir_all(path, 0o755) } else { root.create_file(path, 0o644) }
}

fn attributes(mount: &Mount, options: &Options) -> Result<()> {
    if !(options.set.is_empty() && options.clear.is_empty()) {
        match mount.attributes(options.set, options.clear, false) {
            // Behind a user namespace, what restricts the host's mount is locked: it stays.
            Err(e) if e.kind() == Kind::Permission && !options.clear.is_empty() => {
                mount.attributes(options.set, Attr::default(), false)?;
            }
            other => other?,
        }
    }
    if options.is_recursive() {
        mount.attributes(options.recursive_set, options.recursive_clear, true)?;
    }
    Ok(())
}

fn propagate(mount: &Mount, options: &Options) -> Result<()> {
    options
        .propagation
        .iter()
        .try_for_each(|(propagation, recursive)| mount.propagation(*propagation, *recursive))
}

fn file_system(
    plan: &Plan,
    root: &RootDir,
    mount: &MountPlan,
    fstype: &str,
    source: Option<&str>,
    later: &mut Vec<OwnedFd>,
) -> Result<()> {
    if matches!(fstype, "proc" | "sysfs") {
        refuse_link(root, &mount.destination)?;
    }
    let options = &mount.options;
    let read_only_later = mount.is_tmpfs() && options.set.contains(Attr::RDONLY);
    let inherited = if mount.is_tmpfs() { inherited_mode(root, mount) } else { None };
    let mut data = options.data();
    data.extend(inherited.as_deref().map(|mode| ("mode", Some(mode))));
    if read_only_later {
        data.retain(|(key, _)| *key != "ro");
    }
    let label = plan.mount_label.as_deref().filter(|_| !matches!(fstype, "proc" | "sysfs" | "mqueue"));
    if let Some(label) = label {
        data.push(("context", Some(label)));
    }
    let set = if read_only_later { options.set.without(Attr::RDONLY) } else { options.set };
    let made = match Mount::fs(fstype, source.or(Some(fstype)), &data, set) {
        Err(e) if e.kind() == Kind::Permission => borrow(plan, fstype, set).ok_or(e)?,
        other => other?,
    };
    if options.is_recursive() {
        made.attributes(options.recursive_set, options.recursive_clear, true)?;
    }
    propagate(&made, options)?;
    let target = mount_point(root, mount, true)?;
    if options.tmpcopyup {
        copy_up::copy(&RootDir::from_fd(target.try_clone().context(|| "copy up")?), &made.root()?)?;
    }
    let attached = made.attach(target)?;
    if read_only_later {
        later.push(attached);
    }
    Ok(())
}

/// A tmpfs without a mode of its own has that of the directory it covers, as runc has it: what is /run in the
/// image stays closed to other users, and the kernel's default is open to all.
fn inherited_mode(root: &RootDir, mount: &MountPlan) -> Option<String> {
    if mount.options.own_data().iter().any(|(key, _)| *key == "mode") {
        return None;
    }
    let covered = root.metadata(&mount.destination).ok()?;
    Some(format!("{:o}", covered.permissions()))
}

/// A /proc or /sys that leads elsewhere would have the container's files read as the kernel's.
fn refuse_link(root: &RootDir, destination: &Path) -> Result<()> {
    match root.symlink_metadata(destination) {
        Ok(stat) if stat.file_type() == FileType::Symlink => Err(Error::new(
            Kind::Permission,
            format!("`{}` is a symbolic link in the root", destination.display()),
        )),
        _ => Ok(()),
    }
}

/// In a user namespace, a file system of a namespace that is the host's cannot be mounted; the host's own
/// mount of it can be borrowed. It shows no more than the host shows to this user.
fn borrow(plan: &Plan, fstype: &str, set: Attr) -> Option<Mount> {
    let (path, kind) = match fstype {
        "sysfs" => ("/sys", Namespaces::NETWORK),
        "mqueue" => ("/dev/mqueue", Namespaces::IPC),
        _ => return None,
    };
    if plan.namespaces.new.contains(kind) {
        return None;
    }
    let mount = sources::open(Path::new(path), true, false).ok()?;
    mount.propagation(Propagation::Slave, true).ok()?;
    mount.attributes(set, Attr::default(), false).ok()?;
    Some(mount)
}

/// The file system is told its own options alone: `ro` and its like are this mount's, for the file system may be the host's.
fn remount(root: &RootDir, mount: &MountPlan) -> Result<()> {
    let options = &mount.options;
    let target = root.resolve(&mount.destination)?;
    let data = options.own_data();
    if !data.is_empty() {
        reconfigure(target.as_fd(), &data)?;
    }
    let change = |attr: MountAttr<'_>, recursive| {
        change(target.as_fd(), &attr, recursive).context(|| "change the mount's attributes")
    };
    change(MountAttr { set: options.set, clear: options.clear, ..MountAttr::default() }, false)?;
    if options.is_recursive() {
        let (set, clear) = (options.recursive_set, options.recursive_clear);
        change(MountAttr { set, clear, ..MountAttr::default() }, true)?;
    }
    options.propagation.iter().try_for_each(|(propagation, recursive)| {
        change(MountAttr { propagation: Some(*propagation), ..MountAttr::default() }, *recursive)
    })
}

/// The control groups as the host has them: one cgroup2, or a tmpfs with a directory a hierarchy.
fn cgroups(plan: &Plan, root: &RootDir, mount: &MountPlan, groups: &mut wire::Groups) -> Result<()> {
    let target = mount_point(root, mount, true)?;
    let set = mount.group_attributes();
    let mut prepared = std::mem::take(&mut groups.mounts).into_iter().map(Mount::from_fd);
    let paths = &groups.paths;
    if paths.is_empty() {
        let made = host_view(plan, set)?;
        return made.attach(target).map(drop);
    }
    if let (1, Some(dir)) = (paths.len(), paths.get("")) {
        let made = prepared.next().map_or_else(|| hierarchy(plan, "", dir, set), Ok)?;
        propagate(&made, &mount.options)?;
        return made.attach(target).map(drop);
    }
    let data = [("mode", Some("0755"))];
    let holder = Mount::fs("tmpfs", Some("tmpfs"), &data, set.without(Attr::RDONLY))?;
    propagate(&holder, &mount.options)?;
    let holder = RootDir::from_fd(holder.attach(target)?);
    for (name, dir) in paths {
        let leaf = match name.as_str() {
            "" => "unified",
            named => named.strip_prefix("name=").unwrap_or(named),
        };
        let what = || format!("mount the hierarchy `{leaf}`");
        // Nothing but these directories is in the tmpfs, and nobody else sees it.
        let place = Path::new(leaf);
        fs::mkdirat(holder.as_fd(), place, 0o755).context(what)?;
        let made = prepared.next().map_or_else(|| hierarchy(plan, name, dir, set), Ok).context(what)?;
        made.attach_at(holder.as_fd(), place).context(what)?;
        // `cpu,cpuacct` is also found by either name.
        for alias in leaf.split(',').filter(|alias| *alias != leaf) {
            holder.symlink(Path::new(leaf), Path::new(alias))?;
        }
    }
    if set.contains(Attr::RDONLY) {
        let attr = MountAttr { set: Attr::RDONLY, ..MountAttr::default() };
        change(holder.as_fd(), &attr, false).context(|| "make it read-only")?;
    }
    Ok(())
}

/// A container that could get no group of its own sees what the host process sees, all of it: below a user
/// namespace a part of it cannot be had.
fn host_view(plan: &Plan, set: Attr) -> Result<Mount> {
    let path = Path::new("/sys/fs/cgroup");
    let flags = OpenFlags::PATH | OpenFlags::DIRECTORY;
    let dir = fs::openat(fs::CWD, path, flags, 0).context(|| "open the host's control groups")?;
    let is_v2 = fs::fstatfs(dir.as_fd()).is_ok_and(|s| s.kind == FsType::CGROUP2);
    if is_v2 {
        return hierarchy(plan, "", path, set);
    }
    let made = sources::open(path, true, false)?;
    made.propagation(Propagation::Private, true)?;
    made.attributes(set, Attr::default(), true)?;
    Ok(made)
}

/// One hierarchy with the container's group as its root: of the cgroup namespace, or bound.
fn hierarchy(plan: &Plan, name: &str, dir: &Path, set: Attr) -> Result<Mount> {
    let own_view = plan.namespaces.has(Namespaces::CGROUP);
    if own_view {
        let made = match (name, name.strip_prefix("name=")) {
            ("", _) => Mount::fs("cgroup2", Some("cgroup"), &[], set),
            (_, Some(named)) => {
                Mount::fs("cgroup", Some("cgroup"), &[("none", None), ("name", Some(named))], set)
            }
            (controllers, _) => {
                let data: Vec<_> = controllers.split(',').map(|controller| (controller, None)).collect();
                Mount::fs("cgroup", Some("cgroup"), &data, set)
            }
        };
        match made {
            // In a user namespace that does not own the cgroup namespace, or for v1 without the right.
            Err(e) if e.kind() == Kind::Permission || e.kind() == Kind::Busy => {}
            other => return other,
        }
    }
    sources::open_group(dir, set)
}
