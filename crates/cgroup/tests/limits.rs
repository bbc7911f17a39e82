//! Limits that bite: each is set, something runs against it, and the kernel's own counters tell.
#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use common::{Group, eventually};
use taru_cgroup::{Access, Cgroup, Controller, Device, DeviceKind, Layout, Limits, Max, Oom, Rule};
use taru_stdx::Kind;
use taru_sys::process::Pid;

macro_rules! group {
    ($name:literal, $($controller:ident),*) => {{
        let Some(group) = Group::new() else {
            return taru_testkit::skip($name, "permission to make cgroups");
        };
        $(if !group.has(Controller::$controller) {
            return taru_testkit::skip($name, &format!("the controller {}", Controller::$controller));
        })*
        group
    }};
}

fn value(n: u64) -> Option<Max> {
    Some(Max::Value(n))
}

#[test]
fn too_much_memory_is_killed_and_told() {
    let g = group!("too_much_memory_is_killed_and_told", Memory);
    let mut limits = Limits::default();
    limits.memory.limit = value(16 << 20);
    if g.file(Controller::Memory, "memory.memsw.limit_in_bytes").is_some()
        || g.file(Controller::Memory, "memory.swap.max").is_some()
    {
        limits.memory.swap = value(32 << 20);
    }
    g.group.apply(&limits).unwrap();
    let mut watch = g.group.watch_oom().unwrap();
    assert_eq!(watch.take().unwrap(), Oom::Nothing);
    // tail keeps all of its input.
    let mut child = g.sh("head -c 100000000 /dev/zero | tail -c 100000000 >/dev/null");
    eventually("a process is killed", || g.group.stats().unwrap().memory.oom_kills > 0);
    eventually("the watch tells", || matches!(watch.take().unwrap(), Oom::Happened(_)));
    child.wait().unwrap();
    let memory = g.group.stats().unwrap().memory;
    assert_eq!(memory.memory.limit, Some(16 << 20));
    let memory = memory.memory;
    assert!(memory.failures > 0 && memory.usage <= 16 << 20, "{memory:?}");
    g.group.remove().unwrap();
    eventually("the watch tells the end", || watch.take().unwrap() == Oom::Gone);
}

#[test]
fn memory_and_swap_change_together_up_and_down() {
    let g = group!("memory_and_swap_change_together_up_and_down", Memory);
    let v1 = g.file(Controller::Memory, "memory.memsw.limit_in_bytes").is_some();
    if !v1 && g.file(Controller::Memory, "memory.swap.max").is_none() {
        return taru_testkit::skip("memory_and_swap_change_together_up_and_down", "accounting of swap");
    }
    for (limit, sum) in [(64, 128), (256, 512), (512, 512), (16, 32), (32, 32)] {
        let mut limits = Limits::default();
        limits.memory.limit = value(limit << 20);
        limits.memory.swap = value(sum << 20);
        g.group.apply(&limits).unwrap();
        let memory = g.group.stats().unwrap().memory;
        assert_eq!(memory.memory.limit, Some(limit << 20));
        match v1 {
            true => assert_eq!(memory.memory_and_swap.unwrap().limit, Some(sum << 20)),
            false => assert_eq!(memory.swap.unwrap().limit, Some((sum - limit) << 20)),
        }
    }
    let mut limits = Limits::default();
    limits.memory.limit = Some(Max::Unlimited);
    g.group.apply(&limits).unwrap();
    assert_eq!(g.group.stats().unwrap().memory.memory.limit, None);
    // More memory than memory and swap.
    limits.memory.limit = value(64 << 20);
    limits.memory.swap = value(32 << 20);
    assert_eq!(g.group.apply(&limits).unwrap_err().kind(), Kind::Invalid);
}

#[test]
fn a_limit_below_the_usage_is_refused_when_asked_to_check() {
    let g = group!("a_limit_below_the_usage_is_refused_when_asked_to_check", Memory);
    let mut child = g.sh("head -c 30000000 /dev/zero | { tail -c 30000000 | sleep 1000; }");
    eventually("it uses memory", || g.group.stats().unwrap().memory.memory.usage > 8 << 20);
    let mut limits = Limits::default();
    limits.memory.limit = value(1 << 20);
    limits.memory.check_before_update = true;
    assert_eq!(g.group.apply(&limits).unwrap_err().kind(), Kind::Busy);
    assert_eq!(g.group.stats().unwrap().memory.memory.limit, None);
    g.group.kill_all().unwrap();
    child.wait().unwrap();
}

