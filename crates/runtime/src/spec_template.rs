//! The document that `spec` writes: runc's default, so that whoever knows one knows the other.

use std::path::{Path, PathBuf};

use crate::spec::{
    Capabilities, DeviceRule, IdMapping, Linux, Mount, Namespace, NamespaceKind, Process, Resources, Rlimit,
    Root, Spec, VERSION,
};

/// What the default container may do: no more than to write to the audit log, signal its own
/// processes and bind low ports.
const CAPABILITIES: [&str; 3] = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"];

/// A starter document: a shell on a read-only root in namespaces of its own.
///
/// `cgroup_namespace` adds one of the control group tree; hosts with v2 only want it.
pub fn default_spec(cgroup_namespace: bool) -> Spec {
    let mut namespaces: Vec<NamespaceKind> = vec![
        NamespaceKind::Pid,
        NamespaceKind::Network,
        NamespaceKind::Ipc,
        NamespaceKind::Uts,
        NamespaceKind::Mount,
    ];
    if cgroup_namespace {
        namespaces.push(NamespaceKind::Cgroup);
    }
    Spec {
        oci_version: VERSION.to_owned(),
        process: Some(process()),
        root: Some(Root { path: "rootfs".into(), readonly: true }),
        hostname: "taru".to_owned(),
        mounts: mounts(),
        linux: Some(Linux {
            resources: Some(Resources {
                devices: vec![DeviceRule { allow: false, access: "rwm".to_owned(), ..DeviceRule::default() }],
                ..Resources::default()
            }),
            namespaces: namespaces.into_iter().map(new_namespace).collect(),
            masked_paths: paths(&[
                "/proc/acpi",
                "/proc/asound",
                "/proc/kcore",
                "/proc/keys",
                "/proc/latency_stats",
                "/proc/timer_list",
                "/proc/timer_stats",
                "/proc/sched_debug",
                "/sys/firmware",
                "/proc/scsi",
                "/sys/devices/virtual/tpm",
            ]),
            readonly_paths: paths(&[
                "/proc/bus",
                "/proc/fs",
                "/proc/irq",
                "/proc/sys",
                "/proc/sysrq-trigger",
            ]),
            ..Linux::default()
        }),
        ..Spec::default()
    }
}

/// The same for an ordinary user with the host ids `uid` and `gid`: root in a user namespace, on the
/// host's network, without limits.
pub fn rootless_spec(cgroup_namespace: bool, uid: u32, gid: u32) -> Spec {
    let mut spec = default_spec(cgroup_namespace);
    for mount in &mut spec.mounts {
        if mount.destination == Path::new("/sys") {
            // sysfs can only be mounted by the owner of the network namespace, and that is the host's.
            mount.kind = "none".to_owned();
            mount.source = "/sys".into();
            mount.options.insert(0, "rbind".to_owned());
        }
        // One id is mapped: no other can own a mount.
        mount.options.retain(|option| !option.starts_with("gid=") && !option.starts_with("uid="));
    }
    if let Some(linux) = &mut spec.linux {
        linux.uid_mappings = vec![IdMapping { container_id: 0, host_id: uid, size: 1 }];
        linux.gid_mappings = vec![IdMapping { container_id: 0, host_id: gid, size: 1 }];
        linux.namespaces.retain(|namespace| namespace.kind != NamespaceKind::Network);
        linux.namespaces.push(new_namespace(NamespaceKind::User));
        linux.resources = None;
    }
    spec
}

fn process() -> Process {
    let set = strings(&CAPABILITIES);
    Process {
        terminal: true,
        args: strings(&["sh"]),
        env: strings(&["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"]),
        cwd: "/".into(),
        capabilities: Some(Capabilities {
            bounding: set.clone(),
            effective: set.clone(),
            permitted: set,
            ..Capabilities::default()
        }),
        rlimits: vec![Rlimit { kind: "RLIMIT_NOFILE".to_owned(), hard: 1024, soft: 1024 }],
        no_new_privileges: true,
        ..Process::default()
    }
}

fn mounts() -> Vec<Mount> {
    let mount = |destination: &str, kind: &str, source: &str, options: &[&str]| Mount {
        destination: destination.into(),
        kind: kind.to_owned(),
        source: source.into(),
        options: strings(options),
        ..Mount::default()
    };
    vec![
        mount("/proc", "proc", "proc", &[]),
        mount("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        mount(
            "/dev/pts",
            "devpts",
            "devpts",
            &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        ),
        mount("/dev/shm", "tmpfs", "shm", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
        mount("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
        mount("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
        mount("/sys/fs/cgroup", "cgroup", "cgroup", &["nosuid", "noexec", "nodev", "relatime", "ro"]),
    ]
}

fn new_namespace(kind: NamespaceKind) -> Namespace {
    Namespace { kind, path: None }
}

fn strings(all: &[&str]) -> Vec<String> {
    all.iter().map(|&s| s.to_owned()).collect()
}

fn paths(all: &[&str]) -> Vec<PathBuf> {
    all.iter().map(PathBuf::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rootless_document_asks_for_nothing_an_ordinary_user_lacks() {
        let spec = rootless_spec(true, 1000, 100);
        let linux = spec.linux.unwrap();
        let kinds: Vec<NamespaceKind> = linux.namespaces.iter().map(|n| n.kind).collect();
        assert!(kinds.contains(&NamespaceKind::User) && !kinds.contains(&NamespaceKind::Network));
        assert_eq!((linux.uid_mappings[0].host_id, linux.gid_mappings[0].host_id), (1000, 100));
        assert!(linux.resources.is_none());
        assert!(spec.mounts.iter().flat_map(|m| &m.options).all(|o| !o.starts_with("gid=")));
        let sys = spec.mounts.iter().find(|m| m.destination == Path::new("/sys")).unwrap();
        assert_eq!((sys.kind.as_str(), sys.options[0].as_str()), ("none", "rbind"));
    }
}
