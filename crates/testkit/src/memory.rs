//! A memory control group of a test's own: a bound that the kernel holds a command and all its children to.
//!
//! All that is charged counts: their own memory, page tables, kernel objects, page cache. Cache the kernel gives up when the
//! bound is reached, the rest it cannot: a command that comes to its own end took no more than the bound of what cannot be
//! given up. That says more than any peak that is read afterwards: the largest usage is the bound itself, once enough files
//! were read or written. Files in memory (tmpfs) cannot be given up and count; swap is not used.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Invocation;

/// The group. It is removed with the value; nothing may run in it then.
#[derive(Debug)]
pub struct MemoryGroup {
    dir: PathBuf,
    is_unified: bool,
}

impl MemoryGroup {
    /// A group whose name bears `marker`, of at most `bytes`.
    ///
    /// # Errors
    /// What this machine lacks, for [`crate::skip`].
    pub fn new(marker: &str, bytes: u64) -> Result<MemoryGroup, String> {
        let lacks = |what: &Path, error: std::io::Error| format!("`{}`: {error}", what.display());
        let (root, is_unified) = hierarchy().ok_or("a memory controller")?;
        let parent = root.join(marker);
        let dir = parent.join(format!("{marker}-memory"));
        fs::create_dir_all(&parent).map_err(|error| lacks(&parent, error))?;
        if is_unified {
            for above in [&root, &parent] {
                let file = above.join("cgroup.subtree_control");
                fs::write(&file, "+memory").map_err(|error| lacks(&file, error))?;
            }
        }
        fs::create_dir_all(&dir).map_err(|error| lacks(&dir, error))?;
        let group = MemoryGroup { dir, is_unified };
        let bytes = bytes.to_string();
        // In v1 the bound of memory and swap together cannot be less than that of memory, and is set behind it.
        let (files, may_lack): (&[(&str, &str)], _) = match is_unified {
            true => (&[("memory.max", &bytes), ("memory.swap.max", "0")], "memory.swap.max"),
            false => (
                &[("memory.limit_in_bytes", &bytes), ("memory.memsw.limit_in_bytes", &bytes)],
                "memory.memsw.limit_in_bytes",
            ),
        };
        for (file, value) in files {
            let path = group.dir.join(file);
            match fs::write(&path, value) {
                // A kernel that does not account swap.
                Err(_) if *file == may_lack && !path.exists() => {}
                written => written.map_err(|error| lacks(&path, error))?,
            }
        }
        Ok(group)
    }

    /// The command, in this group from its first instruction on.
    #[must_use]
    pub fn around(&self, command: Invocation) -> Invocation {
        let enter = format!("echo 0 > '{}' && exec \"$@\"", self.dir.join("cgroup.procs").display());
        command.under(["sh", "-c", &enter, "sh"])
    }

    /// How many processes the kernel killed for want of memory.
    ///
    /// # Panics
    /// If the group cannot be read.
    pub fn killed(&self) -> u64 {
        let file = if self.is_unified { "memory.events" } else { "memory.oom_control" };
        let text = fs::read_to_string(self.dir.join(file)).expect("read the memory group");
        let line = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        line.expect("a count of kills").trim().parse().expect("a number")
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        // A process that was waited for may be in it for an instant more.
        for _ in 0..200 {
            match fs::remove_dir(&self.dir) {
                Err(error) if error.kind() == std::io::ErrorKind::ResourceBusy => {
                    std::thread::sleep(std::time::Duration::from_millis(5));
                }
                _ => break,
            }
        }
    }
}

/// Where the memory controller is, and whether that is cgroup v2.
fn hierarchy() -> Option<(PathBuf, bool)> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let mut found = None;
    for line in mounts.lines() {
        let (left, right) = line.split_once(" - ")?;
        let point = PathBuf::from(left.split(' ').nth(4)?);
        let mut words = right.split(' ');
        match (words.next()?, words.nth(1)?) {
            ("cgroup", options) if options.split(',').any(|option| option == "memory") => {
                return Some((point, false));
            }
            ("cgroup2", _) => {
                let controllers = fs::read_to_string(point.join("cgroup.controllers")).unwrap_or_default();
                if controllers.split_whitespace().any(|controller| controller == "memory") {
                    found = Some((point, true));
                }
            }
            _ => {}
        }
    }
    found
}