#[test]
fn no_more_processes_than_allowed() {
    let g = group!("no_more_processes_than_allowed", Pids);
    g.group.apply(&Limits { pids: value(5), ..Limits::default() }).unwrap();
    let mut child = g.sh("for i in 1 2 3 4 5 6 7 8 9; do sleep 1000 & done; sleep 1000");
    child.wait().unwrap();
    let pids = g.group.stats().unwrap().pids;
    assert_eq!((pids.limit, pids.current), (Some(5), 4));
    assert_eq!(g.group.pids().unwrap().len(), 4);
    g.group.apply(&Limits { pids: Some(Max::Unlimited), ..Limits::default() }).unwrap();
    assert_eq!(g.group.stats().unwrap().pids.limit, None);
}

#[test]
fn cpu_quota_throttles() {
    let g = group!("cpu_quota_throttles", Cpu);
    let mut limits = Limits::default();
    limits.cpu.quota = value(5_000);
    limits.cpu.period = Some(20_000);
    g.group.apply(&limits).unwrap();
    let mut child = g.sh("while :; do :; done");
    // A quarter of a CPU. What a tick or a pause of the machine takes too much, later periods give back.
    eventually("it is throttled", || {
        let cpu = g.group.stats().unwrap().cpu;
        assert!(cpu.periods >= cpu.throttled_periods, "{cpu:?}");
        cpu.throttled_periods >= 5 && cpu.usage_ns < cpu.periods * 20_000_000 / 2 + 20_000_000
    });
    g.group.kill_all().unwrap();
    child.wait().unwrap();
}

#[test]
fn cpu_bandwidth_can_be_changed_in_any_direction() {
    let g = group!("cpu_bandwidth_can_be_changed_in_any_direction", Cpu);
    let set = |quota, period, burst| {
        let mut limits = Limits::default();
        (limits.cpu.quota, limits.cpu.period, limits.cpu.burst) = (quota, period, burst);
        g.group.apply(&limits).map_err(|e| e.kind())
    };
    let now = || match g.file(Controller::Cpu, "cpu.max") {
        Some(max) => max,
        None => {
            let file = |f| g.file(Controller::Cpu, f).unwrap();
            format!("{} {}", file("cpu.cfs_quota_us").replace("-1", "max"), file("cpu.cfs_period_us"))
        }
    };
    for (quota, period, expected) in [
        (value(50_000), Some(100_000), "50000 100000"),
        (value(10_000), None, "10000 100000"),
        (None, Some(50_000), "10000 50000"),
        (value(200_000), Some(10_000), "200000 10000"),
        (Some(Max::Unlimited), None, "max 10000"),
    ] {
        set(quota, period, None).unwrap();
        assert_eq!(now(), expected);
    }
    assert_eq!(set(value(5), None, None), Err(Kind::Invalid));
    let burst = ["cpu.max.burst", "cpu.cfs_burst_us"];
    if burst.iter().any(|f| g.file(Controller::Cpu, f).is_some()) {
        // A burst above the present quota, together with the quota that allows it, and down again.
        for (quota, burst_us) in [(50_000, 40_000), (100_000, 90_000), (20_000, 10_000)] {
            if quota == 20_000 {
                // The burst may not be above the quota at any time, so it goes down first.
                set(None, None, Some(burst_us)).unwrap();
            }
            set(value(quota), Some(100_000), Some(burst_us)).unwrap();
            let is = burst.iter().find_map(|f| g.file(Controller::Cpu, f)).unwrap();
            assert_eq!(is, burst_us.to_string());
        }
    }
}

#[test]
fn cpu_shares_are_two_to_one() {
    let heavy = group!("cpu_shares_are_two_to_one", Cpu);
    let light = group!("cpu_shares_are_two_to_one", Cpu);
    // Both on the first CPU that we may use: with two CPUs each would get one of its own.
    let cpu = first_cpu();
    for (g, shares) in [(&heavy, 2048), (&light, 1024)] {
        let mut limits = Limits::default();
        limits.cpu.shares = Some(shares);
        g.group.apply(&limits).unwrap();
    }
    let spin = format!("taskset -c {cpu} sh -c 'while :; do :; done'");
    let _children = [heavy.sh(&spin), light.sh(&spin)];
    let used = |g: &Group| g.group.stats().unwrap().cpu.usage_ns;
    eventually("both run", || used(&heavy) > 20_000_000 && used(&light) > 20_000_000);
    let before = (used(&heavy), used(&light));
    eventually("two seconds of CPU time", || {
        used(&heavy) + used(&light) - before.0 - before.1 > 2_000_000_000
    });
    let ratio = (used(&heavy) - before.0) as f64 / (used(&light) - before.1) as f64;
    // v2's weights for them are 174 and 100. Wide bounds, for a host (or a virtual machine's) that is busy.
    assert!((1.25..3.2).contains(&ratio), "{ratio}");
}

