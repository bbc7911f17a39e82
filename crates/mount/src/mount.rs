//! [`Mount`]: a mount held by a descriptor, from its making to its place.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use taru_rootdir::RootDir;
use taru_stdx::{Context, Error, Kind, Result};
use taru_sys::errno;
use taru_sys::fs::{AtFlags, fstat};
use taru_sys::mount::{self, Attr, MountAttr, MoveMount, OpenTree, Propagation};

use crate::context::failed;

/// A detached mount: nobody sees it, and closing it unmounts it.
#[derive(Debug)]
pub struct Mount {
    fd: OwnedFd,
}

impl Mount {
    /// A mount of the tree at `source`, with `recursive` also of all mounts below it.
    ///
    /// # Errors
    /// [`Kind::Permission`] without `CAP_SYS_ADMIN`; as open_tree(2).
    pub fn bind(source: BorrowedFd<'_>, recursive: bool) -> Result<Mount> {
        let mut flags = OpenTree::CLONE | OpenTree::EMPTY_PATH;
        if recursive {
            flags |= OpenTree::RECURSIVE;
        }
        let fd = mount::open_tree(source, Path::new(""), flags).context(|| "bind")?;
        Ok(Mount { fd })
    }

    /// A mount from a descriptor: of fsmount(2), open_tree(2), or another process.
    pub fn from_fd(fd: OwnedFd) -> Mount {
        Mount { fd }
    }

    /// Clears attributes, then sets others; with `recursive` of all mounts below too, all or none.
    /// Setting one access time mode replaces the other.
    ///
    /// # Errors
    /// [`Kind::Permission`] for an attribute that a user namespace has locked; as mount_setattr(2).
    pub fn attributes(&self, set: Attr, clear: Attr, recursive: bool) -> Result<()> {
        change(self.as_fd(), &MountAttr { set, clear, ..MountAttr::default() }, recursive)
    }

    /// Sets the propagation.
    ///
    /// # Errors
    /// As mount_setattr(2).
    pub fn propagation(&self, propagation: Propagation, recursive: bool) -> Result<()> {
        let attr = MountAttr { propagation: Some(propagation), ..MountAttr::default() };
        change(self.as_fd(), &attr, recursive)
    }

    /// Maps ids as the user namespace `userns` does (kernel 5.12).
    ///
    /// # Errors
    /// [`Kind::Unsupported`] where the file system cannot be id-mapped.
    pub fn idmap(&self, userns: BorrowedFd<'_>, recursive: bool) -> Result<()> {
        let attr = MountAttr { set: Attr::IDMAP, userns: Some(userns), ..MountAttr::default() };
        match apply(self.as_fd(), &attr, recursive) {
            Err(e) if e.errno() == errno::INVAL => Err(e)
                .context_as(Kind::Unsupported, || "map the ids of the mount")
                .map_err(|e| e.hint("the file system must support id-mapped mounts (FS_ALLOW_IDMAP)")),
            done => done.context(|| "map the ids of the mount"),
        }
    }

    /// Puts the mount on `target`, over what stands there, and gives the handle on it back, now one on an
    /// ordinary mount.
    ///
    /// # Errors
    /// [`Kind::Invalid`] where one is a directory and the other is not; as move_mount(2).
    pub fn attach(self, target: impl AsFd) -> Result<OwnedFd> {
        let flags = MoveMount::F_EMPTY_PATH | MoveMount::T_EMPTY_PATH;
        let nothing = Path::new("");
        let done = mount::move_mount(self.as_fd(), nothing, target.as_fd(), nothing, flags);
        done.map_err(|e| match mismatch(self.as_fd(), target.as_fd()) {
            // The kernel says EINVAL for half a dozen reasons; this is the one that people meet.
            Some(text) if e.errno() == errno::INVAL => Error::invalid(text),
            _ => failed(e, "attach the mount"),
        })?;
        Ok(self.fd)
    }

    /// As [`Mount::attach`], on what is called `name` in the directory `dir`, to which nobody else must have access yet.
    ///
    /// # Errors
    /// As move_mount(2).
    pub fn attach_at(self, dir: impl AsFd, name: &Path) -> Result<()> {
        let done = mount::move_mount(self.as_fd(), Path::new(""), dir.as_fd(), name, MoveMount::F_EMPTY_PATH);
        done.map_err(|e| failed(e, "attach the mount"))
    }

    /// The mount's root, to work below it before or after it is attached.
    ///
    /// # Errors
    /// Only at the limit of descriptors.
    pub fn root(&self) -> Result<RootDir> {
        let fd = self.fd.try_clone().context(|| "open the mount's root")?;
        Ok(RootDir::from_fd(fd))
    }

    /// The mount as a descriptor, for another process: see [`Mount::from_fd`].
    pub fn into_fd(self) -> OwnedFd {
        self.fd
    }

    /// The mount's descriptor, an `O_PATH` one.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsFd for Mount {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Whether one is a directory and the other is not.
fn mismatch(source: BorrowedFd<'_>, target: BorrowedFd<'_>) -> Option<&'static str> {
    match (fstat(source).ok()?.is_dir(), fstat(target).ok()?.is_dir()) {
        (true, false) => Some("attach the mount: a directory cannot be mounted on a file"),
        (false, true) => Some("attach the mount: a file cannot be mounted on a directory"),
        _ => None,
    }
}

/// Changes the mount whose root (or, with the kernel's consent, whose any directory) `at` is: attached
/// or not. Several kinds of change in one call are made all or none.
///
/// # Errors
/// As mount_setattr(2).
pub fn change(at: BorrowedFd<'_>, attr: &MountAttr<'_>, recursive: bool) -> Result<()> {
    apply(at, attr, recursive).context(|| "change the mount")
}

fn apply(at: BorrowedFd<'_>, attr: &MountAttr<'_>, recursive: bool) -> taru_sys::Result<()> {
    let mut attr = *attr;
    if attr.set.intersects(Attr::ATIME) {
        // The kernel wants the old mode cleared as a whole when a new one is set.
        attr.clear |= Attr::ATIME;
    }
    let mut flags = AtFlags::EMPTY_PATH;
    if recursive {
        flags |= AtFlags::RECURSIVE;
    }
    mount::mount_setattr(at, Path::new(""), flags, &attr)
}
