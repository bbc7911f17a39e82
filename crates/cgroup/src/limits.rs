//! What a group is limited to, in our own words. `None` and empty lists mean: leave as it is.
//!
//! The fields are those of both versions. What the version at hand has no counterpart for is reported by
//! [`crate::Cgroup::apply`] as [`crate::Skipped`]; nothing is dropped in silence.

use std::collections::BTreeMap;
use std::fmt;

use crate::devices::Rule;

/// A limit that can be lifted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Max {
    /// At most so much.
    Value(u64),
    /// No limit.
    Unlimited,
}

impl Max {
    /// As the files of v2 and `pids.max` have it.
    pub(crate) fn or_max(self) -> String {
        match self {
            Max::Value(value) => value.to_string(),
            Max::Unlimited => "max".to_owned(),
        }
    }

    /// As the files of v1 have it.
    pub(crate) fn or_minus_one(self) -> String {
        match self {
            Max::Value(value) => value.to_string(),
            Max::Unlimited => "-1".to_owned(),
        }
    }
}

/// All limits of a group.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Limits {
    /// CPU time.
    pub cpu: Cpu,
    /// CPUs and memory nodes.
    pub cpuset: Cpuset,
    /// Memory and swap.
    pub memory: Memory,
    /// Block devices.
    pub io: Io,
    /// How many processes and threads.
    pub pids: Option<Max>,
    /// Bytes of huge pages by page size as the kernel writes it (`2MB`, `1GB`).
    pub hugetlb: BTreeMap<String, u64>,
    /// RDMA by device.
    pub rdma: BTreeMap<String, Rdma>,
    /// Countable resources of the platform by name (`misc.max`).
    pub misc: BTreeMap<String, Max>,
    /// Tags and priorities of packets (v1).
    pub net: Net,
    /// Which devices may be used, rule by rule; a later rule goes before an earlier one. A new group on v2 and
    /// on v1 starts with its parent's rights.
    pub devices: Vec<Rule>,
    /// Files of v2 by name, with what to write to them; several lines are written one by one.
    pub unified: BTreeMap<String, String>,
}

/// Limits of CPU time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Cpu {
    /// Relative share on v1's scale of 2 to 262144, 1024 being the default. Becomes a weight on v2.
    pub shares: Option<u64>,
    /// Weight on v2's scale of 1 to 10000, 100 being the default; goes before `shares` there. Unknown to v1.
    pub weight: Option<u64>,
    /// Microseconds of CPU time in a period.
    pub quota: Option<Max>,
    /// Length of the period in microseconds, 1 000 to 1 000 000.
    pub period: Option<u64>,
    /// Microseconds of unused quota that may be saved for a burst (Linux 5.14).
    pub burst: Option<u64>,
    /// Run only when nobody else wants to (Linux 5.15).
    pub idle: Option<bool>,
    /// Microseconds of real-time scheduling in a real-time period (v1 with CONFIG_RT_GROUP_SCHED).
    pub realtime_runtime: Option<i64>,
    /// Length of the real-time period in microseconds.
    pub realtime_period: Option<u64>,
}

/// Which CPUs and memory nodes may be used, as lists (`0-2,7`).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Cpuset {
    /// CPUs.
    pub cpus: Option<String>,
    /// Memory nodes.
    pub mems: Option<String>,
}

/// Limits of memory, in bytes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Memory {
    /// Hard limit.
    pub limit: Option<Max>,
    /// What stays when memory is short: v1's soft limit, v2's `memory.low`.
    pub reservation: Option<Max>,
    /// Limit of memory *and* swap together.
    pub swap: Option<Max>,
    /// Limit of kernel memory (v1 before Linux 5.16).
    pub kernel: Option<Max>,
    /// Limit of TCP buffers (v1).
    pub kernel_tcp: Option<Max>,
    /// 0 to 100 (v1).
    pub swappiness: Option<u64>,
    /// Stop the processes instead of killing one when the limit is reached (v1).
    pub disable_oom_killer: Option<bool>,
    /// Charge to the parents too (v1 before Linux 5.11; always so since).
    pub use_hierarchy: Option<bool>,
    /// Refuse a limit below the present usage, instead of reclaiming and killing.
    pub check_before_update: bool,
}

/// A block device by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Device {
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.major, self.minor)
    }
}

/// Limits of block devices.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Io {
    /// Relative weight, 10 to 1000 (BFQ: 1 to 1000).
    pub weight: Option<u16>,
    /// Weight of the group's own processes against its child groups (v1 with CFQ, gone since Linux 5.0).
    pub leaf_weight: Option<u16>,
    /// Weights for single devices.
    pub weight_device: Vec<WeightDevice>,
    /// Bytes read a second; a rate of 0 lifts the limit.
    pub read_bps: Vec<(Device, u64)>,
    /// Bytes written a second.
    pub write_bps: Vec<(Device, u64)>,
    /// Reads a second.
    pub read_iops: Vec<(Device, u64)>,
    /// Writes a second.
    pub write_iops: Vec<(Device, u64)>,
}

/// A weight for one device.
#[derive(Debug, Clone, PartialEq)]
pub struct WeightDevice {
    /// The device.
    pub device: Device,
    /// Its weight.
    pub weight: Option<u16>,
    /// Its leaf weight.
    pub leaf_weight: Option<u16>,
}

/// Limits of an RDMA device.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rdma {
    /// Handles.
    pub handles: Option<u32>,
    /// Objects.
    pub objects: Option<u32>,
}

/// Tags and priorities of packets.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Net {
    /// The class for tc(8): `0xAAAABBBB` is AAAA:BBBB.
    pub class_id: Option<u32>,
    /// Priority by name of the interface.
    pub priorities: BTreeMap<String, u32>,
}
