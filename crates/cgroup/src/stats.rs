//! Usage of a group, in our own words: times in nanoseconds, sizes in bytes. What the layout does not count
//! is zero, empty or `None`.

use std::collections::BTreeMap;

use serde::Serialize;

/// All that a group has used and is using.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Stats {
    /// CPU time.
    pub cpu: CpuStats,
    /// CPUs and memory nodes.
    pub cpuset: CpusetStats,
    /// Memory and swap.
    pub memory: MemoryStats,
    /// Block devices.
    pub io: IoStats,
    /// Processes and threads.
    pub pids: PidsStats,
    /// Huge pages by size (`2MB`).
    pub hugetlb: BTreeMap<String, Counter>,
    /// RDMA by device.
    pub rdma: BTreeMap<String, RdmaStats>,
    /// Countable resources of the platform by name.
    pub misc: BTreeMap<String, u64>,
}

/// CPU time used, and how often the bandwidth limit was met.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct CpuStats {
    /// In all.
    pub usage_ns: u64,
    /// In user mode.
    pub user_ns: u64,
    /// In the kernel.
    pub system_ns: u64,
    /// By CPU (v1).
    pub per_cpu_ns: Vec<u64>,
    /// By CPU, in user mode (v1).
    pub per_cpu_user_ns: Vec<u64>,
    /// By CPU, in the kernel (v1).
    pub per_cpu_system_ns: Vec<u64>,
    /// Periods of the bandwidth limit that passed with something to run.
    pub periods: u64,
    /// Those in which the quota was used up.
    pub throttled_periods: u64,
    /// How long processes waited for the next period.
    pub throttled_ns: u64,
    /// Periods in which saved quota was used.
    pub bursts: u64,
    /// How much of it.
    pub burst_ns: u64,
    /// Waiting for a CPU.
    pub pressure: Option<Pressure>,
}

/// The CPUs and memory nodes in force.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct CpusetStats {
    /// CPUs, as a list (`0-2,7`).
    pub cpus: String,
    /// Memory nodes.
    pub mems: String,
    /// The switches beside them, by their names without `cpuset.` (v1).
    pub switches: BTreeMap<String, i64>,
}

/// A usage with its highest value, its limit, and how often the limit was met.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Counter {
    /// Now.
    pub usage: u64,
    /// The highest so far; `None` where it is not counted.
    pub peak: Option<u64>,
    /// The limit; `None`: unlimited.
    pub limit: Option<u64>,
    /// How often it was met.
    pub failures: u64,
}

/// Memory used.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct MemoryStats {
    /// Memory.
    pub memory: Counter,
    /// Memory and swap together (v1).
    pub memory_and_swap: Option<Counter>,
    /// Swap alone (v2).
    pub swap: Option<Counter>,
    /// Kernel memory (v1).
    pub kernel: Option<Counter>,
    /// TCP buffers (v1).
    pub kernel_tcp: Option<Counter>,
    /// Page cache: what could be dropped.
    pub cache: u64,
    /// Processes killed for lack of memory.
    pub oom_kills: u64,
    /// Whether usage counts for the parents; always so on v2.
    pub hierarchical: bool,
    /// `memory.stat` as the kernel has it.
    pub detail: BTreeMap<String, u64>,
    /// Waiting for memory.
    pub pressure: Option<Pressure>,
}

/// A number of bytes or operations on a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct IoCount {
    /// Major number of the device.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
    /// `Read`, `Write`, `Sync`, `Async`, `Discard` or `Total`, as v1 has them.
    pub operation: String,
    /// How many.
    pub value: u64,
}

/// Block I/O done, in the group and below it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct IoStats {
    /// Bytes.
    pub bytes: Vec<IoCount>,
    /// Operations.
    pub operations: Vec<IoCount>,
    /// Waiting for I/O.
    pub pressure: Option<Pressure>,
}

/// Processes and threads.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct PidsStats {
    /// Now, in the group and below it.
    pub current: u64,
    /// The limit; `None`: unlimited.
    pub limit: Option<u64>,
    /// The most so far (Linux 6.1).
    pub peak: Option<u64>,
}

/// RDMA handles and objects in use.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RdmaStats {
    /// Handles.
    pub handles: u64,
    /// Objects.
    pub objects: u64,
}

/// Pressure stall information: the share of time in which processes waited for a resource.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Pressure {
    /// At least one waited.
    pub some: Stall,
    /// All waited.
    pub full: Option<Stall>,
}

/// A line of a pressure file.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Stall {
    /// Percent of the last ten seconds.
    pub avg10: f64,
    /// Percent of the last minute.
    pub avg60: f64,
    /// Percent of the last five minutes.
    pub avg300: f64,
    /// Microseconds in all.
    pub total_us: u64,
}
