//! What this runtime can do, in the form of the specification's `features.md` (1.3).
//!
//! The document tells of the program, not of the host: it is the same on every kernel. The names come
//! from the tables that the parsers use, so that what is told is what is understood.

use std::collections::BTreeMap;

use serde::Serialize;
use taru_seccomp::{Action, Arch, Op};
use taru_sys::caps::Capabilities;

use crate::spec::VERSION;

/// The document.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Features {
    /// The oldest version of the specification that is read.
    pub oci_version_min: &'static str,
    /// The newest.
    pub oci_version_max: &'static str,
    /// The hooks that are run.
    pub hooks: Vec<&'static str>,
    /// The mount options that are understood, without those of a file system's own.
    pub mount_options: Vec<&'static str>,
    /// What is particular to Linux.
    pub linux: Linux,
    /// What the specification has no word for.
    pub annotations: BTreeMap<&'static str, String>,
    /// Annotations of a container that change what happens on the host; one that ends with a dot is a prefix.
    pub potentially_unsafe_config_annotations: Vec<&'static str>,
}

/// What is particular to Linux.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Linux {
    /// The kinds of namespaces.
    pub namespaces: Vec<&'static str>,
    /// The capabilities that have a name.
    pub capabilities: Vec<&'static str>,
    /// Control groups.
    pub cgroup: Cgroup,
    /// System call filters.
    pub seccomp: Seccomp,
    /// AppArmor profiles.
    pub apparmor: Enabled,
    /// SELinux labels.
    pub selinux: Enabled,
    /// Cache and memory bandwidth allocation.
    pub intel_rdt: IntelRdt,
    /// NUMA memory policies.
    pub memory_policy: MemoryPolicy,
    /// Mounts beyond mount(2).
    pub mount_extensions: MountExtensions,
    /// Network devices moved into the container.
    pub net_devices: Enabled,
}

/// Which kinds of control groups can be made.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "the names are the specification's")]
pub struct Cgroup {
    pub v1: bool,
    pub v2: bool,
    pub systemd: bool,
    pub systemd_user: bool,
    pub rdma: bool,
}

/// Which words of a seccomp profile are understood.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "the names are the specification's")]
pub struct Seccomp {
    pub enabled: bool,
    pub actions: Vec<&'static str>,
    pub operators: Vec<&'static str>,
    pub archs: Vec<&'static str>,
    pub known_flags: Vec<&'static str>,
    pub supported_flags: Vec<&'static str>,
}

/// A thing that is there or not.
#[derive(Debug, Clone, Serialize)]
pub struct Enabled {
    /// Whether it is.
    pub enabled: bool,
}

/// What of cache and memory bandwidth allocation can be asked for.
#[derive(Debug, Clone, Serialize)]
#[allow(missing_docs, reason = "the names are the specification's")]
pub struct IntelRdt {
    pub enabled: bool,
    pub schemata: bool,
    pub monitoring: bool,
}

/// Words of a memory policy.
#[derive(Debug, Clone, Serialize)]
#[allow(missing_docs, reason = "the names are the specification's")]
pub struct MemoryPolicy {
    pub modes: Vec<&'static str>,
    pub flags: Vec<&'static str>,
}

/// Mounts beyond mount(2).
#[derive(Debug, Clone, Serialize)]
pub struct MountExtensions {
    /// Mounts with id mappings of their own.
    pub idmap: Enabled,
}

/// Modes of a memory policy, as `taru_sys::sched::memory_policy_named` knows them.
const MODES: [&str; 7] = [
    "MPOL_BIND",
    "MPOL_DEFAULT",
    "MPOL_INTERLEAVE",
    "MPOL_LOCAL",
    "MPOL_PREFERRED",
    "MPOL_PREFERRED_MANY",
    "MPOL_WEIGHTED_INTERLEAVE",
];

/// Flags of a memory policy.
const FLAGS: [&str; 3] = ["MPOL_F_NUMA_BALANCING", "MPOL_F_RELATIVE_NODES", "MPOL_F_STATIC_NODES"];

/// What this program can do.
pub fn features() -> Features {
    Features {
        oci_version_min: "1.0.0",
        oci_version_max: VERSION,
        hooks: vec![
            "prestart",
            "createRuntime",
            "createContainer",
            "startContainer",
            "poststart",
            "poststop",
        ],
        mount_options: taru_mount::options::known().collect(),
        linux: Linux {
            namespaces: vec!["cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"],
            capabilities: Capabilities::all_known().names().collect(),
            cgroup: Cgroup { v1: true, v2: true, systemd: true, systemd_user: true, rdma: true },
            seccomp: seccomp(),
            apparmor: Enabled { enabled: true },
            selinux: Enabled { enabled: true },
            intel_rdt: IntelRdt { enabled: true, schemata: true, monitoring: true },
            memory_policy: MemoryPolicy { modes: MODES.to_vec(), flags: FLAGS.to_vec() },
            mount_extensions: MountExtensions { idmap: Enabled { enabled: true } },
            net_devices: Enabled { enabled: true },
        },
        annotations: BTreeMap::from([("io.taru.runtime.version", env!("CARGO_PKG_VERSION").to_owned())]),
        potentially_unsafe_config_annotations: vec![
            "io.taru.rootfs",
            "org.systemd.property.",
            "run.oci.keep_original_groups",
            "run.oci.pidfd_receiver",
        ],
    }
}

fn seccomp() -> Seccomp {
    let mut archs: Vec<&str> = Arch::all().map(Arch::oci_name).collect();
    archs.sort_unstable();
    let flags: Vec<&str> = taru_seccomp::flag_names().map(|(name, _)| name).collect();
    Seccomp {
        enabled: true,
        actions: Action::names().collect(),
        operators: Op::names().collect(),
        archs,
        known_flags: flags,
        supported_flags: taru_seccomp::available_flags().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_what_is_understood() {
        let all = features();
        for name in all.linux.memory_policy.modes.iter().chain(&all.linux.memory_policy.flags) {
            assert!(taru_sys::sched::memory_policy_named(name).is_some(), "{name}");
        }
        for name in &all.linux.capabilities {
            assert!(Capabilities::named(name).is_some(), "{name}");
        }
        for name in &all.linux.namespaces {
            let kind = serde_json::from_value::<crate::spec::NamespaceKind>((*name).into());
            assert!(kind.is_ok(), "{name}");
        }
        for name in &all.linux.seccomp.archs {
            assert!(Arch::from_oci(name).is_some(), "{name}");
        }
        for name in ["bind", "idmap", "ro", "rro", "rslave", "tmpcopyup"] {
            assert!(all.mount_options.contains(&name), "{name}");
        }
    }
}
