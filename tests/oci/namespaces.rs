//! `linux.namespaces`, id maps, time offsets, host name, sysctl, keyring, memory policy.

use std::fs;

use serde_json::json;
use taru_testkit::{Family, Sandbox, eventually, sandbox};

/// A namespace as the kernel names it: `net:[4026531840]`.
fn own_namespace(kind: &str) -> String {
    let link = fs::read_link(format!("/proc/self/ns/{kind}")).expect("read a namespace");
    link.to_string_lossy().into_owned()
}

/// Type in the specification, name in `/proc/PID/ns`.
const KINDS: &[(&str, &str)] = &[
    ("ipc", "ipc"),
    ("mount", "mnt"),
    ("network", "net"),
    ("pid", "pid"),
    ("uts", "uts"),
    ("cgroup", "cgroup"),
];

#[test]
fn each_type_is_new_when_listed() {
    sandbox(|sandbox| {
        let script =
            KINDS.iter().map(|(_, name)| format!("readlink /proc/self/ns/{name};")).collect::<String>();
        let bundle = sandbox.bundle().namespace("cgroup", None).sh(&script);
        let seen = sandbox.runtime().prints(&bundle);
        assert_eq!(seen.lines().count(), KINDS.len());
        for ((kind, name), inside) in KINDS.iter().zip(seen.lines()) {
            assert_ne!(inside, own_namespace(name), "{kind}");
        }
    });
}

#[test]
fn a_user_namespace_without_maps_has_the_caller_as_its_root() {
    sandbox(|sandbox| {
        if sandbox.peer_lacks(&[Family::Runc], "a user namespace without maps") {
            return;
        }
        let script = "cat /proc/self/uid_map /proc/self/gid_map; id -u";
        let bundle = sandbox.bundle().namespace("user", None).sh(script).edit(|spec| {
            // Its `gid=5` has no map.
            let mounts = spec["mounts"].as_array_mut().expect("mounts");
            mounts.retain(|mount| mount["type"] != "devpts");
        });
        let seen = sandbox.runtime().prints(&bundle);
        let words: Vec<&str> = seen.split_whitespace().collect();
        assert_eq!(words, ["0", "0", "1", "0", "0", "1", "0"]);
    });
}

#[test]
fn each_type_but_mount_is_shared_when_not_listed() {
    sandbox(|sandbox| {
        for (kind, name) in KINDS.iter().filter(|(kind, _)| *kind != "mount") {
            let mut bundle = sandbox
                .bundle()
                .without_namespace(kind)
                .args(&["/bin/readlink", &format!("/proc/self/ns/{name}")]);
            if *kind == "uts" {
                bundle.spec.as_object_mut().expect("an object").remove("hostname");
            }
            if *kind == "network" {
                bundle.spec["linux"]["sysctl"] = json!({});
            }
            if *kind == "ipc" {
                // mqueue of the caller's ipc namespace may be mounted all the same.
                bundle.spec["mounts"]
                    .as_array_mut()
                    .expect("mounts")
                    .retain(|mount| mount["type"] != "mqueue");
            }
            let inside = sandbox.runtime().prints(&bundle);
            if *kind == "pid" {
                // /proc is of the namespace it was mounted in; the link is still true.
                assert_eq!(inside, own_namespace("pid"));
            } else {
                assert_eq!(inside, own_namespace(name), "{kind}");
            }
        }
    });
}

#[test]
fn each_type_is_joined_by_path() {
    sandbox(|sandbox| {
        let holder = sandbox.runtime().start(&sandbox.bundle().idle().namespace("cgroup", None));
        let pid = holder.pid();
        for (kind, name) in
            [("ipc", "ipc"), ("network", "net"), ("uts", "uts"), ("pid", "pid"), ("cgroup", "cgroup")]
        {
            let path = format!("/proc/{pid}/ns/{name}");
            let expected =
                fs::read_link(&path).expect("a namespace of the holder").to_string_lossy().into_owned();
            let mut bundle = sandbox
                .bundle()
                .namespace(kind, Some(&path))
                .args(&["/bin/readlink", &format!("/proc/self/ns/{name}")]);
            if kind == "uts" {
                bundle.spec.as_object_mut().expect("an object").remove("hostname");
            }
            if kind == "cgroup" && sandbox.peer_lacks(&[Family::Runc], "joining a cgroup namespace by path") {
                continue;
            }
            assert_eq!(sandbox.runtime().prints(&bundle), expected, "{kind}");
        }
    });
}

