//! `linux.resources` and `update`: each limit read back from the kernel, on the hierarchy it lives on.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use taru_testkit::{Container, Family, Sandbox, eventually, sandbox};

fn read(container: &Container<'_>, controller: &str, file: &str) -> String {
    let path = container.cgroup(controller).join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).trim().to_owned()
}

fn with_resources<'a>(sandbox: &'a Sandbox, resources: Value) -> Container<'a> {
    let bundle = sandbox.bundle().idle().edit(|spec| {
        for (key, value) in resources.as_object().expect("an object") {
            spec["linux"]["resources"][key] = value.clone();
        }
    });
    sandbox.runtime().start(&bundle)
}

/// Whether controllers are on v1 here; otherwise the test says so. The v2 files have a suite of their
/// own, run in a virtual machine.
fn v1(sandbox: &Sandbox, controller: &str) -> bool {
    let there = Path::new("/sys/fs/cgroup").join(controller).is_dir();
    if !there {
        sandbox.skip(&format!("cgroup v1 controller {controller}"));
    }
    there
}

#[test]
fn init_is_in_the_given_cgroup_of_every_hierarchy() {
    sandbox(|sandbox| {
        let bundle = sandbox.bundle().idle();
        let expected = bundle.spec["linux"]["cgroupsPath"].as_str().expect("a path").to_owned();
        let container = sandbox.runtime().start(&bundle);
        let text = fs::read_to_string(format!("/proc/{}/cgroup", container.pid())).expect("cgroups");
        for line in text.lines().filter(|line| !line.starts_with("0::")) {
            assert!(line.ends_with(&format!(":{expected}")), "{line}");
        }
    });
}

#[test]
fn without_a_path_the_id_names_the_cgroup() {
    sandbox(|sandbox| {
        let bundle = sandbox.bundle().idle().edit(|spec| {
            spec["linux"].as_object_mut().expect("linux").remove("cgroupsPath");
        });
        let container = sandbox.runtime().start(&bundle);
        let group = container.cgroup("pids");
        assert!(group.to_string_lossy().contains(container.id()), "{}", group.display());
        container.delete_force().succeeds();
        assert!(!group.exists());
    });
}

#[test]
fn memory_limits() {
    sandbox(|sandbox| {
        if !v1(sandbox, "memory") {
            return;
        }
        let container = with_resources(
            sandbox,
            json!({ "memory": { "limit": 33_554_432, "reservation": 16_777_216, "swappiness": 10 } }),
        );
        assert_eq!(read(&container, "memory", "memory.limit_in_bytes"), "33554432");
        assert_eq!(read(&container, "memory", "memory.soft_limit_in_bytes"), "16777216");
        assert_eq!(read(&container, "memory", "memory.swappiness"), "10");
    });
}

#[test]
fn memory_and_swap_limit() {
    sandbox(|sandbox| {
        if !v1(sandbox, "memory") {
            return;
        }
        if fs::metadata("/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes").is_err() {
            return sandbox.skip("memory.memsw (swap accounting)");
        }
        let container =
            with_resources(sandbox, json!({ "memory": { "limit": 33_554_432, "swap": 67_108_864 } }));
        assert_eq!(read(&container, "memory", "memory.memsw.limit_in_bytes"), "67108864");
        let container = with_resources(sandbox, json!({ "memory": { "limit": 33_554_432, "swap": -1 } }));
        assert!(read(&container, "memory", "memory.memsw.limit_in_bytes").len() > 12);
    });
}

#[test]
fn the_memory_limit_is_enforced() {
    sandbox(|sandbox| {
        let bundle = sandbox
            .bundle()
            .put("/linux/resources/memory", json!({ "limit": 16_777_216 }))
            .mount("/mnt", "tmpfs", "tmpfs", &[])
            .sh("dd if=/dev/zero of=/mnt/f bs=1M count=64 2>/dev/null; echo dd $?");
        let output = sandbox.runtime().run(&bundle);
        assert!(
            output.stdout.contains("dd 137") || output.status == 137,
            "{} {}",
            output.status,
            output.stdout
        );
    });
}

#[test]
fn what_is_copied_into_memory_counts_as_the_containers() {
    sandbox(|sandbox| {
        if sandbox.peer_lacks(&[Family::Runc], "memory limits before the mounts are made") {
            return;
        }
        let bundle = sandbox
            .bundle()
            .put("/linux/resources/memory", json!({ "limit": 16_777_216 }))
            // Where it is mounted, init has its groups before.
            .edit(|spec| {
                let mounts = spec["mounts"].as_array_mut().expect("mounts");
                mounts.retain(|mount| mount["type"] != "cgroup");
            })
            .file("data/large", &"x".repeat(64 << 20), 0o644)
            .mount("/data", "tmpfs", "tmpfs", &["tmpcopyup"]);
        let output = sandbox.runtime().run(&bundle);
        assert_ne!(output.status, 0, "{}", output.stdout);
        sandbox.assert_no_leaks();
    });
}

