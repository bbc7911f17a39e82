//! Health checks of containers: what they find, and what they cannot do to the container, its supervisor and the host.
#![allow(clippy::unwrap_used, reason = "the functions around the tests are tests too")]

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use serde_json::Value;
use taru_supervise::health::{End, Report, State};
use taru_testkit::{Invocation, Output, Running, Sandbox, eventually, sandbox};

/// The ordinary user's id. Nobody of this number needs to exist.
const USER: u32 = 1000;

/// `taru` in a state directory of its own, as root or as an ordinary user.
struct Taru<'a> {
    sandbox: &'a Sandbox,
    user: bool,
}

impl<'a> Taru<'a> {
    fn new(sandbox: &'a Sandbox) -> Taru<'a> {
        Taru { sandbox, user: false }
    }

    /// As both, one after the other; nothing is left of either.
    fn each(sandbox: &'a Sandbox, test: impl Fn(&Taru<'a>)) {
        for user in [false, true] {
            let taru = Taru { sandbox, user };
            fs::create_dir_all(taru.state()).unwrap();
            let owner = Some(if user { USER } else { 0 });
            chown(taru.state(), owner, owner).unwrap();
            test(&taru);
            taru.assert_clean();
        }
    }

    fn state(&self) -> PathBuf {
        self.sandbox.dir().join(if self.user { "user" } else { "root" })
    }

    fn invoke(&self, words: &[&str]) -> Invocation {
        let mut argv: Vec<String> = Vec::new();
        if self.user {
            argv.extend(["setpriv", "--clear-groups"].map(str::to_owned));
            argv.extend([format!("--reuid={USER}"), format!("--regid={USER}")]);
        }
        argv.extend([env!("CARGO_BIN_EXE_taru").to_owned(), "--root".to_owned()]);
        argv.push(self.state().display().to_string());
        for word in words {
            argv.push((*word).to_owned());
            if *word == "run" {
                argv.push(format!("--cgroup-parent=/{}", self.sandbox.marker()));
            }
        }
        let output = self.sandbox.dir().join("output");
        fs::create_dir_all(&output).unwrap();
        Invocation::new(&output, argv).env("HOME", "/nonexistent")
    }

    fn taru(&self, line: &str) -> Output {
        self.invoke(&line.split_whitespace().collect::<Vec<_>>()).output()
    }

    /// `taru run` of the container `c` that waits, with a check.
    fn invoke_checked(&self, options: &str, check: &str) -> Invocation {
        let check = format!("--health-cmd={check}");
        let mut words = vec!["run", "-d", "--name", "c", &check];
        words.extend(options.split_whitespace());
        words.extend(["host", "--", "sleep", "1000"]);
        self.invoke(&words)
    }

    fn start(&self, options: &str, check: &str) {
        self.invoke_checked(options, check).output().succeeds();
    }

    /// What a script prints in the container.
    fn exec(&self, script: &str) -> String {
        self.invoke(&["exec", "c", "sh", "-c", script]).output().ok().stdout
    }

    /// The first process of the container's, the supervisor or init.
    fn pid(&self, key: &str) -> u64 {
        let inspected: Value = serde_json::from_str(&self.taru("inspect c").ok().stdout).unwrap();
        inspected[0]["state"][key].as_u64().unwrap()
    }

    fn health(&self) -> Value {
        let inspected: Value = serde_json::from_str(&self.taru("inspect c").ok().stdout).unwrap();
        inspected[0]["state"]["health"].clone()
    }

    /// Waits for a report that is `right` and returns it.
    #[track_caller]
    fn eventually(&self, what: &str, right: impl Fn(&Value) -> bool) -> Value {
        let mut health = Value::Null;
        eventually(what, || {
            health = self.health();
            right(&health)
        });
        health
    }

    #[track_caller]
    fn eventually_is(&self, state: &str) -> Value {
        self.eventually(state, |health| health["state"] == state)
    }

    /// How many checks have begun that write a line to this file.
    fn checks(&self) -> usize {
        self.exec("cat /tmp/count 2>/dev/null || true").lines().count()
    }

    /// How many processes of the container have `word` in their command lines. Zombies have none.
    fn count(&self, word: &str) -> usize {
        // The bracket keeps the pattern from finding itself.
        let script = format!(
            "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' ' | grep -o '[{}]{}' | wc -l",
            &word[..1],
            &word[1..]
        );
        self.exec(&script).trim().parse().unwrap()
    }

