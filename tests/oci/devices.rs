//! `linux.devices`, the default devices and links, and the device cgroup.

use serde_json::json;
use taru_testkit::{Family, Sandbox, sandbox};

#[test]
fn the_default_devices_are_there_and_usable() {
    sandbox(|sandbox| {
        let bundle = sandbox.bundle().sh(
            "for d in null zero full random urandom tty; do stat -c '%n %F %t:%T %a %u:%g' /dev/$d; done; \
             echo x > /dev/null && head -c 3 /dev/zero | wc -c; echo x > /dev/full || echo full",
        );
        assert_eq!(
            sandbox.runtime().prints(&bundle),
            "/dev/null character special file 1:3 666 0:0\n\
             /dev/zero character special file 1:5 666 0:0\n\
             /dev/full character special file 1:7 666 0:0\n\
             /dev/random character special file 1:8 666 0:0\n\
             /dev/urandom character special file 1:9 666 0:0\n\
             /dev/tty character special file 5:0 666 0:0\n3\nfull"
        );
    });
}

#[test]
fn the_default_links_are_there() {
    sandbox(|sandbox| {
        let bundle =
            sandbox.bundle().sh("for l in fd stdin stdout stderr ptmx; do echo $l $(readlink /dev/$l); done");
        assert_eq!(
            sandbox.runtime().prints(&bundle),
            "fd /proc/self/fd\nstdin /proc/self/fd/0\nstdout /proc/self/fd/1\nstderr /proc/self/fd/2\nptmx pts/ptmx"
        );
    });
}

#[test]
fn listed_devices_are_made_with_mode_and_owner() {
    sandbox(|sandbox| {
        let bundle = sandbox
            .bundle()
            .put(
                "/linux/devices",
                json!([
                    { "path": "/dev/sub/char", "type": "c", "major": 1, "minor": 3, "fileMode": 0o640, "uid": 5, "gid": 6 },
                    { "path": "/dev/block", "type": "b", "major": 7, "minor": 9, "fileMode": 0o600 },
                    { "path": "/dev/pipe", "type": "p", "fileMode": 0o622, "uid": 1000, "gid": 1000 },
                    { "path": "/dev/unbuffered", "type": "u", "major": 1, "minor": 5, "fileMode": 0o666 },
                ]),
            )
            .sh("stat -c '%F %t:%T %a %u:%g' /dev/sub/char /dev/block /dev/pipe /dev/unbuffered");
        let output = sandbox.runtime().run(&bundle);
        if output.status != 0 && sandbox.peer_lacks(&[Family::Crun], "type `u`") {
            return;
        }
        assert_eq!(
            output.ok().text(),
            "character special file 1:3 640 5:6\n\
             block special file 7:9 600 0:0\n\
             fifo 0:0 622 1000:1000\n\
             character special file 1:5 666 0:0"
        );
    });
}

#[test]
fn a_device_of_an_unknown_type_is_refused() {
    sandbox(|sandbox| {
        if sandbox.peer_lacks(&[Family::Crun], "refusal of an unknown device type") {
            return;
        }
        let bundle = sandbox
            .bundle()
            .put("/linux/devices", json!([{ "path": "/dev/x", "type": "z", "major": 1, "minor": 3 }]));
        sandbox.runtime().run(&bundle).fails();
    });
}

#[test]
fn a_device_of_a_default_name_replaces_it() {
    sandbox(|sandbox| {
        if sandbox.peer_lacks(&[Family::Runc], "a listed /dev/null") {
            return;
        }
        let bundle = sandbox
            .bundle()
            .put(
                "/linux/devices",
                json!([{ "path": "/dev/null", "type": "c", "major": 1, "minor": 3, "fileMode": 0o600, "uid": 0, "gid": 0 }]),
            )
            .args(&["/bin/stat", "-c", "%t:%T", "/dev/null"]);
        assert_eq!(sandbox.runtime().prints(&bundle), "1:3");
    });
}

#[test]
fn default_devices_in_a_user_namespace() {
    sandbox(|sandbox| {
        // mknod is refused there: they are bound from the host.
        let bundle = sandbox
            .bundle()
            .user_namespace(100_000)
            .sh("echo x > /dev/null; head -c 2 /dev/zero | wc -c; stat -c %t:%T /dev/null");
        assert_eq!(sandbox.runtime().prints(&bundle), "2\n1:3");
    });
}

