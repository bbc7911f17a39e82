//! The root: mounted in the container's own mount namespace, entered, finished.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use taru_mount::{Attr, Layer, Mount, MountAttr, Overlay, Propagation, change, mountinfo};
use taru_rootdir::{Proc, RootDir};
use taru_stdx::{Context, Error, Kind, Result};
use taru_sys::fs::{self, CWD, Device, FileType, OpenFlags};
use taru_sys::mount::UmountFlags;
use taru_sys::ns::Namespaces;

use crate::plan::{self, Plan};
use crate::sources;

/// The host's /dev/null, known by its numbers: what files are masked with and closed streams become.
pub(crate) fn open_null() -> Result<OwnedFd> {
    let what = || "open the host's `/dev/null`";
    let null = fs::openat(CWD, Path::new("/dev/null"), OpenFlags::RDWR, 0).context(what)?;
    let stat = fs::fstat(null.as_fd()).context(what)?;
    if stat.file_type() != FileType::CharDevice || stat.rdev != Device::new(1, 3) {
        return Err(Error::new(Kind::Permission, format!("{}: it is not the null device", what())));
    }
    Ok(null)
}

/// Mounts the root of `plan` over its own directory and gives the handle that everything below goes through.
pub(crate) fn mount(plan: &Plan, mut prepared: Vec<Mount>) -> Result<RootDir> {
    let root = &plan.root;
    cut_propagation(plan)?;
    let what = || format!("mount the root `{}`", root.path.display());
    let dir = RootDir::open(&root.path).map_err(|e| match e.kind() {
        Kind::Permission if plan.namespaces.has(Namespaces::USER) => {
            e.hint("in a user namespace its users are others outside, who need `x` on every directory above")
        }
        _ => e,
    })?;
    let attached = match &root.overlay {
        Some(overlay) => {
            let in_userns = plan.namespaces.has(Namespaces::USER);
            mount_overlay(overlay, &dir, prepared, in_userns).context(what)?
        }
        None => {
            let mount = match prepared.pop() {
                Some(mount) => mount,
                None => sources::open(&root.path, true, false).context(what)?,
            };
            // A copy of a shared mount is shared too: what is mounted in it would show outside.
            mount.propagation(Propagation::Private, true).context(what)?;
            mount.attach(dir.as_fd()).context(what)?
        }
    };
    Ok(RootDir::from_fd(attached))
}

/// Nothing that is mounted from here on may show in the host's mount table.
fn cut_propagation(plan: &Plan) -> Result<()> {
    let Some(propagation) = plan.root.inbound() else { return cut_above(&plan.root.path) };
    let host_root = host_root()?;
    let attr = MountAttr { propagation: Some(propagation), ..MountAttr::default() };
    change(host_root.as_fd(), &attr, true).context(|| "cut the propagation of mounts to the host")
}

fn host_root() -> Result<RootDir> {
    RootDir::open(Path::new("/"))
}

/// With a shared root, sources of binds must stay in the host's peer groups; only the mount that the
/// root directory lies on is cut off.
fn cut_above(path: &Path) -> Result<()> {
    let what = || format!("cut the propagation above `{}`", path.display());
    let full = std::fs::canonicalize(path).context(what)?;
    let entries = mountinfo::read(&Proc::open()?)?;
    let above = entries
        .iter()
        .filter(|entry| full.starts_with(&entry.point))
        .max_by_key(|entry| (entry.point.as_os_str().len(), entry.id))
        .ok_or_else(|| Error::new(Kind::System, format!("{}: no mount point", what())))?;
    let top = RootDir::open(&above.point).context(what)?;
    let attr = MountAttr { propagation: Some(Propagation::Private), ..MountAttr::default() };
    change(top.as_fd(), &attr, false).context(what)
}

