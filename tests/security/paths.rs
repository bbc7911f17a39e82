//! Paths that lead out of the root file system (T19, T20, T23-T28, T30, T31).

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::json;
use taru_testkit::{Bundle, Sandbox, sandbox_with_peers};

fn without_mount(bundle: Bundle, destination: &str) -> Bundle {
    bundle.edit(|spec| {
        let mounts = spec["mounts"].as_array_mut().expect("mounts");
        mounts.retain(|mount| !mount["destination"].as_str().unwrap_or("").starts_with(destination));
    })
}

/// Replaces a directory of the root file system by a symlink to the decoy.
fn replace_by_symlink(bundle: &Bundle, name: &str, target: &str) {
    let place = bundle.rootfs().join(name);
    fs::remove_dir_all(&place).expect("remove the directory");
    symlink(target, place).expect("make the symlink");
}

#[test]
fn t19_mount_destination_with_dot_dot() {
    sandbox_with_peers(|sandbox| {
        let decoy = sandbox.decoy();
        let up = "/../../../../../../..";
        for destination in [
            format!("{up}{}/x", decoy.path()),
            format!("{up}{}", decoy.path()),
            format!("/mnt{up}{}", decoy.path()),
        ] {
            let bundle = sandbox
                .bundle()
                .writable()
                .mount(&destination, "tmpfs", "tmpfs", &[])
                .sh("cat /proc/self/mountinfo");
            let output = sandbox.runtime().run(&bundle);
            decoy.assert_unseen(&output.stdout);
        }
    });
}

#[test]
fn t20_mount_destination_through_symlinks() {
    sandbox_with_peers(|sandbox| {
        let decoy = sandbox.decoy();
        let up = format!("../../../../../../../..{}", decoy.path());
        for target in [decoy.path(), &up] {
            for destination in ["/link", "/link/new", "/link/deep/new", "/link/secret"] {
                let source = sandbox.dir().join("source");
                fs::create_dir_all(&source).expect("make a directory");
                let bundle = sandbox.bundle().writable();
                symlink(target, bundle.rootfs().join("link")).expect("make a symlink");
                let tmpfs = bundle.clone().mount(destination, "tmpfs", "tmpfs", &[]).sh("cat /link/secret");
                decoy.assert_unseen(&sandbox.runtime().run(&tmpfs).stdout);
                let source = source.to_str().expect("a plain path");
                let bind = bundle.mount(destination, "bind", source, &["rbind"]).sh("cat /link/secret");
                decoy.assert_unseen(&sandbox.runtime().run(&bind).stdout);
            }
        }
    });
}

#[test]
fn t20_file_mounts_and_devices_through_symlinks() {
    sandbox_with_peers(|sandbox| {
        let decoy = sandbox.decoy();
        let file = sandbox.dir().join("plain");
        fs::write(&file, "plain").expect("write a file");
        let bundle = sandbox.bundle().writable();
        symlink(decoy.dir(), bundle.rootfs().join("link")).expect("make a symlink");
        symlink(decoy.secret(), bundle.rootfs().join("direct")).expect("make a symlink");
        symlink(decoy.dir().join("absent"), bundle.rootfs().join("dangling")).expect("make a symlink");
        for destination in ["/link/new-file", "/link/secret", "/direct", "/dangling"] {
            let source = file.to_str().expect("a plain path");
            let with_bind = bundle.clone().mount(destination, "bind", source, &["bind"]);
            decoy.assert_unseen(&sandbox.runtime().run(&with_bind).stdout);
            let devices =
                json!([{ "path": destination, "type": "c", "major": 1, "minor": 3, "fileMode": 0o666 }]);
            let with_device = without_mount(bundle.clone(), "/dev").put("/linux/devices", devices);
            decoy.assert_unseen(&sandbox.runtime().run(&with_device).stdout);
        }
    });
}

#[test]
fn t20_masked_and_read_only_paths_through_symlinks() {
    sandbox_with_peers(|sandbox| {
        let decoy = sandbox.decoy();
        let bundle = sandbox.bundle().writable();
        symlink(decoy.dir(), bundle.rootfs().join("link")).expect("make a symlink");
        let paths = json!(["/link", "/link/secret", format!("/../../../../..{}", decoy.path())]);
        let idle = bundle.put("/linux/maskedPaths", paths.clone()).put("/linux/readonlyPaths", paths).idle();
        let (container, output) = sandbox.runtime().try_create(&idle, &[] as &[&str]);
        // Neither masked nor read-only for the host.
        fs::write(decoy.dir().join("probe"), "x").expect("the host still writes its own");
        fs::remove_file(decoy.dir().join("probe")).expect("and removes");
        assert_eq!(
            fs::read_to_string(decoy.secret()).expect("the host still reads"),
            "the secret of the host"
        );
        if output.status == 0 {
            container.delete_force().succeeds();
        }
    });
}