#[test]
fn a_path_of_another_type_is_refused() {
    sandbox(|sandbox| {
        let bundle = sandbox.bundle().namespace("network", Some("/proc/self/ns/uts"));
        sandbox.runtime().run(&bundle).fails();
        let bundle = sandbox.bundle().namespace("ipc", Some("/etc/passwd"));
        sandbox.runtime().run(&bundle).fails();
    });
}

#[test]
fn an_unknown_or_repeated_type_is_refused() {
    sandbox(|sandbox| {
        sandbox.runtime().run(&sandbox.bundle().namespace("nosuch", None)).fails_with("nosuch");
        let twice = sandbox.bundle().edit(|spec| {
            let list = spec["linux"]["namespaces"].as_array_mut().expect("namespaces");
            list.push(json!({ "type": "pid" }));
        });
        if !sandbox.peer_lacks(&[Family::Crun], "refusal of a repeated namespace") {
            sandbox.runtime().run(&twice).fails_with("pid");
        }
    });
}

#[test]
fn program_is_pid_1_of_a_new_pid_namespace() {
    sandbox(|sandbox| {
        assert_eq!(sandbox.runtime().prints(&sandbox.bundle().sh("echo $$")), "1");
    });
}

#[test]
fn hostname_and_domainname() {
    sandbox(|sandbox| {
        let bundle = sandbox
            .bundle()
            .put("/hostname", json!("box-7"))
            .put("/domainname", json!("example.org"))
            .sh("hostname; cat /proc/sys/kernel/domainname");
        let seen = sandbox.runtime().prints(&bundle);
        assert_eq!(seen.lines().next(), Some("box-7"));
        if !sandbox.peer_lacks(&[Family::Runc], "domainname") {
            assert_eq!(seen.lines().nth(1), Some("example.org"));
        }
    });
}

#[test]
fn a_domainname_and_its_sysctl_must_agree() {
    sandbox(|sandbox| {
        if sandbox.peer_lacks(&[Family::Runc], "domainname") {
            return;
        }
        let bundle = |parameter: &str| {
            sandbox
                .bundle()
                .put("/domainname", json!("example.org"))
                .put("/linux/sysctl", json!({ "kernel.domainname": parameter }))
                .sh("cat /proc/sys/kernel/domainname")
        };
        assert_eq!(sandbox.runtime().prints(&bundle("example.org")), "example.org");
        sandbox.runtime().run(&bundle("other.org")).fails_with("kernel.domainname");
    });
}

#[test]
fn a_hostname_without_a_uts_namespace_is_refused() {
    sandbox(|sandbox| {
        let bundle = sandbox.bundle().without_namespace("uts").put("/hostname", json!("stolen"));
        sandbox.runtime().run(&bundle).fails();
        let own = fs::read_to_string("/proc/sys/kernel/hostname").expect("the host's name");
        assert_ne!(own.trim(), "stolen");
    });
}

#[test]
fn id_maps_are_written_as_given() {
    sandbox(|sandbox| {
        let bundle = sandbox
            .bundle()
            .user_namespace(200_000)
            .put(
                "/linux/uidMappings",
                json!([
                    { "containerID": 0, "hostID": 200_000, "size": 1000 },
                    { "containerID": 1000, "hostID": 1000, "size": 1 },
                    { "containerID": 1001, "hostID": 201_001, "size": 64_000 },
                ]),
            )
            .sh("cat /proc/self/uid_map; echo; cat /proc/self/gid_map; echo; cat /proc/self/setgroups");
        let seen = sandbox.runtime().prints(&bundle);
        let fields: Vec<&str> = seen.split_whitespace().collect();
        assert_eq!(
            fields,
            [
                "0", "200000", "1000", "1000", "1000", "1", "1001", "201001", "64000", "0", "200000",
                "65536", "allow"
            ]
        );
    });
}

