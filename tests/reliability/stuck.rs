//! Processes that do not go at once: frozen, traced, many (R29, R30).

use std::fs;

use serde_json::json;
use taru_testkit::{eventually, sandbox_with_peers};

#[test]
fn r29_frozen_behind_our_back() {
    sandbox_with_peers(|sandbox| {
        let container = sandbox.runtime().start(&sandbox.bundle().idle());
        let freezer = container.cgroup("freezer").join("freezer.state");
        if !freezer.exists() {
            return sandbox.skip("the v1 freezer");
        }
        fs::write(&freezer, "FROZEN").expect("freeze");
        container.delete_force().succeeds();
        sandbox.assert_no_leaks();
    });
}

#[test]
fn r29_paused_and_killed_then_deleted() {
    sandbox_with_peers(|sandbox| {
        let container = sandbox.runtime().start(&sandbox.bundle().idle());
        sandbox.runtime().command(["pause", container.id()]).succeeds();
        container.kill("KILL");
        container.delete_force().succeeds();
        sandbox.assert_no_leaks();
    });
}

#[test]
fn r29_traced() {
    sandbox_with_peers(|sandbox| {
        if sandbox.runtime().beside(["strace", "-V"]).output().status != 0 {
            return sandbox.skip("strace");
        }
        let container = sandbox.runtime().start(&sandbox.bundle().idle());
        let strace =
            ["strace", "-f", "-o", "/dev/null", "-p", &container.pid().to_string()].map(str::to_owned);
        let tracer = sandbox.runtime().beside(strace).spawn();
        let status = format!("/proc/{}/status", container.pid());
        eventually("it is traced", || {
            fs::read_to_string(&status).is_ok_and(|text| !text.contains("TracerPid:\t0"))
        });
        container.delete_force().succeeds();
        let _ = tracer.wait();
        sandbox.assert_no_leaks();
    });
}

#[test]
fn r29_stopped_by_signal() {
    sandbox_with_peers(|sandbox| {
        let container = sandbox.runtime().start(&sandbox.bundle().idle());
        container.kill("STOP").succeeds();
        assert_eq!(container.status(), "running");
        container.delete_force().succeeds();
        sandbox.assert_no_leaks();
    });
}

#[test]
fn r30_cgroups_made_inside_are_removed() {
    sandbox_with_peers(|sandbox| {
        let container = sandbox.runtime().start(&sandbox.bundle().idle());
        for controller in ["pids", "memory", "cpu", "freezer", "devices", "systemd"] {
            let group = container.cgroup(controller);
            for name in ["a/b/c", "a/d", "with space", "e"] {
                fs::create_dir_all(group.join(name)).expect("make a cgroup");
            }
        }
        container.delete_force().succeeds();
        sandbox.assert_no_leaks();
    });
}

#[test]
fn r30_processes_in_cgroups_made_inside_end_too() {
    sandbox_with_peers(|sandbox| {
        let bundle = sandbox.bundle().without_namespace("pid").sh("sleep 1000 & sleep 1000 & wait");
        let container = sandbox.runtime().start(&bundle);
        let group = container.cgroup("pids");
        let procs = || fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
        eventually("they run", || procs().lines().count() == 3);
        // In every hierarchy, so that none of them shows the process at its top.
        let init = container.pid().to_string();
        let moved = procs().lines().find(|pid| **pid != init).map(str::to_owned).expect("a child");
        for controller in ["pids", "memory", "cpu", "cpuacct", "freezer", "devices", "blkio", "systemd"] {
            let inner = container.cgroup(controller).join("inner");
            if fs::create_dir_all(&inner).is_ok() {
                fs::write(inner.join("cgroup.procs"), &moved).expect("move the process");
            }
        }
        container.delete_force().succeeds();
        sandbox.assert_no_leaks();
    });
}

#[test]
fn r30_fork_bomb() {
    sandbox_with_peers(|sandbox| {
        for own_pid_namespace in [true, false] {
            let mut bundle = sandbox
                .bundle()
                .put("/linux/resources/pids", json!({ "limit": 60 }))
                .sh("trap '' TERM HUP INT; sh -c 'f() { f | f & }; f' & exec sleep 1000");
            if !own_pid_namespace {
                bundle = bundle.without_namespace("pid");
            }
            let container = sandbox.runtime().create(&bundle);
            let events = container.cgroup("pids").join("pids.events");
            container.start();
            eventually("the limit is hit", || {
                fs::read_to_string(&events).is_ok_and(|text| !text.trim().ends_with(" 0"))
            });
            container.delete_force().succeeds();
            sandbox.assert_no_leaks();
        }
    });
}
