//! The network namespace: loopback, and `linux.netDevices` moved in.

use serde_json::json;
use taru_testkit::{Family, Sandbox, sandbox};

fn host(sandbox: &Sandbox, args: &[&str]) -> taru_testkit::Output {
    sandbox.runtime().beside(args.iter().copied()).output()
}

#[test]
fn loopback_of_a_new_network_namespace_is_up() {
    sandbox(|sandbox| {
        let bundle =
            sandbox.bundle().sh("ip -o link show lo; ip -o addr show lo; tail -n +3 /proc/net/dev | wc -l");
        let output = sandbox.runtime().run(&bundle).ok();
        assert!(output.stdout.contains("LOOPBACK,UP"), "{}", output.stdout);
        assert!(output.stdout.contains("127.0.0.1/8"), "{}", output.stdout);
    });
}

#[test]
fn net_devices_are_moved_and_renamed() {
    sandbox(|sandbox| {
        if sandbox.peer_lacks(&[Family::Runc, Family::Crun], "linux.netDevices") {
            return;
        }
        // Every kernel that runs containers has veth pairs; not all have dummy devices.
        host(sandbox, &["ip", "link", "add", "ttdev0", "type", "veth", "peer", "name", "ttdev1"]).succeeds();
        host(sandbox, &["busybox", "ip", "addr", "add", "192.0.2.7/24", "dev", "ttdev0"]).succeeds();
        let bundle = sandbox
            .bundle()
            .put("/linux/netDevices", json!({ "ttdev0": { "name": "inside0" } }))
            .sh("ip -o addr show inside0; ip -o link show inside0");
        let output = sandbox.runtime().run(&bundle).ok();
        assert!(output.stdout.contains("192.0.2.7/24"), "addresses are kept: {}", output.stdout);
        // The device went into the namespace, and ended with it.
        assert!(host(sandbox, &["busybox", "ip", "link", "show", "ttdev0"]).status != 0);
    });
}

#[test]
fn a_net_device_named_by_a_template_gets_the_first_free_name() {
    sandbox(|sandbox| {
        if sandbox.peer_lacks(&[Family::Runc, Family::Crun], "linux.netDevices") {
            return;
        }
        host(sandbox, &["ip", "link", "add", "ttdev0", "type", "veth", "peer", "name", "ttdev1"]).succeeds();
        let devices = json!({ "ttdev0": { "name": "eth%d" }, "ttdev1": { "name": "eth%d" } });
        let bundle =
            sandbox.bundle().put("/linux/netDevices", devices).sh("ip -o link | cut -d: -f2 | cut -d@ -f1");
        let output = sandbox.runtime().run(&bundle).ok();
        let mut names: Vec<&str> = output.stdout.split_whitespace().collect();
        names.sort_unstable();
        assert_eq!(names, ["eth0", "eth1", "lo"]);
    });
}

#[test]
fn net_devices_come_back_when_create_fails() {
    sandbox(|sandbox| {
        if sandbox.peer_lacks(&[Family::Runc, Family::Crun], "linux.netDevices") {
            return;
        }
        host(sandbox, &["ip", "link", "add", "ttdev0", "type", "veth", "peer", "name", "ttdev1"]).succeeds();
        host(sandbox, &["busybox", "ip", "addr", "add", "192.0.2.7/24", "dev", "ttdev0"]).succeeds();
        host(sandbox, &["busybox", "ip", "link", "set", "ttdev1", "up"]).succeeds();
        let devices = json!({ "ttdev0": { "name": "inside0" }, "ttdev1": {} });
        for hook in ["createRuntime", "createContainer"] {
            let bundle = sandbox
                .bundle()
                .put("/linux/netDevices", devices.clone())
                .put("/hooks", json!({ hook: [{ "path": "/bin/false" }] }));
            sandbox.runtime().run(&bundle).fails_with(hook);
            let first = host(sandbox, &["busybox", "ip", "addr", "show", "ttdev0"]).ok();
            assert!(first.stdout.contains("192.0.2.7/24"), "{hook}: {}", first.stdout);
            assert!(!first.stdout.contains(",UP"), "{hook}: {}", first.stdout);
            let second = host(sandbox, &["busybox", "ip", "link", "show", "ttdev1"]).ok();
            assert!(second.stdout.contains(",UP"), "{hook}: {}", second.stdout);
        }
        host(sandbox, &["busybox", "ip", "link", "del", "ttdev0"]).succeeds();
    });
}

#[test]
fn a_net_device_that_is_not_there_is_named() {
    sandbox(|sandbox| {
        if sandbox.peer_lacks(&[Family::Runc, Family::Crun], "linux.netDevices") {
            return;
        }
        let bundle = sandbox.bundle().put("/linux/netDevices", json!({ "nosuch0": {} }));
        sandbox.runtime().run(&bundle).fails_with("nosuch0");
        sandbox.assert_no_leaks();
    });
}

#[test]
fn net_devices_without_a_network_namespace_are_refused() {
    sandbox(|sandbox| {
        if sandbox.peer_lacks(&[Family::Runc, Family::Crun], "linux.netDevices") {
            return;
        }
        let bundle =
            sandbox.bundle().without_namespace("network").put("/linux/netDevices", json!({ "lo": {} }));
        sandbox.runtime().run(&bundle).fails();
    });
}
