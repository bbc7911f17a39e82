//! `taru cgroup get`, `stat` and `list`: what a group is set to, what it uses, which there are.

use std::collections::BTreeMap;

use serde::Serialize;
use taru_cgroup::{Counter, Hierarchy, IoCount, Stats};
use taru_stdx::{Kind, Result};

use super::{find, print};
use crate::options::Format;
use crate::output::{self, Table};

/// The files that hold limits, of both versions: what `get` shows when no file is named.
const LIMIT_FILES: &[&str] = &[
    "blkio.bfq.weight",
    "blkio.throttle.read_bps_device",
    "blkio.throttle.read_iops_device",
    "blkio.throttle.write_bps_device",
    "blkio.throttle.write_iops_device",
    "blkio.weight",
    "cgroup.freeze",
    "cgroup.type",
    "cpu.cfs_burst_us",
    "cpu.cfs_period_us",
    "cpu.cfs_quota_us",
    "cpu.idle",
    "cpu.max",
    "cpu.max.burst",
    "cpu.shares",
    "cpu.weight",
    "cpuset.cpus",
    "cpuset.mems",
    "devices.list",
    "freezer.state",
    "io.bfq.weight",
    "io.max",
    "io.weight",
    "memory.high",
    "memory.limit_in_bytes",
    "memory.low",
    "memory.max",
    "memory.memsw.limit_in_bytes",
    "memory.min",
    "memory.soft_limit_in_bytes",
    "memory.swap.max",
    "memory.swappiness",
    "misc.max",
    "net_cls.classid",
    "net_prio.ifpriomap",
    "pids.max",
    "rdma.max",
];

/// Show files of a group: those named, or all that hold limits
///
/// One file alone is printed as it is.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  taru cgroup get demo
  taru cgroup get demo cpu.stat")]
pub(super) struct GetArgs {
    /// Print as a table or as JSON
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// The group
    group: String,
    /// The files
    #[arg(value_name = "FILE")]
    files: Vec<String>,
}

pub(super) fn get(args: &GetArgs) -> Result<()> {
    let group = find(&args.group)?;
    if let ([file], None) = (args.files.as_slice(), args.format) {
        return output::text(&group.read_file(file)?);
    }
    let mut values = BTreeMap::new();
    for file in &args.files {
        values.insert(file.clone(), group.read_file(file)?);
    }
    if args.files.is_empty() {
        for file in LIMIT_FILES {
            match group.read_file(file) {
                Ok(text) => drop(values.insert((*file).to_owned(), text)),
                Err(e) if e.kind() == Kind::NotFound => {}
                Err(e) => return Err(e),
            }
        }
    }
    let values = values.into_iter().map(|(file, text)| (file, text.trim_end().to_owned())).collect();
    print(&values, args.format.unwrap_or_default())
}

/// Show what a group uses
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  taru cgroup stat demo
  taru cgroup stat demo --format json     everything that the kernel counts")]
pub(super) struct StatArgs {
    /// Print as a table or as JSON
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// The group
    group: String,
}

pub(super) fn stat(args: &StatArgs) -> Result<()> {
    let stats = find(&args.group)?.stats()?;
    match args.format {
        Format::Json => output::json(&stats),
        Format::Table => {
            let mut table = Table::new(&["WHAT", "VALUE"]);
            for (what, value) in summary(&stats) {
                table.row(vec![what, value]);
            }
            table.print()
        }
    }
}

/// The figures that people look at, with units.
fn summary(stats: &Stats) -> Vec<(String, String)> {
    let mut rows: Vec<(String, String)> = Vec::new();
    let mut add = |what: &str, value: String| rows.push((what.to_owned(), value));
    let cpu = &stats.cpu;
    let limit = stats.pids.limit.map(|limit| format!(" of {limit}")).unwrap_or_default();
    add("processes", format!("{}{limit}", stats.pids.current));
    add("cpu time", seconds(cpu.usage_ns));
    add("cpu time in user mode", seconds(cpu.user_ns));
    add("cpu time in the kernel", seconds(cpu.system_ns));
    if cpu.periods > 0 {
        add(
            "cpu throttled",
            format!("{} of {} periods, {}", cpu.throttled_periods, cpu.periods, seconds(cpu.throttled_ns)),
        );
    }
    let memory = &stats.memory;
    add("memory", counter(&memory.memory));
    if let Some(swap) = &memory.swap {
        add("swap", counter(swap));
    }
    if let Some(sum) = &memory.memory_and_swap {
        add("memory and swap", counter(sum));
    }
    add("page cache", output::bytes(memory.cache));
    if memory.oom_kills > 0 {
        add("killed for lack of memory", memory.oom_kills.to_string());
    }
    for IoCount { major, minor, operation, value } in stats.io.bytes.iter().filter(|c| c.value > 0) {
        add(&format!("bytes {} {major}:{minor}", operation.to_lowercase()), output::bytes(*value));
    }
    for IoCount { major, minor, operation, value } in stats.io.operations.iter().filter(|c| c.value > 0) {
        add(&format!("operations {} {major}:{minor}", operation.to_lowercase()), value.to_string());
    }
    for (size, pages) in stats.hugetlb.iter().filter(|(_, c)| c.usage > 0 || c.limit.is_some()) {
        add(&format!("huge pages of {size}"), counter(pages));
    }
    for (what, pressure) in [("cpu", &cpu.pressure), ("memory", &memory.pressure), ("io", &stats.io.pressure)]
    {
        if let Some(pressure) = pressure {
            add(&format!("waited for {what}"), format!("{:.2} % of 10 s", pressure.some.avg10));
        }
    }
    rows
}

fn seconds(ns: u64) -> String {
    format!("{}.{:03} s", ns / 1_000_000_000, ns / 1_000_000 % 1000)
}

/// `64 KiB of 1.00 MiB, at most 512 KiB, limit met 3 times`.
fn counter(counter: &Counter) -> String {
    let mut text = output::bytes(counter.usage);
    if let Some(limit) = counter.limit {
        text.push_str(&format!(" of {}", output::bytes(limit)));
    }
    if let Some(peak) = counter.peak.filter(|p| *p > 0) {
        text.push_str(&format!(", at most {}", output::bytes(peak)));
    }
    if counter.failures > 0 {
        text.push_str(&format!(", limit met {}", output::count(counter.failures, "time")));
    }
    text
}

/// List groups
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  taru cgroup list
  taru cgroup list demo
  taru cgroup list --format json")]
pub(super) struct ListArgs {
    /// Print as a table or as JSON
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Only this group and those below it
    group: Option<String>,
}

#[derive(Serialize)]
struct Row {
    group: String,
    processes: usize,
    hierarchies: Vec<String>,
}

pub(super) fn list(args: &ListArgs) -> Result<()> {
    let top = args.group.as_deref().map(|g| format!("/{}", g.trim_matches('/')));
    let rows: Vec<Row> = taru_cgroup::list(&Hierarchy::probe()?)?
        .into_iter()
        .filter(|g| top.as_ref().is_none_or(|top| g.path.starts_with(top)))
        .map(|g| Row {
            group: g.path.display().to_string(),
            processes: g.processes,
            hierarchies: g.hierarchies.into_iter().collect(),
        })
        .collect();
    if let (Some(group), []) = (&args.group, rows.as_slice()) {
        find(group)?;
    }
    if args.format == Format::Json {
        return output::json(&rows);
    }
    let mut table = Table::new(&["GROUP", "PROCESSES", "IN"]);
    for row in rows {
        table.row(vec![row.group, row.processes.to_string(), row.hierarchies.join(",")]);
    }
    table.print()
}
