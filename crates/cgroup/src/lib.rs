//! Control groups v1, hybrid and v2 behind one interface. Usable with no container at all.
//!
//! ```no_run
//! use taru_cgroup::{Cgroup, Hierarchy, Limits, Max};
//! # fn main() -> taru_stdx::Result<()> {
//! let hierarchy = Hierarchy::probe()?;
//! let group = Cgroup::create(&hierarchy, "/demo")?;
//! let mut limits = Limits::default();
//! limits.memory.limit = Some(Max::Value(64 << 20));
//! limits.cpu.quota = Some(Max::Value(50_000)); // half of a CPU
//! for skipped in group.apply(&limits)? {
//!     eprintln!("{skipped}");
//! }
//! group.add(taru_sys::process::getpid())?;
//! // ... later, from outside:
//! group.kill_all()?;
//! group.remove()?;
//! # Ok(())
//! # }
//! ```
//!
//! | module | what it knows |
//! |---|---|
//! | `hierarchy` | where the hierarchies are mounted and where this process is in them |
//! | `group` | a group: one directory in each hierarchy |
//! | `controllers` | one file a controller: limits and usage on v1 and v2 |
//! | `devices` | device rules as v1 lines and as a v2 BPF program |
//! | `stats` | usage in one form for both |
//! | `notify` | a group that became empty, memory that ran out |
//! | `raw` | files by name, and the list of all groups |
//! | `members`, `freeze`, `kill`, `remove` | processes in, stopped, ended; the group gone |
//! | [`systemd`] | the other driver: a transient scope over D-Bus |
//!
//! The crate starts no thread, prints nothing, and knows no OCI type.

mod controller;
mod controllers;
mod delegate;
mod devices;
mod dir;
mod freeze;
mod group;
mod hierarchy;
mod kill;
mod limits;
mod members;
mod notify;
mod raw;
mod remove;
mod skipped;
mod stats;
mod subtree;
pub mod systemd;
mod tree;

pub use controller::Controller;
pub use controllers::{weight_of_blkio, weight_of_shares};
pub use devices::{Access, DeviceKind, Rule, program as device_program};
pub use group::{Cgroup, Refused};
pub use hierarchy::{Hierarchy, Layout, Mounted, V1};
pub use limits::{Cpu, Cpuset, Device, Io, Limits, Max, Memory, Net, Rdma, WeightDevice};
pub use members::Joiner;
pub use notify::{EmptyWatch, Oom, OomWatch};
pub use raw::{Listed, list};
pub use skipped::Skipped;
pub use stats::{
    Counter, CpuStats, CpusetStats, IoCount, IoStats, MemoryStats, PidsStats, Pressure, RdmaStats, Stall,
    Stats,
};
