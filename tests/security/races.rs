//! Names swapped under the runtime's feet (T21, T29): `renameat2(RENAME_EXCHANGE)` in a loop, against as
//! many starts as time allows (`TARU_TEST_FULL=1`: 2000).

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::json;
use taru_testkit::{Running, Sandbox, probe, sandbox_with_peers};

fn swap(sandbox: &Sandbox, a: &std::path::Path, b: &std::path::Path) -> Running {
    sandbox.runtime().beside([probe()]).arg("swap").arg(a).arg(b).spawn()
}

/// CVE-2021-30465: a volume shared with a running container, which swaps a directory of it with a
/// symlink while another container is started with a mount below it.
#[test]
fn t21_mount_point_in_a_shared_volume_is_swapped() {
    sandbox_with_peers(|sandbox| {
        let decoy = sandbox.decoy();
        let volume = sandbox.dir().join("volume");
        fs::create_dir_all(volume.join("dir")).expect("make a directory");
        symlink(decoy.dir(), volume.join("link")).expect("make a symlink");
        let volume_path = volume.to_str().expect("a plain path");
        // The attacker is a container: it holds nothing but the volume.
        let attacker = sandbox.bundle().mount("/vol", "bind", volume_path, &["rbind"]).args(&[
            "/bin/probe",
            "swap",
            "/vol/dir",
            "/vol/link",
        ]);
        let attacker = sandbox.runtime().start(&attacker);
        let payload = sandbox.dir().join("payload");
        fs::create_dir_all(&payload).expect("make a directory");
        let victim = sandbox
            .bundle()
            .mount("/vol", "bind", volume_path, &["rbind"])
            .mount("/vol/dir", "tmpfs", "tmpfs", &[])
            .mount("/vol/dir/below", "bind", payload.to_str().expect("a plain path"), &["rbind"])
            .sh("cut -d' ' -f5 /proc/self/mountinfo; cat /vol/*/secret");
        let before = fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
        let mut ran = 0;
        for _ in 0..sandbox.tries(60, 2000) {
            let output = sandbox.runtime().run(&victim);
            decoy.assert_unseen(&output.stdout);
            if output.status == 0 || !output.stdout.is_empty() {
                ran += 1;
                for place in output.stdout.lines().filter(|line| line.starts_with('/')) {
                    let known = ["/", "/proc", "/dev", "/sys", "/vol", "/run/taru-test"].iter().any(|root| {
                        place == *root
                            || place.starts_with(&format!("{}/", root.trim_end_matches('/'))) && *root != "/"
                    });
                    assert!(known, "a mount where none was asked for: {place}");
                }
            }
        }
        assert_eq!(fs::read_to_string("/proc/self/mountinfo").expect("mountinfo"), before);
        attacker.delete_force().succeeds();
        // Refusing some is right; refusing all would test nothing.
        assert!(ran > 0, "no victim ever ran");
    });
}

/// The same with the destination's last part a file, and the link pointing at the secret itself.
#[test]
fn t21_file_mount_point_is_swapped() {
    sandbox_with_peers(|sandbox| {
        let decoy = sandbox.decoy();
        let volume = sandbox.dir().join("volume");
        fs::create_dir_all(&volume).expect("make a directory");
        fs::write(volume.join("file"), "").expect("write a file");
        symlink(decoy.secret(), volume.join("link")).expect("make a symlink");
        let source = sandbox.dir().join("source");
        fs::write(&source, "source").expect("write a file");
        let victim = sandbox
            .bundle()
            .mount("/vol", "bind", volume.to_str().expect("a plain path"), &["rbind"])
            .mount("/vol/file", "bind", source.to_str().expect("a plain path"), &["bind"])
            .sh("cat /vol/file /vol/link");
        let mut swapper = swap(sandbox, &volume.join("file"), &volume.join("link"));
        for _ in 0..sandbox.tries(60, 2000) {
            let output = sandbox.runtime().run(&victim);
            decoy.assert_unseen(&output.stdout);
            assert_eq!(fs::read_to_string(&source).expect("the source"), "source");
        }
        swapper.kill();
        let _ = swapper.wait();
    });
}

