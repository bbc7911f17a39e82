//! Subordinate ids for a test's ordinary user.

use std::fs;
use std::path::Path;
use std::process::Command;

/// A grant of 65536 ids from 300000 on to a user, bound over this host's for as long as it lives. For a sandbox: the mounts are its own.
///
/// newuidmap(1) wants a user with a name: one is bound over passwd(5) too, where this host has none with the id.
#[derive(Debug)]
pub struct Grant {
    bound: Vec<&'static str>,
}

impl Grant {
    /// Grants them to the user of this id; `dir` is for files of it.
    ///
    /// # Panics
    /// Where they cannot be bound.
    pub fn new(dir: &Path, user: u32) -> Grant {
        let mut grant = Grant { bound: Vec::new() };
        let ids = format!("{user}:300000:65536\n");
        grant.bind(dir, "/etc/subuid", &ids);
        grant.bind(dir, "/etc/subgid", &ids);
        let users = fs::read_to_string("/etc/passwd").expect("read `/etc/passwd`");
        let id = user.to_string();
        if !users.lines().any(|line| line.split(':').nth(2) == Some(&id)) {
            grant.bind(dir, "/etc/passwd", &format!("{users}taru-test:x:{user}:{user}::/:/bin/sh\n"));
        }
        grant
    }

    fn bind(&mut self, dir: &Path, path: &'static str, text: &str) {
        let file = dir.join(Path::new(path).file_name().expect("a file's name"));
        fs::write(&file, text).expect("write a grant");
        let done = Command::new("mount").arg("--bind").args([&file, Path::new(path)]).status();
        assert!(done.is_ok_and(|done| done.success()), "bind a grant over {path}");
        self.bound.push(path);
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        for path in &self.bound {
            let _ = Command::new("umount").arg(path).status();
        }
    }
}
