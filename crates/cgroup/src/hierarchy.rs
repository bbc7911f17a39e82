//! What cgroup hierarchies this process sees: /proc/self/mountinfo says where they are mounted,
//! /proc/self/cgroup says where in them it is.
//!
//! ```text
//! v1       /sys/fs/cgroup/{cpu,memory,...,systemd}      one tree a controller (or set of controllers)
//! hybrid   the same, and a cgroup2 mount (/sys/fs/cgroup/unified), often without controllers
//! v2       /sys/fs/cgroup                               one tree
//! ```
//!
//! A mount may show only a part of its tree (a bind mount inside a container): its *root* is then not `/`,
//! and a path of /proc/self/cgroup is found below it without that root. With a cgroup namespace both are
//! seen from the namespace's root, and agree again.

use std::path::{Component, Path, PathBuf};

use taru_stdx::{Context, Error, Result, fs::read_bounded};

use crate::Controller;

/// More than ten thousand mounts.
const MOUNTINFO_LIMIT: u64 = 16 << 20;
const SELF_CGROUP_LIMIT: u64 = 1 << 20;

/// How the hierarchies are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// No cgroup file system is mounted.
    None,
    /// Version 1 only.
    V1,
    /// Version 1, and a cgroup2 mount beside it.
    Hybrid,
    /// Version 2 only.
    V2,
}

/// The hierarchies as this process sees them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hierarchy {
    /// The mounted v1 hierarchies, in the order of /proc/self/cgroup.
    pub v1: Vec<V1>,
    /// The cgroup2 mount.
    pub v2: Option<Mounted>,
}

/// A mounted v1 hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct V1 {
    /// Its controllers as /proc/self/cgroup names them (`cpu`, `cpuacct`), or its name (`name=systemd`).
    pub names: Vec<String>,
    /// Where it is mounted.
    pub mounted: Mounted,
}

/// Where a hierarchy is mounted, and where this process is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mounted {
    /// The mount point.
    pub point: PathBuf,
    /// The group that the mount point shows; `/` unless a part of the tree was bind-mounted.
    pub root: PathBuf,
    /// The group of this process, as /proc/self/cgroup has it.
    pub own: PathBuf,
}

impl Mounted {
    /// The directory of `group`, a path as in /proc/PID/cgroup; `None` if the mount does not show it.
    pub fn dir_of(&self, group: &Path) -> Option<PathBuf> {
        let below = group.strip_prefix(&self.root).ok()?;
        // A process outside of this cgroup namespace is shown as `/../x`.
        if below.components().any(|c| c == Component::ParentDir) {
            return None;
        }
        Some(joined(&self.point, below))
    }

    /// The directory of this process' own group; the mount point if the mount does not show it.
    pub fn own_dir(&self) -> PathBuf {
        self.dir_of(&self.own).unwrap_or_else(|| self.point.clone())
    }
}

/// `Path::join` without the slash that joining an empty path leaves at the end.
fn joined(dir: &Path, below: &Path) -> PathBuf {
    if below.as_os_str().is_empty() { dir.to_owned() } else { dir.join(below) }
}

impl Hierarchy {
    /// Looks at the hierarchies of this process.
    ///
    /// # Errors
    /// When /proc/self/mountinfo or /proc/self/cgroup cannot be read.
    pub fn probe() -> Result<Hierarchy> {
        let text = |path: &str, limit| {
            read_bounded(Path::new(path), limit).map(|b| String::from_utf8_lossy(&b).into_owned())
        };
        let own = match text("/proc/self/cgroup", SELF_CGROUP_LIMIT) {
            // A kernel without cgroups has no such file.
            Err(e) if e.kind() == taru_stdx::Kind::NotFound && Path::new("/proc/self").exists() => {
                String::new()
            }
            other => other?,
        };
        Hierarchy::parse(&text("/proc/self/mountinfo", MOUNTINFO_LIMIT)?, &own)
            .context(|| "find the cgroup mounts")
    }

