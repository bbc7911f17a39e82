//! A group's files by their names, and the groups that there are: what a command line needs beyond the typed limits.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use taru_stdx::{Context, Error, Kind, Result};

use crate::dir::Dir;
use crate::hierarchy::Hierarchy;
use crate::members::pids_of;
use crate::{Cgroup, Controller};

/// A group that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its path from the top of the hierarchies, as they are mounted here.
    pub path: PathBuf,
    /// The controllers and names of the v1 hierarchies it is in; `cgroup2` for v2.
    pub hierarchies: BTreeSet<String>,
    /// How many processes are in it, not counting groups below; of the hierarchies the one with most.
    pub processes: usize,
}

impl Cgroup {
    /// The text of the file `name`, as `memory.max` or `cpu.cfs_quota_us`, from whichever hierarchy has it.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for a name with a slash, [`Kind::NotFound`] if no hierarchy has it.
    pub fn read_file(&self, name: &str) -> Result<String> {
        self.dir_with(name)?.read(name)
    }

    /// Writes `value` to the file `name`, as [`Cgroup::read_file`] finds it.
    ///
    /// # Errors
    /// As [`Cgroup::read_file`]'s, and any refusal of the kernel.
    pub fn write_file(&self, name: &str, value: &str) -> Result<()> {
        self.dir_with(name)?.write(name, value)
    }

    fn dir_with(&self, name: &str) -> Result<&Dir> {
        if name.is_empty() || name.contains(['/', '\0']) || name == "." || name == ".." {
            return Err(Error::invalid(format!("use `{}` as the name of a file", name.escape_debug())));
        }
        // Every hierarchy has its own `cgroup.procs` and the like; for those v2 speaks.
        let prefix = name.split('.').next().unwrap_or_default();
        let owner =
            Controller::by_name(prefix).and_then(|c| self.dirs().find(|d| Some(d.path()) == self.dir_of(c)));
        let v2 = self.v2.as_ref().map(|h| &h.dir);
        owner.into_iter().chain(v2).chain(self.dirs()).find(|dir| dir.has(name)).ok_or_else(|| {
            Error::new(Kind::NotFound, format!("find the file `{name}` of the group: in no hierarchy"))
        })
    }
}

/// All groups of the hierarchies, by path.
///
/// # Errors
/// When a directory cannot be listed. Groups that vanish meanwhile are left out.
pub fn list(hierarchy: &Hierarchy) -> Result<Vec<Listed>> {
    let mut all: BTreeMap<PathBuf, Listed> = BTreeMap::new();
    let v1 = hierarchy.v1.iter().map(|h| (&h.mounted, h.names.clone()));
    let v2 = hierarchy.v2.iter().map(|m| (m, vec!["cgroup2".to_owned()]));
    for (mounted, names) in v1.chain(v2) {
        for dir in below(&mounted.point)? {
            let Ok(relative) = dir.strip_prefix(&mounted.point) else { continue };
            let path = PathBuf::from("/").join(relative);
            let Ok(open) = Dir::open(dir.clone()) else { continue };
            let processes = pids_of(&open)?.len();
            let listed = all.entry(path.clone()).or_insert_with(|| Listed {
                path,
                hierarchies: BTreeSet::new(),
                processes: 0,
            });
            listed.hierarchies.extend(names.iter().cloned());
            listed.processes = listed.processes.max(processes);
        }
    }
    Ok(all.into_values().collect())
}

/// `path` and all directories below it, parents before children; by path, since these are to be shown.
fn below(path: &Path) -> Result<Vec<PathBuf>> {
    let mut all = vec![path.to_owned()];
    let mut next = 0;
    while let Some(path) = all.get(next).cloned() {
        next += 1;
        let entries = match std::fs::read_dir(&path) {
            Ok(entries) => entries,
            // Gone meanwhile, not ours to see, or nested beyond what a path can name.
            Err(_) if next > 1 => continue,
            Err(e) => return Err(e).context(|| format!("list `{}`", path.display())),
        };
        let is_dir = |e: &std::fs::DirEntry| e.file_type().is_ok_and(|t| t.is_dir());
        all.extend(entries.flatten().filter(is_dir).map(|e| e.path()));
    }
    Ok(all)
}