#[test]
fn listed_devices_in_a_user_namespace_have_their_mode_and_owner() {
    sandbox(|sandbox| {
        if sandbox.peer_lacks(&[Family::Runc], "listed devices in a user namespace") {
            return;
        }
        let devices = json!([
            { "path": "/dev/none/such", "type": "b", "major": 1, "minor": 5, "uid": 10, "gid": 11, "fileMode": 0o157 },
            { "path": "/dev/null", "type": "c", "major": 1, "minor": 3, "uid": 7, "fileMode": 0o622 },
        ]);
        let script = "stat -c '%t:%T %a %u:%g' /dev/none/such /dev/null; echo x >/dev/null && echo written; \
                      grep -c ' /dev ' /proc/self/mountinfo; ls /dev | grep -c '^[0-9]'";
        let bundle = sandbox.bundle().user_namespace(100_000).put("/linux/devices", devices).sh(script);
        assert_eq!(sandbox.runtime().run(&bundle).stdout, "1:5 157 10:11\n1:3 622 7:0\nwritten\n1\n0\n");
    });
}

/// A device whose node can always be made, and whose opening asks the device cgroup only: FUSE, 10:229.
const FUSE: &str = "dd if=/dev/fuse of=/dev/null count=0 2>/dev/null && echo opened || echo denied";

fn fuse_node() -> serde_json::Value {
    json!([{ "path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 0o666 }])
}

fn has_fuse(sandbox: &Sandbox) -> bool {
    let there = std::fs::File::open("/dev/fuse").is_ok();
    if !there {
        sandbox.skip("/dev/fuse");
    }
    there
}

#[test]
fn the_device_cgroup_denies_what_is_not_allowed() {
    sandbox(|sandbox| {
        if !has_fuse(sandbox) {
            return;
        }
        let deny_all = json!({ "allow": false, "access": "rwm" });
        let other = json!({ "allow": true, "type": "c", "major": 10, "minor": 228, "access": "rwm" });
        let denied = sandbox
            .bundle()
            .put("/linux/devices", fuse_node())
            .sh(FUSE)
            .put("/linux/resources/devices", json!([deny_all, other]));
        assert_eq!(sandbox.runtime().prints(&denied), "denied");
        let allow = json!({ "allow": true, "type": "c", "major": 10, "minor": 229, "access": "rw" });
        let allowed = denied.clone().put("/linux/resources/devices", json!([deny_all, allow]));
        assert_eq!(sandbox.runtime().prints(&allowed), "opened");
        // The last rule that matches counts.
        let deny = json!({ "allow": false, "type": "c", "major": 10, "minor": 229, "access": "rw" });
        let again = denied.put("/linux/resources/devices", json!([deny_all, allow, deny]));
        assert_eq!(sandbox.runtime().prints(&again), "denied");
    });
}

/// As runc's default rules have it: who holds CAP_MKNOD may make any node, and open none of them.
#[test]
fn nodes_may_be_made_and_not_opened() {
    sandbox(|sandbox| {
        if !has_fuse(sandbox) {
            return;
        }
        let bundle = sandbox
            .bundle()
            .writable()
            .capabilities(&["CAP_MKNOD"])
            .sh("mknod /fuse c 10 229 && mknod /loop b 7 200 && echo made; head -c 1 /fuse || head -c 1 /loop || echo denied");
        assert_eq!(sandbox.runtime().prints(&bundle), "made\ndenied");
    });
}

/// As runc and crun have it: programs for private networks make the node by themselves.
#[test]
fn tun_may_be_made_and_opened() {
    sandbox(|sandbox| {
        let bundle = sandbox
            .bundle()
            .writable()
            .capabilities(&["CAP_MKNOD"])
            .sh("mknod /tun c 10 200 && (exec < /tun) && echo opened");
        let output = sandbox.runtime().run(&bundle);
        // Where the kernel has no such driver that is what is said.
        assert!(output.stdout == "opened\n" || output.stderr.contains("No such device"), "{output:?}");
    });
}

#[test]
fn wildcards_of_the_device_cgroup() {
    sandbox(|sandbox| {
        if sandbox.peer_lacks(&[Family::Crun], "wildcard device rules on v1") {
            return;
        }
        if !has_fuse(sandbox) {
            return;
        }
        for (rule, seen) in [
            (json!({ "allow": true, "type": "c", "major": 10, "minor": -1, "access": "rw" }), "opened"),
            (json!({ "allow": true, "type": "c", "major": 10, "access": "rw" }), "opened"),
            (json!({ "allow": true, "type": "c", "access": "rw" }), "opened"),
            (json!({ "allow": true, "type": "b", "major": 10, "access": "rwm" }), "denied"),
            (json!({ "allow": true, "type": "c", "major": 10, "minor": 229, "access": "w" }), "denied"),
            (json!({ "allow": true, "type": "a", "access": "rwm" }), "opened"),
        ] {
            let bundle = sandbox
                .bundle()
                .put("/linux/devices", fuse_node())
                .put("/linux/resources/devices", json!([{ "allow": false, "access": "rwm" }, rule]))
                .sh(FUSE);
            assert_eq!(sandbox.runtime().prints(&bundle), seen, "{rule}");
        }
    });
}
