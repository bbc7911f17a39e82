//! `taru run` and its siblings, as root and as an ordinary user, each in a sandbox with a leak check.
#![allow(clippy::unwrap_used, reason = "the functions around the tests are tests too")]

mod faults;
mod harness;
mod modes;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::Command;

use taru_testkit::{eventually, sandbox};

use harness::{Taru, USER, kill};

#[test]
fn the_host_root_shows_programs_and_no_data() {
    sandbox(|sandbox| {
        Taru::each(sandbox, |taru| {
            let seen =
                taru.sh("", "ls -A /root /home /tmp /srv /mnt; ls /etc/passwd; ls /usr/bin/env; ls /").ok();
            assert!(
                seen.text().contains("/etc/passwd") && seen.text().contains("/usr/bin/env"),
                "{}",
                seen.text()
            );
            assert!(!seen.text().contains("taru-test") && !seen.text().contains("work"), "{}", seen.text());
            let denied = taru.sh("", "cat /etc/shadow; touch /usr/x; echo x > /sys/kernel/x; ls /run");
            assert_eq!(denied.stdout.trim(), "lock");
            assert!(denied.stderr.contains("Read-only file system"), "{}", denied.stderr);
            assert!(!denied.stdout.contains("root:"));
            let written = taru
                .sh("", "for f in /etc/new /tmp/x /root/x /home/x /var/x /x; do echo 1 > $f && cat $f; done");
            assert_eq!(written.ok().stdout.lines().count(), 6);
            assert_eq!(taru.sh("", "cat /etc/new /x").status, 1, "it was thrown away");
        });
        assert!(!Path::new("/etc/new").exists());
    });
}

/// As in a container of another engine, which mounts files there.
#[test]
fn the_host_root_has_what_is_mounted_in_its_etc() {
    sandbox(|sandbox| {
        let mounted = sandbox.dir().join("mounted");
        fs::write(&mounted, "root:x:0:0::/mounted:/bin/sh\n").unwrap();
        let act = |line: &str| {
            let words: Vec<&str> = line.split(' ').collect();
            assert!(Command::new(words[0]).args(&words[1..]).status().unwrap().success(), "{line}");
        };
        act(&format!("mount --bind {} /etc/passwd", mounted.display()));
        Taru::each(sandbox, |taru| {
            let script = "cat /etc/passwd; cat /etc/shadow; cat /etc/hostname; \
                          echo x >>/etc/count; cat /etc/count";
            let first = taru.sh("--keep --name k --hostname me", script);
            // Root's own container has the file that the mount lies on.
            let seen = first.stdout.strip_suffix("me\nx\n");
            let seen = seen.unwrap_or_else(|| panic!("{}{}", first.stdout, first.stderr));
            assert_eq!(seen.contains("/mounted:"), taru.user, "{seen}");
            assert!(first.stderr.contains("shadow"), "{}", first.stderr);
            taru.taru("start k").succeeds();
            taru.taru("wait k").succeeds();
            assert!(taru.taru("logs k").ok().stdout.ends_with("me\nx\nx\n"));
            taru.taru("rm k").succeeds();
        });
        act("umount /etc/passwd");
    });
}

#[test]
fn root_inside_is_nobody_outside() {
    sandbox(|sandbox| {
        Taru::each(sandbox, |taru| {
            let status = taru.sh("", "cat /proc/self/uid_map; grep -E 'NoNewPrivs|Seccomp:|CapBnd|CapEff' /proc/self/status; id -u");
            let status = status.ok();
            let first = status.stdout.lines().next().unwrap();
            let map: Vec<u32> = first.split_whitespace().map(|n| n.parse().unwrap()).collect();
            assert!(map[0] == 0 && map[1] != 0, "{first}");
            assert!(status.stdout.contains("NoNewPrivs:\t1") && status.stdout.contains("Seccomp:\t2"));
            // CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE SETFCAP
            assert!(status.stdout.contains("CapBnd:\t00000000800005fb"), "{}", status.stdout);
            assert!(status.stdout.ends_with("\n0\n"));
        });
        let taru = Taru::new(sandbox);
        taru.start("--name a", "exec sleep 1000");
        taru.start("--name b", "exec sleep 1000");
        let ids = |name| taru.inspect(name)["ids"]["first"].as_u64().unwrap();
        assert_eq!(ids("a").abs_diff(ids("b")), 65536, "no two containers share ids");
        taru.taru("rm -f a b").succeeds();
        assert!(taru.sh("--userns host", "cat /proc/self/uid_map").ok().stdout.contains("4294967295"));
        Taru::rootless(sandbox).sh("--userns host", "true").fails_with("as an ordinary user");
    });
}

