//! Subordinate ids for a test's ordinary user.

use std::fs;
use std::path::Path;
use std::process::Command;

/// Where ids are granted (subuid(5), subgid(5)).
const FILES: [&str; 2] = ["/etc/subuid", "/etc/subgid"];

/// A grant of 65536 ids from 300000 on to a user, bound over this host's for as long as it lives. For a sandbox: the mounts are its own.
#[derive(Debug)]
pub struct Grant;

impl Grant {
    /// Grants them to the user of this id; `dir` is for a file of it.
    ///
    /// # Panics
    /// Where it cannot be bound.
    pub fn new(dir: &Path, user: u32) -> Grant {
        let file = dir.join("subid");
        fs::write(&file, format!("{user}:300000:65536\n")).expect("write a grant");
        for path in FILES {
            let done = Command::new("mount").arg("--bind").args([&file, Path::new(path)]).status();
            assert!(done.is_ok_and(|done| done.success()), "bind a grant over {path}");
        }
        Grant
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        for path in FILES {
            let _ = Command::new("umount").arg(path).status();
        }
    }
}