#[test]
fn cpu_limits() {
    sandbox(|sandbox| {
        if !v1(sandbox, "cpu") {
            return;
        }
        let container =
            with_resources(sandbox, json!({ "cpu": { "shares": 512, "quota": 30_000, "period": 100_000 } }));
        assert_eq!(read(&container, "cpu", "cpu.shares"), "512");
        assert_eq!(read(&container, "cpu", "cpu.cfs_quota_us"), "30000");
        assert_eq!(read(&container, "cpu", "cpu.cfs_period_us"), "100000");
        if sandbox.peer_lacks(&[Family::Runc, Family::Crun], "cpu.burst and cpu.idle") {
            return;
        }
        let container = with_resources(
            sandbox,
            json!({ "cpu": { "quota": 50_000, "period": 100_000, "burst": 20_000 } }),
        );
        assert_eq!(read(&container, "cpu", "cpu.cfs_burst_us"), "20000");
        let container = with_resources(sandbox, json!({ "cpu": { "idle": 1 } }));
        assert_eq!(read(&container, "cpu", "cpu.idle"), "1");
    });
}

#[test]
fn cpuset_limits() {
    sandbox(|sandbox| {
        if !v1(sandbox, "cpuset") {
            return;
        }
        let container = with_resources(sandbox, json!({ "cpu": { "cpus": "0", "mems": "0" } }));
        assert_eq!(read(&container, "cpuset", "cpuset.cpus"), "0");
        assert_eq!(read(&container, "cpuset", "cpuset.mems"), "0");
        let status = container.exec(["/bin/cat", "/proc/self/status"]).ok();
        assert_eq!(status.value("Cpus_allowed_list"), "0");
    });
}

#[test]
fn pids_limit() {
    sandbox(|sandbox| {
        if !v1(sandbox, "pids") {
            return;
        }
        let container = with_resources(sandbox, json!({ "pids": { "limit": 17 } }));
        assert_eq!(read(&container, "pids", "pids.max"), "17");
        if sandbox.peer_lacks(&[Family::Crun], "-1 as no limit of processes") {
            return;
        }
        let container = with_resources(sandbox, json!({ "pids": { "limit": -1 } }));
        assert_eq!(read(&container, "pids", "pids.max"), "max");
    });
}