    fn remove(&self) {
        self.taru("rm -f c").succeeds();
    }

    #[track_caller]
    fn assert_clean(&self) {
        assert_eq!(self.taru("ps -a --format json").ok().stdout.trim(), "[]");
        for dir in ["containers", "run/containers"] {
            let left: Vec<_> = fs::read_dir(self.state().join(dir)).into_iter().flatten().flatten().collect();
            assert!(left.is_empty(), "{dir}: {left:?}");
        }
    }
}

fn last(health: &Value) -> Value {
    health["results"].as_array().and_then(|all| all.last()).cloned().unwrap_or_default()
}

#[test]
fn a_container_is_ill_after_failures_in_a_row_and_well_after_one_pass() {
    sandbox(|sandbox| {
        Taru::each(sandbox, |taru| {
            let check = "echo looked; test -e /tmp/well || { echo no >&2; exit 7; }";
            taru.start("--health-interval 10ms --health-retries 3", check);
            let ill = taru.eventually_is("unhealthy");
            assert!(ill["streak"].as_u64().unwrap() >= 3, "{ill}");
            assert_eq!(last(&ill)["exit"], 7, "{ill}");
            assert_eq!(last(&ill)["output"], "looked\nno\n", "{ill}");
            assert!(last(&ill)["start"].as_str().unwrap() <= last(&ill)["end"].as_str().unwrap(), "{ill}");
            assert!(taru.taru("ps").ok().stdout.contains(" (unhealthy)"));

            taru.exec("touch /tmp/well");
            let well = taru.eventually_is("healthy");
            assert_eq!(well["streak"], 0, "{well}");
            assert_eq!(last(&well)["exit"], 0, "{well}");
            assert_eq!(last(&well)["output"], "looked\n", "{well}");
            let listed = taru.taru("ps").ok().stdout;
            assert!(listed.contains("up ") && listed.contains(" (healthy)"), "{listed}");
            let lines: Value = serde_json::from_str(&taru.taru("ps --format json").ok().stdout).unwrap();
            assert_eq!(lines[0]["health"]["state"], "healthy", "{lines}");

            taru.exec("rm /tmp/well");
            let ill = taru.eventually_is("unhealthy");
            assert_eq!(ill["results"].as_array().unwrap().len(), 5, "{ill}");
            taru.remove();
        });
    });
}

#[test]
fn failures_in_the_start_period_do_not_count_and_a_pass_ends_it() {
    sandbox(|sandbox| {
        let taru = Taru::new(sandbox);
        let times =
            "--health-interval 1h --health-start-period 1h --health-start-interval 10ms --health-retries 1";
        taru.start(times, "test -e /tmp/well");
        assert!(taru.taru("ps").ok().stdout.contains(" (health: starting)"));
        let starting = taru.eventually("five failures", |h| h["results"].as_array().unwrap().len() == 5);
        assert_eq!((&starting["state"], &starting["streak"]), (&"starting".into(), &0.into()), "{starting}");
        assert_eq!(last(&starting)["exit"], 1);
        taru.exec("touch /tmp/well");
        let well = taru.eventually_is("healthy");
        assert_eq!(last(&well)["exit"], 0, "{well}");
        taru.remove();
    });
}

#[test]
fn a_check_is_the_containers_user_with_its_environment_and_directory() {
    sandbox(|sandbox| {
        let taru = Taru::new(sandbox);
        let options = "--health-interval 10ms -u 33 -e A=1 -w /tmp --hostname box";
        let check = "id -u; echo $A; pwd; hostname; ls /proc/self/fd | wc -l; tty; echo ${LISTEN_FDS-none}";
        taru.invoke_checked(options, check).env("LISTEN_FDS", "1").env("LISTEN_PID", "1").output().succeeds();
        let well = taru.eventually_is("healthy");
        // Standard streams and the directory that ls reads.
        assert_eq!(last(&well)["output"], "33\n1\n/tmp\nbox\n4\nnot a tty\nnone\n", "{well}");
        taru.remove();
    });
}