#[test]
fn processes_of_a_user_namespace_are_the_mapped_user_outside() {
    sandbox(|sandbox| {
        let bundle = sandbox
            .bundle()
            .idle()
            .user_namespace(300_000)
            .put("/process/user", json!({ "uid": 5, "gid": 6 }));
        let container = sandbox.runtime().start(&bundle);
        let status = fs::read_to_string(format!("/proc/{}/status", container.pid())).expect("status");
        assert!(status.contains("Uid:\t300005\t300005\t300005\t300005"), "{status}");
        assert!(status.contains("Gid:\t300006\t300006\t300006\t300006"), "{status}");
    });
}

#[test]
fn a_user_namespace_is_joined_by_path() {
    sandbox(|sandbox| {
        let holder = sandbox.runtime().start(&sandbox.bundle().idle().user_namespace(400_000));
        let path = format!("/proc/{}/ns/user", holder.pid());
        let bundle = sandbox
            .bundle()
            .user_namespace(400_000)
            .namespace("user", Some(&path))
            .sh("readlink /proc/self/ns/user; cat /proc/self/uid_map")
            .edit(|spec| {
                let linux = spec["linux"].as_object_mut().expect("linux");
                linux.remove("uidMappings");
                linux.remove("gidMappings");
            });
        let output = sandbox.runtime().run(&bundle);
        if output.status != 0 && sandbox.peer_lacks(&[Family::Runc], "joining a user namespace without maps")
        {
            return;
        }
        let seen = output.ok().stdout;
        let expected = fs::read_link(path).expect("the namespace").to_string_lossy().into_owned();
        assert_eq!(seen.lines().next(), Some(expected.as_str()));
        assert!(seen.contains("400000"), "{seen}");
    });
}

#[test]
fn time_offsets_apply() {
    sandbox(|sandbox| {
        if sandbox.peer_lacks(&[Family::Runc, Family::Crun], "time namespaces") {
            return;
        }
        let bundle = sandbox.bundle().args(&["/bin/probe", "clocks"]).namespace("time", None).put(
            "/linux/timeOffsets",
            json!({ "monotonic": { "secs": 500_000 }, "boottime": { "secs": 900_000 } }),
        );
        let inside = sandbox.runtime().run(&bundle).ok();
        let outside = sandbox.runtime().beside([taru_testkit::probe()]).arg("clocks").output().ok();
        let difference = |clock: &str| {
            let number = |text: &str| text.parse::<i64>().expect("seconds");
            number(inside.value(clock)) - number(outside.value(clock))
        };
        assert!((499_900..=500_000).contains(&difference("monotonic")), "{}", difference("monotonic"));
        assert!((899_900..=900_000).contains(&difference("boottime")), "{}", difference("boottime"));
    });
}

#[test]
fn time_offsets_without_a_time_namespace_are_refused() {
    sandbox(|sandbox| {
        if sandbox.peer_lacks(&[Family::Runc, Family::Crun], "time namespaces") {
            return;
        }
        let offsets = json!({ "monotonic": { "secs": 5 } });
        sandbox.runtime().run(&sandbox.bundle().put("/linux/timeOffsets", offsets)).fails_with("time");
    });
}

#[test]
fn exec_joins_a_time_namespace_too() {
    sandbox(|sandbox| {
        if sandbox.peer_lacks(&[Family::Runc, Family::Crun], "time namespaces") {
            return;
        }
        let bundle = sandbox
            .bundle()
            .idle()
            .namespace("time", None)
            .put("/linux/timeOffsets", json!({ "boottime": { "secs": 900_000 } }));
        let container = sandbox.runtime().start(&bundle);
        let inside = container.exec(["/bin/probe", "clocks"]).ok();
        let outside = sandbox.runtime().beside([taru_testkit::probe()]).arg("clocks").output().ok();
        let seconds =
            |output: &taru_testkit::Output| output.value("boottime").parse::<i64>().expect("seconds");
        assert!(seconds(&inside) - seconds(&outside) > 899_000);
    });
}

