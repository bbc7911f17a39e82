//! `memory`: limit, reservation, swap, and v1's kernel memory, swappiness and OOM switch.

use taru_stdx::{Error, Kind, Result};
use taru_sys::errno;

use super::files::{CounterFiles, counter, read};
use super::text;
use crate::dir::Dir;
use crate::group::Place;
use crate::limits::{Max, Memory};
use crate::skipped::Skipped;
use crate::stats::MemoryStats;

pub(super) fn apply(place: Place<'_>, memory: &Memory, skipped: &mut Vec<Skipped>) -> Result<()> {
    match place {
        Place::V1(dir) => apply_v1(dir, memory),
        Place::V2(dir) => apply_v2(dir, memory, skipped),
        Place::Nowhere => Ok(()),
    }
}

/// Memory and swap together, as asked for; lifting the memory limit alone lifts that of swap too, because
/// memory may never be above the sum.
fn swap_wanted(memory: &Memory) -> Option<Max> {
    match (memory.limit, memory.swap) {
        (Some(Max::Unlimited), None) => Some(Max::Unlimited),
        (_, swap) => swap,
    }
}

fn apply_v1(dir: &Dir, memory: &Memory) -> Result<()> {
    if let Some(on) = memory.use_hierarchy {
        use_hierarchy(dir, on)?;
    }
    check_usage(dir, "memory.usage_in_bytes", memory)?;
    limit_and_swap_v1(dir, memory)?;
    let files = [
        ("memory.kmem.limit_in_bytes", memory.kernel),
        ("memory.soft_limit_in_bytes", memory.reservation),
        ("memory.kmem.tcp.limit_in_bytes", memory.kernel_tcp),
    ];
    for (file, value) in files {
        if let Some(value) = value {
            write_limit(dir, file, value)?;
        }
    }
    if let Some(off) = memory.disable_oom_killer {
        dir.write("memory.oom_control", if off { "1" } else { "0" })?;
    }
    if let Some(swappiness) = memory.swappiness {
        if swappiness > 100 {
            return Err(Error::invalid(format!("set `memory.swappiness` to `{swappiness}`: more than 100")));
        }
        dir.write("memory.swappiness", &swappiness.to_string())?;
    }
    Ok(())
}

/// Since Linux 5.11 every group counts for its parents; the file only confirms it.
fn use_hierarchy(dir: &Dir, on: bool) -> Result<()> {
    let wanted = if on { "1" } else { "0" };
    match dir.read_if_there("memory.use_hierarchy")? {
        Some(present) if present.trim() == wanted => Ok(()),
        _ => dir.write("memory.use_hierarchy", wanted),
    }
}

/// Sets both limits in the order that keeps memory below the sum at every instant.
fn limit_and_swap_v1(dir: &Dir, memory: &Memory) -> Result<()> {
    const LIMIT: &str = "memory.limit_in_bytes";
    const SUM: &str = "memory.memsw.limit_in_bytes";
    let swap = swap_wanted(memory);
    let Some(limit) = memory.limit else {
        return swap.map_or(Ok(()), |swap| write_limit(dir, SUM, swap));
    };
    match dir.try_write(LIMIT, &limit.or_minus_one()) {
        Ok(()) => write_sum(dir, SUM, swap, memory.swap.is_some()),
        // Above the present sum: that first.
        Err(e) if e.errno() == errno::INVAL && swap.is_some() => {
            write_sum(dir, SUM, swap, memory.swap.is_some())?;
            write_limit(dir, LIMIT, limit)
        }
        Err(e) => Err(refused(dir, LIMIT, e)),
    }
}

/// Without CONFIG_SWAP (or with `swapaccount=0`) there is no such file; that matters only if it was `asked` for.
fn write_sum(dir: &Dir, file: &str, swap: Option<Max>, asked: bool) -> Result<()> {
    let Some(swap) = swap else { return Ok(()) };
    match write_limit(dir, file, swap) {
        Err(e) if !asked && e.kind() == Kind::Unsupported => Ok(()),
        other => other,
    }
}

fn write_limit(dir: &Dir, file: &str, value: Max) -> Result<()> {
    dir.try_write(file, &value.or_minus_one()).map_err(|e| refused(dir, file, e))
}

fn refused(dir: &Dir, file: &str, e: taru_sys::Error) -> Error {
    let busy = e.errno() == errno::BUSY;
    let error = dir.explain(file, e);
    if !busy {
        return error;
    }
    let usage = dir.read("memory.usage_in_bytes").unwrap_or_default();
    error.hint(format!("the group uses {} bytes, and the kernel could not reclaim enough", usage.trim()))
}

