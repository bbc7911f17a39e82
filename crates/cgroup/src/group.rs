//! A group: one directory in each hierarchy, made, opened and named together.

use std::collections::BTreeMap;
use std::os::fd::BorrowedFd;
use std::path::{Component, Path, PathBuf};

use taru_stdx::{Context, Error, Result};
use taru_sys::errno;
use taru_sys::process::Pid;

use crate::dir::{Dir, remove_made};
use crate::hierarchy::{Hierarchy, Mounted};
use crate::{Controller, subtree};

/// A group in all hierarchies of this host.
///
/// With no hierarchy at all (see [`Cgroup::create_permitted`]) everything that asks for nothing succeeds.
#[derive(Debug)]
pub struct Cgroup {
    pub(crate) v1: Vec<V1Dir>,
    pub(crate) v2: Option<V2Dir>,
    /// Directories that this handle made, outermost first.
    pub(crate) made: Vec<PathBuf>,
    /// Whether it is the top of a hierarchy, in one of them at least.
    top: bool,
}

/// The group in one v1 hierarchy.
#[derive(Debug)]
pub(crate) struct V1Dir {
    /// The controllers, or `name=systemd`.
    pub(crate) names: Vec<String>,
    pub(crate) dir: Dir,
}

/// The group in the v2 hierarchy.
#[derive(Debug)]
pub(crate) struct V2Dir {
    pub(crate) dir: Dir,
    /// Whether v1 hierarchies are there too.
    pub(crate) hybrid: bool,
}

