//! Mounts that stay and process ids that come back (R31, R35).

use std::fs;
use std::os::unix::process::ExitStatusExt;

use serde_json::json;
use taru_testkit::{Container, eventually, probe, sandbox_with_peers};

#[test]
fn r31_no_mount_stays_whatever_the_propagation() {
    sandbox_with_peers(|sandbox| {
        let run = |args: &[&str]| sandbox.runtime().beside(args.iter().copied()).output().succeeds();
        let top = sandbox.dir().join("top");
        fs::create_dir_all(&top).expect("make a directory");
        let top_path = top.to_str().expect("a plain path");
        run(&["mount", "-t", "tmpfs", "top", top_path]);
        run(&["mount", "--make-rshared", top_path]);
        let before = fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
        for propagation in ["", "private", "rprivate", "slave", "rslave", "shared", "rshared", "unbindable"] {
            let bundle = sandbox.bundle();
            let rootfs = top.join(format!("rootfs-{propagation}"));
            run(&[
                "cp",
                "-a",
                bundle.rootfs().to_str().expect("a plain path"),
                rootfs.to_str().expect("a plain path"),
            ]);
            let bundle = bundle
                .put("/root/path", json!(rootfs))
                .put("/linux/rootfsPropagation", json!(propagation))
                .mount("/mnt", "tmpfs", "tmpfs", &[])
                .mount("/mnt/inner", "bind", top_path, &["rbind", "rshared"]);
            sandbox.runtime().run(&bundle);
            let (container, _) = sandbox.runtime().try_create(&bundle.idle(), &[] as &[&str]);
            sandbox.runtime().command(["start", container.id()]);
            drop(container);
            let after = fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
            assert_eq!(after, before, "rootfsPropagation `{propagation}`");
        }
        run(&["umount", top_path]);
    });
}

#[test]
fn r31_a_busy_rootfs_can_be_removed_after_delete() {
    sandbox_with_peers(|sandbox| {
        let bundle = sandbox.bundle().idle();
        let container = sandbox.runtime().start(&bundle);
        let busy = fs::File::open(bundle.rootfs().join("bin/busybox")).expect("open a file");
        container.delete_force().succeeds();
        drop(busy);
        fs::remove_dir_all(bundle.rootfs()).expect("nothing is mounted below it");
    });
}

#[test]
fn r31_failing_creates_leave_no_mount() {
    sandbox_with_peers(|sandbox| {
        let before = fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
        for _ in 0..sandbox.tries(10, 100) {
            let bundle = sandbox.bundle().mount("/mnt", "tmpfs", "tmpfs", &[]).mount(
                "/mnt/x",
                "bind",
                "/no/such/source",
                &["bind"],
            );
            sandbox.runtime().run(&bundle).fails();
        }
        assert_eq!(fs::read_to_string("/proc/self/mountinfo").expect("mountinfo"), before);
        sandbox.assert_no_leaks();
    });
}

/// The container's init is gone and its number given to a stranger: no verb may touch the stranger.
#[test]
fn r35_a_recycled_pid_is_a_stranger() {
    sandbox_with_peers(|sandbox| {
        let container = sandbox.runtime().start(&sandbox.bundle().idle());
        let pid = container.pid().to_string();
        container.kill("KILL").succeeds();
        eventually("init is reaped", || fs::metadata(format!("/proc/{pid}")).is_err());
        let stranger =
            sandbox.runtime().beside([probe()]).arg("as-pid").arg(&pid).arg("/bin/sleep").arg("1000");
        let mut stranger = stranger.spawn();
        eventually("the stranger runs", || {
            let comm = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            stranger.try_status().is_some() || comm.trim() == "sleep"
        });
        if stranger.try_status().is_some() {
            return sandbox.skip("clone3 with a chosen pid");
        }
        assert_eq!(container.status(), "stopped", "a stranger is taken for init");
        container.kill("TERM");
        container.exec(["/bin/true"]);
        sandbox.runtime().command(["pause", container.id()]);
        sandbox.runtime().command(["resume", container.id()]);
        sandbox.runtime().command(["ps", container.id()]);
        container.delete_force().succeeds();
        assert!(fs::metadata(format!("/proc/{pid}")).is_ok(), "the stranger was killed");
        let kill = sandbox.runtime().beside(["kill", "-9", &pid]).output();
        kill.succeeds();
        assert_eq!(stranger.wait().status, 128 + 9);
        sandbox.assert_no_leaks();
    });
}

/// As above for a container that was only created.
#[test]
fn r35_start_after_init_died_and_its_pid_came_back() {
    sandbox_with_peers(|sandbox| {
        let container: Container<'_> = sandbox.runtime().create(&sandbox.bundle().idle());
        let pid = container.pid().to_string();
        sandbox.runtime().beside(["kill", "-9", &pid]).output().succeeds();
        eventually("init is reaped", || fs::metadata(format!("/proc/{pid}")).is_err());
        let stranger =
            sandbox.runtime().beside([probe()]).arg("as-pid").arg(&pid).arg("/bin/sleep").arg("1000");
        let mut stranger = stranger.spawn();
        eventually("the stranger runs", || {
            let comm = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            stranger.try_status().is_some() || comm.trim() == "sleep"
        });
        if let Some(status) = stranger.try_status() {
            assert!(status.signal().is_none());
            return sandbox.skip("clone3 with a chosen pid");
        }
        sandbox.runtime().command(["start", container.id()]).fails();
        container.delete_force().succeeds();
        assert!(fs::metadata(format!("/proc/{pid}")).is_ok(), "the stranger was killed");
        sandbox.runtime().beside(["kill", "-9", &pid]).output().succeeds();
        let _ = stranger.wait();
        sandbox.assert_no_leaks();
    });
}
