//! `cpu`: shares or weight, CFS bandwidth with burst, idle, real-time bandwidth.

use taru_stdx::{Error, Result};
use taru_sys::errno;

use super::files::read;
use super::text;
use crate::dir::Dir;
use crate::group::Place;
use crate::limits::{Cpu, Max};
use crate::skipped::Skipped;
use crate::stats::CpuStats;

/// The bounds of v1's shares (MIN_SHARES, MAX_SHARES of the scheduler).
const SHARES: std::ops::RangeInclusive<u64> = 2..=262_144;

/// The v2 weight (1 to 10000) for v1 shares (2 to 262144), so that both minima, both defaults (1024 and
/// 100) and both maxima meet: 10 to the power of (l² + 125 l) / 612 − 7/34 with l = log₂(shares), rounded up.
///
/// runc since 1.3.2 and crun since 1.23 have the same curve; the straight line before gave 39 for the default.
pub fn weight_of_shares(shares: u64) -> u64 {
    match shares {
        0..=2 => 1,
        262_144.. => 10_000,
        _ => {
            let l = (shares as f64).log2();
            let exponent = (l * l + 125.0 * l) / 612.0 - 7.0 / 34.0;
            10f64.powf(exponent).ceil() as u64
        }
    }
}

pub(super) fn apply(place: Place<'_>, cpu: &Cpu, skipped: &mut Vec<Skipped>) -> Result<()> {
    match place {
        Place::V1(dir) => apply_v1(dir, cpu, skipped),
        Place::V2(dir) => apply_v2(dir, cpu, skipped),
        Place::Nowhere => Ok(()),
    }
}

fn apply_v1(dir: &Dir, cpu: &Cpu, skipped: &mut Vec<Skipped>) -> Result<()> {
    realtime_v1(dir, cpu)?;
    if let Some(shares) = cpu.shares {
        // The kernel would clamp in silence.
        if !SHARES.contains(&shares) {
            return Err(Error::invalid(format!("set `cpu.shares` to `{shares}`"))
                .hint("CPU shares go from 2 to 262144; 1024 is the default"));
        }
        dir.write("cpu.shares", &shares.to_string())?;
    } else if cpu.weight.is_some() {
        skipped.push(Skipped { what: "CPU weight", why: "cgroup v1 has shares instead".to_owned() });
    }
    bandwidth(
        dir,
        [
            ("cpu.cfs_period_us", cpu.period.map(|p| p.to_string())),
            ("cpu.cfs_burst_us", cpu.burst.map(|b| b.to_string())),
            ("cpu.cfs_quota_us", cpu.quota.map(Max::or_minus_one)),
        ],
    )?;
    if let Some(idle) = cpu.idle {
        dir.write("cpu.idle", if idle { "1" } else { "0" })?;
    }
    Ok(())
}

/// To be done before a process is moved in: the kernel refuses one with a real-time policy to a group
/// without budget. A period that is refused with the present budget is written once more after the new one.
fn realtime_v1(dir: &Dir, cpu: &Cpu) -> Result<()> {
    let period = cpu.realtime_period.map(|p| p.to_string());
    let refused = period.as_ref().is_some_and(|p| dir.try_write("cpu.rt_period_us", p).is_err());
    if let Some(runtime) = cpu.realtime_runtime {
        dir.write("cpu.rt_runtime_us", &runtime.to_string())?;
    }
    match period.filter(|_| refused) {
        Some(period) => dir.write("cpu.rt_period_us", &period),
        None => Ok(()),
    }
}

fn apply_v2(dir: &Dir, cpu: &Cpu, skipped: &mut Vec<Skipped>) -> Result<()> {
    if cpu.realtime_runtime.is_some() || cpu.realtime_period.is_some() {
        skipped.push(Skipped::not_on_v2("real-time bandwidth"));
    }
    if let Some(idle) = cpu.idle {
        dir.write("cpu.idle", if idle { "1" } else { "0" })?;
    }
    // An idle group has the weight 0 and refuses another.
    let weight = cpu.weight.or(cpu.shares.map(weight_of_shares));
    if let Some(weight) = weight.filter(|_| cpu.idle != Some(true)) {
        dir.write("cpu.weight", &weight.to_string())?;
    }
    let max = match (cpu.quota, cpu.period) {
        (None, None) => None,
        // A line of one number leaves the period as it is.
        (Some(quota), None) => Some(quota.or_max()),
        (Some(quota), Some(period)) => Some(format!("{} {period}", quota.or_max())),
        (None, Some(period)) => Some(format!("{} {period}", present_quota(dir)?)),
    };
    bandwidth(dir, [("cpu.max.burst", cpu.burst.map(|b| b.to_string())), ("cpu.max", max)])
}

