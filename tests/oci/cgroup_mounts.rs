//! The mount of type `cgroup`: which groups a container sees, and whether it may change them.

use std::fs;
use std::path::Path;

use taru_testkit::{Family, sandbox};

#[test]
fn cgroup_mount_shows_the_containers_own_groups() {
    sandbox(|sandbox| {
        let bundle =
            sandbox.bundle().sh("ls /sys/fs/cgroup; cat /sys/fs/cgroup/pids/cgroup.procs | head -1; \
            touch /sys/fs/cgroup/pids/x 2>/dev/null || echo ro");
        let seen = sandbox.runtime().prints(&bundle);
        if fs::metadata("/sys/fs/cgroup/cgroup.controllers").is_ok() {
            return sandbox.skip("cgroup v1 (this test is of its mount)");
        }
        for controller in ["cpu", "memory", "pids", "freezer", "devices"] {
            assert!(seen.lines().any(|line| line == controller), "{controller} in {seen}");
        }
        let lines: Vec<&str> = seen.lines().collect();
        assert_eq!(lines[lines.len() - 2..], ["1", "ro"], "{seen}");
    });
}

#[test]
fn a_cgroup_mount_is_read_only_by_either_word() {
    sandbox(|sandbox| {
        for word in ["ro", "rro"] {
            if word == "rro" && sandbox.peer_lacks(&[Family::Runc, Family::Crun], "rro of a cgroup mount") {
                continue;
            }
            let bundle = sandbox
                .bundle()
                .mount("/mnt", "cgroup", "cgroup", &["nosuid", "noexec", "nodev", word])
                .sh("for d in /mnt /mnt/pids; do [ -e $d/cgroup.procs ] && mkdir $d/x 2>/dev/null && echo made in $d; done; echo ok");
            assert_eq!(sandbox.runtime().prints(&bundle), "ok", "{word}");
        }
    });
}

#[test]
fn cgroup_mount_with_a_cgroup_namespace() {
    sandbox(|sandbox| {
        let bundle = sandbox
            .bundle()
            .namespace("cgroup", None)
            .sh("cat /sys/fs/cgroup/pids/cgroup.procs /sys/fs/cgroup/cgroup.procs 2>/dev/null | head -1; cut -d: -f3 /proc/self/cgroup | sort -u");
        let seen = sandbox.runtime().prints(&bundle);
        assert_eq!(seen.lines().next(), Some("1"));
        assert_eq!(seen.lines().nth(1), Some("/"), "{seen}");
    });
}

#[test]
fn without_a_group_of_its_own_a_container_sees_the_one_it_is_in() {
    sandbox(|sandbox| {
        if sandbox.peer_lacks(&[Family::Runc, Family::Crun], "containers without a control group") {
            return;
        }
        if !Path::new("/sys/fs/cgroup/memory").is_dir() {
            return sandbox.skip("cgroup v1 (this test is of its mount)");
        }
        let bundle = sandbox.bundle().sh("grep :memory: /proc/self/cgroup | cut -d: -f3; \
            grep ' /sys/fs/cgroup/memory ' /proc/self/mountinfo | cut -d' ' -f4");
        bundle.write();
        let run = ["--cgroup-manager", "disabled", "run", "--bundle"];
        let invocation = sandbox.runtime().invoke(run).arg(bundle.dir()).arg(sandbox.runtime().fresh_id());
        let output = invocation.output().ok();
        let seen: Vec<&str> = output.stdout.lines().collect();
        assert!(seen.len() == 2 && seen[0] == seen[1], "its group, and the root of the mount: {seen:?}");
    });
}