/// Where a controller of a group is to be found.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place<'a> {
    V1(&'a Dir),
    V2(&'a Dir),
    Nowhere,
}

impl Cgroup {
    /// Makes the group `path` in every mounted hierarchy, or takes the one that is there.
    ///
    /// An absolute `path` counts from the mount points. A relative one counts from this process' own group
    /// on v1, and from the parent of its own group on v2, because there a group with processes can have no
    /// children with controllers. `..` cannot leave the mount point.
    ///
    /// In a hybrid layout the group is made in the cgroup2 mount too, even when that has no controller: it is
    /// one `mkdir`, and buys `cgroup.kill`, `cgroup.events` and `CLONE_INTO_CGROUP`.
    ///
    /// On v1 a new cpuset gets its parent's CPUs and memory nodes; on v2 alone all controllers there are
    /// get enabled down to the group, as far as the kernel lets us. Beside v1 they get enabled by the first
    /// limit that needs one: a group with enabled controllers for children cannot have processes, and the
    /// v1 groups of the same name have no such rule.
    ///
    /// # Errors
    /// [`taru_stdx::Kind::Permission`] where this user may not make it. What was made before is removed again.
    pub fn create(hierarchy: &Hierarchy, path: &str) -> Result<Cgroup> {
        let (group, mut refused) = Cgroup::create_permitted(hierarchy, path)?;
        match refused.pop() {
            None => Ok(group),
            Some((_, error)) => {
                remove_made(&group.made);
                Err(error)
            }
        }
    }

    /// The first half of [`Cgroup::create_permitted`]: the v2 directory alone, if there is v2, for a process that is to be
    /// cloned into it. [`Cgroup::complete`] makes the rest, which that process joins later.
    ///
    /// # Errors
    /// As [`Cgroup::create_permitted`]'s.
    pub fn begin(hierarchy: &Hierarchy, path: &str) -> Result<(Cgroup, Refused)> {
        let mut group = Cgroup { v1: Vec::new(), v2: None, made: Vec::new(), top: false };
        let mut refused = Vec::new();
        if cleaned(path).as_os_str().is_empty() {
            return Err(Error::invalid(format!("create the group `{path}`: the path names none")));
        }
        if let Some(mounted) = &hierarchy.v2 {
            let dir = place_v2(mounted, path);
            let hybrid = !hierarchy.v1.is_empty();
            match make_v2(mounted, &dir, hybrid) {
                Ok((dir, made)) => {
                    group.made.extend(made);
                    group.v2 = Some(V2Dir { dir, hybrid });
                }
                Err(e) => note_refusal(&mut refused, String::new(), e)?,
            }
        }
        Ok((group, refused))
    }

    /// The second half: the directories of v1. What was made before an error stays, for [`Cgroup::take_back`].
    ///
    /// # Errors
    /// As [`Cgroup::create_permitted`]'s.
    pub fn complete(&mut self, hierarchy: &Hierarchy, path: &str) -> Result<Refused> {
        let mut refused = Vec::new();
        for h in &hierarchy.v1 {
            let dir = place_v1(&h.mounted, path);
            match make_v1(h, &dir) {
                Ok((dir, made)) => {
                    self.made.extend(made);
                    self.v1.push(V1Dir { names: h.names.clone(), dir });
                }
                Err(e) => note_refusal(&mut refused, h.names.join(","), e)?,
            }
        }
        Ok(refused)
    }

    /// As [`Cgroup::create`], but goes without the hierarchies in which this user may not make a group; they are
    /// returned by name (`""` is v2), with the refusal. What is left may be nothing.
    ///
    /// # Errors
    /// Any other failure than a lack of permission.
    pub fn create_permitted(hierarchy: &Hierarchy, path: &str) -> Result<(Cgroup, Refused)> {
        let (mut group, mut refused) = Cgroup::begin(hierarchy, path)?;
        match group.complete(hierarchy, path) {
            Ok(more) => refused.extend(more),
            Err(e) => {
                remove_made(&group.made);
                return Err(e);
            }
        }
        Ok((group, refused))
    }

    /// Opens the group that `paths` names, as [`Cgroup::paths`] returned them. Hierarchies in which the
    /// directory is gone are left out.
    ///
    /// # Errors
    /// Any other failure to open a directory.
    pub fn open(paths: &BTreeMap<String, PathBuf>) -> Result<Cgroup> {
        let mut group = Cgroup { v1: Vec::new(), v2: None, made: Vec::new(), top: false };
        let hybrid = paths.keys().any(|k| !k.is_empty());
        for (name, path) in paths {
            // Controllers mounted together have one directory.
            if let Some(same) = group.v1.iter_mut().find(|h| h.dir.path() == path) {
                same.names.push(name.clone());
                continue;
            }
            let dir = match Dir::open(path.clone()) {
                Ok(dir) => dir,
                Err(e) if e.errno() == errno::NOENT => continue,
                Err(e) => return Err(e).context(|| format!("open the group `{}`", path.display())),
            };
            match name.as_str() {
                "" => group.v2 = Some(V2Dir { dir, hybrid }),
                name => group.v1.push(V1Dir { names: vec![name.to_owned()], dir }),
            }
        }
        Ok(group)
    }

    /// Opens the group `path` (as for [`Cgroup::create`]) without making anything.
    ///
    /// # Errors
    /// [`taru_stdx::Kind::NotFound`] if it is in no hierarchy.
    pub fn find(hierarchy: &Hierarchy, path: &str) -> Result<Cgroup> {
        let mut paths = BTreeMap::new();
        for h in &hierarchy.v1 {
            for name in &h.names {
                paths.insert(name.clone(), place_v1(&h.mounted, path));
            }
        }
        if let Some(mounted) = &hierarchy.v2 {
            paths.insert(String::new(), place_v2(mounted, path));
        }
        let group = Cgroup::open(&paths)?.known_in(hierarchy);
        if group.is_nowhere() {
            return Err(Error::new(
                taru_stdx::Kind::NotFound,
                format!("find the group `{path}`: in no hierarchy"),
            ));
        }
        Ok(group)
    }

    /// Opens the group that the process `pid` is in, hierarchy by hierarchy.
    ///
    /// # Errors
    /// [`taru_stdx::Kind::NotFound`] if there is no such process.
    pub fn of_process(hierarchy: &Hierarchy, pid: Pid) -> Result<Cgroup> {
        let mut paths = BTreeMap::new();
        for (names, own) in subtree::groups_of(pid)? {
            if names.is_empty() {
                if let Some(dir) = hierarchy.v2.as_ref().and_then(|m| m.dir_of(&own)) {
                    paths.insert(String::new(), dir);
                }
                continue;
            }
            let Some(h) = hierarchy.v1.iter().find(|h| h.names == names) else { continue };
            let Some(dir) = h.mounted.dir_of(&own) else { continue };
            paths.extend(names.into_iter().map(|name| (name, dir.clone())));
        }
        Ok(Cgroup::open(&paths)?.known_in(hierarchy))
    }

    /// Notes whether the group is the top of a hierarchy.
    fn known_in(mut self, hierarchy: &Hierarchy) -> Cgroup {
        let points =
            hierarchy.v1.iter().map(|h| &h.mounted.point).chain(hierarchy.v2.iter().map(|m| &m.point));
        self.top = points.into_iter().any(|point| self.dirs().any(|d| d.path() == point));
        self
    }

    /// Refuses to `verb` the top of a hierarchy: that would be the whole host, or the whole container.
    pub(crate) fn not_the_top(&self, verb: &str) -> Result<()> {
        if !self.top {
            return Ok(());
        }
        Err(Error::invalid(format!("{verb} the group: it is the top of a hierarchy")))
    }

    /// The directories by controller, for a record on disk: `memory`, `name=systemd`, and `""` for v2.
    pub fn paths(&self) -> BTreeMap<String, PathBuf> {
        let v1 = self.v1.iter().flat_map(|h| h.names.iter().map(|n| (n.clone(), h.dir.path().to_owned())));
        let v2 = self.v2.iter().map(|h| (String::new(), h.dir.path().to_owned()));
        v1.chain(v2).collect()
    }

    /// The v2 directory, for `CLONE_INTO_CGROUP`.
    ///
    /// A process cloned into it and into a new cgroup namespace at once would have its *parent's* group as the
    /// root of that namespace: unshare the namespace after joining.
    pub fn v2_dir_fd(&self) -> Option<BorrowedFd<'_>> {
        self.v2.as_ref().map(|h| h.dir.as_fd())
    }

    /// The directory of `controller`, wherever it is.
    pub fn dir_of(&self, controller: Controller) -> Option<&Path> {
        match self.place(controller) {
            Place::V1(dir) | Place::V2(dir) => Some(dir.path()),
            Place::Nowhere => None,
        }
    }

    /// Whether the group is in no hierarchy.
    pub fn is_nowhere(&self) -> bool {
        self.v1.is_empty() && self.v2.is_none()
    }

    /// Whether this handle made the group, in part at least; `false` if all of it was there before.
    pub fn is_new(&self) -> bool {
        self.dirs().any(|d| self.made.iter().any(|m| m == d.path()))
    }

    /// Where `controller` is: v1 if it is mounted there, else v2.
    pub(crate) fn place(&self, controller: Controller) -> Place<'_> {
        if let Some(h) = self.v1.iter().find(|h| h.names.iter().any(|n| n == controller.v1_name())) {
            return Place::V1(&h.dir);
        }
        match &self.v2 {
            Some(h) => Place::V2(&h.dir),
            None => Place::Nowhere,
        }
    }

    /// All directories, v1 first.
    pub(crate) fn dirs(&self) -> impl Iterator<Item = &Dir> {
        self.v1.iter().map(|h| &h.dir).chain(self.v2.iter().map(|h| &h.dir))
    }
}

