//! Processes that do not go at once: frozen, traced, many (R29, R30).

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::json;
use taru_testkit::{Disk, eventually, sandbox_with_peers};

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

/// A file system that takes no writes until this is dropped: whoever writes sleeps in the kernel, and no signal wakes it.
struct Frozen<'a>(&'a Path);

impl Frozen<'_> {
    fn new(mount: &Path) -> Frozen<'_> {
        assert!(Command::new("fsfreeze").arg("--freeze").arg(mount).status().expect("fsfreeze").success());
        Frozen(mount)
    }
}

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        let _ = Command::new("fsfreeze").arg("--unfreeze").arg(self.0).status();
    }
}

#[test]
fn r29_in_the_kernel() {
    sandbox_with_peers(|sandbox| {
        let disk = match Disk::ext4(&sandbox.dir(), 32 << 20, &[]) {
            Ok(disk) => disk,
            Err(lack) => return sandbox.skip(&lack),
        };
        let source = disk.path().to_str().expect("a plain path");
        let bundle = sandbox
            .bundle()
            .mount("/disk", "bind", source, &["bind", "rw"])
            .sh("while :; do echo more > /disk/file; done");
        let container = sandbox.runtime().start(&bundle);
        let frozen = Frozen::new(disk.path());
        let stat = format!("/proc/{}/stat", container.pid());
        let state = || {
            let stat = fs::read_to_string(&stat).unwrap_or_default();
            stat.rsplit(')').next().and_then(|rest| rest.chars().nth(1))
        };
        eventually("it sleeps in the kernel", || state() == Some('D'));
        // It waits for a while, says why it gives up, and keeps the record for the next time.
        container.delete_force().fails_with("it is still there after 10 s");
        assert_eq!(state(), Some('D'), "it has the signal, and cannot take it");
        assert_eq!(container.status(), "running");
        drop(frozen);
        eventually("it ends", || container.status() == "stopped");
        container.delete_force().succeeds();
        drop(disk);
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