#[test]
fn sysctls_of_its_namespaces_are_set() {
    sandbox(|sandbox| {
        let bundle = sandbox
            .bundle()
            .put(
                "/linux/sysctl",
                json!({
                    "net.ipv4.ip_forward": "1", "kernel.msgmax": "9000", "net.core.somaxconn": "77",
                    "kernel/shm_rmid_forced": "1",
                }),
            )
            .sh("cd /proc/sys; cat net/ipv4/ip_forward kernel/msgmax net/core/somaxconn kernel/shm_rmid_forced");
        let output = sandbox.runtime().run(&bundle);
        if output.status != 0 && sandbox.peer_lacks(&[Family::Runc], "slashes in sysctl names") {
            return;
        }
        assert_eq!(output.ok().text(), "1\n9000\n77\n1");
    });
}

#[test]
fn a_namespaced_sysctl_without_its_namespace_is_refused() {
    sandbox(|sandbox| {
        let before = fs::read_to_string("/proc/sys/net/ipv4/ip_forward").expect("a sysctl");
        let bundle = sandbox
            .bundle()
            .without_namespace("network")
            .put("/linux/sysctl", json!({ "net.ipv4.ip_forward": "1" }));
        sandbox.runtime().run(&bundle).fails_with("net.ipv4.ip_forward");
        assert_eq!(fs::read_to_string("/proc/sys/net/ipv4/ip_forward").expect("a sysctl"), before);
        let bundle = sandbox
            .bundle()
            .without_namespace("ipc")
            .put("/linux/sysctl", json!({ "kernel.msgmax": "9000" }));
        sandbox.runtime().run(&bundle).fails_with("kernel.msgmax");
    });
}

fn session_keyring(sandbox: &Sandbox, options: &[&str]) -> String {
    let bundle = sandbox.bundle().args(&["/bin/probe", "keyring"]);
    sandbox.runtime().run_with(&bundle, options).ok().value("session").to_owned()
}

#[test]
fn the_container_has_a_session_keyring_of_its_own() {
    sandbox(|sandbox| {
        let outside = sandbox.runtime().beside([taru_testkit::probe()]).arg("keyring").output();
        let inside = session_keyring(sandbox, &[]);
        let other = session_keyring(sandbox, &[]);
        assert_ne!(inside, other);
        if outside.status == 0 {
            assert_ne!(inside, outside.value("session"));
            assert_eq!(session_keyring(sandbox, &["--no-new-keyring"]), outside.value("session"));
        }
    });
}

#[test]
fn memory_policy_is_set() {
    sandbox(|sandbox| {
        if sandbox.peer_lacks(&[Family::Runc, Family::Crun], "linux.memoryPolicy") {
            return;
        }
        if fs::metadata("/proc/self/numa_maps").is_err() {
            return sandbox.skip("NUMA in the kernel");
        }
        let bundle = sandbox
            .bundle()
            .args(&["/bin/probe", "mempolicy"])
            .put("/linux/memoryPolicy", json!({ "mode": "MPOL_BIND", "nodes": "0" }));
        let output = sandbox.runtime().run(&bundle).ok();
        assert_eq!((output.value("mode"), output.value("nodes")), ("2", "1"));
        let unknown = json!({ "mode": "MPOL_NOSUCH", "nodes": "0" });
        sandbox
            .runtime()
            .run(&sandbox.bundle().put("/linux/memoryPolicy", unknown))
            .fails_with("MPOL_NOSUCH");
    });
}

#[test]
fn the_last_process_of_a_joined_pid_namespace_is_found() {
    sandbox(|sandbox| {
        let holder = sandbox.runtime().start(&sandbox.bundle().idle());
        let path = format!("/proc/{}/ns/pid", holder.pid());
        let guest = sandbox.runtime().start(&sandbox.bundle().idle().namespace("pid", Some(&path)));
        assert_eq!(guest.status(), "running");
        holder.delete_force().succeeds();
        // Its pid 1 is gone, and so is everything in the namespace.
        eventually("the guest is stopped", || guest.status() == "stopped");
        guest.delete().succeeds();
    });
}