/// The root's overlay and those below it. Where no upper directory is given it is on a tmpfs that only
/// these mounts hold on to.
fn mount_overlay(
    overlay: &plan::Overlay,
    dir: &RootDir,
    prepared: Vec<Mount>,
    in_userns: bool,
) -> Result<OwnedFd> {
    // Prepared layers may need a place, too.
    let is_private =
        !prepared.is_empty() || overlay.upper.is_none() || overlay.inner.iter().any(|i| i.upper.is_none());
    // Attached before it is used: before 6.15 overlay takes no layer from a detached mount.
    let scratch = match is_private {
        true => {
            let tmpfs = Mount::fs("tmpfs", Some("taru"), &[("mode", Some("0700"))], Attr::default())?;
            Some(RootDir::from_fd(tmpfs.attach(dir.as_fd())?))
        }
        false => None,
    };
    let writer = Writer {
        scratch: scratch.as_ref(),
        userxattr: in_userns || overlay.userxattr,
        volatile: overlay.volatile,
    };
    let mut prepared = prepared.into_iter();
    let layers = prepared.by_ref().take(overlay.lower.len()).collect();
    let kept = overlay.upper.as_deref().zip(overlay.work.as_deref());
    let locked = |e: Error| match e.chain().to_string() {
        // Without a word of overlay's: what lies beneath a mount from outside is not to be seen in here.
        text if in_userns && text.ends_with(": fsconfig: Invalid argument") => {
            e.hint("in a user namespace no directory can be a layer that has mounts below it")
        }
        text if text.contains("not supported as upperdir") => {
            e.hint("what is written must lie on a disk's file system or a tmpfs, not on another overlay")
        }
        _ => e,
    };
    let lower = overlay.lower.iter().map(plan::Lower::path).collect();
    let root = writer.mount("root", lower, layers, kept).map_err(locked)?;
    let over = scratch.as_ref().unwrap_or(dir);
    let root = RootDir::from_fd(root.attach(over.as_fd())?);
    for (n, inner) in overlay.inner.iter().enumerate() {
        let what = || format!("mount an overlay on `{}`", inner.at.display());
        let layers = prepared.by_ref().take(inner.lower.len()).collect();
        let kept = inner.upper.as_deref().zip(inner.work.as_deref());
        let lower = inner.lower.iter().map(PathBuf::as_path).collect();
        let mount = writer.mount(&n.to_string(), lower, layers, kept).map_err(locked).context(what)?;
        mount.attributes(Attr::NOSUID | Attr::NODEV, Attr::default(), false).context(what)?;
        mount.attach(root.create_dir_all(&inner.at, 0o755)?).context(what)?;
    }
    root.as_fd().try_clone_to_owned().context(|| "keep the root open")
}

/// Makes overlays that can be written to.
struct Writer<'a> {
    scratch: Option<&'a RootDir>,
    userxattr: bool,
    volatile: bool,
}

