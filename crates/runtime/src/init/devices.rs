//! Device nodes and the links that every container has in /dev.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use taru_mount::Mount;
use taru_rootdir::RootDir;
use taru_stdx::{Context, Error, Kind, Result};
use taru_sys::fs::{self, AtFlags, CWD, FileType, OpenFlags};
use taru_sys::mount::{UmountFlags, umount2};
use taru_sys::ns::Namespaces;
use taru_sys::process;

use crate::plan::{DevicePlan, LINKS, Plan};

/// Makes all nodes and links of the plan below the root.
pub(crate) fn make_all(plan: &Plan, root: &RootDir, nodes: Option<Mount>) -> Result<()> {
    if plan.devices.is_empty() {
        return Ok(());
    }
    // mknod(2) of a device needs the right over the host; behind a user namespace the node is borrowed.
    let may_make = !plan.namespaces.has(Namespaces::USER);
    // Nodes have their modes at once.
    let own_mask = process::umask(0);
    let mut lent = nodes.map(|nodes| take(plan, nodes)).transpose()?.unwrap_or_default();
    let mut places = Places { root, last: None };
    for (n, device) in plan.devices.iter().enumerate() {
        let made = match lent.remove(&n) {
            Some(node) => show(node, device, root),
            None if may_make && make_at_once(device, &mut places) => Ok(()),
            None => make(device, root, may_make),
        };
        made.context(|| format!("make the device `{}`", device.path.display()))?;
    }
    for (target, path) in LINKS {
        let (target, path) = (Path::new(target), Path::new(path));
        if !places.has_made(path, |dir, name| fs::symlinkat(target, dir, name)) {
            link(root, target, path)?;
        }
    }
    process::umask(own_mask);
    Ok(())
}

/// The directory that something was made in last: nearly all of this lies in /dev.
struct Places<'a> {
    root: &'a RootDir,
    last: Option<(&'a Path, RootDir)>,
}

impl<'a> Places<'a> {
    /// Whether `act` made what `path` names, given its directory and its name there. Where it did not, for whatever reason,
    /// there is a longer way to try.
    fn has_made<T>(
        &mut self,
        path: &'a Path,
        act: impl FnOnce(BorrowedFd<'_>, &Path) -> taru_sys::Result<T>,
    ) -> bool {
        let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else { return false };
        if self.last.as_ref().is_none_or(|(last, _)| *last != dir) {
            self.last = self.root.subdir(dir).ok().map(|there| (dir, there));
        }
        self.last.as_ref().is_some_and(|(_, there)| act(there.as_fd(), Path::new(name)).is_ok())
    }
}

/// The usual case of [`make`]: a node of root's where nothing has the name.
fn make_at_once<'a>(device: &'a DevicePlan, places: &mut Places<'a>) -> bool {
    (device.uid, device.gid) == (0, 0)
        && places.has_made(&device.path, |dir, name| {
            fs::mknodat(dir, name, device.kind, device.mode, device.device)
        })
}

/// Opens the host's nodes. A part of a detached mount cannot be mounted elsewhere (before 6.15), so theirs stands for
/// a moment on the host's /dev, as this mount namespace has it.
fn take(plan: &Plan, nodes: Mount) -> Result<BTreeMap<usize, Mount>> {
    let dev = Path::new("/dev");
    let flags = OpenFlags::PATH | OpenFlags::DIRECTORY;
    let below = fs::openat(CWD, dev, flags, 0).context(|| "open the host's /dev")?;
    let nodes = nodes.attach(&below)?;
    let mut taken = BTreeMap::new();
    for (n, _) in plan.devices.iter().enumerate().filter(|(_, device)| device.is_lent()) {
        let name = n.to_string();
        let node = fs::openat(nodes.as_fd(), Path::new(&name), OpenFlags::PATH | OpenFlags::NOFOLLOW, 0);
        taken.insert(n, Mount::bind(node.context(|| "open a device node")?.as_fd(), false)?);
    }
    umount2(dev, UmountFlags::DETACH).context(|| "let go of the device nodes")?;
    Ok(taken)
}

fn make(device: &DevicePlan, root: &RootDir, may_make: bool) -> Result<()> {
    if device.kind != FileType::Fifo && !may_make {
        return borrow(device, root);
    }
    let node = match root.mknod(&device.path, device.kind, device.mode, device.device) {
        Ok(node) => node,
        Err(e) if e.kind() == Kind::NotFound => {
            if let Some(parent) = device.path.parent() {
                root.create_dir_all(parent, 0o755)?;
            }
            root.mknod(&device.path, device.kind, device.mode, device.device)?
        }
        Err(e) if e.kind() == Kind::Exists => replace(device, root)?,
        Err(e) if e.kind() == Kind::Permission && device.kind != FileType::Fifo => {
            return borrow(device, root);
        }
        Err(e) => return Err(e),
    };
    if (device.uid, device.gid) != (0, 0) {
        fs::fchownat(node.as_fd(), Path::new(""), Some(device.uid), Some(device.gid), AtFlags::EMPTY_PATH)
            .context(|| "set the owner")?;
    }
    Ok(())
}

/// The root brought something of that name along, as an unpacked image may: the very node stays, anything
/// else makes room. What a mount of the document put there stays too.
fn replace(device: &DevicePlan, root: &RootDir) -> Result<OwnedFd> {
    let stat = root.symlink_metadata(&device.path)?;
    if stat.file_type() == device.kind && (device.kind == FileType::Fifo || stat.rdev == device.device) {
        return root.resolve_nofollow(&device.path);
    }
    match root.remove(&device.path) {
        Err(e) if e.kind() == Kind::Busy => root.resolve_nofollow(&device.path),
        Err(e) => Err(e),
        Ok(()) => root.mknod(&device.path, device.kind, device.mode, device.device),
    }
}

/// The host's own node, bound: looked at first, because only its numbers say what it is.
fn borrow(device: &DevicePlan, root: &RootDir) -> Result<()> {
    let flags = OpenFlags::PATH | OpenFlags::NOFOLLOW;
    let source = fs::openat(CWD, &device.path, flags, 0).context(|| "borrow the host's")?;
    let stat = fs::fstat(source.as_fd()).context(|| "borrow the host's")?;
    if stat.file_type() != device.kind || stat.rdev != device.device {
        let d = device.device;
        return Err(Error::new(
            Kind::Unsupported,
            format!("borrow the host's: it is not device {}:{}", d.major, d.minor),
        ));
    }
    show(Mount::bind(source.as_fd(), false)?, device, root)
}

/// Mounts the node on a file of the device's name.
fn show(node: Mount, device: &DevicePlan, root: &RootDir) -> Result<()> {
    let target = root.create_file(&device.path, 0o666)?;
    node.attach(target).map(drop)
}

fn link(root: &RootDir, target: &Path, path: &Path) -> Result<()> {
    let what = || format!("link `/{}` to `{}`", path.display(), target.display());
    let made = match root.symlink(target, path) {
        Err(e) if e.kind() == Kind::NotFound => {
            root.create_dir_all(Path::new("dev"), 0o755).context(what)?;
            root.symlink(target, path)
        }
        other => other,
    };
    match made {
        // What the image or a mount put there stays, except for a ptmx node: it would be the host's
        // terminals, not those of the container's own devpts.
        Err(e) if e.kind() == Kind::Exists => {
            let stale = path == Path::new("dev/ptmx")
                && root.symlink_metadata(path).is_ok_and(|s| s.file_type() == FileType::CharDevice);
            if stale && root.remove(path).is_ok() {
                return root.symlink(target, path).context(what);
            }
            Ok(())
        }
        other => other.context(what),
    }
}
