//! The six hooks: when each runs, where, with what on stdin, and what its failure does.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};
use taru_testkit::{Bundle, Family, Sandbox, eventually, sandbox};

const HOOKS: [&str; 6] =
    ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];

/// Hooks that run on the host; the others run in the container's namespaces.
fn is_host_hook(name: &str) -> bool {
    ["prestart", "createRuntime", "poststart", "poststop"].contains(&name)
}

/// A directory that hooks write to, at the same path outside and inside.
fn journal(sandbox: &Sandbox, bundle: Bundle) -> (Bundle, PathBuf) {
    let dir = sandbox.dir().join("journal");
    fs::create_dir_all(&dir).expect("make a directory");
    let path = dir.to_str().expect("a plain path").to_owned();
    (bundle.mount("/journal", "bind", &path, &["bind"]), dir)
}

/// A hook that runs `script` with $1 its own name and $J the journal.
fn hook(name: &str, journal: &std::path::Path, script: &str) -> Value {
    // createContainer runs in the container's mount namespace but sees the host's paths until pivot.
    let shell = "/bin/sh";
    let place = if name == "startContainer" { "/journal".to_owned() } else { journal.display().to_string() };
    json!({ "path": shell, "args": ["sh", "-c", format!("J={place}; {script}"), "sh", name], "env": ["PATH=/bin:/usr/bin"] })
}

#[test]
fn all_six_run_once_in_order() {
    sandbox(|sandbox| {
        if sandbox.peer_lacks(&[Family::Runc, Family::Crun], "poststart after start") {
            return;
        }
        let (mut bundle, dir) =
            journal(sandbox, sandbox.bundle().sh("echo program >> /journal/order; sleep 0.2"));
        for name in HOOKS {
            let script = "echo $1 >> $J/order";
            bundle.spec["hooks"][name] = json!([hook(name, &dir, script)]);
        }
        let container = sandbox.runtime().create(&bundle);
        let order = || fs::read_to_string(dir.join("order")).unwrap_or_default();
        let created = order();
        assert_eq!(created.lines().collect::<Vec<_>>(), ["prestart", "createRuntime", "createContainer"]);
        container.start();
        container.wait_stopped();
        let started = order();
        let later: Vec<&str> = started.lines().skip(3).collect();
        assert_eq!(later[0], "startContainer", "{started}");
        assert!(later.contains(&"program") && later.contains(&"poststart"), "{started}");
        assert!(!started.contains("poststop"));
        container.delete().succeeds();
        assert_eq!(order().lines().last(), Some("poststop"));
        assert_eq!(order().lines().count(), 7);
    });
}

#[test]
fn hooks_outside_the_root_begin_in_the_bundle() {
    sandbox(|sandbox| {
        if sandbox.peer_lacks(&[Family::Crun], "createContainer in the bundle") {
            return;
        }
        let (mut bundle, dir) = journal(sandbox, sandbox.bundle());
        let outside = ["prestart", "createRuntime", "createContainer", "poststart", "poststop"];
        for name in outside {
            bundle.spec["hooks"][name] =
                json!([hook(name, &dir, "pwd > $J/$1; ls rootfs/proc/self >/dev/null")]);
        }
        // On the host the container's mounts are not to be seen.
        for name in ["prestart", "createRuntime", "poststart", "poststop"] {
            bundle.spec["hooks"][name] = json!([hook(name, &dir, "pwd > $J/$1")]);
        }
        sandbox.runtime().run(&bundle).succeeds();
        for name in outside {
            let place = fs::read_to_string(dir.join(name)).expect("its words");
            assert_eq!(std::path::Path::new(place.trim()), bundle.dir(), "{name}");
        }
    });
}

#[test]
fn several_hooks_of_one_kind_run_in_their_order() {
    sandbox(|sandbox| {
        let (mut bundle, dir) = journal(sandbox, sandbox.bundle());
        let one = hook("createRuntime", &dir, "echo one >> $J/order");
        let two = hook("createRuntime", &dir, "echo two >> $J/order");
        bundle.spec["hooks"]["createRuntime"] = json!([one, two]);
        sandbox.runtime().run(&bundle).succeeds();
        assert_eq!(fs::read_to_string(dir.join("order")).expect("the journal"), "one\ntwo\n");
    });
}