#[test]
fn statuses_are_the_programs_and_125_to_127_are_ours() {
    sandbox(|sandbox| {
        Taru::each(sandbox, |taru| {
            assert_eq!(taru.sh("", "exit 7").status, 7);
            assert_eq!(taru.taru("run host -- /nonexistent").status, 127);
            assert_eq!(taru.taru("run host -- nosuch").status, 127);
            assert_eq!(taru.taru("run host -- /etc/passwd").status, 126);
            for mistake in
                ["run", "run nosuch sh", "run host", "run --nosuch host -- sh", "run --memory x host -- sh"]
            {
                assert_eq!(taru.taru(mistake).status, 125, "{mistake}");
            }
            assert_eq!(taru.taru("run -d host -- nosuch").status, 127);
        });
    });
}

#[test]
fn streams_and_signals_go_through() {
    sandbox(|sandbox| {
        Taru::each(sandbox, |taru| {
            let echo = taru.invoke("run host -- cat").stdin("one\ntwo\n").output().ok();
            assert_eq!(echo.stdout, "one\ntwo\n");
            let both = taru.sh("", "echo out; echo err >&2").ok();
            assert_eq!((both.stdout.as_str(), both.stderr.as_str()), ("out\n", "err\n"));
            let script = "trap 'exit 42' TERM; echo ready; while :; do sleep 0.01; done";
            let mut running = taru.invoke_words(&["run", "host", "--", "sh", "-c", script]).spawn();
            running.wait_for("ready");
            // setpriv executes taru, so the pid is taru's.
            assert!(kill(running.pid(), "TERM"));
            assert_eq!(running.wait().status, 42);
        });
    });
}

#[test]
fn a_directory_is_the_root_and_stays_as_it_was_unless_asked() {
    sandbox(|sandbox| {
        Taru::each(sandbox, |taru| {
            let root = taru.rootfs();
            let dir = root.to_str().unwrap();
            let write = |options: &[&str]| {
                let mut words = vec!["run", "--ro", "/usr", "--rootfs", dir];
                words.extend(options);
                words.extend(["sh", "-c", "echo changed > /etc/kept"]);
                taru.invoke_words(&words).output()
            };
            let kept = || fs::read_to_string(root.join("etc/kept")).unwrap();
            write(&[]).succeeds();
            assert_eq!(kept(), "as it was\n");
            write(&["--read-only"]).fails_with("Read-only");
            write(&["--rw"]).succeeds();
            assert_eq!(kept(), "changed\n");
            let owner = fs::metadata(root.join("etc/kept")).unwrap().uid();
            assert_eq!(owner, if taru.user { USER } else { 0 }, "root's files stay root's");
            taru.taru("run --rootfs /nonexistent sh").fails_with("`/nonexistent`");
        });
    });
}

#[test]
fn an_ordinary_user_is_told_why_a_directory_is_no_layer() {
    sandbox(|sandbox| {
        let taru = Taru::rootless(sandbox);
        let (root, tmp) = (taru.rootfs(), taru.rootfs().join("tmp"));
        let done = |command: &mut Command| assert!(command.status().unwrap().success());
        done(Command::new("mount").args(["-t", "tmpfs", "tmpfs"]).arg(&tmp));
        taru.taru(&format!("run --ro /usr --rootfs {} true", root.display()))
            .fails_with("no directory can be a layer that has mounts below it");
        // In the background the advice comes by way of the runtime's log.
        taru.taru(&format!("run -d --ro /usr --rootfs {} true", root.display()))
            .fails_with("hint: in a user namespace no directory can be a layer");
        done(Command::new("umount").arg(&tmp));
        taru.taru(&format!("run --ro /usr --rootfs {} true", root.display())).succeeds();
        taru.assert_clean();
    });
}

