//! What is particular to Linux: namespaces, id maps, devices, security, file system views.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Resources, or_default};

/// The `linux` part of a configuration.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Linux {
    /// How user ids of the container map to the host's.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub uid_mappings: Vec<IdMapping>,
    /// How group ids of the container map to the host's.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub gid_mappings: Vec<IdMapping>,
    /// Kernel parameters, `net.ipv4.ip_forward` and so on.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub sysctl: BTreeMap<String, String>,
    /// Limits of the control group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// A path below each hierarchy, or `slice:prefix:name` for the systemd driver.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub cgroups_path: String,
    /// New or joined namespaces.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<Namespace>,
    /// Device nodes beside the default ones.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<Device>,
    /// Network interfaces moved into the container, by their name on the host (since 1.3).
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub net_devices: BTreeMap<String, NetDevice>,
    /// The seccomp profile as text: its compiled form is cached by content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seccomp: Option<Box<RawValue>>,
    /// `shared`, `slave`, `private` or `unbindable`, or with `r` before it.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub rootfs_propagation: String,
    /// Paths that read as empty.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub masked_paths: Vec<PathBuf>,
    /// Paths that are read-only.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub readonly_paths: Vec<PathBuf>,
    /// The SELinux label of mounts.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub mount_label: String,
    /// Cache and memory bandwidth allocation of Intel processors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub intel_rdt: Option<IntelRdt>,
    /// The memory policy of set_mempolicy(2) (since 1.3).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_policy: Option<MemoryPolicy>,
    /// The execution domain of personality(2).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub personality: Option<Personality>,
    /// Offsets of the time namespace's clocks, by `monotonic` and `boottime`.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub time_offsets: BTreeMap<String, TimeOffset>,
}

/// `size` ids from `container_id` on are `host_id` and following outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IdMapping {
    /// The first id in the container.
    #[serde(rename = "containerID")]
    pub container_id: u32,
    /// The first id on the host.
    #[serde(rename = "hostID")]
    pub host_id: u32,
    /// How many.
    pub size: u32,
}

/// A namespace: new, or joined by path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Namespace {
    /// Which.
    #[serde(rename = "type")]
    pub kind: NamespaceKind,
    /// The file of a namespace to join; absent means a new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
}

/// The eight kinds of namespaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names are the specification's")]
pub enum NamespaceKind {
    User,
    Mount,
    Pid,
    Network,
    Ipc,
    Uts,
    Cgroup,
    Time,
}

/// A device node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Device {
    /// Where, in the container.
    pub path: PathBuf,
    /// `c` or `u`, `b`, `p`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its major number; not for `p`.
    #[serde(default, deserialize_with = "or_default")]
    pub major: i64,
    /// Its minor number; not for `p`.
    #[serde(default, deserialize_with = "or_default")]
    pub minor: i64,
    /// Its permission bits; absent means 0666.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_mode: Option<u32>,
    /// Its owner in the container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// Its group in the container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gid: Option<u32>,
}

/// A network interface to be moved into the container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetDevice {
    /// Its name there; empty keeps the name.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub name: String,
}

/// Cache and memory bandwidth allocation (resctrl).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IntelRdt {
    /// The class of service's name.
    #[serde(
        rename = "closID",
        default,
        deserialize_with = "or_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub clos_id: String,
    /// Lines for `schemata`.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub schemata: Vec<String>,
    /// The line for L3 cache.
    #[serde(
        rename = "l3CacheSchema",
        default,
        deserialize_with = "or_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub l3_cache_schema: String,
    /// The line for memory bandwidth.
    #[serde(
        rename = "memBwSchema",
        default,
        deserialize_with = "or_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub mem_bw_schema: String,
    /// Whether a monitoring group of its own is made.
    #[serde(rename = "enableMonitoring", default, deserialize_with = "or_default")]
    pub enable_monitoring: bool,
}

/// The memory policy of set_mempolicy(2).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryPolicy {
    /// `MPOL_DEFAULT`, `MPOL_BIND` and so on.
    pub mode: String,
    /// A list of nodes, `0-3,7`.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub nodes: String,
    /// `MPOL_F_...`.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<String>,
}

/// The execution domain of personality(2).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Personality {
    /// `LINUX` or `LINUX32`.
    pub domain: String,
    /// No flag is defined yet.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<String>,
}

/// The offset of one clock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeOffset {
    /// Seconds.
    #[serde(default)]
    pub secs: i64,
    /// Nanoseconds.
    #[serde(default)]
    pub nanosecs: u32,
}
