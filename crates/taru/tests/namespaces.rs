//! `taru unshare`, `enter`, `chroot`, `idmap` and `check`: the talk's demonstrations, and the same results as util-linux's tools.

#![allow(clippy::unwrap_used, reason = "the functions around the tests are tests too")]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use taru_testkit::{eventually, in_namespaces};

const TARU: &str = env!("CARGO_BIN_EXE_taru");
/// Where a test may mount and does not disturb anybody.
const OWN: &[&str] = &["--mount", "--propagation", "private"];

fn run(program: &str, args: &[&str]) -> Output {
    Command::new(program).args(args).stdin(Stdio::null()).output().unwrap()
}

/// Standard output of `taru ARGS...`, which must succeed.
fn taru(args: &[&str]) -> String {
    let done = run(TARU, args);
    let stderr = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "taru {args:?}: {}: {stderr}", done.status);
    String::from_utf8(done.stdout).unwrap()
}

/// Status and standard error of `taru ARGS...`, which must fail.
fn refused(args: &[&str]) -> (i32, String) {
    let done = run(TARU, args);
    assert!(!done.status.success(), "taru {args:?} succeeds");
    (done.status.code().unwrap(), String::from_utf8(done.stderr).unwrap())
}

/// Whether this machine lets us make these namespaces at all; a skip if not.
fn possible(name: &str, options: &[&str]) -> bool {
    let mut args = options.to_vec();
    args.push("true");
    let possible = run("unshare", &args).status.success();
    if !possible {
        taru_testkit::skip(name, &format!("unshare {}", options.join(" ")));
    }
    possible
}

#[test]
fn a_host_name_changes_inside_only() {
    if !possible("a_host_name_changes_inside_only", &["--uts"]) {
        return;
    }
    let before = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let inside = taru(&["unshare", "--uts", "sh", "-c", "hostname taru-inside && hostname"]);
    assert_eq!(inside, "taru-inside\n");
    assert_eq!(std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap(), before);
}

#[test]
fn mounts_and_processes_are_seen_inside_only() {
    in_namespaces(OWN, || {
        let script = "mount -t tmpfs inside /mnt && touch /mnt/seen && ls /mnt; echo $$; ls -d /proc/[0-9]*";
        let inside = taru(&["unshare", "--mount", "--pid", "--mount-proc", "--fork", "sh", "-c", script]);
        assert_eq!(inside, "seen\n1\n/proc/1\n");
        assert!(!Path::new("/mnt/seen").exists());
        assert!(!std::fs::read_to_string("/proc/self/mountinfo").unwrap().contains("inside"));
    });
}

#[test]
fn propagation_is_as_asked_for() {
    in_namespaces(OWN, || {
        assert!(run("mount", &["--make-rshared", "/"]).status.success());
        for (mode, field) in
            [("private", "-"), ("slave", "master:"), ("shared", "shared:"), ("unchanged", "shared:")]
        {
            let all = taru(&["unshare", "-m", "--propagation", mode, "cat", "/proc/self/mountinfo"]);
            let is_root = |line: &&str| line.split(' ').nth(4) == Some("/");
            let line = all.lines().rfind(is_root).unwrap();
            let seen = line.split_whitespace().nth(6).unwrap().to_owned();
            assert!(seen.starts_with(field), "{mode}: {line}");
        }
    });
}

#[test]
fn a_network_namespace_is_empty_and_stays_where_it_is_kept() {
    in_namespaces(OWN, || {
        assert!(run("mount", &["-t", "tmpfs", "tmpfs", "/mnt"]).status.success());
        let links = taru(&[
            "unshare",
            "--net=/mnt/blue",
            "sh",
            "-c",
            "ip link set lo up; ls /proc/self/ns | grep -c .",
        ]);
        assert!(!links.is_empty());
        // It was entered by the program and is there after it; nsenter finds it and so do we.
        let ours = taru(&["enter", "--net=/mnt/blue", "ip", "-o", "link"]);
        assert_eq!(ours.lines().count(), 1, "{ours}");
        assert!(ours.contains("lo: <LOOPBACK,UP"), "{ours}");
        let theirs = run("nsenter", &["--net=/mnt/blue", "ip", "-o", "link"]);
        assert_eq!(String::from_utf8(theirs.stdout).unwrap(), ours);
        // What util-linux keeps we enter too.
        std::fs::write("/mnt/green", "").unwrap();
        assert!(run("unshare", &["--net=/mnt/green", "true"]).status.success());
        assert_eq!(taru(&["enter", "--net=/mnt/green", "ip", "-o", "link"]).lines().count(), 1);
        let (status, text) = refused(&["enter", "--uts=/mnt/green", "true"]);
        assert_eq!(status, 125);
        assert_eq!(text, "taru: open the namespace `/mnt/green`: it is a net namespace, not uts\n");
    });
}