fn first_cpu() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let list = status.lines().find_map(|l| l.strip_prefix("Cpus_allowed_list:\t")).unwrap();
    list.chars().take_while(char::is_ascii_digit).collect()
}

#[test]
fn shares_outside_of_the_range_are_refused_on_v1() {
    let g = group!("shares_outside_of_the_range_are_refused_on_v1", Cpu);
    let mut limits = Limits::default();
    limits.cpu.shares = Some(1);
    let set = g.group.apply(&limits).map_err(|e| e.kind());
    match g.hierarchy.v1(Controller::Cpu) {
        Some(_) => assert_eq!(set.unwrap_err(), Kind::Invalid),
        None => assert_eq!(g.file(Controller::Cpu, "cpu.weight").unwrap(), "1"),
    }
}

#[test]
fn cpuset_holds_and_is_inherited() {
    let g = group!("cpuset_holds_and_is_inherited", Cpuset);
    let cpu = first_cpu();
    let mut limits = Limits::default();
    limits.cpuset.cpus = Some(cpu.clone());
    limits.cpuset.mems = Some("0".to_owned());
    g.group.apply(&limits).unwrap();
    let stats = g.group.stats().unwrap().cpuset;
    assert_eq!(stats.cpus, cpu);
    // v2 has none of these files.
    assert!([None, Some(&1)].contains(&stats.switches.get("sched_load_balance")), "{stats:?}");
    let child = g.sh("grep Cpus_allowed_list /proc/self/status");
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), format!("Cpus_allowed_list:\t{cpu}"));
    limits.cpuset.cpus = Some("4000".to_owned());
    assert!(g.group.apply(&limits).is_err());
}

/// A block device that throttling accepts.
fn disk() -> Option<Device> {
    let mut names: Vec<_> = std::fs::read_dir("/sys/block").ok()?.flatten().map(|e| e.path()).collect();
    names.sort();
    names.iter().rev().find_map(|path| {
        let number = std::fs::read_to_string(path.join("dev")).ok()?;
        let (major, minor) = number.trim().split_once(':')?;
        Some(Device { major: major.parse().ok()?, minor: minor.parse().ok()? })
    })
}

#[test]
fn io_throttles_are_set_changed_and_lifted() {
    let g = group!("io_throttles_are_set_changed_and_lifted", Io);
    let Some(disk) = disk() else {
        return taru_testkit::skip("io_throttles_are_set_changed_and_lifted", "a block device");
    };
    let set = |bps: u64, iops: u64| {
        let mut limits = Limits::default();
        limits.io.read_bps = vec![(disk, bps)];
        limits.io.write_bps = vec![(disk, bps)];
        limits.io.read_iops = vec![(disk, iops)];
        limits.io.write_iops = vec![(disk, iops)];
        g.group.apply(&limits).unwrap();
    };
    let v1 = g.hierarchy.v1(Controller::Io).is_some();
    let now = || match v1 {
        true => {
            let file = |f: &str| g.file(Controller::Io, &format!("blkio.throttle.{f}_device")).unwrap();
            ["read_bps", "write_bps", "read_iops", "write_iops"].map(file).join(" ")
        }
        false => g.file(Controller::Io, "io.max").unwrap(),
    };
    set(1 << 20, 100);
    let expected = match v1 {
        true => format!("{disk} 1048576 {disk} 1048576 {disk} 100 {disk} 100"),
        false => format!("{disk} rbps=1048576 wbps=1048576 riops=100 wiops=100"),
    };
    assert_eq!(now(), expected);
    set(0, 0);
    assert_eq!(now().trim(), "");
}