/// The root file system itself swapped with a symlink to the host's root while containers start.
#[test]
fn t21_bind_source_is_swapped() {
    sandbox_with_peers(|sandbox| {
        let decoy = sandbox.decoy();
        let dir = sandbox.dir();
        fs::create_dir_all(dir.join("sources/real")).expect("make a directory");
        symlink(decoy.dir(), dir.join("sources/link")).expect("make a symlink");
        let victim = sandbox.bundle().writable();
        fs::create_dir_all(victim.rootfs().join("data")).expect("make a directory");
        symlink(decoy.dir(), victim.rootfs().join("data-link")).expect("make a symlink");
        let victim =
            victim.mount("/data/mnt", "tmpfs", "tmpfs", &[]).sh("cat /data/secret /data-link/secret");
        let mut swapper = swap(sandbox, &victim.rootfs().join("data"), &victim.rootfs().join("data-link"));
        for _ in 0..sandbox.tries(60, 2000) {
            let output = sandbox.runtime().run(&victim);
            decoy.assert_unseen(&output.stdout);
        }
        swapper.kill();
        let _ = swapper.wait();
    });
}

/// CVE-2016-9962: a container that may trace others watches for the processes of `exec` and looks for the host's
/// root through them.
#[test]
fn t35_exec_is_not_a_way_to_the_hosts_root() {
    sandbox_with_peers(|sandbox| {
        let decoy = sandbox.decoy();
        let dir = sandbox.dir().join("seen");
        fs::create_dir_all(&dir).expect("make a directory");
        let spy = format!(
            "while :; do for p in /proc/[0-9]*; do read x < $p/root{} && echo $x >> /seen/secret; done; done 2>/dev/null",
            decoy.secret().display()
        );
        let bundle = sandbox
            .bundle()
            .mount("/seen", "bind", dir.to_str().expect("a plain path"), &["bind"])
            .capabilities(&["CAP_SYS_PTRACE"])
            .sh(&spy);
        let container = sandbox.runtime().start(&bundle);
        for _ in 0..sandbox.tries(30, 1000) {
            container.exec(["/bin/true"]).succeeds();
        }
        assert!(!dir.join("secret").exists(), "the container read a file of the host");
        container.delete_force().succeeds();
    });
}

/// CVE-2025-52565: the console's mount point and the terminal's name swapped while `run -t` starts.
#[test]
fn t29_console_is_swapped() {
    sandbox_with_peers(|sandbox| {
        let decoy = sandbox.decoy();
        let volume = sandbox.dir().join("dev");
        fs::create_dir_all(volume.join("pts")).expect("make a directory");
        fs::write(volume.join("console"), "").expect("write a file");
        symlink(decoy.secret(), volume.join("link")).expect("make a symlink");
        let bundle = sandbox.bundle().edit(|spec| {
            spec["process"]["terminal"] = json!(true);
            let mounts = spec["mounts"].as_array_mut().expect("mounts");
            for mount in mounts.iter_mut().filter(|mount| mount["destination"] == "/dev") {
                *mount =
                    json!({ "destination": "/dev", "type": "bind", "source": volume, "options": ["rbind"] });
            }
        });
        let bundle = bundle.sh("stat -Lc console:%t /proc/self/fd/0; echo x > /dev/console");
        let mut swapper = swap(sandbox, &volume.join("console"), &volume.join("link"));
        let probe = probe().to_str().expect("a plain path").to_owned();
        for _ in 0..sandbox.tries(40, 2000) {
            let run = sandbox.runtime().invoke_run(&bundle, &[] as &[&str]);
            let output = run.under([probe.as_str(), "pty", "24", "80"]).output();
            decoy.assert_unseen(&output.stdout);
            if let Some(line) = output.stdout.lines().find(|line| line.starts_with("console:")) {
                assert_eq!(line.trim(), "console:88", "standard input is no devpts terminal (major 136)");
            }
        }
        swapper.kill();
        let _ = swapper.wait();
    });
}