#[test]
fn every_kind_can_be_kept() {
    in_namespaces(OWN, || {
        assert!(run("mount", &["-t", "tmpfs", "tmpfs", "/mnt"]).status.success());
        let kinds = ["mount", "uts", "ipc", "net", "pid", "user", "cgroup", "time"];
        for kind in kinds {
            if !possible("every_kind_can_be_kept", &[&format!("--{kind}")]) {
                continue;
            }
            let option = format!("--{kind}=/mnt/{kind}");
            let mut args = vec!["unshare", &option];
            if kind == "pid" {
                args.push("--fork");
            }
            let link = format!("/proc/self/ns/{}", short(kind));
            args.extend(["readlink", &link]);
            let done = run(TARU, &args);
            let text = String::from_utf8(done.stderr).unwrap();
            if kind == "mount" && text.contains("try again") {
                // 6.18 numbers namespaces per CPU, and takes one with a lower number than the one it is to
                // be kept in for a loop: unshare(1) fails as often.
                continue;
            }
            assert!(done.status.success(), "{text}");
            let inside = String::from_utf8(done.stdout).unwrap();
            let kept = run("stat", &["-Lc", "%i", &format!("/mnt/{kind}")]);
            let inode = String::from_utf8(kept.stdout).unwrap();
            assert_eq!(inside.trim_end(), format!("{}:[{}]", short(kind), inode.trim_end()));
            if kind == "pid" {
                // Its first process has ended, so nobody can be born there any more.
                let (status, text) = refused(&["enter", &option, "true"]);
                assert_eq!(status, 125);
                assert!(text.starts_with("taru: fork: Cannot allocate memory\nhint: "), "{text}");
                continue;
            }
            // The kept user namespace has no map, so root of it is nobody.
            let entered = taru(&["enter", "--preserve-credentials", &option, "readlink", &link]);
            assert_eq!(entered, inside, "{kind}");
        }
    });
}

fn short(kind: &str) -> &str {
    if kind == "mount" { "mnt" } else { kind }
}

#[test]
fn ids_are_mapped_as_util_linux_maps_them() {
    if !possible("ids_are_mapped_as_util_linux_maps_them", &["--user"]) {
        return;
    }
    let script = "id -u; id -g; cat /proc/self/uid_map /proc/self/gid_map /proc/self/setgroups; grep Cap /proc/self/status";
    for options in [
        &["-U"][..],
        &["-r"],
        &["-c"],
        &["-Ur"],
        &["--map-user=1234"],
        &["--map-group=12"],
        &["--map-user", "5", "--map-group", "6", "--keep-caps"],
        &["--map-user=daemon", "--map-group=daemon"],
        &["-U", "--setgroups", "deny"],
        &["-r", "-S", "0"],
        &["-rmn", "-w", "/"],
        &["-r", "-T", "--boottime=1000", "--monotonic=-5"],
    ] {
        let with = |program: &str, first: &[&str]| {
            let done = run(program, &[first, options, &["sh", "-c", script]].concat());
            (done.status.code(), String::from_utf8(done.stdout).unwrap())
        };
        if options.contains(&"-T") && !possible("ids_are_mapped_as_util_linux_maps_them", &["--time"]) {
            continue;
        }
        let theirs = with("unshare", &[]);
        assert_eq!(theirs.0, Some(0), "{options:?}");
        assert_eq!(with(TARU, &["unshare"]), theirs, "{options:?}");
    }
}

#[test]
fn without_a_map_the_host_name_cannot_be_changed_and_with_one_it_can() {
    if !possible("without_a_map_the_host_name_cannot_be_changed_and_with_one_it_can", &["-Uu"]) {
        return;
    }
    let done = run(TARU, &["unshare", "-U", "-u", "sh", "-c", "id -u; hostname x"]);
    assert!(!done.status.success());
    assert_eq!(String::from_utf8(done.stdout).unwrap(), "65534\n");
    assert_eq!(taru(&["unshare", "-r", "-u", "sh", "-c", "id -u; hostname x; hostname"]), "0\nx\n");
}