#[test]
fn t20_cwd_through_a_symlink_is_made_inside() {
    sandbox_with_peers(|sandbox| {
        let decoy = sandbox.decoy();
        for cwd in ["/link/new/dir", "/link", &format!("/../../../../..{}/made", decoy.path())] {
            let bundle = sandbox.bundle().writable().put("/process/cwd", json!(cwd)).sh("cat secret; pwd");
            symlink(decoy.dir(), bundle.rootfs().join("link")).expect("make a symlink");
            let output = sandbox.runtime().run(&bundle);
            decoy.assert_unseen(&output.stdout);
        }
    });
}

#[test]
fn t23_bind_source_is_pinned_at_create() {
    sandbox_with_peers(|sandbox| {
        let decoy = sandbox.decoy();
        let source = sandbox.dir().join("source");
        fs::create_dir_all(&source).expect("make a directory");
        fs::write(source.join("secret"), "harmless").expect("write a file");
        let out = sandbox.bundle().writable().mount(
            "/mnt",
            "bind",
            source.to_str().expect("a plain path"),
            &["rbind"],
        );
        let bundle = out.sh("cat /mnt/secret > /seen; echo changed > /mnt/secret");
        let container = sandbox.runtime().create(&bundle);
        fs::rename(&source, sandbox.dir().join("moved")).expect("move the source away");
        symlink(decoy.dir(), &source).expect("put a symlink in its place");
        container.start();
        container.wait_stopped();
        assert_eq!(fs::read_to_string(bundle.rootfs().join("seen")).expect("it ran"), "harmless");
        decoy.assert_untouched();
    });
}

#[test]
fn t24_dev_is_a_symlink_and_nothing_mounted_there() {
    sandbox_with_peers(|sandbox| {
        let decoy = sandbox.decoy();
        let bundle = without_mount(sandbox.bundle().writable(), "/dev").sh("ls /dev/; cat /dev/secret");
        replace_by_symlink(&bundle, "dev", decoy.path());
        let output = sandbox.runtime().run(&bundle);
        decoy.assert_unseen(&output.stdout);
    });
}

#[test]
fn t25_dev_is_a_symlink_below_a_tmpfs() {
    sandbox_with_peers(|sandbox| {
        let decoy = sandbox.decoy();
        let bundle = sandbox.bundle().writable().sh("cat /dev/secret");
        replace_by_symlink(&bundle, "dev", decoy.path());
        let output = sandbox.runtime().run(&bundle);
        decoy.assert_unseen(&output.stdout);
    });
}

#[test]
fn t25_pts_and_shm_are_symlinks() {
    sandbox_with_peers(|sandbox| {
        let decoy = sandbox.decoy();
        for name in ["dev/pts", "dev/shm", "dev/mqueue"] {
            // A /dev that is a volume, so that what lies in it is the attacker's.
            let volume = sandbox.dir().join("volume");
            let _ = fs::remove_dir_all(&volume);
            fs::create_dir_all(&volume).expect("make a directory");
            symlink(decoy.dir(), volume.join(&name[4..])).expect("make a symlink");
            let bundle = sandbox.bundle().writable().edit(|spec| {
                let mounts = spec["mounts"].as_array_mut().expect("mounts");
                for mount in mounts.iter_mut().filter(|mount| mount["destination"] == "/dev") {
                    *mount = json!({ "destination": "/dev", "type": "bind", "source": volume, "options": ["rbind"] });
                }
            });
            let output = sandbox.runtime().run(&bundle.sh("cat /dev/*/secret"));
            decoy.assert_unseen(&output.stdout);
        }
    });
}

#[test]
fn t26_proc_is_a_symlink() {
    sandbox_with_peers(|sandbox| {
        let decoy = sandbox.decoy();
        for target in [decoy.path(), "/tmp", "."] {
            let bundle = sandbox.bundle().writable();
            replace_by_symlink(&bundle, "proc", target);
            sandbox.runtime().run(&bundle).fails();
            decoy.assert_untouched();
            assert_eq!(fs::read_dir(bundle.rootfs().join("tmp")).expect("list /tmp").count(), 0);
        }
    });
}