fn apply_v2(dir: &Dir, memory: &Memory, skipped: &mut Vec<Skipped>) -> Result<()> {
    check_usage(dir, "memory.current", memory)?;
    if let Some(swap) = swap_v2(memory)? {
        match dir.try_write("memory.swap.max", &swap.or_max()) {
            // Without swap accounting there is nothing to limit, and nothing to lift.
            Err(e) if e.errno() == errno::NOENT && matches!(swap, Max::Unlimited | Max::Value(0)) => {}
            Err(e) => return Err(dir.explain("memory.swap.max", e)),
            Ok(()) => {}
        }
    }
    if let Some(limit) = memory.limit {
        dir.write("memory.max", &limit.or_max())?;
    }
    if let Some(reservation) = memory.reservation {
        dir.write("memory.low", &reservation.or_max())?;
    }
    let v1_only = [
        ("kernel memory limit", memory.kernel.is_some()),
        ("kernel TCP memory limit", memory.kernel_tcp.is_some()),
        ("memory swappiness", memory.swappiness.is_some()),
        ("disabling the OOM killer", memory.disable_oom_killer == Some(true)),
        ("memory without hierarchy", memory.use_hierarchy == Some(false)),
    ];
    skipped.extend(v1_only.into_iter().filter(|(_, asked)| *asked).map(|(what, _)| Skipped::not_on_v2(what)));
    Ok(())
}

/// v2 limits swap by itself, so it is the sum less the memory.
fn swap_v2(memory: &Memory) -> Result<Option<Max>> {
    let Some(swap) = swap_wanted(memory) else { return Ok(None) };
    let Max::Value(sum) = swap else { return Ok(Some(Max::Unlimited)) };
    let Some(Max::Value(limit)) = memory.limit else {
        return Err(Error::invalid(format!(
            "limit memory and swap to `{sum}` bytes: no limit of memory is given"
        ))
        .hint("on cgroup v2 swap is limited by itself: to the given sum less the memory"));
    };
    match sum.checked_sub(limit) {
        Some(rest) => Ok(Some(Max::Value(rest))),
        None => Err(Error::invalid(format!(
            "limit memory and swap to `{sum}` bytes: less than the memory's `{limit}`"
        ))),
    }
}

/// With `check_before_update`, refuses a limit that the group is above already.
fn check_usage(dir: &Dir, file: &str, memory: &Memory) -> Result<()> {
    let Some(Max::Value(limit)) = memory.limit.filter(|_| memory.check_before_update) else { return Ok(()) };
    let usage: u64 = dir.read(file)?.trim().parse().unwrap_or(0);
    if usage <= limit {
        return Ok(());
    }
    Err(Error::new(Kind::Busy, format!("limit memory to `{limit}` bytes: the group uses {usage}")))
}

pub(super) fn stats(place: Place<'_>) -> Result<MemoryStats> {
    match place {
        Place::V1(dir) => stats_v1(dir),
        Place::V2(dir) => stats_v2(dir),
        Place::Nowhere => Ok(MemoryStats::default()),
    }
}

fn stats_v1(dir: &Dir) -> Result<MemoryStats> {
    let part = |prefix: &str| {
        counter(
            dir,
            &CounterFiles {
                usage: &format!("{prefix}.usage_in_bytes"),
                peak: &format!("{prefix}.max_usage_in_bytes"),
                limit: &format!("{prefix}.limit_in_bytes"),
                failures: &format!("{prefix}.failcnt"),
            },
        )
    };
    let detail = text::flat(&read(dir, "memory.stat")?);
    let oom = text::flat(&read(dir, "memory.oom_control")?);
    Ok(MemoryStats {
        memory: part("memory")?.unwrap_or_default(),
        memory_and_swap: part("memory.memsw")?,
        swap: None,
        kernel: part("memory.kmem")?,
        kernel_tcp: part("memory.kmem.tcp")?,
        cache: detail.get("cache").copied().unwrap_or(0),
        oom_kills: oom.get("oom_kill").copied().unwrap_or(0),
        hierarchical: read(dir, "memory.use_hierarchy")?.trim() == "1",
        detail,
        pressure: None,
    })
}

fn stats_v2(dir: &Dir) -> Result<MemoryStats> {
    let part = |prefix: &str| {
        counter(
            dir,
            &CounterFiles {
                usage: &format!("{prefix}.current"),
                peak: &format!("{prefix}.peak"),
                limit: &format!("{prefix}.max"),
                failures: "",
            },
        )
    };
    let detail = text::flat(&read(dir, "memory.stat")?);
    let events = text::flat(&read(dir, "memory.events")?);
    let event = |key: &str| events.get(key).copied().unwrap_or(0);
    let mut memory = part("memory")?.unwrap_or_default();
    memory.failures = event("max");
    Ok(MemoryStats {
        memory,
        swap: part("memory.swap")?,
        cache: detail.get("file").copied().unwrap_or(0),
        oom_kills: event("oom_kill"),
        hierarchical: true,
        detail,
        ..MemoryStats::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn swap_on_v2() {
        let v = Max::Value;
        let table = [
            (None, None, Ok(None)),
            (Some(v(100)), None, Ok(None)),
            (Some(v(100)), Some(v(300)), Ok(Some(v(200)))),
            (Some(v(100)), Some(v(100)), Ok(Some(v(0)))),
            (Some(v(100)), Some(Max::Unlimited), Ok(Some(Max::Unlimited))),
            (Some(Max::Unlimited), None, Ok(Some(Max::Unlimited))),
            (Some(v(100)), Some(v(99)), Err(())),
            (None, Some(v(100)), Err(())),
            (Some(Max::Unlimited), Some(v(100)), Err(())),
        ];
        for (limit, swap, expected) in table {
            let memory = Memory { limit, swap, ..Memory::default() };
            assert_eq!(swap_v2(&memory).map_err(drop), expected, "{limit:?} {swap:?}");
        }
    }
}
