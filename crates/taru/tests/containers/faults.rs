//! Kills, damage and reboots: what runs on, what ends, and that nothing stays.

use std::fs;
use std::path::Path;
use std::process::Command;

use taru_testkit::{eventually, sandbox};

use crate::harness::{Taru, kill};

#[test]
fn a_killed_supervisor_leaves_no_orphan_and_no_stuck_record() {
    sandbox(|sandbox| {
        Taru::each(sandbox, |taru| {
            taru.start("--name s", "exec sleep 1000");
            let state = taru.inspect("s")["state"].take();
            let (supervisor, init) = (state["supervisor"].as_u64().unwrap(), state["pid"].as_u64().unwrap());
            assert!(kill(supervisor.try_into().unwrap(), "KILL"));
            eventually("its end is known", || taru.inspect("s")["state"]["status"] == "exited");
            assert_eq!(taru.inspect("s")["state"]["reason"], "its supervisor was killed");
            eventually("init is gone", || !Path::new(&format!("/proc/{init}")).exists());
            assert_eq!(taru.taru("wait s").ok().stdout, "?\n");
            taru.taru("rm s").succeeds();
        });
    });
}

#[test]
fn killing_taru_harms_no_container() {
    sandbox(|sandbox| {
        Taru::each(sandbox, |taru| {
            let script = "echo ready; while :; do sleep 0.01; done";
            let mut running =
                taru.invoke_words(&["run", "--name", "f", "host", "--", "sh", "-c", script]).spawn();
            running.wait_for("ready");
            running.kill();
            running.wait();
            assert_eq!(taru.inspect("f")["state"]["status"], "running");
            assert_eq!(taru.taru("exec f echo alive").ok().stdout, "alive\n");
            taru.taru("kill f").succeeds();
            // In the foreground it goes with its end, by whoever looks next.
            eventually("it is gone", || taru.ps().is_empty());
        });
    });
}

#[test]
fn killing_the_runtime_of_a_foreground_container_ends_it() {
    sandbox(|sandbox| {
        Taru::each(sandbox, |taru| {
            let script = "echo ready; while :; do sleep 0.01; done";
            let mut running =
                taru.invoke_words(&["run", "--name", "f", "host", "--", "sh", "-c", script]).spawn();
            running.wait_for("ready");
            let runtime = taru.inspect("f")["state"]["supervisor"].as_u64().unwrap();
            assert!(kill(runtime.try_into().unwrap(), "KILL"));
            assert_eq!(running.wait().status, 137);
        });
    });
}

/// The runtime waits for its document, and is not to take the end of a `taru` that has none for one.
#[test]
fn what_fails_while_the_runtime_waits_is_said_once() {
    sandbox(|sandbox| {
        if Command::new("strace").arg("-V").output().is_err() {
            return sandbox.skip("strace");
        }
        let taru = Taru::new(sandbox);
        let late = ["-e", "trace=pidfd_send_signal", "-e", "inject=pidfd_send_signal:delay_enter=1s"];
        let strace = ["strace", "-f", "-qq", "-o", "/dev/null"].into_iter().chain(late);
        let failed = taru.invoke("run --user nosuch host true").under(strace).output();
        assert_eq!(
            (failed.status, failed.stderr.as_str()),
            (
                125,
                "taru: find user `nosuch` in the container's /etc/passwd: no such user\n\
                 hint: a number needs no entry: --user 1000:1000\n"
            )
        );
        taru.assert_clean();
    });
}