#[test]
fn each_gets_the_state_on_stdin() {
    sandbox(|sandbox| {
        let (bundle, dir) = journal(sandbox, sandbox.bundle().idle());
        let mut bundle = bundle.put("/annotations", json!({ "a": "b" }));
        for name in HOOKS {
            bundle.spec["hooks"][name] = json!([hook(name, &dir, "cat > $J/$1.json")]);
        }
        let container = sandbox.runtime().create(&bundle);
        let pid = container.pid();
        container.start();
        eventually("poststart ran", || {
            fs::read_to_string(dir.join("poststart.json")).is_ok_and(|text| text.trim().ends_with('}'))
        });
        container.delete_force().succeeds();
        for name in HOOKS {
            if name == "startContainer"
                && sandbox.peer_lacks(&[Family::Crun], "the bundle in startContainer's state")
            {
                continue;
            }
            let text = fs::read_to_string(dir.join(format!("{name}.json"))).expect("a state");
            let state: Value =
                serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}: {text}"));
            assert_eq!(state["id"], container.id(), "{name}");
            assert_eq!(state["bundle"], json!(bundle.dir()), "{name}");
            assert_eq!(state["annotations"]["a"], "b", "{name}");
            let status = state["status"].as_str().unwrap_or("");
            let expected: &[&str] = match name {
                "prestart" | "createRuntime" | "createContainer" => &["creating", "created"],
                "startContainer" => &["created", "creating"],
                "poststart" => &["running"],
                _ => &["stopped"],
            };
            if !sandbox.peer_lacks(&[Family::Runc, Family::Crun], &format!("the status of {name}")) {
                assert!(expected.contains(&status), "{name}: status {status}");
            }
            if ["prestart", "createRuntime", "poststart"].contains(&name) {
                assert_eq!(state["pid"], pid, "{name}");
            }
            let is_inside = ["createContainer", "startContainer"].contains(&name);
            if is_inside && !sandbox.peer_lacks(&[Family::Crun], &format!("the pid of {name}")) {
                assert_eq!(state["pid"], 1, "{name}: as the container counts");
            }
        }
    });
}

#[test]
fn each_runs_in_its_namespaces() {
    sandbox(|sandbox| {
        let (mut bundle, dir) = journal(sandbox, sandbox.bundle().idle());
        for name in HOOKS {
            bundle.spec["hooks"][name] = json!([hook(
                name,
                &dir,
                "readlink /proc/self/ns/net > $J/$1; readlink /proc/self/ns/mnt >> $J/$1; pwd >> $J/$1"
            )]);
        }
        let container = sandbox.runtime().start(&bundle);
        let namespace = |kind: &str| {
            fs::read_link(format!("/proc/{}/ns/{kind}", container.pid()))
                .expect("a namespace")
                .display()
                .to_string()
        };
        let (net, mnt) = (namespace("net"), namespace("mnt"));
        container.delete_force().succeeds();
        for name in HOOKS {
            eventually("it ran", || dir.join(name).exists());
            let text = fs::read_to_string(dir.join(name)).expect("its words");
            let lines: Vec<&str> = text.lines().collect();
            if is_host_hook(name) {
                assert_ne!(lines[0], net, "{name} runs on the host");
                assert_ne!(lines[1], mnt, "{name} runs on the host");
            } else {
                assert_eq!(lines[1], mnt, "{name} runs in the container");
                assert_eq!(lines[0], net, "{name} runs in the container");
            }
        }
    });
}

#[test]
fn no_signal_is_blocked_in_one() {
    sandbox(|sandbox| {
        if sandbox.peer_lacks(&[Family::Crun], "unblocked signals in hooks of run") {
            return;
        }
        let (mut bundle, dir) = journal(sandbox, sandbox.bundle());
        for name in HOOKS {
            let script = "while read -r line; do case $line in SigBlk*) echo $line;; esac; done < /proc/self/status > $J/$1";
            bundle.spec["hooks"][name] = json!([hook(name, &dir, script)]);
        }
        sandbox.runtime().run(&bundle).succeeds();
        for name in HOOKS {
            let seen = fs::read_to_string(dir.join(name)).expect("its words");
            assert_eq!(seen.trim(), "SigBlk: 0000000000000000", "{name}");
        }
    });
}

#[test]
fn environment_is_the_hooks_own_and_arguments_are_exact() {
    sandbox(|sandbox| {
        let (mut bundle, dir) = journal(sandbox, sandbox.bundle());
        let out = dir.join("seen");
        let hook = json!({
            "path": "/bin/sh",
            "args": ["zero", "-c", format!("env > {0}; echo \"$0 $1\" >> {0}", out.display()), "name", "a b"],
            "env": ["ONLY=this", "PATH=/usr/bin:/bin"],
        });
        bundle.spec["hooks"]["createRuntime"] = json!([hook]);
        sandbox.runtime().invoke_run(&bundle, &[] as &[&str]).env("FROM_CALLER", "1").output().succeeds();
        let seen = fs::read_to_string(out).expect("its words");
        assert!(seen.contains("ONLY=this"), "{seen}");
        assert!(!seen.contains("FROM_CALLER"), "{seen}");
        assert!(!seen.contains("TERM=xterm"), "the container's environment: {seen}");
        assert!(seen.contains("name a b"), "{seen}");
    });
}

#[test]
fn without_an_environment_a_host_hook_gets_the_callers_and_one_in_the_container_none() {
    sandbox(|sandbox| {
        let (mut bundle, dir) = journal(sandbox, sandbox.bundle());
        for name in HOOKS {
            let mut hook = hook(name, &dir, "echo $FROM_CALLER > $J/$1");
            hook.as_object_mut().expect("an object").remove("env");
            bundle.spec["hooks"][name] = json!([hook]);
        }
        sandbox.runtime().invoke_run(&bundle, &[] as &[&str]).env("FROM_CALLER", "me").output().succeeds();
        for name in HOOKS {
            let seen = fs::read_to_string(dir.join(name)).expect("its words");
            assert_eq!(seen.trim(), if is_host_hook(name) { "me" } else { "" }, "{name}");
        }
    });
}

