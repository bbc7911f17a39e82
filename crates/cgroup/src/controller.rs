//! The kernel's resource controllers, and the names they go by in each version.

use std::fmt;

/// A resource controller of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Controller {
    /// CPU time: shares or weight, bandwidth, real-time bandwidth.
    Cpu,
    /// Accounting of CPU time; v1 only, always present on v2.
    Cpuacct,
    /// Which CPUs and memory nodes may be used.
    Cpuset,
    /// Memory, swap, kernel memory.
    Memory,
    /// Which devices may be made and opened; a file on v1, a BPF program on v2.
    Devices,
    /// Stopping all processes at once; a controller on v1, always present on v2.
    Freezer,
    /// Block devices: weight and throttling. `blkio` on v1, `io` on v2.
    Io,
    /// Huge pages.
    Hugetlb,
    /// Monitoring a group with perf; always present on v2.
    PerfEvent,
    /// Tags on packets; v1 only.
    NetCls,
    /// Priority of packets per interface; v1 only.
    NetPrio,
    /// How many processes and threads.
    Pids,
    /// RDMA handles and objects.
    Rdma,
    /// Countable resources of the platform, as address space ids of encrypted guests.
    Misc,
}

impl Controller {
    /// All of them.
    pub const ALL: [Controller; 14] = [
        Controller::Cpu,
        Controller::Cpuacct,
        Controller::Cpuset,
        Controller::Memory,
        Controller::Devices,
        Controller::Freezer,
        Controller::Io,
        Controller::Hugetlb,
        Controller::PerfEvent,
        Controller::NetCls,
        Controller::NetPrio,
        Controller::Pids,
        Controller::Rdma,
        Controller::Misc,
    ];

    /// Its name in /proc/cgroups and in the options of a v1 mount.
    pub fn v1_name(self) -> &'static str {
        match self {
            Controller::Io => "blkio",
            other => other.v2_name(),
        }
    }

    /// Its name in `cgroup.controllers`. Those that v2 has no controller for keep the name of v1.
    pub fn v2_name(self) -> &'static str {
        match self {
            Controller::Cpu => "cpu",
            Controller::Cpuacct => "cpuacct",
            Controller::Cpuset => "cpuset",
            Controller::Memory => "memory",
            Controller::Devices => "devices",
            Controller::Freezer => "freezer",
            Controller::Io => "io",
            Controller::Hugetlb => "hugetlb",
            Controller::PerfEvent => "perf_event",
            Controller::NetCls => "net_cls",
            Controller::NetPrio => "net_prio",
            Controller::Pids => "pids",
            Controller::Rdma => "rdma",
            Controller::Misc => "misc",
        }
    }

    /// The controller with that name in either version.
    pub fn by_name(name: &str) -> Option<Controller> {
        Controller::ALL.into_iter().find(|c| c.v1_name() == name || c.v2_name() == name)
    }
}

impl fmt::Display for Controller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.v2_name())
    }
}
