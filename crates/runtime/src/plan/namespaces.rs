//! Namespaces decided: which are made, which are joined, how ids and clocks map.

use std::path::PathBuf;

use taru_mount::idmap::{IdMaps, Range};
use taru_sys::ns::Namespaces;

use super::problems::Problems;
use crate::spec::{IdMapping, Linux, NamespaceKind};

/// What becomes of each kind of namespace; a kind in neither set stays the runtime's own.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NamespacePlan {
    /// Made for the container.
    pub new: Namespaces,
    /// Joined, by the file of the namespace.
    pub join: Vec<(Namespaces, PathBuf)>,
    /// User ids of a new user namespace; what mounts without a map of their own refer to.
    pub uid_map: Vec<IdMapping>,
    /// Group ids of a new user namespace.
    pub gid_map: Vec<IdMapping>,
    /// Lines for `/proc/PID/timens_offsets`.
    pub time_offsets: Vec<String>,
}

impl NamespacePlan {
    /// Decides on the namespaces of `linux` for a caller of the ids `own`.
    pub fn new(linux: &Linux, own: (u32, u32), problems: &mut Problems) -> NamespacePlan {
        let mut plan = NamespacePlan {
            uid_map: linux.uid_mappings.clone(),
            gid_map: linux.gid_mappings.clone(),
            ..Default::default()
        };
        let mut seen = Namespaces::NONE;
        for namespace in &linux.namespaces {
            let kind = kind(namespace.kind);
            if seen.contains(kind) {
                problems.invalid(format!("check linux.namespaces: `{}` stands twice", name(namespace.kind)));
            }
            seen |= kind;
            match &namespace.path {
                Some(path) if !path.as_os_str().is_empty() => plan.join.push((kind, path.clone())),
                _ => plan.new |= kind,
            }
        }
        plan.map_caller(own);
        plan.check_ids(problems);
        plan.decide_offsets(linux, problems);
        plan
    }

    /// The id maps of a new user namespace.
    pub fn id_maps(&self) -> IdMaps {
        IdMaps { uids: ranges(&self.uid_map), gids: ranges(&self.gid_map) }
    }

    /// The new ones that init is cloned into. It makes its network namespace itself, for that takes the kernel as long as
    /// all others together, and meanwhile this process has its control groups made; and its cgroup namespace once it is in
    /// those.
    pub fn cloned(&self) -> Namespaces {
        self.new.without(Namespaces::CGROUP).without(Namespaces::NETWORK)
    }

    /// Whether the container has a namespace of this kind that is not the runtime's.
    pub fn has(&self, kind: Namespaces) -> bool {
        self.new.contains(kind) || self.joins(kind)
    }

    /// Whether a namespace of this kind is joined.
    pub fn joins(&self, kind: Namespaces) -> bool {
        self.join.iter().any(|(k, _)| *k == kind)
    }

    /// Whether the joins must come before the new user namespace, in a process of their own: inside a
    /// new user namespace there is no right over namespaces that an outer one owns, and a joined user
    /// namespace must own the new ones.
    pub fn needs_stage(&self) -> bool {
        self.joins(Namespaces::USER) || (self.new.contains(Namespaces::USER) && !self.join.is_empty())
    }

    /// The host's id of `id` in the new user namespace; `id` itself without one.
    pub fn host_id(&self, map: &[IdMapping], id: u32) -> Option<u32> {
        if !self.new.contains(Namespaces::USER) {
            return Some(id);
        }
        map.iter().find_map(|m| {
            let offset = id.checked_sub(m.container_id).filter(|offset| *offset < m.size)?;
            m.host_id.checked_add(offset)
        })
    }

    fn has_maps(&self) -> bool {
        !self.uid_map.is_empty() || !self.gid_map.is_empty()
    }

    /// A new user namespace without any map: the caller is its root, and nobody else is in it. That takes
    /// no right. crun has it so; runc refuses the document.
    fn map_caller(&mut self, (uid, gid): (u32, u32)) {
        if self.new.contains(Namespaces::USER) && !self.has_maps() {
            let alone = |host_id| vec![IdMapping { container_id: 0, host_id, size: 1 }];
            (self.uid_map, self.gid_map) = (alone(uid), alone(gid));
        }
    }

    fn check_ids(&self, problems: &mut Problems) {
        if self.new.contains(Namespaces::USER) {
            if self.uid_map.is_empty() || self.gid_map.is_empty() {
                problems.invalid("check linux: uidMappings and gidMappings go together");
            }
        } else if !self.joins(Namespaces::USER) && self.has_maps() {
            problems.invalid(
                "check linux: uidMappings and gidMappings need a user namespace in linux.namespaces",
            );
        }
        for map in self.uid_map.iter().chain(&self.gid_map) {
            let fits = |first: u32| u64::from(first) + u64::from(map.size) <= u64::from(u32::MAX);
            if map.size == 0 || !fits(map.container_id) || !fits(map.host_id) {
                problems.invalid(format!(
                    "check linux mappings: `{} {} {}` is empty or goes over the largest id",
                    map.container_id, map.host_id, map.size
                ));
            }
        }
    }

