//! As an ordinary user: with a range of ids from newuidmap, and with only one's own.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

use serde_json::{Value, json};
use taru_testkit::{Bundle, Family, Invocation, Sandbox, sandbox};

const UID: u32 = 1234;
const FIRST: u32 = 100_000;

/// The invocation as user 1234, with nothing of root's.
fn as_user(sandbox: &Sandbox, invocation: Invocation) -> Invocation {
    let runtime_dir = sandbox.dir().join("xdg");
    let uid = UID.to_string();
    invocation.env("XDG_RUNTIME_DIR", &runtime_dir).env("HOME", "/run/taru-test/files").under([
        "setpriv",
        "--reuid",
        &uid,
        "--regid",
        &uid,
        "--clear-groups",
        "--inh-caps=-all",
    ])
}

/// Gives user 1234 a name and a range of ids, in this sandbox's mount namespace only.
fn give_user_a_range(sandbox: &Sandbox) {
    let dir = sandbox.dir();
    let files = [
        ("subuid", format!("{UID}:{FIRST}:65536\n")),
        ("subgid", format!("{UID}:{FIRST}:65536\n")),
        ("passwd", format!("root:x:0:0:root:/root:/bin/sh\nrootless:x:{UID}:{UID}::/:/bin/sh\n")),
        ("group", format!("root:x:0:\nrootless:x:{UID}:\n")),
    ];
    for (name, content) in files {
        let file = dir.join(name);
        fs::write(&file, content).expect("write a file");
        let mount =
            sandbox.runtime().beside(["mount", "--bind"]).arg(&file).arg(Path::new("/etc").join(name));
        mount.output().succeeds();
    }
}

fn take_range_away(sandbox: &Sandbox) {
    for name in ["subuid", "subgid", "passwd", "group"] {
        sandbox.runtime().beside(["umount"]).arg(Path::new("/etc").join(name)).output().succeeds();
    }
}