#[test]
fn what_is_kept_is_there_at_the_next_start() {
    sandbox(|sandbox| {
        Taru::each(sandbox, |taru| {
            let script = "echo again >> /root/count; echo x >> /etc/count; exec cat /root/count /etc/count";
            let first = taru.sh("--keep --name k", script).ok();
            assert_eq!(first.stdout, "again\nx\n");
            taru.taru("start k").succeeds();
            assert_eq!(taru.taru("wait k").ok().stdout, "0\n");
            assert_eq!(taru.taru("logs k").ok().stdout, "again\nagain\nx\nx\n");
            taru.taru("rm k").succeeds();
            taru.start("--name t", "echo again >> /root/count; exec cat /root/count");
            taru.taru("wait t").succeeds();
            taru.taru("start t").succeeds();
            taru.taru("wait t").succeeds();
            assert_eq!(taru.taru("logs t").ok().stdout, "again\nagain\n", "one line a run");
            taru.taru("rm t").succeeds();
        });
    });
}

#[test]
fn the_options_of_a_process_arrive() {
    sandbox(|sandbox| {
        Taru::each(sandbox, |taru| {
            let options = "--hostname box.test -w /tmp -e A=1 -e B= --env PATH=/usr/bin:/bin --rlimit nofile=64:128 --net none";
            let seen = taru
                .sh(
                    options,
                    "hostname; pwd; echo $A-$B; ulimit -n; ulimit -Hn; ls /sys/class/net; echo $HOME",
                )
                .ok();
            assert_eq!(seen.stdout, "box.test\n/tmp\n1-\n64\n128\nlo\n/root\n");
            let caps = |options| {
                let status = taru.sh(options, "grep CapEff /proc/self/status").ok().stdout;
                u64::from_str_radix(status.trim().rsplit('\t').next().unwrap(), 16).unwrap()
            };
            assert_eq!(caps("--cap-drop ALL --cap-add net_admin"), 1 << 12);
            assert_eq!(caps("--cap-drop chown") & 1, 0);
            assert_eq!(caps("--cap-add CAP_SYS_TIME") >> 25 & 1, 1);
            let dir = taru.sandbox.dir().join("data");
            fs::create_dir_all(&dir).unwrap();
            let owner = if taru.user { USER } else { 0 };
            chown(&dir, Some(owner), Some(owner)).unwrap();
            let dir = dir.display();
            taru.sh(&format!("--ro {dir}"), &format!("ls {dir} && touch {dir}/x")).fails_with("Read-only");
            taru.sh(&format!("--rw {dir}"), &format!("echo 1 > {dir}/made")).succeeds();
            taru.sh(&format!("--bind {dir}:/data"), "cat /data/made && rm /data/made").succeeds();
            taru.sh("--read-only", "touch /x").fails_with("Read-only");
        });
        let taru = Taru::new(sandbox);
        let user =
            taru.sh("-u nobody:daemon", "id -un; id -gn; grep CapEff /proc/self/status; echo $HOME").ok();
        assert!(user.stdout.starts_with("nobody\ndaemon\nCapEff:\t0000000000000000\n"), "{}", user.stdout);
        taru.sh("-u nosuch", "true").fails_with("find user `nosuch`");
    });
}