    fn decide_offsets(&mut self, linux: &Linux, problems: &mut Problems) {
        if !linux.time_offsets.is_empty() && !self.new.contains(Namespaces::TIME) {
            problems.invalid("check linux.timeOffsets: they need a new time namespace in linux.namespaces");
        }
        for (clock, offset) in &linux.time_offsets {
            if !matches!(clock.as_str(), "monotonic" | "boottime") {
                problems.invalid(format!("check linux.timeOffsets: unknown clock `{clock}`"));
            } else if offset.nanosecs >= 1_000_000_000 {
                problems.invalid(format!("check linux.timeOffsets `{clock}`: nanosecs is a second or more"));
            } else {
                self.time_offsets.push(format!("{clock} {} {}", offset.secs, offset.nanosecs));
            }
        }
    }
}

/// The kernel's bit of a kind.
pub(crate) fn kind(kind: NamespaceKind) -> Namespaces {
    match kind {
        NamespaceKind::User => Namespaces::USER,
        NamespaceKind::Mount => Namespaces::MOUNT,
        NamespaceKind::Pid => Namespaces::PID,
        NamespaceKind::Network => Namespaces::NETWORK,
        NamespaceKind::Ipc => Namespaces::IPC,
        NamespaceKind::Uts => Namespaces::UTS,
        NamespaceKind::Cgroup => Namespaces::CGROUP,
        NamespaceKind::Time => Namespaces::TIME,
    }
}

/// The specification's name of a kind.
pub(crate) fn name(kind: NamespaceKind) -> &'static str {
    match kind {
        NamespaceKind::User => "user",
        NamespaceKind::Mount => "mount",
        NamespaceKind::Pid => "pid",
        NamespaceKind::Network => "network",
        NamespaceKind::Ipc => "ipc",
        NamespaceKind::Uts => "uts",
        NamespaceKind::Cgroup => "cgroup",
        NamespaceKind::Time => "time",
    }
}

/// The specification's maps as those of mounts.
pub(super) fn ranges(map: &[IdMapping]) -> Vec<Range> {
    map.iter().map(|m| Range::new(m.container_id, m.host_id, m.size)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(json: &str) -> Result<NamespacePlan, String> {
        let mut problems = Problems::default();
        let plan = NamespacePlan::new(&serde_json::from_str(json).unwrap(), (1000, 100), &mut problems);
        problems.finish().map(|_| plan).map_err(|e| e.to_string())
    }

    #[test]
    fn new_and_joined() {
        let p = plan(
            r#"{"namespaces":[{"type":"user"},{"type":"pid"},{"type":"network","path":"/n"}],
            "uidMappings":[{"containerID":0,"hostID":1000,"size":10}],
            "gidMappings":[{"containerID":0,"hostID":1000,"size":10}]}"#,
        )
        .unwrap();
        assert!(p.needs_stage());
        assert!(p.has(Namespaces::NETWORK) && !p.new.contains(Namespaces::NETWORK));
        assert_eq!(p.host_id(&p.uid_map, 9), Some(1009));
        assert_eq!(p.host_id(&p.uid_map, 10), None);
        assert!(
            !plan(r#"{"namespaces":[{"type":"pid"},{"type":"ipc","path":"/n"}]}"#).unwrap().needs_stage()
        );
    }

    #[test]
    fn without_maps_the_caller_is_root() {
        let p = plan(r#"{"namespaces":[{"type":"user"}]}"#).unwrap();
        assert_eq!((p.host_id(&p.uid_map, 0), p.host_id(&p.gid_map, 0)), (Some(1000), Some(100)));
        assert_eq!((p.host_id(&p.uid_map, 1), p.host_id(&p.gid_map, 1)), (None, None));
    }

    #[test]
    fn mistakes() {
        for (json, part) in [
            (r#"{"namespaces":[{"type":"pid"},{"type":"pid"}]}"#, "twice"),
            (
                r#"{"namespaces":[{"type":"user"}],"uidMappings":[{"containerID":0,"hostID":1,"size":1}]}"#,
                "go together",
            ),
            (r#"{"uidMappings":[{"containerID":0,"hostID":1,"size":1}]}"#, "need a user namespace"),
            (r#"{"timeOffsets":{"monotonic":{"secs":1}}}"#, "time namespace"),
            (r#"{"namespaces":[{"type":"time"}],"timeOffsets":{"real":{"secs":1}}}"#, "unknown clock"),
        ] {
            let e = plan(json).unwrap_err();
            assert!(e.contains(part), "{json}: {e}");
        }
    }
}
