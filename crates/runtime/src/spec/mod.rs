//! The OCI runtime configuration, version 1.3, as it stands in a bundle's `config.json`.
//!
//! These are the specification's words, field for field; [`crate::plan`] turns them into ours.
//! Reading is liberal where other producers are careless: a `null` list is an empty one (Go writes
//! them), unknown keys are ignored as the specification demands, any `ociVersion` 1.x is taken.
//! Writing leaves out what is empty.
//!
//! Source: <https://github.com/opencontainers/runtime-spec>, `config.md` and `config-linux.md`.

mod linux;
mod process;
mod resources;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize};
use taru_stdx::{Context, Error, Kind, Result};

pub use linux::{
    Device, IdMapping, IntelRdt, Linux, MemoryPolicy, Namespace, NamespaceKind, NetDevice, Personality,
    TimeOffset,
};
pub use process::{Capabilities, CpuAffinity, IoPriority, Process, Rlimit, Scheduler, TerminalSize, User};
pub use resources::{
    BlockIo, Cpu, DeviceRule, HugepageLimit, InterfacePriority, Memory, Network, Pids, Rdma, Resources,
    ThrottleDevice, WeightDevice,
};

/// The name of the configuration in a bundle.
pub const CONFIG: &str = "config.json";

/// The newest version of the specification that is honoured.
pub const VERSION: &str = "1.3.0";

/// The largest `config.json` that is read. Docker's are 30 KiB; 16 MiB leaves room for ten thousands of mounts.
pub const CONFIG_LIMIT: u64 = 16 << 20;

/// A container's configuration.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Spec {
    /// The version of the specification the document is written for.
    #[serde(default)]
    pub oci_version: String,
    /// The process of the container; may be absent for `create` without `start`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process: Option<Process>,
    /// The root file system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root: Option<Root>,
    /// The host name in the UTS namespace.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub hostname: String,
    /// The NIS domain name in the UTS namespace.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub domainname: String,
    /// Mounts beside the root, in order.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<Mount>,
    /// Programs run at points of the life cycle.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hooks: Option<Hooks>,
    /// What others noted on the container; handed on, and read for the few keys taru knows.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// What is particular to Linux.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub linux: Option<Linux>,
}

/// The root file system of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Root {
    /// Absolute, or relative to the bundle.
    pub path: PathBuf,
    /// Whether it is mounted read-only.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "is_false")]
    pub readonly: bool,
}

/// One mount below the root.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mount {
    /// Where, as the container sees it.
    pub destination: PathBuf,
    /// The file system type; `bind` is understood, as are the options of the same name.
    #[serde(
        rename = "type",
        default,
        deserialize_with = "or_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub kind: String,
    /// A device, a name, or for binds a path on the host.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "is_empty_path")]
    pub source: PathBuf,
    /// Mount options, of mount(8) and of the specification.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
    /// How user ids in the source appear in the container (since 1.0.3).
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub uid_mappings: Vec<IdMapping>,
    /// How group ids in the source appear in the container.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub gid_mappings: Vec<IdMapping>,
}

/// Programs run at points of the life cycle.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hooks {
    /// Deprecated by `create_runtime`, run before those.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub prestart: Vec<Hook>,
    /// In the runtime's namespaces, once the container's exist and before `pivot_root`.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub create_runtime: Vec<Hook>,
    /// In the container's namespaces, before `pivot_root`; the path is the host's.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub create_container: Vec<Hook>,
    /// In the container, before the user's program is executed; the path is the container's.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub start_container: Vec<Hook>,
    /// In the runtime's namespaces, after the user's program was executed.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub poststart: Vec<Hook>,
    /// In the runtime's namespaces, after the container was deleted.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub poststop: Vec<Hook>,
}

/// A program run at a point of the life cycle, with the container's state on its standard input.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hook {
    /// An absolute path.
    pub path: PathBuf,
    /// Its arguments, the zeroth included; empty means the path alone.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// Its whole environment; without it, the runtime's own for a hook that runs on the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env: Option<Vec<String>>,
    /// Seconds after which it is killed and counts as failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<i64>,
}

impl Spec {
    /// Reads the configuration of the bundle at `bundle`.
    ///
    /// # Errors
    /// [`Kind::NotFound`] without a `config.json`, [`Kind::Limit`] for one over [`CONFIG_LIMIT`],
    /// [`Kind::Invalid`] with line and column for one that does not parse.
    pub fn load(bundle: &Path) -> Result<Spec> {
        let path = bundle.join(CONFIG);
        let text = taru_stdx::fs::read_bounded(&path, CONFIG_LIMIT).map_err(|e| {
            let missing = e.kind() == Kind::NotFound;
            if missing {
                e.hint("a bundle is a directory with config.json; `taru-runtime spec` writes one")
            } else {
                e
            }
        })?;
        Spec::parse(&text).context(|| format!("parse `{}`", path.display()))
    }

    /// Parses the text of a configuration.
    ///
    /// # Errors
    /// [`Kind::Invalid`] with line and column.
    pub fn parse(text: &[u8]) -> Result<Spec> {
        // serde takes an array for a struct, by position; nobody means that.
        let first = text.iter().find(|byte| !byte.is_ascii_whitespace());
        if first.is_some_and(|byte| *byte != b'{') {
            return Err(Error::invalid("it is no JSON object"));
        }
        serde_json::from_slice(text).map_err(|e| Error::invalid(e.to_string()))
    }
}

/// A `null` is the type's default: Go programs write `null` for an empty list.
pub(crate) fn or_default<'de, D, T>(deserializer: D) -> std::result::Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

pub(crate) fn is_false(value: &bool) -> bool {
    !value
}

fn is_empty_path(path: &Path) -> bool {
    path.as_os_str().is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_go_writes_and_writes_it_back_lean() {
        let spec = Spec::parse(
            br#"{"ociVersion":"1.0.2-dev","process":{"args":["sh"],"env":null,"cwd":"/","user":{"uid":0,"gid":0},
            "capabilities":null},"root":{"path":"rootfs"},"mounts":[{"destination":"/x","options":null}],
            "linux":{"namespaces":[{"type":"pid"},{"type":"mount","path":"/p"}],"seccomp":{"defaultAction":"SCMP_ACT_ALLOW"}},
            "unknown":{"a":1}}"#,
        )
        .unwrap();
        let linux = spec.linux.as_ref().unwrap();
        assert_eq!(linux.namespaces[1].kind, NamespaceKind::Mount);
        assert!(linux.seccomp.as_ref().unwrap().get().contains("SCMP_ACT_ALLOW"));
        let text = serde_json::to_string(&spec).unwrap();
        assert_eq!(
            text,
            r#"{"ociVersion":"1.0.2-dev","process":{"user":{"uid":0,"gid":0},"args":["sh"],"cwd":"/"},"root":{"path":"rootfs"},"mounts":[{"destination":"/x"}],"linux":{"namespaces":[{"type":"pid"},{"type":"mount","path":"/p"}],"seccomp":{"defaultAction":"SCMP_ACT_ALLOW"}}}"#
        );
    }

    #[test]
    fn malformed_documents_are_errors_with_a_place() {
        for text in ["", "{", "[]x", "{\"process\":3}", "{\"linux\":{\"namespaces\":[{\"type\":\"x\"}]}}"] {
            assert_eq!(Spec::parse(text.as_bytes()).unwrap_err().kind(), Kind::Invalid, "{text}");
        }
        let deep = "[".repeat(200_000);
        assert!(Spec::parse(format!("{{\"x\":{deep}").as_bytes()).is_err());
    }
}