#[test]
fn a_check_that_hangs_is_killed_with_all_of_its_group() {
    sandbox(|sandbox| {
        Taru::each(sandbox, |taru| {
            let check = "echo hangs; trap '' TERM HUP; sleep 4242 & sleep 4242";
            // Enough for it to begin on a busy machine.
            taru.start("--health-interval 10ms --health-timeout 3s --health-retries 2", check);
            let ill = taru.eventually_is("unhealthy");
            for result in ill["results"].as_array().unwrap() {
                assert_eq!(result["exit"], Value::Null, "{ill}");
                assert_eq!(result["reason"], "it took too long and was killed", "{ill}");
                assert_eq!(result["output"], "hangs\n", "{ill}");
            }
            // At most one check runs: its two, and its own line.
            eventually("those of one check at most", || taru.count("sleep 4242") <= 4);
            taru.remove();
        });
    });
}

#[test]
fn what_a_check_leaves_in_its_group_ends_with_it() {
    sandbox(|sandbox| {
        Taru::each(sandbox, |taru| {
            // Those left behind hold the output open, which nobody waits for.
            let check = "echo x >> /tmp/count; for n in 1 2 3; do sleep 4243 & done; trap '' TERM";
            taru.start("--health-interval 10ms --health-timeout 1h", check);
            eventually("twenty checks", || taru.checks() >= 20);
            // At most one check runs: its three, and its own line.
            eventually("those of one check at most", || taru.count("sleep 4243") <= 4);
            let well = taru.eventually_is("healthy");
            assert_eq!(well["streak"], 0, "{well}");
            taru.remove();
        });
    });
}

#[test]
fn a_flood_of_output_is_taken_and_its_beginning_kept() {
    sandbox(|sandbox| {
        let taru = Taru::new(sandbox);
        let check = "yes | head -c 100000000; echo x >> /tmp/count; kill -9 $$";
        taru.start("--health-interval 10ms --health-timeout 1h --health-retries 2", check);
        let supervisor = taru.pid("supervisor");
        let ill = taru.eventually_is("unhealthy");
        assert_eq!(last(&ill)["exit"], 137, "{ill}");
        assert_eq!(last(&ill)["output"], "y\n".repeat(2048));
        let status = fs::read_to_string(format!("/proc/{supervisor}/status")).unwrap();
        assert!(status.contains("Threads:\t1\n"), "{status}");
        let anonymous = status.lines().find_map(|l| l.strip_prefix("RssAnon:")).unwrap();
        let kibibytes: u64 = anonymous.trim().trim_end_matches(" kB").parse().unwrap();
        assert!(kibibytes < 1024, "{status}");
        taru.remove();
    });
}

#[test]
fn checks_take_no_descriptors_and_no_processes_with_them() {
    sandbox(|sandbox| {
        let taru = Taru::new(sandbox);
        taru.start("--health-interval 1ms", "echo x >> /tmp/count");
        let supervisor = taru.pid("supervisor");
        let waiting = || {
            let names = |dir: &str| fs::read_dir(format!("/proc/{supervisor}/{dir}")).unwrap().count();
            let children =
                fs::read_to_string(format!("/proc/{supervisor}/task/{supervisor}/children")).unwrap();
            (names("fd"), children.split_whitespace().count())
        };
        let mut before = waiting();
        eventually("between two checks", || {
            before = waiting();
            before.1 == 1
        });
        eventually("fifty checks", || taru.checks() >= 50);
        eventually("as before", || waiting() == before);
        taru.remove();
    });
}

#[test]
fn what_cannot_be_executed_is_a_failure_that_says_why() {
    sandbox(|sandbox| {
        let taru = Taru::new(sandbox);
        let root = sandbox.dir().join("rootfs");
        for dir in ["usr", "proc", "sys", "dev", "tmp"] {
            fs::create_dir_all(root.join(dir)).unwrap();
        }
        for link in ["lib", "lib64"] {
            symlink(format!("usr/{link}"), root.join(link)).unwrap();
        }
        // There is no /bin in it.
        let root = root.to_str().unwrap();
        let words =
            ["run", "-d", "--name", "c", "--ro", "/usr", "--health-cmd", "true", "--health-interval", "10ms"];
        taru.invoke(&[&words[..], &["--rootfs", root, "/usr/bin/sleep", "1000"]].concat())
            .output()
            .succeeds();
        let ill = taru.eventually_is("unhealthy");
        assert_eq!(last(&ill)["exit"], Value::Null, "{ill}");
        assert_eq!(last(&ill)["reason"], "it could not be executed", "{ill}");
        assert!(last(&ill)["output"].as_str().unwrap().contains("/bin/sh"), "{ill}");
        taru.remove();
    });
}