#[test]
fn variables_come_from_files_as_well() {
    sandbox(|sandbox| {
        let taru = Taru::new(sandbox);
        let file = sandbox.dir().join("env");
        let path = file.display();
        fs::write(&file, "\u{feff}# a comment\n\n A=1 2\nB=\"x\"\nHOME\nNOT_SET\nC=of the file\r\nA=3")
            .unwrap();
        let seen = taru
            .sh(&format!("-e C=typed --env-file {path}"), "env | grep -E '^(A|B|C|HOME|NOT_SET)=' | sort")
            .ok();
        assert_eq!(seen.stdout, "A=3\nB=\"x\"\nC=typed\nHOME=/nonexistent\n");
        taru.taru("run -d --name v host -- sleep 100").succeeds();
        assert_eq!(taru.taru(&format!("exec --env-file {path} v printenv A")).ok().stdout, "3\n");
        taru.taru("rm -f v").succeeds();
        fs::write(&file, "A B=1\n=2\n").unwrap();
        let refused = taru.sh(&format!("--env-file {path} --env-file {path}s"), "true");
        assert_eq!(refused.status, 125);
        for words in [
            "line 1: the name `A B` has a blank",
            "set the variable `=2`",
            "env`: line",
            "envs`: No such file",
        ] {
            assert!(refused.stderr.contains(words), "{words}: {}", refused.stderr);
        }
    });
}

#[test]
fn limits_are_in_the_kernel() {
    sandbox(|sandbox| {
        let taru = Taru::new(sandbox);
        let v2 = Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
        let options = "--memory 64M --cpus 0.5 --pids 20 --cpuset 0 --cpu-shares 512";
        let script = if v2 {
            "cd /sys/fs/cgroup; cat memory.max cpu.max pids.max cpuset.cpus"
        } else {
            "cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes cpu/cpu.cfs_quota_us cpu/cpu.cfs_period_us pids/pids.max cpuset/cpuset.cpus cpu/cpu.shares"
        };
        let seen = taru.sh(options, script).ok().stdout;
        let wanted =
            if v2 { "67108864\n50000 100000\n20\n0\n" } else { "67108864\n50000\n100000\n20\n0\n512\n" };
        assert_eq!(seen, wanted);
        taru.sh("--device-read-bps /dev/null:1M", "true").fails_with("not a block device");
        taru.assert_clean();
    });
}

#[test]
fn a_detached_container_lives_by_itself() {
    sandbox(|sandbox| {
        Taru::each(sandbox, |taru| {
            let id = taru.start(
                "--name web",
                "trap 'exit 3' TERM; echo up; echo down >&2; while :; do sleep 0.01; done",
            );
            let listed = taru.ps();
            assert_eq!(
                (listed[0]["name"].as_str(), listed[0]["status"].as_str()),
                (Some("web"), Some("running"))
            );
            assert_eq!(taru.taru("ps -q").ok().stdout.trim(), &id[..12]);
            eventually("the log", || {
                let log = taru.taru("logs web").ok();
                (log.stdout.as_str(), log.stderr.as_str()) == ("up\n", "down\n")
            });
            let exec = taru
                .invoke_words(&["exec", "-e", "X=1", "-w", "/tmp", "web", "sh", "-c", "echo $X; pwd; exit 9"])
                .output();
            assert_eq!((exec.status, exec.stdout.as_str()), (9, "1\n/tmp\n"));
            assert_eq!(taru.taru("exec web nosuch").status, 127);
            assert_eq!(taru.taru(&format!("exec {} cat /proc/1/comm", &id[..6])).ok().stdout, "sh\n");
            taru.taru("run -d --name web host -- true").fails_with("the name is taken");
            taru.taru("rm web").fails_with("it is running");
            taru.taru("stop web").succeeds();
            assert_eq!(taru.taru("wait web").ok().stdout, "3\n");
            assert_eq!(taru.inspect("web")["state"]["exit_status"], 3);
            taru.taru("exec web true").fails_with("it is not running");
            taru.taru("start web").succeeds();
            taru.taru("kill -s KILL web").succeeds();
            assert_eq!(taru.taru("wait web").ok().stdout, "137\n");
            taru.taru("rm web").succeeds();
            taru.taru("inspect web").fails_with("no such container");
            taru.start("--rm --name gone", "exit 5");
            eventually("it is gone", || taru.ps().is_empty());
        });
    });
}

