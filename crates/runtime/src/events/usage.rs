//! What a container uses, in the form of runc's `events`: engines decode these names.
//!
//! As there, what is zero is left out where a reader takes the absent for zero.

use std::collections::BTreeMap;

use serde::Serialize;
use taru_cgroup::{Counter, IoCount, Pressure, Stall};

/// One line of `events`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Event<'a> {
    /// `stats` or `oom`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The container.
    pub id: &'a str,
    /// What it uses, with `stats`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Stats>,
}

impl<'a> Event<'a> {
    /// What the container `id` uses.
    pub fn stats(id: &'a str, stats: &taru_cgroup::Stats) -> Event<'a> {
        Event { kind: "stats", id, data: Some(Stats::from(stats)) }
    }

    /// A process of the container `id` was ended for want of memory.
    pub fn oom(id: &'a str) -> Event<'a> {
        Event { kind: "oom", id, data: None }
    }
}

/// Usage of all controllers.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[allow(missing_docs, reason = "the names are runc's")]
pub struct Stats {
    pub cpu: Cpu,
    pub cpuset: Cpuset,
    pub memory: Memory,
    pub pids: Pids,
    pub blkio: Blkio,
    pub hugetlb: BTreeMap<String, Entry>,
    /// Cache allocation is not managed: always empty.
    pub intel_rdt: BTreeMap<String, u64>,
    /// Interfaces belong to the engine, as with runc.
    pub network_interfaces: Option<()>,
}

/// CPU time.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[allow(missing_docs, reason = "the names are runc's")]
pub struct Cpu {
    pub usage: CpuUsage,
    pub throttling: Throttling,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psi: Option<Psi>,
}

/// CPU time in nanoseconds.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[allow(missing_docs, reason = "the names are runc's")]
pub struct CpuUsage {
    #[serde(skip_serializing_if = "is_zero")]
    pub total: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub percpu: Vec<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub percpu_kernel: Vec<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub percpu_user: Vec<u64>,
    pub kernel: u64,
    pub user: u64,
}

/// Periods of the bandwidth limit, and nanoseconds waited for the next.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "the names are runc's")]
pub struct Throttling {
    #[serde(skip_serializing_if = "is_zero")]
    pub periods: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub throttled_periods: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub throttled_time: u64,
}

/// CPUs and memory nodes in force.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[allow(missing_docs, reason = "the names are runc's")]
pub struct Cpuset {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cpus: Vec<u16>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mems: Vec<u16>,
    /// `cpu_exclusive` and the others of v1.
    #[serde(flatten)]
    pub switches: BTreeMap<String, i64>,
}

/// Memory in bytes.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[allow(missing_docs, reason = "the names are runc's")]
pub struct Memory {
    #[serde(skip_serializing_if = "is_zero")]
    pub cache: u64,
    pub usage: Entry,
    /// Memory and swap together, on v2 too.
    pub swap: Entry,
    pub kernel: Entry,
    #[serde(rename = "kernelTCP")]
    pub kernel_tcp: Entry,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub raw: BTreeMap<String, u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psi: Option<Psi>,
}

/// A usage, its limit, its highest value, and how often the limit was met.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[allow(missing_docs, reason = "the names are runc's")]
pub struct Entry {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    #[serde(skip_serializing_if = "is_zero")]
    pub usage: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub max: u64,
    pub failcnt: u64,
}

/// Processes and threads; no limit is left out.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[allow(missing_docs, reason = "the names are runc's")]
pub struct Pids {
    #[serde(skip_serializing_if = "is_zero")]
    pub current: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
}

/// Block devices.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "the names are runc's")]
pub struct Blkio {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_service_bytes_recursive: Vec<BlkioEntry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_serviced_recursive: Vec<BlkioEntry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psi: Option<Psi>,
}

/// A number of bytes or operations on one device.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[allow(missing_docs, reason = "the names are runc's")]
pub struct BlkioEntry {
    #[serde(skip_serializing_if = "is_zero")]
    pub major: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub minor: u64,
    pub op: String,
    #[serde(skip_serializing_if = "is_zero")]
    pub value: u64,
}

/// Pressure: the share of time in which some processes, or all, waited.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[allow(missing_docs, reason = "the names are runc's")]
pub struct Psi {
    pub some: PsiData,
    pub full: PsiData,
}

/// Percent of the last 10, 60 and 300 seconds, and microseconds in all.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[allow(missing_docs, reason = "the names are runc's")]
pub struct PsiData {
    pub avg10: f64,
    pub avg60: f64,
    pub avg300: f64,
    pub total: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// What v1 reports as the limit where there is none: the largest number of bytes in whole pages.
const UNLIMITED_V1: u64 = 0x7fff_ffff_ffff_f000;

impl From<&taru_cgroup::Stats> for Stats {
    fn from(stats: &taru_cgroup::Stats) -> Stats {
        let cpu = &stats.cpu;
        Stats {
            cpu: Cpu {
                usage: CpuUsage {
                    total: cpu.usage_ns,
                    percpu: cpu.per_cpu_ns.clone(),
                    percpu_kernel: cpu.per_cpu_system_ns.clone(),
                    percpu_user: cpu.per_cpu_user_ns.clone(),
                    kernel: cpu.system_ns,
                    user: cpu.user_ns,
                },
                throttling: Throttling {
                    periods: cpu.periods,
                    throttled_periods: cpu.throttled_periods,
                    throttled_time: cpu.throttled_ns,
                },
                psi: psi(cpu.pressure.as_ref()),
            },
            cpuset: Cpuset {
                cpus: numbers(&stats.cpuset.cpus),
                mems: numbers(&stats.cpuset.mems),
                switches: stats.cpuset.switches.clone(),
            },
            memory: memory(&stats.memory),
            pids: Pids { current: stats.pids.current, limit: stats.pids.limit },
            blkio: Blkio {
                io_service_bytes_recursive: blkio(&stats.io.bytes),
                io_serviced_recursive: blkio(&stats.io.operations),
                psi: psi(stats.io.pressure.as_ref()),
            },
            hugetlb: stats.hugetlb.iter().map(|(size, c)| (size.clone(), entry(c, None))).collect(),
            intel_rdt: BTreeMap::new(),
            network_interfaces: None,
        }
    }
}

fn memory(stats: &taru_cgroup::MemoryStats) -> Memory {
    let unlimited = if stats.memory_and_swap.is_some() { UNLIMITED_V1 } else { u64::MAX };
    let of =
        |counter: &Option<Counter>| counter.as_ref().map_or(Entry::default(), |c| entry(c, Some(unlimited)));
    let usage = entry(&stats.memory, Some(unlimited));
    let swap = match (&stats.memory_and_swap, &stats.swap) {
        (Some(both), _) => entry(both, Some(unlimited)),
        // runc adds them up on v2, so that the field means the same everywhere.
        (None, Some(swap)) => Entry {
            limit: Some(swap.limit.zip(stats.memory.limit).map_or(u64::MAX, |(s, m)| s.saturating_add(m))),
            usage: swap.usage.saturating_add(stats.memory.usage),
            max: 0,
            failcnt: swap.failures,
        },
        (None, None) => Entry::default(),
    };
    Memory {
        cache: stats.cache,
        usage,
        swap,
        kernel: of(&stats.kernel),
        kernel_tcp: of(&stats.kernel_tcp),
        raw: stats.detail.clone(),
        psi: psi(stats.pressure.as_ref()),
    }
}

/// `unlimited` is what to write for a limit that is not there; without it the field is left out.
fn entry(counter: &Counter, unlimited: Option<u64>) -> Entry {
    Entry {
        limit: unlimited.map(|unlimited| counter.limit.unwrap_or(unlimited)),
        usage: counter.usage,
        max: counter.peak.unwrap_or(0),
        failcnt: counter.failures,
    }
}

fn blkio(counts: &[IoCount]) -> Vec<BlkioEntry> {
    let entry = |c: &IoCount| BlkioEntry {
        major: c.major.into(),
        minor: c.minor.into(),
        op: c.operation.clone(),
        value: c.value,
    };
    counts.iter().map(entry).collect()
}

fn psi(pressure: Option<&Pressure>) -> Option<Psi> {
    let data = |s: &Stall| PsiData { avg10: s.avg10, avg60: s.avg60, avg300: s.avg300, total: s.total_us };
    pressure.map(|p| Psi { some: data(&p.some), full: p.full.as_ref().map_or(PsiData::default(), data) })
}

/// The numbers of a list like `0-2,7`.
fn numbers(list: &str) -> Vec<u16> {
    list.split(',')
        .filter_map(|part| {
            let (first, last) = part.trim().split_once('-').unwrap_or((part.trim(), part.trim()));
            Some(first.parse::<u16>().ok()?..=last.parse::<u16>().ok()?)
        })
        .flatten()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_reads_as_runc_writes_it() {
        let mut stats = taru_cgroup::Stats::default();
        stats.cpu.usage_ns = 7;
        stats.cpuset.cpus = "0-2,5".into();
        stats.memory.memory = Counter { usage: 4096, peak: Some(8192), limit: Some(1 << 20), failures: 2 };
        stats.memory.memory_and_swap = Some(Counter { usage: 4096, peak: None, limit: None, failures: 0 });
        stats.pids.current = 1;
        let text = serde_json::to_value(Event::stats("web", &stats)).unwrap();
        assert_eq!(text["type"], "stats");
        let data = &text["data"];
        assert_eq!(data["cpu"]["usage"], serde_json::json!({"total": 7, "kernel": 0, "user": 0}));
        assert_eq!(data["cpu"]["throttling"], serde_json::json!({}));
        assert_eq!(data["cpuset"]["cpus"], serde_json::json!([0, 1, 2, 5]));
        let usage = serde_json::json!({"limit": 1 << 20, "usage": 4096, "max": 8192, "failcnt": 2});
        assert_eq!(data["memory"]["usage"], usage);
        assert_eq!(data["memory"]["swap"]["limit"], 9_223_372_036_854_771_712_u64);
        assert_eq!(data["pids"], serde_json::json!({"current": 1}));
        assert_eq!(data["network_interfaces"], serde_json::Value::Null);
        assert_eq!(serde_json::to_string(&Event::oom("web")).unwrap(), r#"{"type":"oom","id":"web"}"#);
    }

    #[test]
    fn a_foreign_list_of_numbers_is_bounded() {
        assert_eq!(numbers("0-1,x,3-,7"), [0, 1, 7]);
        assert_eq!(numbers(""), Vec::<u16>::new());
        assert_eq!(numbers("9-3"), Vec::<u16>::new());
    }
}
