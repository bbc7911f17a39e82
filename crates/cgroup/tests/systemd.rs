//! The systemd driver against a real systemd: the system's for root, else the user's own. Skipped where there is none.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use taru_cgroup::systemd::{self, Instance, Unit, Value};
use taru_cgroup::{Access, Cgroup, DeviceKind, Hierarchy, Limits, Max, Rule};
use taru_stdx::Kind;
use taru_sys::process::Pid;

/// A process, and the name of a unit for it.
fn child_and_unit(test: &str) -> Option<(Child, Unit)> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    if !systemd::is_running() {
        taru_testkit::skip(test, "systemd");
        return None;
    }
    let name = format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let slice = if Instance::for_caller() == Instance::User { "taru.slice" } else { "machine.slice" };
    let unit = Unit::parse(&format!("{slice}:taru-test:{name}"), "", false).unwrap();
    let child = Command::new("sleep").arg("1000").stdin(Stdio::null()).spawn().unwrap();
    Some((child, unit))
}

/// A property of the unit, as systemctl shows it.
fn property(unit: &Unit, name: &str) -> String {
    let mut command = Command::new("systemctl");
    if Instance::for_caller() == Instance::User {
        command.arg("--user");
    }
    let output = command.args(["show", "--value", "-p", name, &unit.name]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn started(child: &Child, unit: &Unit, limits: &Limits) -> Cgroup {
    let hierarchy = Hierarchy::probe().unwrap();
    let properties = [("Description".to_owned(), Value::Str("of a test".to_owned()))];
    let pid = Pid(child.id() as i32);
    match systemd::start(&hierarchy, Instance::for_caller(), unit, pid, limits, &properties) {
        Ok((group, _)) => group,
        Err(e) => panic!("{} {:?}", e.chain(), e.hints()),
    }
}

#[test]
fn a_scope_is_made_limited_changed_and_stopped() {
    let Some((mut child, unit)) = child_and_unit("a_scope_is_made_limited_changed_and_stopped") else {
        return;
    };
    let mut limits = Limits::default();
    limits.memory.limit = Some(Max::Value(64 << 20));
    limits.pids = Some(Max::Value(50));
    limits.cpu.shares = Some(2048);
    limits.cpu.quota = Some(Max::Value(20_000));
    let group = started(&child, &unit, &limits);
    let own = std::fs::read_to_string(format!("/proc/{}/cgroup", child.id())).unwrap();
    assert!(own.trim().ends_with(&unit.name), "{own}");
    assert!(group.paths().values().all(|p| p.ends_with(&unit.name)), "{:?}", group.paths());
    assert_eq!(property(&unit, "ActiveState"), "active");
    assert_eq!(property(&unit, "Slice"), unit.slice);
    assert_eq!(property(&unit, "Delegate"), "yes");
    assert_eq!(property(&unit, "Description"), "of a test");
    assert_eq!(property(&unit, "TasksMax"), "50");
    assert_eq!(property(&unit, "CPUQuotaPerSecUSec"), "200ms");
    assert_eq!(group.stats().unwrap().memory.memory.limit, Some(64 << 20));
    assert_eq!(group.stats().unwrap().pids.limit, Some(50));

    let hierarchy = Hierarchy::probe().unwrap();
    limits.pids = Some(Max::Value(60));
    limits.memory.limit = Some(Max::Value(80 << 20));
    systemd::update(&hierarchy, Instance::for_caller(), &unit.name, &limits).unwrap();
    group.apply(&limits).unwrap();
    assert_eq!(property(&unit, "TasksMax"), "60");
    assert_eq!(group.stats().unwrap().pids.limit, Some(60));
    // A reload writes what systemd knows: the limits must be the same afterwards.
    let user: &[&str] = if Instance::for_caller() == Instance::User { &["--user"] } else { &[] };
    assert!(Command::new("systemctl").args(user).arg("daemon-reload").status().unwrap().success());
    assert_eq!(group.stats().unwrap().pids.limit, Some(60));
    assert_eq!(group.stats().unwrap().memory.memory.limit, Some(80 << 20));

    let again =
        systemd::start(&hierarchy, Instance::for_caller(), &unit, Pid(child.id() as i32), &limits, &[]);
    assert_eq!(again.map(drop).unwrap_err().kind(), Kind::Exists);

    group.freeze().unwrap();
    assert!(group.is_frozen().unwrap());
    group.thaw().unwrap();
    group.kill_all().unwrap();
    child.wait().unwrap();
    systemd::stop(Instance::for_caller(), &unit.name).unwrap();
    group.remove().unwrap();
    assert!(group.paths().values().all(|p| !p.exists()));
    assert_eq!(property(&unit, "LoadState"), "not-found");
    systemd::stop(Instance::for_caller(), &unit.name).unwrap();
}

#[test]
fn stopping_ends_what_runs() {
    let Some((mut child, unit)) = child_and_unit("stopping_ends_what_runs") else { return };
    let group = started(&child, &unit, &Limits::default());
    systemd::stop(Instance::for_caller(), &unit.name).unwrap();
    assert!(!child.wait().unwrap().success());
    group.remove().unwrap();
}

#[test]
fn device_rules_hold_after_a_reload() {
    let Some((mut child, unit)) = child_and_unit("device_rules_hold_after_a_reload") else { return };
    if Instance::for_caller() == Instance::User {
        child.kill().unwrap();
        child.wait().unwrap();
        return taru_testkit::skip("device_rules_hold_after_a_reload", "root");
    }
    let rule = |allow, numbers: Option<(u32, u32)>| Rule {
        allow,
        kind: if allow { DeviceKind::Char } else { DeviceKind::All },
        major: numbers.map(|n| n.0),
        minor: numbers.map(|n| n.1),
        access: Access::ALL,
    };
    let limits = Limits { devices: vec![rule(false, None), rule(true, Some((1, 3)))], ..Limits::default() };
    let group = started(&child, &unit, &limits);
    assert_eq!(property(&unit, "DevicePolicy"), "strict");
    assert!(Command::new("systemctl").arg("daemon-reload").status().unwrap().success());
    let mut shell = Command::new("sh");
    shell.args(["-c", "read _; for d in null zero; do head -c1 /dev/$d >/dev/null 2>&1 && echo $d; done"]);
    let mut shell = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    group.add(Pid(shell.id() as i32)).unwrap();
    drop(shell.stdin.take());
    let output = shell.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "null");
    group.kill_all().unwrap();
    child.wait().unwrap();
    systemd::stop(Instance::for_caller(), &unit.name).unwrap();
}

#[test]
fn without_a_bus_there_is_a_clear_error() {
    if systemd::is_running() {
        return taru_testkit::skip("without_a_bus_there_is_a_clear_error", "a host without systemd");
    }
    let e = systemd::stop(Instance::System, "taru-test.scope").unwrap_err();
    assert!(e.chain().to_string().contains("connect to D-Bus"), "{}", e.chain());
}