#[test]
fn checks_wait_while_the_container_is_paused() {
    sandbox(|sandbox| {
        let taru = Taru::new(sandbox);
        // The second check ends when it is let.
        let check = "touch /tmp/count; test $(wc -l < /tmp/count) != 1 || touch /tmp/wait; echo x >> /tmp/count; \
                     while test -e /tmp/wait; do sleep 0.01; done";
        taru.start("--health-interval 10ms --health-timeout 4s --health-retries 1", check);
        let id: Value = serde_json::from_str(&taru.taru("inspect c").ok().stdout).unwrap();
        let id = id[0]["id"].as_str().unwrap();
        let root = taru.state().join("run/runtime");
        let runtime = |verb: &str| {
            let program = sandbox.runtime().program().to_str().unwrap();
            sandbox
                .runtime()
                .beside([program, "--root", root.to_str().unwrap(), verb, id])
                .output()
                .succeeds();
        };
        eventually("the second check", || taru.checks() == 2);
        runtime("pause");
        let before = taru.health();
        // While a check runs the supervisor wakes once a second to look; at the sixth look the check's own time is over.
        let supervisor = taru.pid("supervisor");
        let wakes = || {
            let status = fs::read_to_string(format!("/proc/{supervisor}/status")).unwrap();
            let line = status.lines().find(|line| line.starts_with("voluntary_ctxt_switches")).unwrap();
            line.split_whitespace().last().unwrap().parse::<u64>().unwrap()
        };
        let then = wakes();
        eventually("six looks", || wakes() >= then + 6);
        assert_eq!(taru.health(), before, "nothing is found out in the meantime");
        fs::remove_file(format!("/proc/{}/root/tmp/wait", taru.pid("pid"))).unwrap();
        runtime("resume");
        let well = taru.eventually("five results", |h| h["results"].as_array().unwrap().len() == 5);
        assert!(well["results"].as_array().unwrap().iter().all(|r| r["exit"] == 0), "{well}");
        assert_eq!((&well["state"], &well["streak"]), (&"healthy".into(), &0.into()), "{well}");
        taru.remove();
    });
}

#[test]
fn checks_end_with_the_container_whoever_ends_it() {
    sandbox(|sandbox| {
        Taru::each(sandbox, |taru| {
            let check = "touch /tmp/began; setsid sleep 4244 & sleep 4244";
            let began = || {
                taru.start("--health-interval 10ms", check);
                // The line of the check itself, and the two.
                eventually("a check", || {
                    taru.count("setsid sleep 4244") == 1 && taru.count("sleep 4244") == 4
                });
            };
            began();
            taru.taru("stop -t 0 c").succeeds();
            assert_eq!(taru.health(), Value::Null, "nobody watches it any more");
            taru.taru("rm c").succeeds();
            began();
            taru.remove();
            began();
            let supervisor = taru.pid("supervisor").to_string();
            taru.sandbox.runtime().beside(["kill", "-9", &supervisor]).output().succeeds();
            eventually("its end is noticed", || taru.taru("ps").ok().stdout.lines().count() == 1);
            taru.taru("rm c").succeeds();
        });
        // The sandbox looks for processes that are left.
    });
}

/// `taru-runtime supervise` with another runtime and a check that hangs, once the first has come to an end.
fn hangs_with(sandbox: &Sandbox, runtime: &str, name: &str) -> (Running, Report) {
    let bundle = sandbox.bundle_of(name).idle();
    bundle.write();
    let dir = bundle.dir().to_str().unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_taru")).with_file_name("taru-runtime");
    let root = root_of(sandbox, name);
    let command = [program.to_str().unwrap(), "--root", &root, "supervise", "--runtime", runtime];
    let options = ["--bundle", dir, "--dir", dir, "--health-interval=1h", "--health-timeout=2s"];
    let starting = ["--health-start-period=1h", "--health-start-interval=10ms", "--health-retries=1"];
    let check = ["/bin/sh", "-c", "echo hangs; sleep 4245 & sleep 4245"].map(|w| format!("--health-cmd={w}"));
    let check = check.each_ref().map(String::as_str);
    let argv = [&command[..], &options, &starting, &check, &[name]].concat();
    let mut running = sandbox.runtime().beside(argv).spawn();
    running.wait_for("started");
    let mut report = None;
    eventually("one is killed", || {
        report = Report::read(bundle.dir()).unwrap().filter(|report| !report.results.is_empty());
        report.is_some()
    });
    (running, report.unwrap())
}

