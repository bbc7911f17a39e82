//! Mounts decided: what kind each is, with which options, where its source is.

use std::path::{Component, Path, PathBuf};

use taru_mount::Attr;
use taru_mount::idmap::IdMaps;
use taru_mount::options::{self, Options};
use taru_sys::ns::Namespaces;

use super::namespaces::{NamespacePlan, ranges};
use super::problems::Problems;
use crate::spec::Mount;

/// One mount below the root.
#[derive(Debug, Clone, PartialEq)]
pub struct MountPlan {
    /// Absolute in the container.
    pub destination: PathBuf,
    /// What is mounted there.
    pub kind: MountKind,
    /// How.
    pub options: Options,
    /// The map of a bind mount's ids.
    pub idmap: Option<MountIdMap>,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq)]
pub enum MountKind {
    /// A part of the host's tree.
    Bind {
        /// Absolute on the host.
        source: PathBuf,
        /// With all mounts below it.
        recursive: bool,
    },
    /// The container's control groups, in the host's layout.
    Cgroup,
    /// A file system of its own.
    Fs {
        /// Its type.
        fstype: String,
        /// Its device or name.
        source: Option<String>,
    },
    /// Other attributes for what is mounted there already.
    Remount,
}

/// The map of a bind mount's ids.
#[derive(Debug, Clone, PartialEq)]
pub struct MountIdMap {
    /// The maps; `None` means those of the user namespace that the container joins.
    pub maps: Option<IdMaps>,
    /// With all mounts below.
    pub recursive: bool,
}

impl MountPlan {
    /// Whether the container sees the host's own devices, so that none are to be made there.
    pub fn shares_host_dev(&self) -> bool {
        self.destination == Path::new("/dev") && matches!(self.kind, MountKind::Bind { .. })
    }

    /// Whether this is a tmpfs: its content is made by later steps, so it becomes read-only last.
    pub fn is_tmpfs(&self) -> bool {
        matches!(&self.kind, MountKind::Fs { fstype, .. } if fstype == "tmpfs")
    }

    /// The attributes of each mount that [`MountKind::Cgroup`] stands for: what is to hold of all below holds of each.
    pub(crate) fn group_attributes(&self) -> Attr {
        self.options.set | self.options.recursive_set
    }
}

/// Decides on all mounts.
pub(super) fn plan(
    mounts: &[Mount],
    bundle: &Path,
    namespaces: &NamespacePlan,
    problems: &mut Problems,
) -> Vec<MountPlan> {
    mounts.iter().filter_map(|mount| one(mount, bundle, namespaces, problems)).collect()
}

fn one(
    mount: &Mount,
    bundle: &Path,
    namespaces: &NamespacePlan,
    problems: &mut Problems,
) -> Option<MountPlan> {
    let what = format!("check mount on `{}`", mount.destination.display());
    if mount.destination.as_os_str().is_empty() {
        problems.invalid("check mounts: a destination is empty");
        return None;
    }
    let options = match options::parse(&mount.options) {
        Ok(options) => options,
        Err(e) => {
            problems.invalid(format!("{what}: {}", e.chain()));
            return None;
        }
    };
    let kind = kind(mount, &options, bundle, &what, problems)?;
    let idmap = idmap(mount, &options, &kind, namespaces, &what, problems);
    Some(MountPlan { destination: below_root(&mount.destination), kind, options, idmap })
}

