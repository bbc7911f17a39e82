//! Room kept aside: on a full disk removing has to write a little before it frees anything.
//!
//! ```text
//! DIR/reserve/{0..3}    1 MiB each, allocated: four inodes and 4 MiB for the write-ahead log and its index
//! ```

use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use taru_sys::fs::{FallocateMode, fallocate};

const FILES: usize = 4;
const BYTES: u64 = 1 << 20;

/// The directory.
#[derive(Debug)]
pub(crate) struct Reserve {
    dir: PathBuf,
}

impl Reserve {
    pub(crate) fn new(dir: &Path) -> Reserve {
        Reserve { dir: dir.join("reserve") }
    }

    /// Puts room aside that is not there yet. On a full disk there is none to be had: gc tries again.
    pub(crate) fn ensure(&self) {
        if self.dir.join((FILES - 1).to_string()).exists() {
            return;
        }
        let _ = std::fs::create_dir(&self.dir);
        for number in 0..FILES {
            if self.allocate(&self.dir.join(number.to_string())).is_err() {
                break;
            }
        }
    }

    fn allocate(&self, path: &Path) -> std::io::Result<()> {
        let file = match File::options().write(true).create_new(true).mode(0o600).open(path) {
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => return Ok(()),
            other => other?,
        };
        // Where a file system cannot reserve, an inode is all that is kept: still better than nothing.
        match fallocate(file.as_fd(), FallocateMode::empty(), 0, BYTES) {
            Err(e) if e.errno() == taru_sys::errno::NOSPC => {
                std::fs::remove_file(path)?;
                Err(e.into())
            }
            _ => Ok(()),
        }
    }

    /// Gives up all of it; whether there was any.
    pub(crate) fn release(&self) -> bool {
        let mut any = false;
        for number in 0..FILES {
            any |= std::fs::remove_file(self.dir.join(number.to_string())).is_ok();
        }
        any
    }
}