fn root_of(sandbox: &Sandbox, name: &str) -> String {
    sandbox.dir().join(name).to_str().unwrap().to_owned()
}

#[test]
fn another_runtime_checks_as_well() {
    sandbox(|sandbox| {
        for peer in ["crun", "runc"] {
            let found = sandbox.runtime().beside(["sh", "-c", &format!("command -v {peer}")]).output();
            if found.status != 0 {
                sandbox.skip(peer);
                continue;
            }
            let program = found.text();
            // crun 1.8 refuses hybrid control groups.
            let works = sandbox.bundle_of("works");
            works.write();
            let root = root_of(sandbox, peer);
            let run = [program, "--root", &root, "run", "--bundle", works.dir().to_str().unwrap(), "works"];
            if sandbox.runtime().beside(run).output().status != 0 {
                sandbox.skip(&format!("a {peer} that runs containers here"));
                continue;
            }
            let (running, report) = hangs_with(sandbox, program, peer);
            let result = &report.results[0];
            let said = String::from_utf8_lossy(&result.output);
            assert_eq!((result.end, said.as_ref()), (End::TimedOut, "hangs\n"), "{peer}");
            sandbox.runtime().beside([program, "--root", &root, "kill", peer, "KILL"]).output().succeeds();
            running.wait().succeeds();
        }
    });
}

#[test]
fn a_runtime_that_hangs_is_killed_like_a_check() {
    sandbox(|sandbox| {
        let own = Path::new(env!("CARGO_BIN_EXE_taru")).with_file_name("taru-runtime");
        let script = sandbox.dir().join("runtime");
        let text = format!(
            "#!/bin/sh\ncase \"$*\" in *' exec '*) echo stuck; exec sleep 4246;; esac\nexec {} \"$@\"\n",
            own.display()
        );
        fs::write(&script, text).unwrap();
        fs::set_permissions(&script, Permissions::from_mode(0o755)).unwrap();
        let (running, report) = hangs_with(sandbox, script.to_str().unwrap(), "stuck");
        let result = &report.results[0];
        assert_eq!((result.end, &result.output[..]), (End::TimedOut, &b"stuck\n"[..]));
        assert_eq!((report.state, report.streak), (State::Starting, 0));
        let root = root_of(sandbox, "stuck");
        let kill = [own.to_str().unwrap(), "--root", &root, "kill", "stuck", "KILL"];
        sandbox.runtime().beside(kill).output().succeeds();
        running.wait().succeeds();
    });
}

#[test]
fn options_that_make_no_sense_are_refused_and_the_foreground_says_that_nobody_checks() {
    sandbox(|sandbox| {
        let taru = Taru::new(sandbox);
        let run = |options: &str| taru.taru(&format!("run {options} host -- echo ran"));
        for (options, words) in [
            ("--health-interval 1s", "there is no check"),
            ("--health-cmd x --no-healthcheck", "cannot be used with"),
            ("--health-cmd x --health-timeout 1", "ran"),
            ("--health-cmd x --health-timeout 0", "less than 1ms"),
            ("--health-cmd x --health-interval 1y", "`1y`"),
            ("--health-cmd x --health-retries 0", "--health-retries"),
        ] {
            let output = run(options);
            if words == "ran" {
                assert_eq!((output.status, output.stdout.as_str(), output.stderr.as_str()), (0, "ran\n", ""));
                continue;
            }
            assert_eq!(output.status, 125, "{options}");
            assert!(output.stderr.contains(words), "{options}: {}", output.stderr);
        }
        let noted = run("--log-level info --health-cmd x").ok();
        assert!(
            noted.stderr.contains("info: health checks are for containers in the background"),
            "{}",
            noted.stderr
        );
        let noted = run("--log-level info --no-healthcheck").ok();
        assert!(!noted.stderr.contains("health checks"), "{}", noted.stderr);
    });
}