    /// As [`Hierarchy::probe`], from the texts of /proc/self/mountinfo and /proc/self/cgroup.
    ///
    /// # Errors
    /// When a line is not of the format of proc_pid_mountinfo(5) or cgroups(7).
    pub fn parse(mountinfo: &str, own: &str) -> Result<Hierarchy> {
        let mounts = parse_mountinfo(mountinfo)?;
        let mut hierarchy = Hierarchy { v1: Vec::new(), v2: None };
        for line in own.lines().filter(|l| !l.is_empty()) {
            let mut fields = line.splitn(3, ':');
            let (Some(_id), Some(names), Some(path)) = (fields.next(), fields.next(), fields.next()) else {
                return Err(Error::invalid(format!("parse `{line}` of /proc/self/cgroup")));
            };
            let path = PathBuf::from(path.strip_suffix(" (deleted)").unwrap_or(path));
            let names: Vec<String> = names.split(',').filter(|n| !n.is_empty()).map(str::to_owned).collect();
            let found = best(&mounts, &path, |m| match names.as_slice() {
                [] => m.version == 2,
                names => m.version == 1 && names.iter().all(|n| m.options.iter().any(|o| o == n)),
            });
            let Some(found) = found else { continue };
            let mounted = Mounted { point: found.point.clone(), root: found.root.clone(), own: path };
            if names.is_empty() {
                hierarchy.v2 = Some(mounted);
            } else {
                hierarchy.v1.push(V1 { names, mounted });
            }
        }
        // The kernel lists the newest hierarchy first; the order of making groups is the other one.
        hierarchy.v1.reverse();
        Ok(hierarchy)
    }

    /// How they are laid out.
    pub fn layout(&self) -> Layout {
        match (self.v1.is_empty(), self.v2.is_none()) {
            (true, true) => Layout::None,
            (false, true) => Layout::V1,
            (false, false) => Layout::Hybrid,
            (true, false) => Layout::V2,
        }
    }

    /// The v1 hierarchy of `controller`.
    pub fn v1(&self, controller: Controller) -> Option<&V1> {
        self.v1.iter().find(|h| h.names.iter().any(|n| n == controller.v1_name()))
    }
}

/// A line of mountinfo that is a cgroup mount.
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    version: u8,
    root: PathBuf,
    point: PathBuf,
    options: Vec<String>,
    /// Something was mounted over it later.
    hidden: bool,
}

/// The cgroup mounts among the lines of mountinfo, in its order.
fn parse_mountinfo(text: &str) -> Result<Vec<Entry>> {
    let mut entries: Vec<Entry> = Vec::new();
    for line in text.lines() {
        let bad = || Error::invalid(format!("parse `{line}` of /proc/self/mountinfo"));
        // id parent major:minor root point options [tags...] - type source superoptions
        let mut fields = line.split(' ');
        let (root, point) = (fields.nth(3).ok_or_else(bad)?, fields.next().ok_or_else(bad)?);
        let (_, fs) = line.split_once(" - ").ok_or_else(bad)?;
        let mut fs = fs.split(' ');
        let (kind, options) = (fs.next().ok_or_else(bad)?, fs.nth(1).unwrap_or(""));
        let point = unescape(point);
        for earlier in &mut entries {
            earlier.hidden |= earlier.point.starts_with(&point);
        }
        let version = match kind {
            "cgroup" => 1,
            "cgroup2" => 2,
            _ => continue,
        };
        let options = options.split(',').map(str::to_owned).collect();
        entries.push(Entry { version, root: unescape(root), point, options, hidden: false });
    }
    Ok(entries)
}

/// Of the mounts that are `wanted`, the one to use: one that shows the group `own`, then one that shows a whole
/// tree, then any; the first of equals.
fn best<'a>(entries: &'a [Entry], own: &Path, wanted: impl Fn(&Entry) -> bool) -> Option<&'a Entry> {
    let rank = |e: &Entry| (!own.starts_with(&e.root), e.root != Path::new("/"));
    entries.iter().filter(|e| !e.hidden && wanted(e)).min_by_key(|e| rank(e))
}

