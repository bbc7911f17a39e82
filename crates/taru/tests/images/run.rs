//! `taru run IMAGE`: what an image says of how it is run, and what is left of it.

use std::fs;

use serde_json::json;
use taru_testkit::image::Tar;
use taru_testkit::{Grant, eventually, sandbox};

use crate::world::{Taru, app};

/// An image with something to say in every field.
fn wordy() -> Vec<u8> {
    let data = Tar::new().dir("srv", 0o755).dir("data", 0o755).file("data/seed", "grown\n", 0o644).file(
        "bin/entry",
        "#!/bin/sh\necho \"$0 $*\"; exec \"$@\"\n",
        0o755,
    );
    app("wordy")
        .layer(data)
        .config(|c| {
            c["config"] = json!({
                "Entrypoint": ["/bin/entry"], "Cmd": ["sh", "-c", "pwd; echo $COLOUR; cat /data/seed"],
                "Env": ["PATH=/bin", "COLOUR=blue and green"], "WorkingDir": "/srv", "Volumes": {"/data": {}},
                "StopSignal": "SIGUSR1", "Labels": {"org.example.kind": "test"}, "ExposedPorts": {"80/tcp": {}},
            });
        })
        .build()
        .oci_archive(&["docker.io/library/wordy:1"])
}

fn load(taru: &Taru<'_>, archive: Vec<u8>) {
    taru.invoke("load -q").stdin(archive).output().succeeds();
}

#[test]
fn every_field_of_the_image_counts_until_it_is_told_otherwise() {
    sandbox(|sandbox| {
        Taru::each(sandbox, |taru| {
            load(taru, wordy());
            let run = |options: &str, command: &[&str]| {
                let mut words = vec!["run"];
                words.extend(options.split_whitespace());
                words.push("wordy:1");
                words.extend(command);
                taru.invoke_words(&words).output().ok().stdout
            };
            assert_eq!(
                run("", &[]),
                "/bin/entry sh -c pwd; echo $COLOUR; cat /data/seed\n/srv\nblue and green\ngrown\n"
            );
            assert_eq!(run("", &["echo", "mine"]), "/bin/entry echo mine\nmine\n");
            assert_eq!(run("--entrypoint pwd", &[]), "/srv\n");
            assert_eq!(
                run("--entrypoint sh -w /tmp -e COLOUR=red", &["-c", "pwd; echo $COLOUR"]),
                "/tmp\nred\n"
            );
            // An empty entrypoint is none.
            let none = taru.invoke_words(&["run", "--entrypoint", "", "wordy:1", "echo", "bare"]).output();
            assert_eq!(none.ok().stdout, "bare\n");
            let none = taru.invoke_words(&["run", "--entrypoint", "", "wordy:1"]).output();
            none.fails_with("names no program");
            // A volume is the container's own, and writable even where nothing else is.
            let written = taru.sh(
                "--read-only --entrypoint=",
                "wordy:1",
                "echo x >/data/new && cat /data/new /data/seed",
            );
            assert_eq!(written.ok().stdout, "x\ngrown\n");
            assert_eq!(taru.sh("--entrypoint=", "wordy:1", "ls /data").ok().stdout, "seed\n");

            taru.invoke_words(&[
                "run",
                "-d",
                "--name",
                "w",
                "-l",
                "mine=1",
                "wordy:1",
                "sh",
                "-c",
                "trap 'exit 9' USR1; echo up; while :; do sleep 0.01; done",
            ])
            .output()
            .succeeds();
            eventually("it is up", || taru.taru("logs w").ok().stdout.contains("up"));
            let labels = taru.json("inspect w")[0]["config"]["labels"].clone();
            assert_eq!(labels, json!({"org.example.kind": "test", "mine": "1"}));
            taru.taru("stop w").succeeds();
            assert_eq!(taru.taru("wait w").ok().stdout, "9\n", "it was asked by its own signal");
            taru.taru("rm w").succeeds();
        });
    });
}

#[test]
fn a_user_is_found_in_the_image() {
    sandbox(|sandbox| {
        let taru = Taru::new(sandbox);
        let image = |user: &str| {
            let named = app("x").config(|c| c["config"]["User"] = json!(user)).build();
            load(&taru, named.oci_archive(&["docker.io/library/named:1"]));
        };
        for (user, ids) in [
            ("web", "uid=33(web) gid=33(web)"),
            ("web:root", "uid=33(web) gid=0(root)"),
            ("33", "uid=33(web) gid=33(web)"),
            ("7:8", "uid=7 gid=8"),
            ("", "uid=0(root) gid=0(root)"),
        ] {
            image(user);
            let found = taru.taru("run named:1 id").ok().stdout;
            assert!(found.starts_with(ids), "`{user}`: {found}");
        }
        assert!(taru.taru("run -u web named:1 id").ok().stdout.starts_with("uid=33(web)"));
        image("nobody-here");
        taru.taru("run named:1 id").fails_with("nobody-here");
        // Neither in what an upper layer took away, nor in what it hides.
        for upper in [
            Tar::new().whiteout("etc/passwd"),
            Tar::new().whiteout("etc"),
            Tar::new().dir("etc", 0o755).opaque("etc"),
        ] {
            load(&taru, app("x").layer(upper).build().oci_archive(&["docker.io/library/named:1"]));
            taru.taru("run -u web named:1 id").fails_with("find user `web`");
            assert!(taru.taru("run -u 33 named:1 id").ok().stdout.starts_with("uid=33 gid=0"));
        }
        taru.clear();
    });
}

