//! Mounts as objects: made unseen, given their attributes, then put in their place in one step.
//!
//! * [`Mount`]: a file system, an image in a file, a bind of a tree, an [`Overlay`]; attributes, propagation, id maps.
//! * [`options`]: the words of fstab, runc and crun, typed.
//! * [`mountinfo`]: what is mounted.
//! * [`idmap`]: id maps and the user namespaces that carry them.
//!
//! The new mount API is used throughout (mount_setattr: kernel 5.12), because a mount that is not
//! attached yet can be neither seen nor raced with, and is gone when its descriptor is closed.
//!
//! ```no_run
//! use taru_mount::{Attr, Mount};
//! use taru_rootdir::RootDir;
//!
//! # fn main() -> taru_stdx::Result<()> {
//! let root = RootDir::open("/srv/rootfs".as_ref())?;
//! let tmp = Mount::fs("tmpfs", Some("tmpfs"), &[("size", Some("64m"))], Attr::NOSUID | Attr::NODEV)?;
//! tmp.attach(root.create_dir_all("/tmp".as_ref(), 0o1777)?)?;
//!
//! let usr = Mount::bind(RootDir::open("/usr".as_ref())?.as_fd(), true)?;
//! usr.attributes(Attr::RDONLY, Attr::empty(), true)?;
//! usr.attach(root.create_dir_all("/usr".as_ref(), 0o755)?)?;
//! # Ok(())
//! # }
//! ```

mod context;
mod filesystem;
pub mod idmap;
mod image;
mod mount;
pub mod mountinfo;
pub mod options;
mod overlay;

pub use filesystem::reconfigure;
pub use mount::{Mount, change};
pub use options::Options;
pub use overlay::{Layer, Overlay};
pub use taru_sys::mount::{Attr, MountAttr, Propagation};
