//! The process of a container: what to execute, as whom, with which rights and limits.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{is_false, or_default};

/// A process: the container's own, or a further one of `exec`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Process {
    /// Whether it gets a pseudo-terminal.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "is_false")]
    pub terminal: bool,
    /// The terminal's size in characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub console_size: Option<TerminalSize>,
    /// As whom it runs.
    #[serde(default, deserialize_with = "or_default")]
    pub user: User,
    /// The program and its arguments.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// `NAME=value`, the whole environment.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// The working directory, absolute in the container.
    #[serde(default, deserialize_with = "or_default")]
    pub cwd: PathBuf,
    /// The five sets of capabilities; absent means none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<Capabilities>,
    /// Resource limits of setrlimit(2).
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub rlimits: Vec<Rlimit>,
    /// Whether execve(2) may not grant rights.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "is_false")]
    pub no_new_privileges: bool,
    /// The AppArmor profile to change to on execve(2).
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub apparmor_profile: String,
    /// `/proc/self/oom_score_adj`, -1000 to 1000; absent means inherited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oom_score_adj: Option<i32>,
    /// The SELinux label to change to on execve(2).
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub selinux_label: String,
    /// Class and level of ioprio_set(2).
    #[serde(rename = "ioPriority", skip_serializing_if = "Option::is_none")]
    pub io_priority: Option<IoPriority>,
    /// Policy and parameters of sched_setattr(2).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheduler: Option<Scheduler>,
    /// CPUs that an `exec`ed process may run on, before and after it joins the control group.
    #[serde(rename = "execCPUAffinity", skip_serializing_if = "Option::is_none")]
    pub exec_cpu_affinity: Option<CpuAffinity>,
}

/// A size in characters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TerminalSize {
    /// Rows.
    pub height: u32,
    /// Columns.
    pub width: u32,
}

/// As whom a process runs; root when nothing is said.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct User {
    /// The user id in the container.
    #[serde(default)]
    pub uid: u32,
    /// The group id in the container.
    #[serde(default)]
    pub gid: u32,
    /// The file mode creation mask.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub umask: Option<u32>,
    /// Supplementary groups.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub additional_gids: Vec<u32>,
}

/// The five sets of capabilities(7), by name (`CAP_CHOWN`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities {
    /// The most that may ever be gained.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub bounding: Vec<String>,
    /// What is in force.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub effective: Vec<String>,
    /// What a file's inheritable set may keep.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub inheritable: Vec<String>,
    /// What may be put in force.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub permitted: Vec<String>,
    /// What is kept over execve(2) of a plain file.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub ambient: Vec<String>,
}

/// One resource limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rlimit {
    /// `RLIMIT_NOFILE` and so on.
    #[serde(rename = "type")]
    pub kind: String,
    /// The ceiling; the largest number means none.
    pub hard: u64,
    /// What is in force.
    pub soft: u64,
}

/// Class and level of ioprio_set(2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IoPriority {
    /// `IOPRIO_CLASS_RT`, `IOPRIO_CLASS_BE` or `IOPRIO_CLASS_IDLE`.
    pub class: String,
    /// 0 (first) to 7.
    #[serde(default)]
    pub priority: i32,
}

/// Policy and parameters of sched_setattr(2).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scheduler {
    /// `SCHED_OTHER`, `SCHED_FIFO`, `SCHED_RR`, `SCHED_BATCH`, `SCHED_ISO`, `SCHED_IDLE` or `SCHED_DEADLINE`.
    pub policy: String,
    /// -20 to 19.
    #[serde(default, deserialize_with = "or_default")]
    pub nice: i32,
    /// For `SCHED_FIFO` and `SCHED_RR`.
    #[serde(default, deserialize_with = "or_default")]
    pub priority: i32,
    /// `SCHED_FLAG_...`.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<String>,
    /// Nanoseconds, for `SCHED_DEADLINE`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime: Option<u64>,
    /// Nanoseconds, for `SCHED_DEADLINE`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<u64>,
    /// Nanoseconds, for `SCHED_DEADLINE`; `None` is the deadline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period: Option<u64>,
}

/// Lists of CPUs (`0-3,7`) for an `exec`ed process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuAffinity {
    /// While it is set up.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub initial: String,
    /// Once it runs in the control group.
    #[serde(
        rename = "final",
        default,
        deserialize_with = "or_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub last: String,
}