#[test]
fn a_container_is_starting_until_there_is_a_document() {
    sandbox(|sandbox| {
        if Command::new("strace").arg("-V").output().is_err() {
            return sandbox.skip("strace");
        }
        let taru = Taru::new(sandbox);
        // Each file that it writes takes a while.
        let slow = ["-e", "trace=rename", "-e", "inject=rename:delay_enter=3s"];
        let strace = ["strace", "-qq", "-o", "/dev/null"].into_iter().chain(slow);
        let script = "echo up; read -r _";
        let words = ["run", "-i", "--name", "f", "host", "--", "sh", "-c", script];
        let mut run = taru.invoke_words(&words).under(strace).spawn();
        let document = || {
            let bundles = fs::read_dir(taru.state().join("run/containers")).into_iter().flatten().flatten();
            bundles.into_iter().any(|bundle| bundle.path().join("config.json").exists())
        };
        let mut was_starting = false;
        eventually("it runs", || {
            let all = taru.ps();
            let word = all.first().map_or("", |one| one["status"].as_str().unwrap());
            was_starting |= word == "starting";
            assert!(word != "running" || document(), "there is nothing that could run");
            word == "running"
        });
        assert!(was_starting);
        run.wait_for("up");
        taru.taru("rm -f f").succeeds();
        assert_eq!(run.wait().status, 137);
        taru.assert_clean();
    });
}

#[test]
fn after_a_reboot_nothing_runs_and_all_can_start() {
    sandbox(|sandbox| {
        let taru = Taru::new(sandbox);
        // Below the file that plays the other boot id, only root outside may mount another /proc.
        taru.start("--userns host --name r", "exec sleep 1000");
        let state = taru.inspect("r")["state"].take();
        // A reboot: every process is gone, /run is empty, the boot has another name.
        for process in ["supervisor", "pid"] {
            kill(state[process].as_u64().unwrap().try_into().unwrap(), "KILL");
        }
        fs::remove_dir_all(taru.state().join("run")).unwrap();
        let boot = sandbox.dir().join("boot_id");
        fs::write(&boot, "11111111-2222-3333-4444-555555555555\n").unwrap();
        let bind =
            |args: &[&str]| assert!(Command::new(args[0]).args(&args[1..]).status().unwrap().success());
        bind(&["mount", "--bind", boot.to_str().unwrap(), "/proc/sys/kernel/random/boot_id"]);
        let record = taru.inspect("r");
        assert_eq!(
            (record["state"]["status"].as_str(), record["state"]["reason"].as_str()),
            (Some("exited"), Some("the host was restarted"))
        );
        taru.taru("start r").succeeds();
        assert_eq!(taru.inspect("r")["state"]["status"], "running");
        taru.taru("rm -f r").succeeds();
        bind(&["umount", "/proc/sys/kernel/random/boot_id"]);
        // The cgroup of the first run was left by the reboot that was none.
        remove_cgroups(sandbox.marker());
        taru.assert_clean();
    });
}

fn remove_cgroups(marker: &str) {
    for hierarchy in fs::read_dir("/sys/fs/cgroup").unwrap().flatten() {
        for child in fs::read_dir(hierarchy.path().join(marker)).into_iter().flatten().flatten() {
            if child.path().is_dir() {
                let _ = fs::remove_dir(child.path());
            }
        }
    }
}

#[test]
fn a_damaged_record_harms_no_other() {
    sandbox(|sandbox| {
        let taru = Taru::new(sandbox);
        taru.start("--name good", "exec sleep 1000");
        taru.start("--name bad", "exit 0");
        taru.taru("wait bad").succeeds();
        let file = taru.state().join("taru.db");
        let db = rusqlite::Connection::open(&file).unwrap();
        db.execute("UPDATE container SET config = '{\"version\":1' WHERE name = 'bad'", []).unwrap();
        drop(db);
        assert_eq!(taru.ps().len(), 2);
        assert_eq!(taru.taru("exec good echo still").ok().stdout, "still\n");
        taru.taru("start bad").fails_with("read the record of `bad`");
        taru.taru("rm bad").succeeds();
        taru.taru("rm -f good").succeeds();
        let db = rusqlite::Connection::open(&file).unwrap();
        db.pragma_update(None, "user_version", 99).unwrap();
        drop(db);
        taru.taru("ps").fails_with("version 99, this taru knows 1");
        for name in ["taru.db", "taru.db-wal", "taru.db-shm"] {
            let _ = fs::remove_file(taru.state().join(name));
        }
        fs::write(&file, [7; 8192]).unwrap();
        taru.taru("ps").fails_with("not a database");
        fs::write(&file, b"").unwrap();
        taru.assert_clean();
    });
}
