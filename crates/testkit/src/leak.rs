//! The leak check: what exists before a test exists after it, no more and no less.
//!
//! Inside a [`crate::Sandbox`] the mounts, network links, processes, network namespace files and the
//! files in `/run` are the test's alone, so they are compared exactly. Cgroups are the machine's:
//! of those, the ones that bear the sandbox's marker count.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Everything a runtime could leave behind, by kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    entries: BTreeSet<String>,
}

/// The difference of two snapshots.
#[derive(Clone, Debug)]
pub struct Leaks {
    /// Lines `+ kind thing` and `- kind thing`.
    pub lines: Vec<String>,
}

impl Snapshot {
    /// What exists now. Files are listed below `watched`.
    pub fn take(marker: &str, watched: &[PathBuf]) -> Self {
        let mut entries = BTreeSet::new();
        for mount in read("/proc/self/mountinfo").lines() {
            // Without the mount's number, which differs when the same thing is mounted anew.
            let fields: Vec<&str> = mount.split(' ').skip(2).collect();
            entries.insert(format!("mount {}", fields.join(" ")));
        }
        for line in read("/proc/self/net/dev").lines().skip(2) {
            entries.insert(format!("link {}", line.split(':').next().unwrap_or_default().trim()));
        }
        for root in hierarchies() {
            walk(&root, &mut |path| {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                // The common parent of the test's cgroups is the sandbox's to remove.
                if name.contains(marker) && name != marker {
                    entries.insert(format!("cgroup {}", path.display()));
                }
            });
        }
        for pid in processes() {
            entries.insert(format!("process {pid} {}", read(&format!("/proc/{pid}/comm")).trim()));
        }
        for directory in watched {
            walk(directory, &mut |path| {
                // Compiled seccomp filters are kept on purpose, by taru and by crun, for the next container.
                let is_kept = path.iter().any(|part| part == "@seccomp" || part == ".cache");
                if !is_kept {
                    entries.insert(format!("file {}", path.display()));
                }
            });
        }
        Self { entries }
    }

    /// What is there in `later` and was not in `self`, and the other way round.
    pub fn leaks(&self, later: &Self) -> Leaks {
        let new = later.entries.difference(&self.entries).map(|entry| format!("+ {entry}"));
        let gone = self.entries.difference(&later.entries).map(|entry| format!("- {entry}"));
        Leaks { lines: new.chain(gone).collect() }
    }
}

/// Where cgroup hierarchies are mounted.
fn hierarchies() -> Vec<PathBuf> {
    let mounts = read("/proc/self/mountinfo");
    let cgroup_mounts = mounts.lines().filter_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        right.starts_with("cgroup").then(|| left.split(' ').nth(4))?
    });
    cgroup_mounts.map(PathBuf::from).collect()
}

/// Removes the cgroups that bear `marker`, thawing first. For after a test that failed.
pub(crate) fn remove_cgroups(marker: &str) {
    for root in hierarchies() {
        let mut found = Vec::new();
        walk(&root, &mut |path| {
            if path.to_string_lossy().contains(marker) {
                found.push(path.to_owned());
            }
        });
        // A child is listed after its parent; it must go first.
        for path in found.iter().rev() {
            let _ = fs::write(path.join("cgroup.kill"), "1");
            for _ in 0..200 {
                match fs::remove_dir(path) {
                    Err(error) if error.kind() == std::io::ErrorKind::ResourceBusy => {
                        std::thread::sleep(std::time::Duration::from_millis(5));
                    }
                    _ => break,
                }
            }
        }
    }
}

/// Thaws every cgroup that bears `marker`: a frozen process of cgroup v1 cannot even be killed.
pub(crate) fn thaw_cgroups(marker: &str) {
    for root in hierarchies() {
        walk(&root, &mut |path| {
            if path.to_string_lossy().contains(marker) {
                let _ = fs::write(path.join("freezer.state"), "THAWED");
                let _ = fs::write(path.join("cgroup.freeze"), "0");
            }
        });
    }
}

/// Every process but pid 1 (the sandbox's init) and this one.
fn processes() -> Vec<u32> {
    let own = std::process::id();
    let names = fs::read_dir("/proc").into_iter().flatten().flatten();
    names
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| *pid != 1 && *pid != own)
        .collect()
}

/// Calls `visit` for everything below `directory`, parents first, following no symlink.
fn walk(directory: &Path, visit: &mut dyn FnMut(&Path)) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
        // Files of a cgroup are the kernel's own.
        if is_dir || !directory.starts_with("/sys/fs/cgroup") {
            visit(&path);
        }
        if is_dir {
            walk(&path, visit);
        }
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}