/// A bundle as `spec --rootless` would have it, owned by the user.
fn rootless_bundle(sandbox: &Sandbox, maps: (Value, Value)) -> Bundle {
    let bundle = sandbox.bundle().namespace("user", None).edit(|spec| {
        spec["linux"].as_object_mut().expect("linux").remove("resources");
        spec["linux"].as_object_mut().expect("linux").remove("cgroupsPath");
        spec["linux"]["uidMappings"] = maps.0;
        spec["linux"]["gidMappings"] = maps.1;
        // Without the host's network namespace sysfs could not be mounted; here it is new.
        let mounts = spec["mounts"].as_array_mut().expect("mounts");
        mounts.retain(|mount| mount["type"] != "cgroup");
        for mount in mounts {
            if mount["type"] == "devpts" {
                mount["options"] = json!(["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]);
            }
        }
    });
    let everything = sandbox.runtime().beside(["chown", "-Rh", &format!("{UID}:{UID}")]).arg(bundle.dir());
    everything.output().succeeds();
    for dir in ["xdg", "user-root"] {
        let dir = sandbox.dir().join(dir);
        fs::create_dir_all(&dir).expect("make a directory");
        chown(&dir, Some(UID), Some(UID)).expect("chown");
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).expect("chmod");
    }
    bundle
}

fn run_as_user(sandbox: &Sandbox, bundle: &Bundle) -> taru_testkit::Output {
    bundle.write();
    let root = sandbox.dir().join("user-root");
    let run = sandbox.runtime().beside([sandbox.runtime().program()]).arg("--root").arg(root).arg("run");
    let run = run.arg("--bundle").arg(bundle.dir()).arg(sandbox.runtime().fresh_id());
    as_user(sandbox, run).output()
}

fn single() -> (Value, Value) {
    let map = json!([{ "containerID": 0, "hostID": UID, "size": 1 }]);
    (map.clone(), map)
}

fn ranges() -> (Value, Value) {
    let map = json!([
        { "containerID": 0, "hostID": UID, "size": 1 },
        { "containerID": 1, "hostID": FIRST, "size": 65536 },
    ]);
    (map.clone(), map)
}

/// A program an ordinary user may execute: the one under test may lie below a closed home directory.
fn reachable(sandbox: &Sandbox) -> bool {
    let program = sandbox.runtime().program().display().to_string();
    let output = as_user(sandbox, sandbox.runtime().beside(["test", "-x", &program])).output();
    if output.status != 0 {
        sandbox.skip("a runtime executable that other users can reach");
    }
    output.status == 0
}

#[test]
fn with_a_single_mapping() {
    sandbox(|sandbox| {
        if !reachable(sandbox) {
            return;
        }
        let bundle = rootless_bundle(sandbox, single())
            .sh("probe ids; cat /proc/self/uid_map /proc/self/setgroups; echo x > /dev/null && echo null");
        let output = run_as_user(sandbox, &bundle).ok();
        assert_eq!(output.value("uids"), "0 0 0");
        let text: Vec<&str> = output.stdout.split_whitespace().collect();
        assert!(text.windows(3).any(|words| words == ["0", "1234", "1"]), "{}", output.stdout);
        assert!(output.stdout.contains("deny"), "{}", output.stdout);
        assert!(output.stdout.contains("null"), "{}", output.stdout);
    });
}

#[test]
fn with_newuidmap() {
    sandbox(|sandbox| {
        if !reachable(sandbox) {
            return;
        }
        if !Path::new("/usr/bin/newuidmap").exists() {
            return sandbox.skip("newuidmap");
        }
        give_user_a_range(sandbox);
        let bundle = rootless_bundle(sandbox, ranges())
            .put("/process/user", json!({ "uid": 1000, "gid": 1000, "additionalGids": [50] }))
            .sh("probe ids; cat /proc/self/uid_map /proc/self/setgroups");
        let output = run_as_user(sandbox, &bundle);
        if output.status != 0 && sandbox.peer_lacks(&[Family::Runc], "additional groups without root") {
            return take_range_away(sandbox);
        }
        output.succeeds();
        assert_eq!(output.value("uids"), "1000 1000 1000");
        assert_eq!(output.value("groups"), "50");
        let text: Vec<&str> = output.stdout.split_whitespace().collect();
        assert!(
            text.windows(6).any(|words| words == ["0", "1234", "1", "1", "100000", "65536"]),
            "{}",
            output.stdout
        );
        assert!(output.stdout.contains("allow"), "{}", output.stdout);
        take_range_away(sandbox);
    });
}

#[test]
fn the_whole_life_of_a_container() {
    sandbox(|sandbox| {
        if !reachable(sandbox) {
            return;
        }
        let bundle = rootless_bundle(sandbox, single()).idle();
        bundle.write();
        let root = sandbox.dir().join("user-root");
        let call = |args: &[&str]| {
            let mut call = sandbox.runtime().beside([sandbox.runtime().program()]).arg("--root").arg(&root);
            for arg in args {
                call = call.arg(arg);
            }
            as_user(sandbox, call).output()
        };
        let id = sandbox.runtime().fresh_id();
        let dir = bundle.dir().display().to_string();
        call(&["create", "--bundle", &dir, &id]).succeeds();
        if !sandbox.peer_lacks(&[Family::Crun], "exec before start") {
            assert_eq!(call(&["exec", &id, "/bin/echo", "early"]).ok().text(), "early");
        }
        if sandbox.runtime().family() == Family::Taru {
            // What waits shows itself to exec, and to nobody else.
            let state: Value = serde_json::from_str(&call(&["state", &id]).ok().stdout).expect("a state");
            let namespace = format!("/proc/{}/ns/mnt", state["pid"]);
            taru_testkit::eventually("it hides again", || {
                as_user(sandbox, sandbox.runtime().beside(["readlink", &namespace])).output().status != 0
            });
        }
        call(&["start", &id]).succeeds();
        let state: Value = serde_json::from_str(&call(&["state", &id]).ok().stdout).expect("a state");
        assert_eq!(state["status"], "running");
        assert_eq!(call(&["exec", &id, "/bin/echo", "inside"]).ok().text(), "inside");
        call(&["kill", &id, "KILL"]).succeeds();
        taru_testkit::eventually("it stops", || call(&["state", &id]).stdout.contains("stopped"));
        call(&["delete", &id]).succeeds();
        sandbox.assert_no_leaks();
    });
}

#[test]
fn groups_that_cannot_be_set_are_an_error_not_a_silence() {
    sandbox(|sandbox| {
        if sandbox.peer_lacks(&[Family::Crun], "an error for groups it drops") {
            return;
        }
        if !reachable(sandbox) {
            return;
        }
        let bundle = rootless_bundle(sandbox, single())
            .put("/process/user", json!({ "uid": 0, "gid": 0, "additionalGids": [50] }));
        run_as_user(sandbox, &bundle).fails();
    });
}

#[test]
fn an_id_outside_the_map_is_an_error() {
    sandbox(|sandbox| {
        if !reachable(sandbox) {
            return;
        }
        let bundle = rootless_bundle(sandbox, single()).put("/process/user", json!({ "uid": 5, "gid": 0 }));
        run_as_user(sandbox, &bundle).fails();
    });
}