/// Undoes the octal escapes (`\040`) of proc_pid_mountinfo(5).
fn unescape(field: &str) -> PathBuf {
    use std::os::unix::ffi::OsStringExt;
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let octal = match (first, tail) {
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', ..]) => {
                Some((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'))
            }
            _ => None,
        };
        bytes.push(octal.unwrap_or(first));
        rest = if octal.is_some() { &tail[3..] } else { tail };
    }
    PathBuf::from(std::ffi::OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate
";

    #[test]
    fn hybrid() {
        let own = "4:pids:/\n3:name=systemd:/a:b\n2:memory:/tool/1\n1:cpu,cpuacct:/\n0::/\n";
        let h = Hierarchy::parse(HYBRID, own).unwrap();
        assert_eq!(h.layout(), Layout::Hybrid);
        let points: Vec<_> = h.v1.iter().map(|h| h.mounted.point.to_str().unwrap()).collect();
        assert_eq!(points, ["/sys/fs/cgroup/cpu,cpuacct", "/sys/fs/cgroup/memory", "/sys/fs/cgroup/systemd"]);
        assert_eq!(h.v1(Controller::Cpuacct), h.v1(Controller::Cpu));
        let memory = &h.v1(Controller::Memory).unwrap().mounted;
        assert_eq!(memory.own_dir(), Path::new("/sys/fs/cgroup/memory/tool/1"));
        assert_eq!(h.v1[2].mounted.own, Path::new("/a:b"));
        assert_eq!(h.v1(Controller::Pids), None, "not mounted");
        assert_eq!(h.v2.unwrap().own_dir(), Path::new("/sys/fs/cgroup/unified"));
    }

    #[test]
    fn v2_in_and_out_of_a_cgroup_namespace() {
        let whole = "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot\n";
        let h = Hierarchy::parse(whole, "0::/user.slice/a.scope\n").unwrap();
        assert_eq!(h.layout(), Layout::V2);
        assert_eq!(h.v2.unwrap().own_dir(), Path::new("/sys/fs/cgroup/user.slice/a.scope"));

        let bound = "30 23 0:26 /docker/x /sys/fs/cgroup ro - cgroup2 cgroup rw\n";
        let h = Hierarchy::parse(bound, "0::/docker/x/inner\n").unwrap();
        let v2 = h.v2.unwrap();
        assert_eq!(v2.own_dir(), Path::new("/sys/fs/cgroup/inner"));
        assert_eq!(v2.dir_of(Path::new("/docker/y")), None);
        assert_eq!(v2.dir_of(Path::new("/docker/x")), Some(PathBuf::from("/sys/fs/cgroup")));

        // The mount was made outside of the namespace that we are in.
        let outside = "30 23 0:26 /../.. /sys/fs/cgroup rw - cgroup2 cgroup rw\n";
        let v2 = Hierarchy::parse(outside, "0::/\n").unwrap().v2.unwrap();
        assert_eq!(v2.own_dir(), Path::new("/sys/fs/cgroup"));
        assert_eq!(v2.dir_of(Path::new("/../y")), None);
    }

    #[test]
    fn of_several_mounts_the_visible_one_that_shows_us() {
        let text = "\
1 0 0:26 /other /mnt/a rw - cgroup2 cgroup rw
2 0 0:26 / /mnt/b rw - cgroup2 cgroup rw
3 0 0:26 / /mnt/c\\040d rw - cgroup2 cgroup rw
4 0 0:26 / /mnt/b rw - tmpfs tmpfs rw
";
        let v2 = Hierarchy::parse(text, "0::/x\n").unwrap().v2.unwrap();
        assert_eq!(v2.point, Path::new("/mnt/c d"));
    }

    #[test]
    fn nothing_mounted_and_nonsense() {
        let h = Hierarchy::parse("1 0 0:1 / / rw - ext4 /dev/vda rw\n", "0::/\n1:cpu:/\n").unwrap();
        assert_eq!(h.layout(), Layout::None);
        assert!(Hierarchy::parse("1 0 0:1 /\n", "").is_err());
        assert!(Hierarchy::parse("", "0:/\n").is_err());
        assert_eq!(unescape("a\\134b\\04"), Path::new("a\\b\\04"));
    }

    #[test]
    fn this_machine() {
        let h = Hierarchy::probe().unwrap();
        for own in h.v1.iter().map(|h| h.mounted.own_dir()).chain(h.v2.iter().map(Mounted::own_dir)) {
            assert!(own.join("cgroup.procs").exists(), "{}", own.display());
        }
    }
}
