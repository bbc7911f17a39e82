//! Limits of the control group: the specification's words into those of `taru-cgroup`.

use taru_cgroup::{
    Access, Cpu, Cpuset, Device, DeviceKind, Io, Limits, Max, Memory, Net, Rdma, Rule, WeightDevice,
};

use super::problems::Problems;
use crate::spec::{self, Resources};

/// Translates `resources`; device rules are those of the document alone.
pub fn translate(resources: &Resources, problems: &mut Problems) -> Limits {
    let mut limits = Limits {
        devices: resources.devices.iter().filter_map(|rule| device_rule(rule, problems)).collect(),
        unified: resources.unified.clone(),
        ..Default::default()
    };
    if let Some(c) = &resources.cpu {
        (limits.cpu, limits.cpuset) = cpu(c);
    }
    if let Some(m) = &resources.memory {
        limits.memory = memory(m, problems);
    }
    if let Some(b) = &resources.block_io {
        limits.io = block_io(b, problems);
    }
    // runc reads 0 as "no limit", as Docker writes it; a limit of none at all could not even execute.
    limits.pids = resources
        .pids
        .and_then(|p| p.limit)
        .map(|n| if n > 0 { Max::Value(n as u64) } else { Max::Unlimited });
    for huge in &resources.hugepage_limits {
        limits.hugetlb.insert(huge.page_size.clone(), huge.limit);
    }
    for (device, rdma) in &resources.rdma {
        limits.rdma.insert(device.clone(), Rdma { handles: rdma.hca_handles, objects: rdma.hca_objects });
    }
    if let Some(n) = &resources.network {
        let priorities = n.priorities.iter().map(|p| (p.name.clone(), p.priority)).collect();
        limits.net = Net { class_id: n.class_id, priorities };
    }
    limits
}

/// The devices every container may use (specification, "Default Devices"), and making any node, which
/// without the right to open it is harmless.
pub(super) fn default_devices() -> Vec<Rule> {
    let rule = |kind, major, minor, access: &str| Rule {
        allow: true,
        kind,
        major,
        minor,
        access: Access::parse(access).unwrap_or(Access::ALL),
    };
    let mut rules = vec![rule(DeviceKind::Char, None, None, "m"), rule(DeviceKind::Block, None, None, "m")];
    // null, zero, full, random, urandom, tty, console, ptmx, /dev/net/tun, and the pseudo-terminals. tun is not one of
    // the specification's, but programs for private networks make it, as runc and crun allow; what it does
    // takes CAP_NET_ADMIN over the network.
    for (major, minor) in [(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 1), (5, 2), (10, 200)] {
        rules.push(rule(DeviceKind::Char, Some(major), Some(minor), "rwm"));
    }
    rules.push(rule(DeviceKind::Char, Some(136), None, "rwm"));
    rules
}

fn device_rule(rule: &spec::DeviceRule, problems: &mut Problems) -> Option<Rule> {
    let kind = match rule.kind.as_str() {
        "" | "a" => DeviceKind::All,
        "c" | "u" => DeviceKind::Char,
        "b" => DeviceKind::Block,
        other => {
            problems.invalid(format!("check linux.resources.devices: unknown type `{other}`"));
            return None;
        }
    };
    let access = if rule.access.is_empty() { Ok(Access::ALL) } else { Access::parse(&rule.access) };
    let access = problems.ok(access)?;
    let mut number = |n: Option<i64>| match n {
        None | Some(-1) => Some(None),
        Some(n) => match u32::try_from(n) {
            Ok(n) => Some(Some(n)),
            Err(_) => {
                problems.invalid(format!("check linux.resources.devices: `{n}` is no device number"));
                None
            }
        },
    };
    Some(Rule { allow: rule.allow, kind, major: number(rule.major)?, minor: number(rule.minor)?, access })
}

fn cpu(c: &spec::Cpu) -> (Cpu, Cpuset) {
    let list = |text: &String| (!text.is_empty()).then(|| text.clone());
    let cpu = Cpu {
        // 0 is what engines write for "not said".
        shares: c.shares.filter(|n| *n != 0),
        weight: None,
        quota: c.quota.filter(|n| *n != 0).map(|n| if n < 0 { Max::Unlimited } else { Max::Value(n as u64) }),
        period: c.period.filter(|n| *n != 0),
        burst: c.burst,
        idle: c.idle.map(|n| n != 0),
        realtime_runtime: c.realtime_runtime.filter(|n| *n != 0),
        realtime_period: c.realtime_period.filter(|n| *n != 0),
    };
    (cpu, Cpuset { cpus: list(&c.cpus), mems: list(&c.mems) })
}

fn memory(m: &spec::Memory, problems: &mut Problems) -> Memory {
    let max = |n: Option<i64>| {
        n.filter(|n| *n != 0).map(|n| if n < 0 { Max::Unlimited } else { Max::Value(n as u64) })
    };
    if let (Some(limit), Some(swap)) = (m.limit, m.swap)
        && limit > 0
        && swap > 0
        && swap < limit
    {
        problems.invalid(format!(
                "check linux.resources.memory: swap `{swap}` is memory and swap together, and less than limit `{limit}`"
            ));
    }
    Memory {
        limit: max(m.limit),
        reservation: max(m.reservation),
        swap: max(m.swap),
        kernel: max(m.kernel),
        kernel_tcp: max(m.kernel_tcp),
        swappiness: m.swappiness,
        disable_oom_killer: m.disable_oom_killer,
        use_hierarchy: m.use_hierarchy,
        check_before_update: m.check_before_update.unwrap_or(false),
    }
}

fn block_io(b: &spec::BlockIo, problems: &mut Problems) -> Io {
    let mut device = |major: i64, minor: i64| match (u32::try_from(major), u32::try_from(minor)) {
        (Ok(major), Ok(minor)) => Some(Device { major, minor }),
        _ => {
            problems.invalid(format!("check linux.resources.blockIO: `{major}:{minor}` is no device"));
            None
        }
    };
    let mut rates = |list: &[spec::ThrottleDevice]| {
        list.iter().filter_map(|t| Some((device(t.major, t.minor)?, t.rate))).collect::<Vec<_>>()
    };
    let (read_bps, write_bps) = (rates(&b.throttle_read_bps_device), rates(&b.throttle_write_bps_device));
    let (read_iops, write_iops) = (rates(&b.throttle_read_iops_device), rates(&b.throttle_write_iops_device));
    let weight_device = b
        .weight_device
        .iter()
        .filter_map(|w| {
            Some(WeightDevice {
                device: device(w.major, w.minor)?,
                weight: w.weight,
                leaf_weight: w.leaf_weight,
            })
        })
        .collect();
    Io {
        weight: b.weight.filter(|n| *n != 0),
        leaf_weight: b.leaf_weight.filter(|n| *n != 0),
        weight_device,
        read_bps,
        write_bps,
        read_iops,
        write_iops,
    }
}
