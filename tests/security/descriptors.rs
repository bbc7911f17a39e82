//! File descriptors that must not pass (T34-T38).

use std::fs;

use serde_json::json;
use taru_testkit::{Decoy, Invocation, Sandbox, eventually, sandbox_with_peers};

/// The invocation with the decoy's directory open as descriptors 3 to 18, not close-on-exec.
fn with_open_directories(decoy: &Decoy, invocation: Invocation) -> Invocation {
    // busybox ash opens numbers above 9 as well, unlike dash.
    let opens: String = (3..19).map(|fd| format!("exec {fd}<{};", decoy.path())).collect();
    invocation.under(["/bin/busybox", "sh", "-c", &format!("{opens} exec \"$@\""), "sh"])
}

/// What a program may hold: its three streams, and the directory it lists.
fn only_standard_streams(listing: &str, who: &str) {
    for line in listing.lines().filter(|line| !line.trim().is_empty()) {
        let (number, target) = line.split_once(' ').unwrap_or((line, ""));
        let own_listing = target.starts_with("/proc/") && target.ends_with("/fd");
        let is_standard = number.parse::<u32>().is_ok_and(|number| number <= 2);
        assert!(is_standard || own_listing, "{who} holds {line}\nof\n{listing}");
    }
}

#[test]
fn t34_cwd_through_an_inherited_directory() {
    sandbox_with_peers(|sandbox| {
        let decoy = sandbox.decoy();
        for number in 3..19 {
            for cwd in [format!("/proc/self/fd/{number}"), format!("/proc/self/fd/{number}/../../../..")] {
                let bundle = sandbox
                    .bundle()
                    .put("/process/cwd", json!(cwd))
                    .sh("cat secret; ls; ls ../../../..; cat ./run/taru-test/files/decoy/secret");
                let run = sandbox.runtime().invoke_run(&bundle, &[] as &[&str]);
                let output = with_open_directories(&decoy, run).output();
                decoy.assert_unseen(&output.stdout);
                assert!(!output.stdout.contains("taru-test"), "the host's directories: {}", output.stdout);
            }
        }
    });
}

#[test]
fn t34_exec_with_cwd_through_an_inherited_directory() {
    sandbox_with_peers(|sandbox| {
        let decoy = sandbox.decoy();
        let container = sandbox.runtime().start(&sandbox.bundle().idle());
        for number in 3..19 {
            let cwd = format!("/proc/self/fd/{number}");
            let exec =
                container.invoke_exec(&["--cwd", &cwd], ["/bin/sh", "-c", "cat secret; ls; ls ../../.."]);
            let output = with_open_directories(&decoy, exec).output();
            decoy.assert_unseen(&output.stdout);
            assert!(!output.stdout.contains("taru-test"), "the host's directories: {}", output.stdout);
        }
    });
}

#[test]
fn t35_inherited_descriptors_do_not_reach_the_program() {
    sandbox_with_peers(|sandbox| {
        let decoy = sandbox.decoy();
        let bundle = sandbox.bundle().args(&["/bin/probe", "fds"]);
        let run = sandbox.runtime().invoke_run(&bundle, &[] as &[&str]);
        let output = with_open_directories(&decoy, run).output().ok();
        only_standard_streams(&output.stdout, "the program");
        assert_eq!(output.stdout.lines().count(), 3, "{}", output.stdout);
    });
}

#[test]
fn t36_nor_exec_nor_hooks_nor_a_waiting_init() {
    sandbox_with_peers(|sandbox| {
        let decoy = sandbox.decoy();
        let journal = sandbox.dir().join("journal");
        fs::create_dir_all(&journal).expect("make a directory");
        let path = journal.to_str().expect("a plain path").to_owned();
        let mut bundle = sandbox.bundle().idle().mount("/journal", "bind", &path, &["bind"]);
        let names =
            ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];
        for name in names {
            let place = if name == "startContainer" { "/journal" } else { path.as_str() };
            let script =
                format!("for f in /proc/self/fd/*; do echo ${{f##*/}} $(readlink $f); done > {place}/{name}");
            bundle.spec["hooks"][name] = json!([{
                "path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/usr/bin:/bin"],
            }]);
        }
        bundle.write();
        let id = sandbox.runtime().fresh_id();
        let container = taru_testkit::Container::new(sandbox.runtime(), &id);
        let create = sandbox.runtime().invoke(["create", "--bundle"]).arg(bundle.dir()).arg(&id);
        with_open_directories(&decoy, create).output().succeeds();
        // The waiting init holds nothing of ours either.
        for entry in
            fs::read_dir(format!("/proc/{}/fd", container.pid())).expect("descriptors of init").flatten()
        {
            let target = fs::read_link(entry.path()).unwrap_or_default();
            assert!(!target.starts_with(decoy.dir()), "init holds {}", target.display());
        }
        with_open_directories(&decoy, sandbox.runtime().invoke(["start", &id])).output().succeeds();
        let exec = container.invoke_exec(&[], ["/bin/probe", "fds"]);
        only_standard_streams(&with_open_directories(&decoy, exec).output().ok().stdout, "exec");
        with_open_directories(&decoy, sandbox.runtime().invoke(["delete", "--force", &id]))
            .output()
            .succeeds();
        for name in names {
            let listing = fs::read_to_string(journal.join(name)).unwrap_or_default();
            assert!(!listing.contains(decoy.path()), "{name} holds the decoy: {listing}");
            // A shell has its script or a saved descriptor at 10 and above; nothing may lie between.
            let passed = listing.lines().filter_map(|line| line.split(' ').next()?.parse::<u32>().ok());
            let foreign: Vec<u32> = passed.filter(|fd| (3..10).contains(fd)).collect();
            let shown: Vec<&str> = listing.lines().collect();
            assert!(foreign.len() <= 1, "{name} holds {shown:?}");
        }
    });
}

#[test]
fn t36_rootfs_and_state_descriptors_do_not_pass() {
    sandbox_with_peers(|sandbox| {
        let container = sandbox.runtime().start(&sandbox.bundle().idle());
        let links = |sandbox: &Sandbox| {
            let ls = sandbox.runtime().beside(["ls", "-l"]).arg(format!("/proc/{}/fd", container.pid()));
            ls.output().ok().stdout
        };
        // execve(2) closes them one by one, and the start is over with the first.
        for forbidden in ["rootfs", "/proc/", "cgroup", "fifo", "memfd", "socket:"] {
            eventually(&format!("the program holds no {forbidden}"), || !links(sandbox).contains(forbidden));
        }
    });
}

#[test]
fn t37_nothing_grows_over_many_rounds() {
    sandbox_with_peers(|sandbox| {
        for _ in 0..sandbox.tries(20, 200) {
            let container = sandbox.runtime().start(&sandbox.bundle().idle());
            container.exec(["/bin/true"]).succeeds();
            container.delete_force().succeeds();
        }
        sandbox.assert_no_leaks();
    });
}

#[test]
fn t38_no_abstract_socket_is_reachable() {
    sandbox_with_peers(|sandbox| {
        // The host's network namespace is where abstract names live.
        let bundle = sandbox.bundle().without_namespace("network").args(&["/bin/cat", "/proc/net/unix"]);
        let output = sandbox.runtime().run(&bundle).ok();
        let abstract_names: Vec<&str> = output.stdout.lines().filter(|line| line.contains(" @")).collect();
        assert!(abstract_names.is_empty(), "{abstract_names:?}");
    });
}
