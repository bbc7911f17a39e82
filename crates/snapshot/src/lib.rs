//! Layers and root file systems: unpack, mount, compare, on overlay, images of erofs, directories and btrfs.
//!
//! A layer is named by its chain id, a container's root by the container's id. A layer that is there under its name is
//! whole, verified and durable; it is never changed. Foreign bytes are only read in a disposable child: the program's
//! `main` calls [`worker_main`] first.

pub mod attribute;
mod broken;
mod changes;
mod check;
mod copy;
mod differ;
mod driver;
pub mod extent;
mod fill;
mod hash;
mod ids;
mod inherit;
mod layout;
mod levels;
mod lock;
mod lower;
mod manifest;
mod merge;
mod name;
mod share;
mod stacked;
mod staging;
mod store;
mod stream;
mod tree;
mod unpack;
mod unpacking;
mod view;
mod walk;
mod worker;

pub use changes::{Broken, Change, ChangeKind, Diff, Usage};
pub use driver::{Driver, DriverKind, Rootfs, Tree};
pub use lower::Lower;
pub use store::{Ids, Key, Snapshots};
pub use taru_mount::idmap::{IdMaps, Range};
pub use unpacking::{Blob, Unpack};
pub use worker::{Workers, worker_main};
