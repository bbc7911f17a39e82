//! Paths below a root that somebody else writes to, and a procfs that can be trusted.
//!
//! [`RootDir`] holds a directory and resolves every path inside it as if it were `/`: neither `..`, nor
//! an absolute symbolic link, nor a race with a process that swaps directories leads out. [`Proc`] is a
//! procfs known to be one, below which no mount can hide a file.
//!
//! ```
//! use std::path::Path;
//! use taru_rootdir::RootDir;
//!
//! # fn main() -> taru_stdx::Result<()> {
//! let dir = std::env::temp_dir().join(format!("rootdir-{}", std::process::id()));
//! # std::fs::create_dir(&dir).unwrap();
//! let root = RootDir::open(&dir)?;
//! root.create_dir_all(Path::new("/etc/app"), 0o755)?;
//! root.symlink(Path::new("/etc/../../../etc"), Path::new("/configuration"))?;
//! root.create_file(Path::new("/configuration/app/file"), 0o644)?;
//! assert!(dir.join("etc/app/file").exists());
//! # std::fs::remove_dir_all(&dir).unwrap();
//! # Ok(())
//! # }
//! ```

mod procfs;
mod remove;
mod root;
mod walk;

pub use procfs::{Proc, Subset};
pub use root::{Resolver, RootDir};