#[test]
fn ranges_of_ids_are_mapped_from_outside() {
    if !possible("ranges_of_ids_are_mapped_from_outside", &["--user"]) {
        return;
    }
    let maps = |args: &[&str]| {
        let text = taru(&[&["unshare"], args, &["cat", "/proc/self/uid_map", "/proc/self/gid_map"]].concat());
        text.split_whitespace().map(str::to_owned).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(maps(&["--map-users=100000,0,10", "--map-groups=200000,5,1"]), "0 100000 10 5 200000 1");
    assert_eq!(
        maps(&["-r", "--map-users=100000,0,10", "--map-groups", "200000,0,10"]),
        "0 0 1 1 100000 9 0 0 1 1 200000 9"
    );
    assert_eq!(taru(&["unshare", "-r", "--setgroups=deny", "cat", "/proc/self/setgroups"]), "deny\n");
    let (status, text) = refused(&["unshare", "--map-users=1,2", "true"]);
    assert_eq!(status, 125);
    assert!(text.contains("a map is OUTER,INNER,COUNT") || text.contains("parse `1,2` as a map"), "{text}");
    let (_, text) = refused(&["unshare", "-r", "--setgroups=allow", "true"]);
    assert!(text.contains("exclude each other"), "{text}");
}

#[test]
fn an_ordinary_user_is_root_inside() {
    in_namespaces(OWN, || {
        // The executable where everybody may read it.
        assert!(run("mount", &["-t", "tmpfs", "-o", "mode=755", "tmpfs", "/mnt"]).status.success());
        std::fs::copy(TARU, "/mnt/taru").unwrap();
        let user = ["--reuid=4711", "--regid=4712", "--clear-groups", "/mnt/taru"];
        let as_user = |args: &[&str]| run("setpriv", &[&user[..], args].concat());
        let done = as_user(&["unshare", "--uts", "true"]);
        assert_eq!(done.status.code(), Some(125));
        let text = String::from_utf8(done.stderr).unwrap();
        assert!(
            text.starts_with("taru: make the namespaces: unshare `uts`: Operation not permitted\nhint: "),
            "{text}"
        );
        let done = as_user(&[
            "unshare",
            "-rmpf",
            "--mount-proc",
            "sh",
            "-c",
            "id -u; cat /proc/self/uid_map; echo $$",
        ]);
        if !done.status.success() {
            return taru_testkit::skip(
                "an_ordinary_user_is_root_inside",
                "user namespaces of ordinary users",
            );
        }
        let words = String::from_utf8(done.stdout).unwrap();
        assert_eq!(words.split_whitespace().collect::<Vec<_>>(), ["0", "0", "4711", "1", "1"]);
        // No subordinate ids: said with what to do.
        let done = as_user(&["unshare", "--map-auto", "true"]);
        let text = String::from_utf8(done.stderr).unwrap();
        assert!(text.contains("find user 4711 in `/etc/subuid`") && text.contains("usermod"), "{text}");
    });
}

#[test]
fn clocks_are_shifted() {
    if !possible("clocks_are_shifted", &["--time"]) {
        return;
    }
    let offsets = taru(&[
        "unshare",
        "-T",
        "--boottime",
        "1000000",
        "--monotonic",
        "-3",
        "cat",
        "/proc/self/timens_offsets",
    ]);
    let words: Vec<_> = offsets.split_whitespace().collect();
    assert_eq!(words, ["monotonic", "-3", "0", "boottime", "1000000", "0"]);
    let uptime = taru(&["unshare", "-T", "--boottime", "100000000", "cut", "-d.", "-f1", "/proc/uptime"]);
    assert!(uptime.trim_end().parse::<u64>().unwrap() > 100_000_000);
    assert_eq!(refused(&["unshare", "--boottime", "5", "true"]).0, 125);
}

#[test]
fn statuses_are_the_programs() {
    assert_eq!(refused(&["unshare", "--fork", "sh", "-c", "exit 7"]).0, 7);
    assert_eq!(
        refused(&["unshare", "/nope"]),
        (127, "taru: execute `/nope`: No such file or directory\n".into())
    );
    assert_eq!(refused(&["enter", "/"]).0, 126);
    assert_eq!(
        refused(&["enter", "--net", "true"]),
        (125, "taru: enter: no process is named; add --target PID\n".into())
    );
    // A program that a signal ends ends taru by the same.
    let done = run(TARU, &["unshare", "--fork", "sh", "-c", "kill -USR1 $$"]);
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&done.status), Some(10));
}