#[test]
fn io_weight() {
    let g = group!("io_weight", Io);
    let mut limits = Limits::default();
    limits.io.weight = Some(500);
    let files = ["io.bfq.weight", "io.weight", "blkio.weight", "blkio.bfq.weight"];
    if files.iter().all(|f| g.file(Controller::Io, f).is_none()) {
        assert_eq!(g.group.apply(&limits).unwrap_err().kind(), Kind::Unsupported);
        return taru_testkit::skip("io_weight", "a scheduler with weights");
    }
    g.group.apply(&limits).unwrap();
    let file = files.iter().find(|f| g.file(Controller::Io, f).is_some()).unwrap();
    let expected = if *file == "io.weight" { "4950" } else { "500" };
    assert!(g.file(Controller::Io, file).unwrap().ends_with(expected), "{file}");
}

fn rule(allow: bool, kind: DeviceKind, numbers: Option<(u32, u32)>, access: Access) -> Rule {
    Rule { allow, kind, major: numbers.map(|n| n.0), minor: numbers.map(|n| n.1), access }
}

/// Which of null, zero and full can be opened, and how.
const OPEN: &str = "for d in null zero full; do for m in '<' '>'; do \
    if sh -c \": $m/dev/$d\" 2>/dev/null; then echo -n 1; else echo -n 0; fi; done; done";

