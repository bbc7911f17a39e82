//! Limits as properties of a unit: what systemd itself manages, told to it so that its next reload does not
//! take it back. Everything, this too, is then written to the files of the group as with the other driver.

use super::wire::Value;
use crate::controllers::{weight_of_blkio, weight_of_shares};
use crate::devices::{DeviceKind, Table};
use crate::limits::{Limits, Max};

/// systemd's "no limit".
const INFINITY: u64 = u64::MAX;

/// The properties for `limits`. `v1` if the controllers are on v1, where some have other names.
pub(super) fn of_limits(limits: &Limits, v1: bool) -> Vec<(String, Value)> {
    let mut all: Vec<(&str, Value)> = Vec::new();
    cpu(limits, v1, &mut all);
    memory(limits, v1, &mut all);
    if let Some(weight) = limits.io.weight {
        match v1 {
            true => all.push(("BlockIOWeight", Value::U64(weight.into()))),
            false => all.push(("IOWeight", Value::U64(weight_of_blkio(weight)))),
        }
    }
    if let Some(pids) = limits.pids {
        all.push(("TasksMax", u64_of(pids)));
    }
    for (name, list) in [("AllowedCPUs", &limits.cpuset.cpus), ("AllowedMemoryNodes", &limits.cpuset.mems)] {
        // systemd has them on v2 only, since version 244.
        if let Some(bits) = list.as_deref().filter(|_| !v1).and_then(bits) {
            all.push((name, Value::Bytes(bits)));
        }
    }
    if !v1 {
        unified(limits, &mut all);
    }
    devices(limits, &mut all);
    all.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Whether the property came with version 242 or 244; before, a unit with it is refused.
pub(super) fn is_recent(name: &str) -> bool {
    ["CPUQuotaPeriodUSec", "AllowedCPUs", "AllowedMemoryNodes"].contains(&name)
}

fn u64_of(max: Max) -> Value {
    match max {
        Max::Value(value) => Value::U64(value),
        Max::Unlimited => Value::U64(INFINITY),
    }
}

fn cpu(limits: &Limits, v1: bool, all: &mut Vec<(&str, Value)>) {
    let cpu = &limits.cpu;
    match (cpu.shares, cpu.weight) {
        (Some(shares), _) if v1 => all.push(("CPUShares", Value::U64(shares))),
        (shares, weight) if !v1 && cpu.idle != Some(true) => {
            if let Some(weight) = weight.or(shares.map(weight_of_shares)) {
                all.push(("CPUWeight", Value::U64(weight)));
            }
        }
        _ => {}
    }
    bandwidth(cpu.quota, cpu.period, all);
}

fn bandwidth(quota: Option<Max>, period: Option<u64>, all: &mut Vec<(&str, Value)>) {
    const DEFAULT_PERIOD: u64 = 100_000;
    if let Some(period) = period {
        all.push(("CPUQuotaPeriodUSec", Value::U64(period)));
    }
    match quota {
        Some(Max::Value(quota)) => {
            let period = period.unwrap_or(DEFAULT_PERIOD).max(1);
            let per_second = quota.saturating_mul(1_000_000) / period;
            // systemd counts in steps of 10 ms a second (1 %) and would round down.
            all.push(("CPUQuotaPerSecUSec", Value::U64(per_second.next_multiple_of(10_000))));
        }
        Some(Max::Unlimited) => all.push(("CPUQuotaPerSecUSec", Value::U64(INFINITY))),
        None => {}
    }
}

fn memory(limits: &Limits, v1: bool, all: &mut Vec<(&str, Value)>) {
    let memory = &limits.memory;
    if let Some(limit) = memory.limit {
        all.push((if v1 { "MemoryLimit" } else { "MemoryMax" }, u64_of(limit)));
    }
    if v1 {
        return;
    }
    if let Some(reservation) = memory.reservation {
        all.push(("MemoryLow", u64_of(reservation)));
    }
    match (memory.swap, memory.limit) {
        (Some(Max::Value(sum)), Some(Max::Value(limit))) if sum >= limit => {
            all.push(("MemorySwapMax", Value::U64(sum - limit)));
        }
        (Some(Max::Unlimited), _) | (None, Some(Max::Unlimited)) => {
            all.push(("MemorySwapMax", Value::U64(INFINITY)))
        }
        _ => {}
    }
}

/// Files of v2 by name, as far as systemd has a property for them. They come last: a later one of the same name
/// holds, as the file is written last. A value that is none is left to the kernel, which says so.
fn unified(limits: &Limits, all: &mut Vec<(&str, Value)>) {
    let number = |text: &str| if text == "max" { Some(INFINITY) } else { text.parse().ok() };
    for (file, value) in &limits.unified {
        let value = value.trim();
        let (name, converted) = match file.as_str() {
            "cpu.weight" => ("CPUWeight", number(value).map(Value::U64)),
            "io.weight" => ("IOWeight", number(value).map(Value::U64)),
            "memory.min" => ("MemoryMin", number(value).map(Value::U64)),
            "memory.low" => ("MemoryLow", number(value).map(Value::U64)),
            "memory.high" => ("MemoryHigh", number(value).map(Value::U64)),
            "memory.max" => ("MemoryMax", number(value).map(Value::U64)),
            "memory.swap.max" => ("MemorySwapMax", number(value).map(Value::U64)),
            "pids.max" => ("TasksMax", number(value).map(Value::U64)),
            "cpuset.cpus" => ("AllowedCPUs", bits(value).map(Value::Bytes)),
            "cpuset.mems" => ("AllowedMemoryNodes", bits(value).map(Value::Bytes)),
            "cpu.max" => {
                let (quota, period) = value.split_once(' ').map_or((value, None), |(q, p)| (q, Some(p)));
                let quota = match quota {
                    "max" => Some(Max::Unlimited),
                    number => number.parse().ok().map(Max::Value),
                };
                bandwidth(quota, period.and_then(|p| p.trim().parse().ok()), all);
                continue;
            }
            _ => continue,
        };
        if let Some(converted) = converted {
            all.push((name, converted));
        }
    }
}

/// The rules as an allow-list, which is all that systemd has. Others are left to the device filter alone.
fn devices(limits: &Limits, all: &mut Vec<(&str, Value)>) {
    if limits.devices.is_empty() {
        return;
    }
    let Ok(table) = Table::of_rules(&limits.devices) else { return };
    if table.allows_by_default() {
        all.push(("DevicePolicy", Value::Str("auto".to_owned())));
        all.push(("DeviceAllow", Value::Pairs(Vec::new())));
        return;
    }
    let entry = |(kind, major, minor, access): (DeviceKind, Option<u32>, Option<u32>, String)| {
        let kind = if kind == DeviceKind::Block { "block" } else { "char" };
        let name = match (major, minor) {
            // Since version 240 the number of a device need not have a node.
            (Some(major), Some(minor)) => format!("/dev/{kind}/{major}:{minor}"),
            (Some(major), None) => format!("{kind}-{major}"),
            (None, None) => format!("{kind}-*"),
            (None, Some(_)) => return None,
        };
        Some((name, access))
    };
    let list = table.entries().filter_map(entry).collect();
    all.push(("DevicePolicy", Value::Str("strict".to_owned())));
    // An empty list clears what was there; each further one adds.
    all.push(("DeviceAllow", Value::Pairs(Vec::new())));
    all.push(("DeviceAllow", Value::Pairs(list)));
}

/// A list of CPUs as a bit mask, lowest byte first. Nothing for a list that is none, or has an absurd number.
fn bits(list: &str) -> Option<Vec<u8>> {
    const HIGHEST: usize = 8191;
    let mut mask = Vec::new();
    for part in list.split(',').map(str::trim).filter(|p| !p.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        if first > last || last > HIGHEST {
            return None;
        }
        if mask.len() <= last / 8 {
            mask.resize(last / 8 + 1, 0u8);
        }
        for cpu in first..=last {
            mask[cpu / 8] |= 1 << (cpu % 8);
        }
    }
    Some(mask).filter(|m| !m.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devices::{Access, Rule};

    #[test]
    fn masks() {
        for (list, mask) in [
            ("0", Some(vec![1])),
            ("0-2,9", Some(vec![7, 2])),
            ("", None),
            ("3-1", None),
            ("x", None),
            ("99999", None),
        ] {
            assert_eq!(bits(list), mask, "{list}");
        }
    }

    #[test]
    fn of_files_by_name() {
        let mut limits = Limits::default();
        for (file, value) in [
            ("cpu.max", "50000 200000"),
            ("cpu.weight", "1234"),
            ("cpuset.cpus", "0-1"),
            ("hugetlb.2MB.max", "1"),
            ("memory.high", "max"),
            ("memory.max", "4K"),
            ("pids.max", "17"),
        ] {
            limits.unified.insert(file.to_owned(), value.to_owned());
        }
        let wanted = [
            ("CPUQuotaPeriodUSec", Value::U64(200_000)),
            ("CPUQuotaPerSecUSec", Value::U64(250_000)),
            ("CPUWeight", Value::U64(1234)),
            ("AllowedCPUs", Value::Bytes(vec![3])),
            ("MemoryHigh", Value::U64(INFINITY)),
            ("TasksMax", Value::U64(17)),
        ];
        assert_eq!(of_limits(&limits, false), wanted.map(|(name, value)| (name.to_owned(), value)));
        assert!(of_limits(&limits, true).is_empty(), "there are no such files on v1");
    }

    #[test]
    fn of_every_kind() {
        let mut limits = Limits::default();
        assert!(of_limits(&limits, false).is_empty());
        limits.cpu.shares = Some(1024);
        limits.cpu.quota = Some(Max::Value(12_345));
        limits.memory.limit = Some(Max::Value(100));
        limits.memory.swap = Some(Max::Value(150));
        limits.pids = Some(Max::Unlimited);
        limits.cpuset.cpus = Some("1".to_owned());
        let all = Rule { allow: false, kind: DeviceKind::All, major: None, minor: None, access: Access::ALL };
        let rule =
            |major, minor| Rule { allow: true, kind: DeviceKind::Char, major, minor, access: Access::READ };
        limits.devices = vec![all, rule(Some(1), Some(3)), rule(Some(5), None)];
        let named = |name: &str, value: Value| (name.to_owned(), value);
        let devices = [
            named("DevicePolicy", Value::Str("strict".to_owned())),
            named("DeviceAllow", Value::Pairs(vec![])),
            named(
                "DeviceAllow",
                Value::Pairs(vec![
                    ("/dev/char/1:3".to_owned(), "r".to_owned()),
                    ("char-5".to_owned(), "r".to_owned()),
                ]),
            ),
        ];
        let mut v2 = vec![
            named("CPUWeight", Value::U64(100)),
            named("CPUQuotaPerSecUSec", Value::U64(130_000)),
            named("MemoryMax", Value::U64(100)),
            named("MemorySwapMax", Value::U64(50)),
            named("TasksMax", Value::U64(INFINITY)),
            named("AllowedCPUs", Value::Bytes(vec![2])),
        ];
        v2.extend(devices.clone());
        assert_eq!(of_limits(&limits, false), v2);
        let mut v1 = vec![
            named("CPUShares", Value::U64(1024)),
            named("CPUQuotaPerSecUSec", Value::U64(130_000)),
            named("MemoryLimit", Value::U64(100)),
            named("TasksMax", Value::U64(INFINITY)),
        ];
        v1.extend(devices);
        assert_eq!(of_limits(&limits, true), v1);
    }
}