#[test]
fn the_program_dies_with_taru_where_asked_to() {
    if !possible("the_program_dies_with_taru_where_asked_to", &["--pid", "--fork"]) {
        return;
    }
    let mut child = Command::new(TARU)
        .args(["unshare", "--pid", "--kill-child", "sh", "-c", "echo ready; exec sleep 1000"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    let children = format!("/proc/{0}/task/{0}/children", child.id());
    let program = std::fs::read_to_string(children).unwrap().trim().to_owned();
    child.kill().unwrap();
    child.wait().unwrap();
    eventually("the program is gone", || !Path::new(&format!("/proc/{program}")).exists());
}

#[test]
fn a_changed_root_dies_with_taru_whoever_runs_in_it() {
    in_namespaces(OWN, || {
        assert!(run("mount", &["-t", "tmpfs", "tmpfs", "/mnt"]).status.success());
        tree("/mnt/tree");
        for options in [&[][..], &["--userspec=4711:4712"]] {
            let script = ["/mnt/tree", "sh", "-c", "echo ready; while :; do sleep 1000; done"];
            let mut child = Command::new(TARU)
                .args([&["chroot"], &PROGRAMS[..], options, &script].concat())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let mut line = String::new();
            BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
            assert_eq!(line, "ready\n");
            let children = format!("/proc/{0}/task/{0}/children", child.id());
            let program = std::fs::read_to_string(children).unwrap().trim().to_owned();
            // SIGTERM, which the program does not hear: it is pid 1 there.
            assert!(run("kill", &[&child.id().to_string()]).status.success());
            child.wait().unwrap();
            eventually("the program is gone", || !Path::new(&format!("/proc/{program}")).exists());
        }
    });
}

/// A process in namespaces of its own, ended with the test.
struct Target(std::process::Child);

impl Target {
    fn new(options: &[&str]) -> Target {
        let mut child = Command::new("unshare")
            .args(options)
            .args([
                "--kill-child",
                "sh",
                "-c",
                "hostname target; mkdir -p /mnt/d; cd /mnt/d; echo ready; exec sleep 1000",
            ])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        Target(child)
    }

    /// The program's id here.
    fn pid(&self) -> String {
        let children = format!("/proc/{0}/task/{0}/children", self.0.id());
        std::fs::read_to_string(children).unwrap().trim().to_owned()
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn entering_gives_what_nsenter_gives() {
    in_namespaces(OWN, || {
        assert!(run("mount", &["-t", "tmpfs", "tmpfs", "/mnt"]).status.success());
        let targets = [
            Target::new(&["-m", "-u", "-i", "-n", "-p", "-C", "--mount-proc"]),
            Target::new(&["-m", "-u", "-i", "-n", "-p", "-C", "-U", "-r", "--mount-proc"]),
        ];
        let script = "hostname; id; for n in cgroup ipc mnt net pid time user uts; do readlink /proc/self/ns/$n; done; pwd; [ $(ls /proc | grep -c '^[0-9]') -lt 10 ] && echo few; grep Cap /proc/self/status";
        for target in &targets {
            let pid = target.pid();
            for options in [
                &["-a"][..],
                &["-m", "-u", "-i", "-n", "-p", "-C"],
                &["-n", "-u"],
                &["-p"],
                &["-p", "-F"],
                &["-m", "-r", "-w"],
                &["-m", "-W", "/mnt/d"],
                &["-r=/", "-w=/mnt/d"],
                &["-u", "-S", "33", "-G", "44"],
                &["-a", "--preserve-credentials"],
                &["-U", "-u", "-S", "0"],
                &["-Z", "-u"],
            ] {
                // Its PID namespace without its mounts: our /proc does not show the entered one.
                let with = |program: &str, first: &[&str]| {
                    let options: Vec<String> = options
                        .iter()
                        .map(|o| if program == "nsenter" { long(o) } else { (*o).to_owned() })
                        .collect();
                    let options: Vec<&str> = options.iter().map(String::as_str).collect();
                    let done =
                        run(program, &[first, &["-t", &pid], &options, &["sh", "-c", script]].concat());
                    (done.status.success(), String::from_utf8(done.stdout).unwrap())
                };
                assert_eq!(with(TARU, &["enter"]), with("nsenter", &[]), "{options:?}");
            }
        }
        assert_eq!(refused(&["enter", "-t", "4194305", "-a", "true"]).0, 125);
    });
}

/// nsenter takes the value of a short option without `=`.
fn long(option: &str) -> String {
    option.replace("-r=", "--root=").replace("-w=", "--wd=")
}

/// A root of the host's programs, and a directory beside it that nobody inside may reach.
fn tree(path: &str) -> PathBuf {
    let tree = PathBuf::from(path);
    std::fs::create_dir_all(tree.join("tmp")).unwrap();
    tree
}

const PROGRAMS: [&str; 8] =
    ["--ro-bind", "/usr", "--ro-bind", "/lib", "--ro-bind", "/lib64", "--ro-bind", "/bin"];

#[test]
fn a_changed_root_cannot_be_left() {
    in_namespaces(OWN, || {
        assert!(run("mount", &["-t", "tmpfs", "tmpfs", "/mnt"]).status.success());
        std::fs::write("/mnt/secret", "").unwrap();
        tree("/mnt/tree");
        let inside = |options: &[&str], script: &str| {
            let done = run(
                TARU,
                &[
                    &["chroot", "--bind", "/dev/null"],
                    &PROGRAMS[..],
                    options,
                    &["/mnt/tree", "perl", "-e", script],
                ]
                .concat(),
            );
            String::from_utf8(done.stdout).unwrap() + &String::from_utf8_lossy(&done.stderr)
        };
        // The classic way out of chroot(2): another root below, and up from where we still stand.
        let climb = r#"mkdir "x"; chroot "x" or print "no chroot "; chdir ".." for 1..50; chroot ".";
            print -e "/secret" ? "out" : "in", -e "/tree" ? " out" : " in", -d "/usr" ? " root" : "";"#;
        assert_eq!(inside(&[], climb), "in in root");
        assert_eq!(inside(&["--keep-caps"], climb), "in in root");
        // By a directory left open by the caller; by mounting; by a device; by the first process.
        let fds = r#"opendir(my $d, "/proc/self/fd"); print join ",", sort grep { /^[0-9]/ && -d "/proc/self/fd/$_" } readdir $d"#;
        assert!(inside(&["--proc"], fds).len() <= 1);
        let ways = r#"
            my ($type, $dir, $node, $handle) = ("proc", "/tmp", "/tmp/sda", pack("Lla128", 8, 1, ""));
            open(my $root, "<", "/");
            print syscall(165, $type, $dir, $type, 0, 0) == 0 ? "mount " : "";
            print syscall(133, $node, 0060600, 0xfe00) == 0 ? "mknod " : "";
            print chdir("/proc/1/root/secret/..") ? "proc " : "";
            print kill(0, 2) ? "pid " : "";
            print syscall(304, fileno($root), $handle, 0) == -1 && $! == 1 ? "" : "handle ";"#;
        assert_eq!(inside(&["--proc"], ways), "");
        // What was seen inside is not on the host, and nothing stays mounted.
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains("/mnt/tree"), "{mounts}");
    });
}

#[test]
fn a_changed_root_has_what_was_asked_for() {
    in_namespaces(OWN, || {
        assert!(run("mount", &["-t", "tmpfs", "tmpfs", "/mnt"]).status.success());
        tree("/mnt/tree");
        let inside = |options: &[&str], script: &str| {
            taru(&[&["chroot"], &PROGRAMS[..], options, &["/mnt/tree", "sh", "-c", script]].concat())
        };
        assert_eq!(inside(&[], "pwd; echo $$; ls /"), "/\n1\nbin\nlib\nlib64\ntmp\nusr\n");
        assert_eq!(
            inside(&["--proc"], "ls -d /proc/[0-9]* | head -1; cut -d' ' -f5 /proc/self/mountinfo | head -1"),
            "/proc/1\n/\n"
        );
        assert_eq!(
            inside(&["--userspec", "33:44", "--groups=55,66"], "id -u; id -g; id -G"),
            "33\n44\n44 55 66\n"
        );
        assert_eq!(inside(&["--userspec=daemon"], "id -u; id -g; id -G"), "1\n1\n1\n");
        let writes = "echo x > /tmp/a 2>&- && echo root; echo x > /w/a && echo bound; echo x > /r/a 2>&- || echo read-only";
        std::fs::create_dir_all("/mnt/w").unwrap();
        std::fs::create_dir_all("/mnt/tree/w").unwrap();
        std::fs::create_dir_all("/mnt/tree/r").unwrap();
        let options = ["--bind", "/mnt/w:/w", "--ro-bind", "/mnt/w:/r"];
        assert_eq!(inside(&options, writes), "root\nbound\nread-only\n");
        let read_only = [&options[..], &["--ro"]].concat();
        assert_eq!(inside(&read_only, writes), "bound\nread-only\n");
        let here = Command::new(TARU)
            .args(["chroot", "--ro", "--skip-chdir", "/", "sh", "-c", "pwd; touch x 2>&- || echo read-only"])
            .current_dir("/mnt/w")
            .output()
            .unwrap();
        assert_eq!(String::from_utf8(here.stdout).unwrap(), "/mnt/w\nread-only\n");
        let gone = "mkdir /mnt/gone && cd /mnt/gone && rmdir /mnt/gone && exec \"$0\" chroot / pwd";
        let nowhere = Command::new("sh").args(["-c", gone, TARU]).output().unwrap();
        assert_eq!(String::from_utf8(nowhere.stdout).unwrap(), "/\n");
        assert_eq!(inside(&["--tmpfs", "/tmp", "--ro"], "touch /tmp/x && ls /tmp"), "x\n");
        let (status, text) = refused(&["chroot", "--ro", "--bind", "/mnt/w:/missing", "/mnt/tree", "true"]);
        assert_eq!(status, 125);
        assert!(
            text.contains(
                "bind `/mnt/w` at `/missing`: create the directory `/missing`: Read-only file system\nhint: "
            ),
            "{text}"
        );
        assert_eq!(
            refused(&["chroot", "/mnt/nope"]),
            (125, "taru: open the directory `/mnt/nope`: No such file or directory\n".into())
        );
        assert_eq!(refused(&["chroot", "/mnt/tree", "/nope"]).0, 127);
    });
}

#[test]
fn an_ordinary_user_changes_the_root_too() {
    in_namespaces(OWN, || {
        assert!(run("mount", &["-t", "tmpfs", "-o", "mode=755", "tmpfs", "/mnt"]).status.success());
        std::fs::copy(TARU, "/mnt/taru").unwrap();
        for dir in ["usr", "lib", "lib64", "bin"] {
            std::fs::create_dir_all(format!("/mnt/tree/{dir}")).unwrap();
        }
        let user = ["--reuid=4711", "--regid=4712", "--clear-groups", "/mnt/taru", "chroot"];
        let as_user = |args: &[&str]| {
            let rest = [&PROGRAMS[..], args, &["/mnt/tree", "sh", "-c", "id -u; ls /"]].concat();
            run("setpriv", &[&user[..], &rest].concat())
        };
        let done = as_user(&[]);
        let text = String::from_utf8_lossy(&done.stderr).into_owned();
        if text.contains("make a user and a mount namespace") {
            return taru_testkit::skip(
                "an_ordinary_user_changes_the_root_too",
                "user namespaces of ordinary users",
            );
        }
        assert_eq!(String::from_utf8(done.stdout).unwrap(), "4711\nbin\nlib\nlib64\nusr\n", "{text}");
        std::fs::create_dir_all("/mnt/tree/proc").unwrap();
        let done = as_user(&["--proc", "--ro"]);
        assert_eq!(String::from_utf8(done.stdout).unwrap(), "4711\nbin\nlib\nlib64\nproc\nusr\n");
        std::fs::remove_dir("/mnt/tree/proc").unwrap();
        let done = as_user(&["--map-root-user"]);
        assert_eq!(String::from_utf8(done.stdout).unwrap(), "0\nbin\nlib\nlib64\nusr\n");
    });
}

#[test]
fn a_tree_is_mounted_with_other_owners() {
    in_namespaces(OWN, || {
        assert!(run("mount", &["-t", "tmpfs", "tmpfs", "/mnt"]).status.success());
        std::fs::create_dir_all("/mnt/tree").unwrap();
        std::fs::create_dir_all("/mnt/on").unwrap();
        std::fs::write("/mnt/tree/f", "").unwrap();
        let owner = |path: &str| {
            use std::os::unix::fs::MetadataExt;
            let seen = std::fs::metadata(path).unwrap();
            (seen.uid(), seen.gid())
        };
        let done = run(TARU, &["idmap", "bind", "--map", "0:100000:1000", "--ro", "/mnt/tree", "/mnt/on"]);
        let text = String::from_utf8_lossy(&done.stderr).into_owned();
        if text.contains("map the ids of the mount") {
            return taru_testkit::skip("a_tree_is_mounted_with_other_owners", "id-mapped tmpfs (6.3)");
        }
        assert!(done.status.success(), "{text}");
        assert_eq!(owner("/mnt/on/f"), (100_000, 100_000));
        assert!(std::fs::write("/mnt/on/f", "").is_err());
        assert!(run("umount", &["/mnt/on"]).status.success());

        // A namespace that stays, for a mount and for a program.
        assert_eq!(taru(&["idmap", "make", "--users", "0:5:10", "--groups", "0:7:10", "/mnt/users"]), "");
        taru(&["idmap", "bind", "--userns", "/mnt/users", "/mnt/tree", "/mnt/on"]);
        assert_eq!(owner("/mnt/on/f"), (5, 7));
        std::fs::write("/mnt/on/new", "").unwrap_err(); // root is not mapped there
        assert_eq!(taru(&["enter", "--user=/mnt/users", "id", "-u"]), "0\n");
        let shown = taru(&["enter", "--user=/mnt/users", TARU, "idmap", "show"]);
        let words: Vec<_> = shown.split_whitespace().collect();
        assert_eq!(words[..4], ["KIND", "INSIDE", "OUTSIDE", "LENGTH"]);
        assert_eq!(words[4..], ["user", "0", "5", "10", "group", "0", "7", "10"], "{shown}");

        assert_eq!(refused(&["idmap", "bind", "/mnt/tree", "/mnt/on"]).0, 2);
        assert_eq!(refused(&["idmap", "bind", "--users", "0:1:1", "/mnt/tree", "/mnt/on"]).0, 2);
        let (status, text) =
            refused(&["idmap", "bind", "--map", "0:1:5", "--map", "3:9:5", "/mnt/tree", "/mnt/on"]);
        assert_eq!(status, 2);
        assert!(text.contains("map ids `3 9 5`: overlaps another range"), "{text}");
        let (_, text) = refused(&["idmap", "bind", "--map", "0:1:5", "/proc/self", "/mnt/on"]);
        assert!(text.contains("the file system must support id-mapped mounts"), "{text}");
    });
}

#[test]
fn the_check_tells_what_is_there_and_leaves_no_trace() {
    let mounts = || std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let before = mounts();
    let done = run(TARU, &["check", "--format", "json"]);
    let findings: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    let state = |area: &str, feature: &str| {
        let all = findings.as_array().unwrap();
        let found = all.iter().find(|f| f["area"] == area && f["feature"] == feature);
        found.unwrap_or_else(|| panic!("{area} {feature}"))["state"].as_str().unwrap().to_owned()
    };
    let release = run("uname", &["-r"]).stdout;
    assert_eq!(findings[0]["detail"], String::from_utf8_lossy(&release).trim());
    for kind in ["mnt", "uts", "ipc", "net", "pid", "user"] {
        let option = if kind == "mnt" { "--mount".to_owned() } else { format!("--{kind}") };
        let possible = run("unshare", &[&option, "true"]).status.success();
        assert_eq!(state("namespaces", kind) == "yes", possible, "{kind}");
    }
    let missing = findings.as_array().unwrap().iter().any(|f| f["needed"] == true && f["state"] == "no");
    assert_eq!(done.status.code(), Some(i32::from(missing)));
    // What is not there comes with what to do, at least where containers need it.
    for f in findings.as_array().unwrap() {
        assert!(f["state"] == "yes" || f["needed"] == false || f["advice"].is_string(), "{f}");
    }
    assert_eq!(mounts(), before);
    let table = run(TARU, &["check"]);
    assert!(String::from_utf8(table.stdout).unwrap().starts_with("AREA "));
}