#[test]
fn who_is_asked_for_executes_with_the_rights_and_the_home_of_that_user_alone() {
    sandbox(|sandbox| {
        let taru = Taru::new(sandbox);
        let users = Tar::new()
            .file("etc/passwd", "root:x:0:0::/root:/bin/sh\nweb:x:33:33::/srv:\nother:x:7:7::/o:\n", 0o644)
            .file("etc/group", "root:x:0:\nweb:x:33:\nmore:x:44:web\nother:x:7:\n", 0o644);
        let named = app("x").layer(users).config(|c| c["config"]["User"] = json!("web")).build();
        load(&taru, named.oci_archive(&["docker.io/library/named:1"]));
        taru.taru("run -d --name w named:1 sleep 1000").succeeds();
        let of = |user: &str, script: &str| {
            taru.invoke_words(&["exec", "-u", user, "w", "sh", "-c", script]).output().ok().stdout
        };
        for (user, ids) in [
            ("root", "uid=0(root) gid=0(root)\n/root\n"),
            ("web", "uid=33(web) gid=33(web) groups=44(more)\n/srv\n"),
            ("other", "uid=7(other) gid=7(other)\n/o\n"),
            ("7:44", "uid=7(other) gid=44(more)\n/o\n"),
            ("9", "uid=9 gid=0(root)\n/\n"),
        ] {
            assert_eq!(of(user, "id; echo $HOME"), ids, "{user}");
        }
        // Root may what root of a container may, whoever the container runs as; nobody else may.
        assert_eq!(of("0", "touch /f && chown 7 /f && stat -c %u /f"), "7\n");
        for user in ["web", "other"] {
            assert_eq!(of(user, "grep CapEff /proc/self/status"), "CapEff:\t0000000000000000\n");
        }
        let words = ["exec", "-u", "root", "-w", "/tmp", "-e", "HOME=/h", "w", "sh", "-c", "pwd; echo $HOME"];
        assert_eq!(taru.invoke_words(&words).output().ok().stdout, "/tmp\n/h\n");
        taru.taru("rm -f w").succeeds();
        taru.clear();
    });
}

#[test]
fn a_container_keeps_what_it_wrote_and_the_image_does_not() {
    sandbox(|sandbox| {
        Taru::each(sandbox, |taru| {
            load(taru, app("kept").build().oci_archive(&["docker.io/library/app:1"]));
            let script = "cat /count 2>/dev/null; echo again >>/count; rm -f /word; exec sleep 1000";
            let start = |name: &str| {
                taru.invoke_words(&["run", "-d", "--name", name, "app:1", "sh", "-c", script])
                    .output()
                    .succeeds();
            };
            start("a");
            start("b");
            let has_counted_to = |times: usize| {
                eventually("a has counted", || {
                    taru.taru("exec a cat /count").stdout == "again\n".repeat(times)
                });
            };
            has_counted_to(1);
            for times in [2, 3] {
                taru.taru("stop -t 0 a").succeeds();
                taru.taru("start a").succeeds();
                has_counted_to(times);
            }
            assert_eq!(taru.taru("logs a").ok().stdout, "again\nagain\nagain\n");
            eventually("b has written", || taru.taru("exec b cat /count").stdout == "again\n");
            assert!(taru.taru("exec a cat /word").status != 0);
            assert_eq!(taru.taru("run app:1").ok().stdout, "kept\n");
            taru.taru("rm -f a b").succeeds();
            let left: Vec<String> = taru.stored().into_iter().filter(|s| s.contains("roots/")).collect();
            assert_eq!(left, Vec::<String>::new());
        });
    });
}

#[test]
fn nothing_of_a_root_is_in_the_hosts_mount_table() {
    sandbox(|sandbox| {
        let taru = Taru::new(sandbox);
        load(&taru, app("x").build().oci_archive(&["docker.io/library/app:1"]));
        let before = fs::read_to_string("/proc/self/mountinfo").unwrap();
        taru.taru("run -d --name a app:1 sleep 1000").succeeds();
        assert_eq!(fs::read_to_string("/proc/self/mountinfo").unwrap(), before);
        taru.taru("rm -f a").succeeds();
        taru.clear();
    });
}

#[test]
fn with_subordinate_ids_an_ordinary_user_has_all_users_of_the_image() {
    sandbox(|sandbox| {
        if !crate::world::has(sandbox, "newuidmap") {
            return;
        }
        let grant = Grant::new(&sandbox.dir(), crate::world::USER);
        Taru::each(sandbox, |taru| {
            let owned = app("x")
                .layer(Tar::new().dir("home", 0o755).file("home/own", "", 0o600).owned(33, 33))
                .config(|c| c["config"]["User"] = json!("web"))
                .build();
            load(taru, owned.oci_archive(&["docker.io/library/owned:1"]));
            let seen = taru
                .sh("", "owned:1", "id; stat -c %u:%g /home/own /bin/busybox; cat /home/own; touch /home/own")
                .ok();
            assert_eq!(seen.stdout, "uid=33(web) gid=33(web)\n33:33\n0:0\n");
        });
        drop(grant);
    });
}