#[test]
fn what_is_done_is_said_from_the_wanted_level_up() {
    sandbox(|sandbox| {
        let taru = Taru::new(sandbox);
        let said = |line: &str| taru.taru(line).ok().stderr;
        assert_eq!(said("run host -- true"), "");
        let info = said("run --log-level info --name web host -- true");
        let lines: Vec<&str> = info.lines().collect();
        assert!(lines[0].starts_with("taru: info: container `web` is "), "{info}");
        assert_eq!(lines[1..], ["taru: info: container `web` ended, its status is 0"], "{info}");
        let debug = said("run --log-level debug host -- true");
        for words in [
            "debug: state in `",
            "debug: bundle in `",
            "debug: execute ",
            " run --bundle ",
            "info: container",
        ] {
            assert!(debug.contains(words), "{words}: {debug}");
        }
        let id = taru.start("--name long", "trap 'exit 0' TERM; while :; do sleep 0.01; done");
        assert!(said("exec --log-level debug long true").contains(&format!(" exec {id} true\n")));
        assert_eq!(
            said("stop --log-level info long"),
            "taru: info: ask container `long` to end, by signal 15\n"
        );
        assert_eq!(said("rm --log-level warning long"), "");
        taru.assert_clean();
    });
}

#[test]
fn a_log_stays_within_its_limits() {
    sandbox(|sandbox| {
        Taru::each(sandbox, |taru| {
            let script =
                "i=0; while [ $i -lt 4000 ]; do echo line-$i-0123456789-0123456789; i=$((i+1)); done";
            let id = taru.sh("-d --log-max-size 64K --log-max-files 2", script).ok().text().to_owned();
            taru.taru(&format!("wait {id}")).succeeds();
            let dir = taru.state().join("containers").join(&id);
            let size = |name: &str| fs::metadata(dir.join(name)).map(|m| m.len());
            assert!(size("log").unwrap() <= 64 << 10);
            assert!((32 << 10..=64 << 10).contains(&size("log.1").unwrap()));
            assert!(size("log.2").is_err(), "a third file");
            let kept = taru.taru(&format!("logs {id}")).ok().stdout;
            assert_eq!(kept.lines().last(), Some("line-3999-0123456789-0123456789"));
            assert!(!kept.contains("line-0-"), "the oldest is dropped");
            taru.taru(&format!("rm {id}")).succeeds();
        });
        let taru = Taru::new(sandbox);
        taru.sh("-d --log-max-size 1K", "true").fails_with("limit a log file to `1K`: less than 64K");
        taru.sh("--log-max-files 2", "true").fails_with("--detach");
    });
}

#[test]
fn a_log_has_every_byte() {
    sandbox(|sandbox| {
        let taru = Taru::new(sandbox);
        taru.start("--name l", r"printf 'a\nb'; printf '\377\000c' ; sleep 0.1; printf 'd\n\n'; printf last");
        taru.taru("wait l").succeeds();
        let raw = Command::new(env!("CARGO_BIN_EXE_taru"))
            .args(["--root", taru.state().to_str().unwrap(), "logs", "l"])
            .output()
            .unwrap();
        assert_eq!(raw.stdout, b"a\nb\xff\0cd\n\nlast");
        assert_eq!(taru.taru("logs --tail 1 l").ok().stdout, "last");
        assert_eq!(taru.taru("logs --since 1h l").ok().stdout.len(), taru.taru("logs l").ok().stdout.len());
        assert_eq!(taru.taru("logs --since 2999-01-01T00:00:00Z l").ok().stdout, "");
        let stamped = taru.taru("logs -t --tail 2 l").ok().stdout;
        assert!(stamped.lines().all(|line| line.starts_with("20")), "{stamped}");
        taru.taru("rm l").succeeds();
        // More than the files of a log hold: the oldest goes, the disk does not fill.
        taru.start("--name big", "yes 0123456789012345678901234567890123456789 | head -c 60000000");
        taru.taru("wait big").succeeds();
        let dir = fs::read_dir(taru.state().join("containers")).unwrap().flatten().next().unwrap().path();
        let sizes: Vec<u64> = fs::read_dir(&dir)
            .unwrap()
            .flatten()
            .filter(|f| f.file_name() != "exit")
            .map(|f| f.metadata().unwrap().len())
            .collect();
        assert!(sizes.len() == 3 && sizes.iter().all(|s| *s <= 10 << 20), "{sizes:?}");
        taru.taru("rm big").succeeds();
        taru.assert_clean();
    });
}

