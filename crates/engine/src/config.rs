//! What a container was asked to be, in our own words: the part of its record that is written once.
//!
//! It is stored as JSON with a version, and turned into a bundle each time the container starts.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use taru_oci::Digest;

use crate::health::Health;

/// The version of [`ContainerConfig`] that is written. Version 1 knew no images; it is read as well.
pub const VERSION: u32 = 2;

/// The label of a build step's container: one whose build was killed is killed and removed by the next command.
pub const STEP: &str = "io.taru.step";

/// What a container was asked to be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ContainerConfig {
    /// [`VERSION`] when it was written.
    pub version: u32,
    /// Its root file system.
    pub root: Root,
    /// Whether its root cannot be written at all.
    pub read_only: bool,
    /// Whether what it changes in its root, and its record, stay after it ended.
    pub keep: bool,
    /// Whether its record goes as soon as it ended.
    pub remove: bool,
    /// The program and its arguments.
    pub args: Vec<String>,
    /// Its environment, as `NAME=VALUE`.
    pub env: Vec<String>,
    /// Its working directory.
    pub workdir: PathBuf,
    /// As typed: `USER[:GROUP]`, names or numbers; looked up in the container's own files. `None` is root.
    pub user: Option<String>,
    /// The host name; `None` is the first 12 digits of the id.
    pub hostname: Option<String>,
    /// Whether it has a terminal.
    pub tty: bool,
    /// Whether its standard input can be written to.
    pub interactive: bool,
    /// Directories and files of the host that appear in it.
    pub binds: Vec<Bind>,
    /// Its network.
    pub net: Net,
    /// Whether its users are its own.
    pub userns: Userns,
    /// Capabilities added to and dropped from the default set, without `CAP_`; `ALL` is all.
    pub cap_add: Vec<String>,
    /// See `cap_add`.
    pub cap_drop: Vec<String>,
    /// Limits of a process.
    pub rlimits: Vec<Rlimit>,
    /// Limits of the whole container.
    pub limits: Limits,
    /// The path below which its control group is made.
    pub cgroup_parent: String,
    /// How large its log may become.
    #[serde(default)]
    pub log: LogLimits,
    /// The signal that asks it to end, as `SIGTERM` or a number; `None` is SIGTERM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_signal: Option<String>,
    /// Directories of its own outside its root, absolute in the container: they begin with what the root has
    /// there, and go with the container.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<PathBuf>,
    /// Words about it, of its image and of whoever started it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// How to find out whether it is well; in the foreground nobody does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
}

impl ContainerConfig {
    /// Whether what it changes in its root has to outlive a power cut: that of a build's step, which is begun anew then, has not.
    pub(crate) fn is_durable(&self) -> bool {
        self.keep && !self.labels.contains_key(STEP)
    }
}

/// How large the log of a container in the background may become; what is absent is the supervisor's choice.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLimits {
    /// Bytes after which a new file is begun.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_size: Option<u64>,
    /// How many files are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files: Option<u32>,
}

/// A root file system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Root {
    /// The host's own system directories, read-only, the rest private.
    Host,
    /// A directory.
    Directory {
        /// Its absolute path.
        path: PathBuf,
        /// Whether the container changes the directory itself, not a layer above it.
        in_place: bool,
    },
    /// The layers of an image, below one of the container's own.
    Image {
        /// The name it was asked for by.
        name: String,
        /// The id of the image: what the name led to.
        id: Digest,
        /// The manifest of it for the platform that was asked for.
        manifest: Digest,
        /// The chain id of its uppermost layer; none if it has no layer at all.
        chain: Option<Digest>,
    },
}

/// A directory or file of the host that appears in the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bind {
    /// Its absolute path on the host.
    pub source: PathBuf,
    /// Its absolute path in the container.
    pub destination: PathBuf,
    /// Whether the container can write to it.
    pub writable: bool,
}

/// The network of a container.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Net {
    /// Its own, with a loopback device and nothing else.
    #[default]
    None,
    /// The host's.
    Host,
}

/// The users of a container.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Userns {
    /// Its own: root inside is an ordinary user outside.
    #[default]
    Private,
    /// The host's: root inside is root outside.
    Host,
}

/// A limit of a process, as getrlimit(2) has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rlimit {
    /// The name, as in `RLIMIT_NOFILE`.
    pub name: String,
    /// The soft limit; `u64::MAX` is none.
    pub soft: u64,
    /// The hard limit.
    pub hard: u64,
}

/// The limits of a container's control group. What is absent is not limited.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Bytes of memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
    /// Billionths of a CPU's time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nano_cpus: Option<u64>,
    /// The share of CPU time among its siblings; 1024 is normal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_shares: Option<u64>,
    /// The CPUs it may run on, as `0-2,5`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpuset: Option<String>,
    /// How many processes and threads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pids: Option<u64>,
    /// The share of block I/O among its siblings, 10 to 1000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blkio_weight: Option<u16>,
    /// Bytes a second read from devices.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub read_bps: Vec<DeviceRate>,
    /// Bytes a second written to devices.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub write_bps: Vec<DeviceRate>,
    /// Read operations a second on devices.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub read_iops: Vec<DeviceRate>,
    /// Write operations a second on devices.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub write_iops: Vec<DeviceRate>,
}

impl Limits {
    /// Whether nothing is limited.
    pub fn is_empty(&self) -> bool {
        *self == Limits::default()
    }
}

/// A rate on a block device. Numbers of devices change over reboots, so the path is what is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRate {
    /// The device's node on the host.
    pub path: PathBuf,
    /// Bytes or operations a second.
    pub rate: u64,
}