/// The path from the root on, without `.` and doubled slashes; `..` stays for the resolver, which keeps it inside.
fn below_root(path: &Path) -> PathBuf {
    let mut clean = PathBuf::from("/");
    for part in path.components() {
        match part {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => clean.push(".."),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    clean
}

fn kind(
    mount: &Mount,
    options: &Options,
    bundle: &Path,
    what: &str,
    problems: &mut Problems,
) -> Option<MountKind> {
    let is_bind = mount.kind == "bind" || options.bind.is_some();
    if let Some((word, _)) = options.own_data().first()
        && is_bind
    {
        problems.invalid(format!("{what}: unknown option `{word}` for a bind mount"));
    }
    if options.remount {
        return Some(MountKind::Remount);
    }
    if is_bind {
        if mount.source.as_os_str().is_empty() {
            problems.invalid(format!("{what}: a bind mount needs a source"));
            return None;
        }
        let source = bundle.join(&mount.source);
        return Some(MountKind::Bind { source, recursive: options.bind.unwrap_or(false) });
    }
    match mount.kind.as_str() {
        "" => {
            problems.invalid(format!("{what}: it has neither a type nor the option bind"));
            None
        }
        "cgroup" | "cgroup2" => Some(MountKind::Cgroup),
        fstype => {
            let source = mount.source.to_str().filter(|s| !s.is_empty()).map(str::to_owned);
            Some(MountKind::Fs { fstype: fstype.to_owned(), source })
        }
    }
}

fn idmap(
    mount: &Mount,
    options: &Options,
    kind: &MountKind,
    namespaces: &NamespacePlan,
    what: &str,
    problems: &mut Problems,
) -> Option<MountIdMap> {
    let has_maps = !(mount.uid_mappings.is_empty() && mount.gid_mappings.is_empty());
    if !has_maps && options.idmap.is_none() {
        return None;
    }
    if !matches!(kind, MountKind::Bind { .. }) {
        problems.invalid(format!("{what}: only a bind mount can be id-mapped"));
        return None;
    }
    if has_maps && (mount.uid_mappings.is_empty() || mount.gid_mappings.is_empty()) {
        problems.invalid(format!("{what}: uidMappings and gidMappings go together"));
        return None;
    }
    let container = namespaces.id_maps();
    let recursive = options.idmap.as_ref().is_some_and(|o| o.recursive);
    let own = options.idmap.as_ref().and_then(|o| o.maps.as_ref());
    let maps = if has_maps {
        Some(IdMaps { uids: ranges(&mount.uid_mappings), gids: ranges(&mount.gid_mappings) })
    } else if let Some(own) = own {
        match own.resolve(&container) {
            Ok(maps) => Some(maps),
            Err(e) => {
                problems.invalid(format!("{what}: {}", e.chain()));
                return None;
            }
        }
    } else if namespaces.new.contains(Namespaces::USER) {
        Some(container)
    } else if namespaces.joins(Namespaces::USER) {
        None
    } else {
        problems.invalid(format!("{what}: idmap needs mappings of its own or a user namespace"));
        return None;
    };
    Some(MountIdMap { maps, recursive })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan_one(json: &str) -> Result<MountPlan, String> {
        let mut problems = Problems::default();
        let mount: Mount = serde_json::from_str(json).unwrap();
        let plan = one(&mount, Path::new("/bundle"), &NamespacePlan::default(), &mut problems);
        problems.finish().map(|_| plan.unwrap()).map_err(|e| e.to_string())
    }

    #[test]
    fn kinds() {
        let bind =
            plan_one(r#"{"destination":"a//b/.","type":"none","source":"src","options":["rbind","ro"]}"#)
                .unwrap();
        assert_eq!(bind.destination, Path::new("/a/b"));
        assert_eq!(bind.kind, MountKind::Bind { source: "/bundle/src".into(), recursive: true });
        let dev = plan_one(r#"{"destination":"/dev/","type":"bind","source":"/dev"}"#).unwrap();
        assert!(dev.shares_host_dev());
        let proc = plan_one(r#"{"destination":"/proc","type":"proc"}"#).unwrap();
        assert_eq!(proc.kind, MountKind::Fs { fstype: "proc".into(), source: None });
        assert_eq!(plan_one(r#"{"destination":"/c","type":"cgroup"}"#).unwrap().kind, MountKind::Cgroup);
    }

    #[test]
    fn mistakes() {
        for (json, part) in [
            (r#"{"destination":""}"#, "empty"),
            (r#"{"destination":"/x"}"#, "neither a type"),
            (r#"{"destination":"/x","type":"bind"}"#, "needs a source"),
            (
                r#"{"destination":"/x","type":"bind","source":"/s","options":["size=3"]}"#,
                "unknown option `size`",
            ),
            (r#"{"destination":"/x","type":"bind","source":"/s","options":["idmap"]}"#, "idmap needs"),
            (r#"{"destination":"/x","type":"tmpfs","options":["idmap"]}"#, "only a bind"),
        ] {
            let e = plan_one(json).unwrap_err();
            assert!(e.contains(part), "{json}: {e}");
        }
    }
}