#[test]
fn failing_create_hooks_abort_create_and_leave_nothing() {
    sandbox(|sandbox| {
        for name in ["prestart", "createRuntime", "createContainer"] {
            let (mut bundle, dir) = journal(sandbox, sandbox.bundle().sh("echo ran >> /journal/program"));
            bundle.spec["hooks"][name] = json!([hook(name, &dir, "echo complaint >&2; exit 3")]);
            bundle.spec["hooks"]["poststop"] = json!([hook("poststop", &dir, "echo $1 >> $J/poststop")]);
            let (container, output) = sandbox.runtime().try_create(&bundle, &[] as &[&str]);
            output.fails_with(name);
            sandbox.runtime().command(["state", container.id()]).fails();
            assert!(!dir.join("program").exists());
            if !sandbox.peer_lacks(&[Family::Crun], "poststop hooks after a failed create") {
                assert!(dir.join("poststop").exists(), "what {name} made must be taken back");
            }
            sandbox.assert_no_leaks();
        }
    });
}

#[test]
fn a_failing_start_hook_keeps_the_program_from_running() {
    sandbox(|sandbox| {
        let (mut bundle, dir) = journal(sandbox, sandbox.bundle().sh("echo ran >> /journal/program"));
        bundle.spec["hooks"]["startContainer"] = json!([hook("startContainer", &dir, "exit 3")]);
        let container = sandbox.runtime().create(&bundle);
        let output = sandbox.runtime().command(["start", container.id()]);
        if !sandbox.peer_lacks(&[Family::Runc, Family::Crun], "an error of start when startContainer fails") {
            output.fails();
        }
        eventually("it stops", || container.status() == "stopped");
        assert!(!dir.join("program").exists());
        container.delete_force().succeeds();
    });
}

#[test]
fn a_poststart_hook_that_fails_ends_the_container_and_a_poststop_hook_is_warned_of() {
    sandbox(|sandbox| {
        if sandbox.peer_lacks(&[Family::Crun], "survival of a hook that does not read its stdin") {
            return;
        }
        let (mut bundle, dir) = journal(sandbox, sandbox.bundle().idle());
        bundle.spec["hooks"]["poststart"] = json!([hook("poststart", &dir, "exit 3")]);
        bundle.spec["hooks"]["poststop"] = json!([hook("poststop", &dir, "echo $1 >> $J/stopped; exit 3")]);
        let container = sandbox.runtime().create(&bundle);
        sandbox.runtime().command(["start", container.id()]).fails_with("poststart");
        assert_eq!(container.status(), "stopped");
        container.delete_force().succeeds();
        assert!(dir.join("stopped").exists());
        sandbox.runtime().command(["state", container.id()]).fails();
        for options in [&[][..], &["--detach"]] {
            sandbox.runtime().run_with(&bundle, options).fails_with("poststart");
        }
        assert_eq!(fs::read_to_string(dir.join("stopped")).expect("the journal"), "poststop\n".repeat(3));
    });
}

#[test]
fn a_hook_that_hangs_is_killed_after_its_timeout() {
    sandbox(|sandbox| {
        if sandbox.peer_lacks(&[Family::Runc, Family::Crun], "a timeout while the state is written") {
            return;
        }
        let (mut bundle, dir) = journal(sandbox, sandbox.bundle());
        let mut slow = hook("createRuntime", &dir, "exec sleep 1000");
        slow["timeout"] = json!(1);
        // More state than a pipe holds, and nobody who reads it.
        bundle.spec["annotations"] = json!({ "big": "x".repeat(200_000) });
        bundle.spec["hooks"]["createRuntime"] = json!([slow]);
        sandbox.runtime().run(&bundle).fails();
        sandbox.assert_no_leaks();
    });
}

#[test]
fn a_missing_hook_program_is_named() {
    sandbox(|sandbox| {
        let bundle =
            sandbox.bundle().put("/hooks", json!({ "createRuntime": [{ "path": "/no/such/hook" }] }));
        sandbox.runtime().run(&bundle).fails_with("/no/such/hook");
        sandbox.assert_no_leaks();
    });
}

#[test]
fn a_hook_that_does_not_read_its_stdin_is_no_error() {
    sandbox(|sandbox| {
        if sandbox.peer_lacks(&[Family::Crun], "survival of a hook that does not read its stdin") {
            return;
        }
        let mut bundle = sandbox.bundle();
        // More than a pipe holds.
        bundle.spec["annotations"] = json!({ "big": "x".repeat(200_000) });
        bundle.spec["hooks"]["createRuntime"] = json!([{ "path": "/bin/true" }]);
        sandbox.runtime().run(&bundle).succeeds();
    });
}