/// A block device to set limits for: the last of the list (limits take effect nowhere but in the test's
/// cgroup).
fn block_device() -> Option<(u64, u64)> {
    let text = fs::read_to_string("/proc/partitions").ok()?;
    let mut fields = text.lines().next_back()?.split_whitespace();
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

#[test]
fn block_io_throttles() {
    sandbox(|sandbox| {
        if !v1(sandbox, "blkio") {
            return;
        }
        let Some((major, minor)) = block_device() else { return sandbox.skip("a block device") };
        let rate = |rate: u64| json!([{ "major": major, "minor": minor, "rate": rate }]);
        let container = with_resources(
            sandbox,
            json!({ "blockIO": {
                "throttleReadBpsDevice": rate(1_048_576), "throttleWriteBpsDevice": rate(2_097_152),
                "throttleReadIOPSDevice": rate(300), "throttleWriteIOPSDevice": rate(400),
            } }),
        );
        for (file, value) in [
            ("read_bps_device", 1_048_576),
            ("write_bps_device", 2_097_152),
            ("read_iops_device", 300),
            ("write_iops_device", 400),
        ] {
            assert_eq!(
                read(&container, "blkio", &format!("blkio.throttle.{file}")),
                format!("{major}:{minor} {value}")
            );
        }
    });
}

#[test]
fn block_io_weight() {
    sandbox(|sandbox| {
        if sandbox.peer_lacks(&[Family::Crun], "blkio.bfq.weight") {
            return;
        }
        if !v1(sandbox, "blkio") {
            return;
        }
        let parent = Path::new("/sys/fs/cgroup/blkio");
        let container = sandbox.runtime().start(&sandbox.bundle().idle());
        let group = container.cgroup("blkio");
        let file = ["blkio.bfq.weight", "blkio.weight"].into_iter().find(|file| group.join(file).exists());
        let Some(file) = file else { return sandbox.skip(&format!("a weight in {}", parent.display())) };
        let container = with_resources(sandbox, json!({ "blockIO": { "weight": 321 } }));
        assert_eq!(read(&container, "blkio", file).replace("default ", ""), "321");
    });
}

#[test]
fn a_limit_without_its_controller_is_an_error() {
    sandbox(|sandbox| {
        if Path::new("/sys/fs/cgroup/rdma").exists() {
            return sandbox.skip("a machine without the rdma controller");
        }
        let bundle = sandbox.bundle().put("/linux/resources/rdma", json!({ "mlx5_1": { "hcaHandles": 3 } }));
        if !sandbox.peer_lacks(&[Family::Runc, Family::Crun], "an error for an absent controller") {
            sandbox.runtime().run(&bundle).fails_with("rdma");
        }
    });
}

#[test]
fn a_limit_the_kernel_refuses_is_named() {
    sandbox(|sandbox| {
        if sandbox.peer_lacks(&[Family::Crun], "removal of the cgroup after a refused limit") {
            return;
        }
        let bundle = sandbox.bundle().put("/linux/resources/cpu", json!({ "cpus": "4095" }));
        sandbox.runtime().run(&bundle).fails_with("cpuset.cpus");
        sandbox.assert_no_leaks();
    });
}

#[test]
fn what_fails_leaves_none_of_the_groups_that_it_made() {
    sandbox(|sandbox| {
        if sandbox.peer_lacks(&[Family::Runc, Family::Crun], "removal of the groups above a container's") {
            return;
        }
        let bundle = sandbox.bundle().put("/linux/resources/cpu", json!({ "cpus": "4095" }));
        let path = bundle.spec["linux"]["cgroupsPath"].as_str().expect("a path").to_owned();
        let deeper = bundle.put("/linux/cgroupsPath", json!(format!("{path}/deeper/still")));
        sandbox.runtime().run(&deeper).fails_with("cpuset.cpus");
        let groups = Path::new("/sys/fs/cgroup");
        for place in [groups.to_owned(), groups.join("cpuset"), groups.join("unified")] {
            assert!(!place.join(path.trim_start_matches('/')).exists(), "{path} in {}", place.display());
        }
    });
}

#[test]
fn update_by_flags() {
    sandbox(|sandbox| {
        if !v1(sandbox, "cpu") {
            return;
        }
        let container =
            with_resources(sandbox, json!({ "memory": { "limit": 67_108_864 }, "pids": { "limit": 20 } }));
        let update = |flags: &[&str]| {
            let mut invocation = sandbox.runtime().invoke(["update"]);
            for flag in flags {
                invocation = invocation.arg(flag);
            }
            invocation.arg(container.id()).output()
        };
        update(&["--memory", "33554432"]).succeeds();
        assert_eq!(read(&container, "memory", "memory.limit_in_bytes"), "33554432");
        update(&["--cpu-period", "100000", "--cpu-quota", "40000"]).succeeds();
        assert_eq!(read(&container, "cpu", "cpu.cfs_quota_us"), "40000");

        update(&["--cpu-share", "333"]).succeeds();
        assert_eq!(read(&container, "cpu", "cpu.shares"), "333");
        update(&["--cpuset-cpus", "0"]).succeeds();
        assert_eq!(read(&container, "cpuset", "cpuset.cpus"), "0");
        update(&["--pids-limit", "11"]).succeeds();
        assert_eq!(read(&container, "pids", "pids.max"), "11");
        update(&["--memory-reservation", "16777216"]).succeeds();
        assert_eq!(read(&container, "memory", "memory.soft_limit_in_bytes"), "16777216");
        // What was not named is unchanged.
        assert_eq!(read(&container, "memory", "memory.limit_in_bytes"), "33554432");
    });
}

#[test]
fn update_by_resources_from_a_file_and_from_stdin() {
    sandbox(|sandbox| {
        if !v1(sandbox, "pids") {
            return;
        }
        let container = sandbox.runtime().start(&sandbox.bundle().idle());
        let resources = json!({ "pids": { "limit": 55 }, "cpu": { "shares": 200 } });
        let file = sandbox.dir().join("resources.json");
        fs::write(&file, resources.to_string()).expect("write a file");
        sandbox
            .runtime()
            .invoke(["update", "--resources"])
            .arg(&file)
            .arg(container.id())
            .output()
            .succeeds();
        assert_eq!(read(&container, "pids", "pids.max"), "55");
        assert_eq!(read(&container, "cpu", "cpu.shares"), "200");
        let stdin = json!({ "pids": { "limit": 66 } }).to_string();
        if !sandbox.peer_lacks(&[Family::Crun], "resources on standard input") {
            let update = sandbox.runtime().invoke(["update", "--resources", "-"]).arg(container.id());
            update.stdin(stdin).output().succeeds();
            assert_eq!(read(&container, "pids", "pids.max"), "66");
        }
    });
}

#[test]
fn update_keeps_device_rules() {
    sandbox(|sandbox| {
        if !v1(sandbox, "devices") {
            return;
        }
        let container = sandbox.runtime().start(&sandbox.bundle().idle());
        let before = read(&container, "devices", "devices.list");
        assert!(!before.contains("a *:*"), "{before}");
        sandbox.runtime().command(["update", "--pids-limit", "9", container.id()]).succeeds();
        assert_eq!(read(&container, "devices", "devices.list"), before);
    });
}

#[test]
fn groups_the_container_made_are_removed_with_it() {
    sandbox(|sandbox| {
        let bundle = sandbox.bundle().idle();
        let container = sandbox.runtime().start(&bundle);
        for controller in ["pids", "memory", "freezer"] {
            if v1(sandbox, controller) {
                fs::create_dir_all(container.cgroup(controller).join("made/inside")).expect("make a cgroup");
            }
        }
        container.delete_force().succeeds();
        sandbox.assert_no_leaks();
    });
}

#[test]
fn exec_lands_in_the_containers_cgroup_or_one_below() {
    sandbox(|sandbox| {
        if !v1(sandbox, "pids") {
            return;
        }
        let container = sandbox.runtime().start(&sandbox.bundle().idle());
        let seen = container.exec(["/bin/grep", ":pids:", "/proc/self/cgroup"]).ok();
        let path = seen.text().rsplit(':').next().unwrap_or("").to_owned();
        assert_eq!(
            Path::new("/sys/fs/cgroup/pids").join(path.trim_start_matches('/')),
            container.cgroup("pids")
        );
        let below = container.cgroup("pids").join("below");
        fs::create_dir(&below).expect("make a cgroup");
        let output =
            container.exec_with(&["--cgroup", "pids:below"], ["/bin/grep", ":pids:", "/proc/self/cgroup"]);
        if !sandbox.peer_lacks(&[Family::Crun], "exec --cgroup CONTROLLER:PATH") {
            assert!(output.ok().text().ends_with("/below"));
        }
    });
}

#[test]
fn a_fork_bomb_is_held_and_cleaned_up() {
    sandbox(|sandbox| {
        let bundle = sandbox
            .bundle()
            .put("/linux/resources/pids", json!({ "limit": 40 }))
            .sh("sh -c 'f() { f | f & }; f' & exec sleep 1000");
        let container = sandbox.runtime().create(&bundle);
        if v1(sandbox, "pids") {
            let events = container.cgroup("pids").join("pids.events");
            container.start();
            eventually("the limit is hit", || {
                fs::read_to_string(&events).is_ok_and(|text| !text.trim().ends_with(" 0"))
            });
        }
        container.delete_force().succeeds();
        sandbox.assert_no_leaks();
    });
}

#[test]
fn huge_page_limits() {
    sandbox(|sandbox| {
        let Some(size) = ["2MB", "1GB"].into_iter().find(|size| {
            fs::metadata(format!(
                "/sys/kernel/mm/hugepages/hugepages-{}kB",
                if *size == "2MB" { 2048 } else { 1_048_576 }
            ))
            .is_ok()
        }) else {
            return sandbox.skip("huge pages");
        };
        let v2 = Path::new("/sys/fs/cgroup/unified/cgroup.controllers");
        if !fs::read_to_string(v2).is_ok_and(|text| text.contains("hugetlb")) {
            return sandbox.skip("the hugetlb controller beside v1");
        }
        if sandbox.peer_lacks(&[Family::Runc, Family::Crun], "hugetlb of a hybrid layout") {
            return;
        }
        let bytes = 64 << 20;
        let container =
            with_resources(sandbox, json!({ "hugepageLimits": [{ "pageSize": size, "limit": bytes }] }));
        assert_eq!(read(&container, "unified", &format!("hugetlb.{size}.max")), bytes.to_string());
    });
}

#[test]
fn unified_resources_are_written_as_named() {
    sandbox(|sandbox| {
        if sandbox.peer_lacks(&[Family::Runc, Family::Crun], "a check of the names of unified resources") {
            return;
        }
        let with = |key: &str| sandbox.bundle().idle().put("/linux/resources/unified", json!({ key: "17" }));
        if Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
            let container = sandbox.runtime().start(&with("cgroup.max.descendants"));
            assert_eq!(read(&container, "unified", "cgroup.max.descendants"), "17");
        } else {
            // Beside v1 there is nothing they could mean.
            sandbox.runtime().run(&with("cgroup.max.descendants")).fails_with("unified");
        }
        for key in ["no.such.file", "../cgroup.max.depth", "a/b"] {
            sandbox.runtime().run(&with(key)).fails();
        }
    });
}