impl Writer<'_> {
    /// An overlay of `lower`; by the mounts that were prepared of them if they were, as those of images are.
    fn mount(
        &self,
        name: &str,
        lower: Vec<&Path>,
        prepared: Vec<Mount>,
        kept: Option<(&Path, &Path)>,
    ) -> Result<Mount> {
        let made;
        let mut options = Vec::new();
        if self.userxattr {
            // Overlay's own marks are attributes in the `user.` name space then (5.11): those of `trusted.` need
            // the host's root.
            options.push(("userxattr", None));
        } else {
            // Whatever the kernel was built or told to do by itself: what is written must be whole in the upper directory, which
            // is all that is read of it later. `userxattr` has both off, and is refused with `redirect_dir=off`.
            options.extend([("metacopy", Some("off")), ("redirect_dir", Some("off"))]);
        }
        // An index would tie the upper directory to these very inodes of the layers.
        options.push(("index", Some("off")));
        if self.volatile || kept.is_none() {
            // What a power cut would take away is gone with the container anyway (overlay's `volatile`, 5.10).
            options.push(("volatile", None));
        }
        let writable = match (kept, self.scratch) {
            (Some((upper, work)), _) => (Layer::Path(upper), Layer::Path(work)),
            (None, Some(scratch)) => {
                made = (
                    scratch.create_dir_all(&Path::new(name).join("upper"), 0o755)?,
                    scratch.create_dir_all(&Path::new(name).join("work"), 0o700)?,
                );
                (Layer::Fd(made.0.as_fd()), Layer::Fd(made.1.as_fd()))
            }
            (None, None) => return Err(Error::new(Kind::System, "mount an overlay: nowhere to write to")),
        };
        if prepared.is_empty() {
            return mount_layers(lower.into_iter().map(Layer::Path).collect(), writable, &options);
        }
        // Attached first: to overlay, a detached mount is not ours but the user namespace's that made it (EPERM).
        let scratch =
            self.scratch.ok_or_else(|| Error::new(Kind::System, "mount an overlay: no room for layers"))?;
        let mut attached = Vec::new();
        for (n, mount) in prepared.into_iter().enumerate() {
            let at = Path::new(name).join(format!("lower.{n}"));
            attached.push(mount.attach(scratch.create_dir_all(&at, 0o700)?)?);
        }
        mount_layers(attached.iter().map(|mount| Layer::Fd(mount.as_fd())).collect(), writable, &options)
    }
}

fn mount_layers<'a>(
    lower: Vec<Layer<'a>>,
    writable: (Layer<'a>, Layer<'a>),
    options: &[(&'a str, Option<&'a str>)],
) -> Result<Mount> {
    Overlay { lower, writable: Some(writable), options: options.to_vec() }.mount(Attr::default())
}

/// Makes the mounted root this process's root and lets go of the host's tree.
pub(crate) fn enter(plan: &Plan, root: RootDir) -> Result<RootDir> {
    let host = host_root()?;
    fs::fchdir(root.as_fd()).context(|| "enter the root")?;
    let here = Path::new(".");
    if plan.no_pivot {
        let root = Mount::from_fd(root.as_fd().try_clone_to_owned().context(|| "move the root")?);
        root.attach(host.as_fd()).context(|| "move the root over `/`")?;
        fs::chroot(here).context(|| "enter the root")?;
    } else {
        // The old root comes to lie on top of the new one at `/`, where "." then finds it: no
        // directory for it is needed (pivot_root(2), "pivot_root(".", ".")").
        fs::pivot_root(here, here).context(|| "make the root the container's `/`")?;
        let attr = MountAttr { propagation: Some(Propagation::Slave), ..MountAttr::default() };
        if plan.root.is_shared() {
            change(host.as_fd(), &attr, true).context(|| "cut the host's tree off")?;
        }
        taru_sys::mount::umount2(here, UmountFlags::DETACH).context(|| "let go of the host's tree")?;
    }
    fs::chdir(Path::new("/")).context(|| "enter the root")?;
    drop((host, root));
    super::current_root()
}

/// Gives the root its propagation and, as the last of all, makes it read-only.
pub(crate) fn finish(plan: &Plan, root: &RootDir) -> Result<()> {
    let (propagation, recursive) = plan.root.propagation;
    // So was the host's tree before anything was mounted from it: a mount that is to be shared by its own
    // options stays so.
    let is_already =
        matches!((propagation, recursive), (Propagation::Slave, true) | (Propagation::Private, _));
    if !is_already {
        let attr = MountAttr { propagation: Some(propagation), ..MountAttr::default() };
        change(root.as_fd(), &attr, recursive).context(|| "set the propagation of the root")?;
    }
    if plan.root.readonly {
        let attr = MountAttr { set: Attr::RDONLY, ..MountAttr::default() };
        change(root.as_fd(), &attr, false).context(|| "make the root read-only")?;
    }
    Ok(())
}

/// Whether `fd` is a directory.
pub(crate) fn is_dir(fd: impl AsFd) -> Result<bool> {
    let stat = fs::fstat(fd.as_fd()).context(|| "look at the source")?;
    Ok(stat.is_dir())
}