/// Hierarchies in which this user may not make a group, by name (`""` is v2), each with the refusal.
pub type Refused = Vec<(String, Error)>;

/// Notes a refusal, or gives up.
fn note_refusal(refused: &mut Refused, name: String, e: Error) -> Result<()> {
    if e.kind() != taru_stdx::Kind::Permission {
        return Err(e);
    }
    refused.push((name, e));
    Ok(())
}

/// `path` without `.`, `..` and root, so that it stays below whatever it is joined to.
fn cleaned(path: &str) -> PathBuf {
    let mut clean = PathBuf::new();
    for part in Path::new(path).components() {
        match part {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => drop(clean.pop()),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    clean
}

fn place_v1(mounted: &Mounted, path: &str) -> PathBuf {
    let base = if path.starts_with('/') { mounted.point.clone() } else { mounted.own_dir() };
    base.join(cleaned(path))
}

fn place_v2(mounted: &Mounted, path: &str) -> PathBuf {
    let own = mounted.own_dir();
    let base = match own.parent() {
        Some(parent) if !path.starts_with('/') && own != mounted.point => parent.to_owned(),
        _ => mounted.point.clone(),
    };
    base.join(cleaned(path))
}

/// A read-only mount, as in a container, is a lack of permission too.
fn not_made(e: taru_sys::Error, hierarchy: &str) -> Error {
    use taru_stdx::Kind;
    let kind = match e.errno() {
        errno::ROFS | errno::ACCES | errno::PERM => Kind::Permission,
        errno::NOSPC => Kind::Limit,
        _ => Kind::System,
    };
    Error::new(kind, format!("create the group in `{hierarchy}`")).because(e)
}

/// Makes `dir` in a v1 hierarchy.
fn make_v1(h: &crate::hierarchy::V1, dir: &Path) -> Result<(Dir, Vec<PathBuf>)> {
    let (dir, made) =
        Dir::create(&h.mounted.point, dir.to_owned()).map_err(|e| not_made(e, &h.names.join(",")))?;
    if h.names.iter().any(|n| n == "cpuset")
        && let Err(e) = subtree::inherit_cpuset(&made)
    {
        remove_made(&made);
        return Err(e);
    }
    Ok((dir, made))
}

/// Makes `dir` in the v2 hierarchy.
fn make_v2(mounted: &Mounted, dir: &Path, hybrid: bool) -> Result<(Dir, Vec<PathBuf>)> {
    let (dir, made) = Dir::create(&mounted.point, dir.to_owned()).map_err(|e| not_made(e, "cgroup2"))?;
    if !hybrid && let Err(e) = subtree::enable_controllers(&mounted.point, &dir) {
        remove_made(&made);
        return Err(e);
    }
    Ok((dir, made))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mounted(own: &str) -> Mounted {
        Mounted { point: "/c".into(), root: "/".into(), own: own.into() }
    }

    #[test]
    fn places_of_paths() {
        let table = [
            ("/a/b", "/me", "/c/a/b", "/c/a/b"),
            ("a", "/me", "/c/me/a", "/c/a"),
            ("a", "/x/me", "/c/x/me/a", "/c/x/a"),
            ("a", "/", "/c/a", "/c/a"),
            ("../../a", "/x/me", "/c/x/me/a", "/c/x/a"),
            ("/a/../../../b/./", "/me", "/c/b", "/c/b"),
        ];
        for (path, own, v1, v2) in table {
            assert_eq!(place_v1(&mounted(own), path), Path::new(v1), "{path} in {own}");
            assert_eq!(place_v2(&mounted(own), path), Path::new(v2), "{path} in {own}");
        }
    }
}