#[test]
fn a_terminal_is_one() {
    sandbox(|sandbox| {
        Taru::each(sandbox, |taru| {
            taru.start("-t --name t", "tty; stty size; test -t 0 && test -t 1 && test -t 2 && echo all");
            taru.taru("wait t").succeeds();
            let log = taru.taru("logs t").ok().stdout;
            assert!(log.starts_with("/dev/pts/0\r\n") && log.ends_with("all\r\n"), "{log:?}");
            taru.taru("rm t").succeeds();
            taru.start("-i --name i", "read line; echo got $line; exit 6");
            let attached = taru.invoke("attach i").stdin("words\n").output();
            assert_eq!((attached.status, attached.stdout.as_str()), (6, "got words\n"));
            taru.taru("rm -f i").succeeds();
        });
    });
}

#[test]
fn a_name_is_given_once_however_many_ask() {
    sandbox(|sandbox| {
        let taru = Taru::new(sandbox);
        let all: Vec<_> =
            (0..6).map(|_| taru.invoke("run -d --name one host -- sleep 1000").spawn()).collect();
        let won = all.into_iter().filter(|_| true).map(|r| r.wait().status).filter(|s| *s == 0).count();
        assert_eq!(won, 1);
        let unnamed: Vec<_> = (0..4).map(|_| taru.invoke("run -d host -- sleep 1000").spawn()).collect();
        unnamed.into_iter().for_each(|r| drop(r.wait().ok()));
        let listed = taru.ps();
        let names: BTreeSet<&str> = listed.iter().map(|c| c["name"].as_str().unwrap()).collect();
        assert_eq!(names.len(), 5);
        let ids: Vec<&str> = listed.iter().map(|c| c["id"].as_str().unwrap()).collect();
        taru.taru(&format!("rm -f {}", ids.join(" "))).succeeds();
        taru.assert_clean();
    });
}

#[test]
fn mistakes_say_what_and_what_to_do() {
    sandbox(|sandbox| {
        let taru = Taru::new(sandbox);
        for (line, words) in [
            ("run --pull never debian sh", "no such image in the store"),
            ("run --pull never host -- true", "use --pull without an image"),
            ("run host --net host -- sh", "use `--net` after `host`: options stand before it"),
            ("run --rw host -- sh", "find `host`"),
            ("run --bind /x host -- sh", "--bind SRC:DST"),
            ("run --bind /nonexistent:/x host -- sh", "find `/nonexistent`"),
            ("run --cpus 0 host -- sh", "a number such as 0.5 or 2"),
            ("run --memory 1k host -- sh", "less than 6M"),
            ("run --cap-add nosuch host -- sh", "no such capability"),
            ("run --rlimit files=3 host -- sh", "the names are"),
            ("run --name a/b host -- sh", "name a container `a/b`"),
            ("run --hostname a_b host -- sh", "host name"),
            ("run --workdir tmp host -- sh", "not an absolute path"),
            ("exec nosuch true", "no such container"),
            ("kill -s NOSUCH x", "no such signal"),
            ("logs nosuch", "`taru ps -a` lists them all"),
            ("stop -t x y", "parse `x` as a duration"),
            ("runn", "did you mean `run`?"),
        ] {
            taru.taru(line).fails_with(words);
        }
        // Two problems, one error.
        let both = taru.taru("run --memory x --cpus y host -- sh");
        assert!(both.stderr.contains("as a size") && both.stderr.contains("CPUs"), "{}", both.stderr);
        let link = sandbox.dir().join("link");
        symlink("/nonexistent", &link).unwrap();
        taru.taru(&format!("run --rootfs {} sh", link.display())).fails_with("No such file");
        fs::set_permissions(sandbox.dir(), fs::Permissions::from_mode(0o755)).unwrap();
        taru.assert_clean();
    });
}