/// The quota as it stands in `cpu.max`.
fn present_quota(dir: &Dir) -> Result<String> {
    let text = dir.read("cpu.max")?;
    Ok(text.split_whitespace().next().unwrap_or("max").to_owned())
}

/// Writes the files of the CFS bandwidth, the quota being the last of them.
///
/// Each is checked against the present values of the others (a quota over a shorter period may exceed the
/// parent's, a burst the quota), so what is refused before the quota is written once more after it.
fn bandwidth<const N: usize>(dir: &Dir, files: [(&str, Option<String>); N]) -> Result<()> {
    let mut again = Vec::new();
    for (i, (file, value)) in files.iter().enumerate() {
        let Some(value) = value else { continue };
        match dir.try_write(file, value) {
            Ok(()) => {}
            Err(e) if i + 1 < N && e.errno() == errno::INVAL => again.push((file, value)),
            Err(e) => return Err(dir.explain(file, e)),
        }
    }
    again.into_iter().try_for_each(|(file, value)| dir.write(file, value))
}

/// Reads CPU time from where `cpuacct` is on v1, and the throttling from where `cpu` is.
pub(super) fn stats(cpu: Place<'_>, cpuacct: Place<'_>) -> Result<CpuStats> {
    let mut stats = CpuStats::default();
    if let Place::V1(dir) = cpuacct {
        usage_v1(dir, &mut stats)?;
    }
    match cpu {
        Place::V1(dir) => {
            let stat = text::flat(&read(dir, "cpu.stat")?);
            let value = |key: &str| stat.get(key).copied().unwrap_or(0);
            stats.throttled_ns = value("throttled_time");
            stats.burst_ns = value("burst_time");
            throttling(&mut stats, value);
        }
        Place::V2(dir) => {
            let stat = text::flat(&read(dir, "cpu.stat")?);
            let value = |key: &str| stat.get(key).copied().unwrap_or(0);
            stats.usage_ns = value("usage_usec") * 1000;
            stats.user_ns = value("user_usec") * 1000;
            stats.system_ns = value("system_usec") * 1000;
            stats.throttled_ns = value("throttled_usec") * 1000;
            stats.burst_ns = value("burst_usec") * 1000;
            throttling(&mut stats, value);
        }
        Place::Nowhere => {}
    }
    Ok(stats)
}

fn throttling(stats: &mut CpuStats, value: impl Fn(&str) -> u64) {
    stats.periods = value("nr_periods");
    stats.throttled_periods = value("nr_throttled");
    stats.bursts = value("nr_bursts");
}

fn usage_v1(dir: &Dir, stats: &mut CpuStats) -> Result<()> {
    stats.usage_ns = text::number(&read(dir, "cpuacct.usage")?);
    stats.user_ns = text::number(&read(dir, "cpuacct.usage_user")?);
    stats.system_ns = text::number(&read(dir, "cpuacct.usage_sys")?);
    stats.per_cpu_ns = text::numbers(&read(dir, "cpuacct.usage_percpu")?);
    stats.per_cpu_user_ns = text::numbers(&read(dir, "cpuacct.usage_percpu_user")?);
    stats.per_cpu_system_ns = text::numbers(&read(dir, "cpuacct.usage_percpu_sys")?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights() {
        let table = [
            (0, 1),
            (1, 1),
            (2, 1),
            (100, 17),
            (512, 59),
            (1024, 100),
            (2000, 170),
            (2048, 174),
            (262_144, 10_000),
            (u64::MAX, 10_000),
        ];
        for (shares, weight) in table {
            assert_eq!(weight_of_shares(shares), weight, "{shares}");
        }
        let mut last = 0;
        for shares in 2..=262_144 {
            let weight = weight_of_shares(shares);
            assert!((1..=10_000).contains(&weight) && weight >= last, "{shares}");
            last = weight;
        }
    }
}