#[test]
fn t27_fake_proc_does_not_receive_sysctls() {
    sandbox_with_peers(|sandbox| {
        // The namespace is another container's, so that its true value can be read there.
        let holder = sandbox.runtime().start(&sandbox.bundle().idle());
        let fake = sandbox.dir().join("fake-proc");
        fs::create_dir_all(fake.join("sys/net/ipv4")).expect("make directories");
        fs::create_dir_all(fake.join("self/attr")).expect("make directories");
        let file = fake.join("sys/net/ipv4/ip_forward");
        fs::write(&file, "fake").expect("write a file");
        fs::write(fake.join("self/attr/exec"), "fake").expect("write a file");
        let bundle = sandbox
            .bundle()
            .namespace("network", Some(&format!("/proc/{}/ns/net", holder.pid())))
            .mount("/proc", "bind", fake.to_str().expect("a plain path"), &["rbind"])
            .put("/linux/sysctl", json!({ "net.ipv4.ip_forward": "1" }));
        let output = sandbox.runtime().run(&bundle);
        assert_eq!(fs::read_to_string(&file).expect("the fake"), "fake", "the sysctl went to the fake");
        assert_eq!(fs::read_to_string(fake.join("self/attr/exec")).expect("the fake"), "fake");
        if output.status == 0 {
            let seen = holder.exec(["/bin/cat", "/proc/sys/net/ipv4/ip_forward"]).ok();
            assert_eq!(seen.text(), "1", "the sysctl was applied to nothing");
        }
    });
}

#[test]
fn t28_the_containers_dev_null_is_no_mask() {
    sandbox_with_peers(|sandbox| {
        for symlinked in [false, true] {
            let bundle = without_mount(sandbox.bundle().writable(), "/dev")
                .file("masked", "original", 0o666)
                .file("evil", "evil", 0o666)
                .put("/linux/maskedPaths", json!(["/masked"]))
                .sh("cat /masked; echo written > /masked");
            if symlinked {
                symlink("/evil", bundle.rootfs().join("dev/null")).expect("make a symlink");
            } else {
                fs::write(bundle.rootfs().join("dev/null"), "evil").expect("write a file");
            }
            let output = sandbox.runtime().run(&bundle);
            assert!(!output.stdout.contains("evil"), "masked by the container's own file");
            assert!(!output.stdout.contains("original") || output.status != 0, "not masked");
            assert_eq!(fs::read_to_string(bundle.rootfs().join("evil")).expect("the file"), "evil");
            assert_eq!(fs::read_to_string(bundle.rootfs().join("masked")).expect("the file"), "original");
        }
    });
}

#[test]
fn t30_sys_is_a_symlink() {
    sandbox_with_peers(|sandbox| {
        let decoy = sandbox.decoy();
        let bundle = sandbox.bundle().writable();
        replace_by_symlink(&bundle, "sys", decoy.path());
        let output = sandbox.runtime().run(&bundle.sh("ls /sys/"));
        assert!(output.status != 0, "a /sys that is a symlink is refused");
        decoy.assert_untouched();
    });
}

fn refused(sandbox: &Sandbox, bundle: &Bundle, script: &str) {
    let output = sandbox.runtime().run(&bundle.clone().sh(&format!("{script} && echo DONE; true")));
    assert!(!output.stdout.contains("DONE"), "`{script}` succeeded: {}", output.stdout);
}

#[test]
fn t31_masks_cannot_be_taken_off() {
    sandbox_with_peers(|sandbox| {
        let bundle = sandbox.bundle().put("/linux/maskedPaths", json!(["/secret", "/etc/passwd"]));
        let bundle = bundle.file("secret/file", "hidden", 0o644);
        for script in [
            "umount /secret",
            "umount /etc/passwd",
            "mount -t tmpfs none /secret",
            "mount --bind /tmp /secret",
            "mount -o remount,rw /secret",
            "mount -o move /secret /mnt",
            "umount /proc",
            "umount -l /proc/kcore",
            "mount -o remount,rw,bind /proc/sys",
        ] {
            refused(sandbox, &bundle, script);
        }
        // A user namespace of one's own gives the capability, but what was mounted before is locked.
        for script in [
            "unshare -U -r -m sh -c 'umount /secret && cat /secret/file'",
            "unshare -U -r -m sh -c 'umount -l /secret && cat /secret/file'",
            "unshare -U -r -m sh -c 'umount /proc/kcore'",
            "unshare -U -r -m sh -c 'mount -o remount,rw,bind /proc/sys'",
        ] {
            refused(sandbox, &bundle, script);
        }
    });
}