/// Denies all but what is named, changes it, and allows all again.
fn devices_are_denied(name: &str, g: &Group, group: &Cgroup) {
    let run = |rules: &[Rule]| {
        let skipped = group.apply(&Limits { devices: rules.to_vec(), ..Limits::default() }).unwrap();
        if !skipped.is_empty() {
            return None;
        }
        let output = g.sh(OPEN).wait_with_output().unwrap();
        Some(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (null, zero) = (Some((1, 3)), Some((1, 5)));
    let none = rule(false, DeviceKind::All, None, Access::ALL);
    // The shell itself sends errors to /dev/null.
    let base = [none, rule(true, DeviceKind::Char, null, Access::ALL)];
    match run(&base) {
        Some(opened) => assert_eq!(opened, "110000"),
        None => return taru_testkit::skip(name, "permission to load a device filter"),
    }
    let read = [base[0], base[1], rule(true, DeviceKind::Char, zero, Access::READ)];
    assert_eq!(run(&read).as_deref(), Some("111000"));
    let write = [base[0], base[1], rule(true, DeviceKind::Char, zero, Access::WRITE)];
    assert_eq!(run(&write).as_deref(), Some("110100"));
    let other_kind = [base[0], base[1], rule(true, DeviceKind::Block, zero, Access::ALL)];
    assert_eq!(run(&other_kind).as_deref(), Some("110000"));
    assert_eq!(run(&[rule(true, DeviceKind::All, None, Access::ALL)]).as_deref(), Some("111111"));
}

#[test]
fn devices() {
    let g = group!("devices",);
    devices_are_denied("devices", &g, &g.group);
}

#[test]
fn devices_by_bpf_on_the_cgroup2_mount() {
    let g = group!("devices_by_bpf_on_the_cgroup2_mount",);
    let Some(v2) = g.group.paths().remove("") else {
        return taru_testkit::skip("devices_by_bpf_on_the_cgroup2_mount", "a cgroup2 mount");
    };
    // As v2 alone, though v1 is there too: the program is loaded, attached and asked by this kernel.
    let alone = Cgroup::open(&BTreeMap::from([(String::new(), v2)])).unwrap();
    devices_are_denied("devices_by_bpf_on_the_cgroup2_mount", &g, &alone);
}

#[test]
fn unified_is_for_v2() {
    let g = group!("unified_is_for_v2",);
    let set = |name: &str, value: &str| {
        let unified = BTreeMap::from([(name.to_owned(), value.to_owned())]);
        g.group.apply(&Limits { unified, ..Limits::default() }).map_err(|e| (e.kind(), e.chain().to_string()))
    };
    assert_eq!(set("../x", "1").unwrap_err().0, Kind::Invalid);
    if g.hierarchy.layout() != Layout::V2 {
        assert_eq!(set("memory.high", "max").unwrap_err().0, Kind::Unsupported);
        return taru_testkit::skip("unified_is_for_v2", "cgroup v2 alone");
    }
    set("memory.high", "1073741824").unwrap();
    assert_eq!(g.file(Controller::Memory, "memory.high").unwrap(), "1073741824");
    assert_eq!(set("nope.max", "1").unwrap_err().0, Kind::Unsupported);
    assert_eq!(set("pids.max", "x").unwrap_err().0, Kind::Invalid);
}

#[test]
fn emptiness_is_told() {
    let g = group!("emptiness_is_told",);
    let watch = g.group.watch_empty().unwrap();
    assert!(watch.is_empty().unwrap());
    let mut child = g.sh("exec sleep 1000");
    assert!(!watch.is_empty().unwrap());
    assert!(!watch.wait(Some(Duration::from_millis(30))).unwrap());
    let pid = Pid(child.id() as i32);
    taru_sys::process::pidfd_open(pid)
        .and_then(|fd| taru_sys::process::pidfd_send_signal(std::os::fd::AsFd::as_fd(&fd), 15))
        .unwrap();
    assert!(watch.wait(Some(Duration::from_secs(60))).unwrap());
    assert_eq!(child.wait().unwrap().signal(), Some(15));
    g.group.remove().unwrap();
    assert!(watch.is_empty().unwrap());
}

#[test]
fn stats_of_a_busy_group() {
    let g = group!("stats_of_a_busy_group",);
    let mut child = g.sh("x=$(head -c 3000000 /dev/zero | tr '\\0' x); while :; do :; done");
    eventually("it has used CPU time and memory", || {
        let stats = g.group.stats().unwrap();
        let memory = !g.has(Controller::Memory) || stats.memory.memory.usage > 1_000_000;
        stats.cpu.usage_ns > 1_000_000 && stats.cpu.user_ns + stats.cpu.system_ns > 0 && memory
    });
    let stats = g.group.stats().unwrap();
    assert!(stats.pids.current >= 1, "{stats:?}");
    if g.has(Controller::Memory) {
        assert!(!stats.memory.detail.is_empty(), "{stats:?}");
    }
    if g.group.paths().contains_key("") && std::path::Path::new("/proc/pressure").exists() {
        assert!(stats.cpu.pressure.is_some(), "{stats:?}");
    }
    g.group.kill_all().unwrap();
    child.wait().unwrap();
}

#[test]
fn what_a_layout_lacks_is_said() {
    let g = group!("what_a_layout_lacks_is_said", Memory);
    let mut limits = Limits::default();
    limits.memory.swappiness = Some(10);
    limits.memory.kernel_tcp = value(1 << 20);
    let skipped = g.group.apply(&limits).unwrap();
    match g.hierarchy.v1(Controller::Memory) {
        Some(_) => {
            assert!(skipped.is_empty());
            assert_eq!(g.file(Controller::Memory, "memory.swappiness").unwrap(), "10");
            assert_eq!(g.group.stats().unwrap().memory.kernel_tcp.unwrap().limit, Some(1 << 20));
        }
        None => assert_eq!(skipped.len(), 2, "{skipped:?}"),
    }
    let limits =
        Limits { rdma: BTreeMap::from([("no".to_owned(), Default::default())]), ..Limits::default() };
    assert_eq!(g.group.apply(&limits).unwrap_err().kind(), Kind::Unsupported);
}

/// Takes a controller that a test had enabled for the groups at the top away from them again.
struct Restore(std::path::PathBuf, String);

impl Drop for Restore {
    fn drop(&mut self) {
        let now = std::fs::read_to_string(&self.0).unwrap_or_default();
        for new in now.split_whitespace().filter(|c| !self.1.split_whitespace().any(|b| b == *c)) {
            // Another test may have groups that use it.
            let _ = std::fs::write(&self.0, format!("-{new}"));
        }
    }
}

#[test]
fn huge_pages() {
    let hierarchy = taru_cgroup::Hierarchy::probe().unwrap();
    let top = hierarchy.v2.as_ref().map(|m| m.point.join("cgroup.subtree_control"));
    let _restore = top.map(|file| {
        let before = std::fs::read_to_string(&file).unwrap_or_default();
        Restore(file, before)
    });
    let g = group!("huge_pages",);
    let limits = Limits { hugetlb: BTreeMap::from([("2MB".to_owned(), 4 << 20)]), ..Limits::default() };
    match g.group.apply(&limits) {
        Ok(_) => assert_eq!(g.group.stats().unwrap().hugetlb["2MB"].limit, Some(4 << 20)),
        Err(e) => {
            assert_eq!(e.kind(), Kind::Unsupported, "{}", e.chain());
            taru_testkit::skip("huge_pages", "the controller hugetlb");
        }
    }
}
