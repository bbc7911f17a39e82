//! `process`: arguments, environment, working directory, limits and scheduling of the program.

use serde_json::json;
use taru_testkit::{Family, sandbox};

#[test]
fn arguments_arrive_unchanged() {
    sandbox(|sandbox| {
        let script = r#"for a in "$0" "$@"; do printf '[%s]' "$a"; done"#;
        let bundle = sandbox.bundle().args(&["/bin/sh", "-c", script, "zero", "", "a b", "$(id)", "é\n;'\""]);
        assert_eq!(sandbox.runtime().prints(&bundle), "[zero][][a b][$(id)][é\n;'\"]");
    });
}

#[test]
fn program_is_looked_up_in_the_containers_path() {
    sandbox(|sandbox| {
        let bundle = sandbox
            .bundle()
            .file("opt/tool", "#!/bin/sh\necho found\n", 0o755)
            .args(&["tool"])
            .put("/process/env", json!(["PATH=/nowhere:/opt"]));
        assert_eq!(sandbox.runtime().prints(&bundle), "found");
    });
}

#[test]
fn missing_program_is_named() {
    sandbox(|sandbox| {
        let output = sandbox.runtime().run(&sandbox.bundle().args(&["no-such-program"]));
        output.fails_with("no-such-program");
        sandbox.assert_no_leaks();
    });
}

#[test]
fn program_without_the_execute_bit_is_refused() {
    sandbox(|sandbox| {
        let bundle = sandbox.bundle().file("opt/plain", "text", 0o644).args(&["/opt/plain"]);
        sandbox.runtime().run(&bundle).fails();
    });
}

#[test]
fn a_directory_is_no_program() {
    sandbox(|sandbox| sandbox.runtime().run(&sandbox.bundle().args(&["/etc"])).fails());
}

#[test]
fn empty_arguments_are_refused() {
    sandbox(|sandbox| {
        sandbox.runtime().run(&sandbox.bundle().args(&[])).fails();
        sandbox.runtime().run(&sandbox.bundle().put("/process/args", json!(null))).fails();
    });
}

#[test]
fn environment_is_the_given_one_and_nothing_of_the_hosts() {
    sandbox(|sandbox| {
        let bundle = sandbox.bundle().args(&["/bin/env"]).put(
            "/process/env",
            json!(["PATH=/bin", "A=1", "EMPTY=", "SPACE=a b", "EQ=x=y", "HOME=/somewhere"]),
        );
        let output =
            sandbox.runtime().invoke_run(&bundle, &[] as &[&str]).env("HOST_SECRET", "leak").output();
        let mut lines: Vec<&str> = output.text().lines().collect();
        lines.sort_unstable();
        assert_eq!(lines, ["A=1", "EMPTY=", "EQ=x=y", "HOME=/somewhere", "PATH=/bin", "SPACE=a b"]);
    });
}

#[test]
fn environment_value_with_a_newline_is_byte_exact() {
    sandbox(|sandbox| {
        let bundle =
            sandbox.bundle().sh("printf %s \"$V\"").put("/process/env", json!(["PATH=/bin", "V=one\ntwo"]));
        assert_eq!(sandbox.runtime().run(&bundle).ok().stdout, "one\ntwo");
    });
}

#[test]
fn home_is_set_from_the_containers_passwd() {
    sandbox(|sandbox| {
        let bundle = sandbox.bundle().sh("echo $HOME").put("/process/env", json!(["PATH=/bin"]));
        assert_eq!(sandbox.runtime().prints(&bundle), "/root");
        let as_user = bundle.put("/process/user", json!({ "uid": 1000, "gid": 1000 }));
        assert_eq!(sandbox.runtime().prints(&as_user), "/home/user");
    });
}

#[test]
fn cwd_is_entered() {
    sandbox(|sandbox| {
        let bundle = sandbox.bundle().args(&["/bin/pwd"]).put("/process/cwd", json!("/usr/bin"));
        assert_eq!(sandbox.runtime().prints(&bundle), "/usr/bin");
    });
}

#[test]
fn missing_cwd_is_created() {
    sandbox(|sandbox| {
        let bundle = sandbox
            .bundle()
            .writable()
            .args(&["/bin/sh", "-c", "pwd; stat -c %a,%u:%g ."])
            .put("/process/cwd", json!("/new/deep/dir"));
        assert_eq!(sandbox.runtime().prints(&bundle), "/new/deep/dir\n755,0:0");
    });
}

#[test]
fn cwd_that_cannot_be_is_refused() {
    sandbox(|sandbox| {
        for cwd in ["relative", "", "/etc/passwd"] {
            if cwd != "/etc/passwd" && sandbox.peer_lacks(&[Family::Crun], "refusal of a relative cwd") {
                continue;
            }
            let bundle = sandbox.bundle().put("/process/cwd", json!(cwd));
            let output = sandbox.runtime().run(&bundle);
            assert!(output.status != 0, "cwd `{cwd}` was accepted");
        }
    });
}

#[test]
fn cwd_the_user_may_enter_by_group_only() {
    sandbox(|sandbox| {
        let bundle = sandbox
            .bundle()
            .sh("pwd")
            .put("/process/user", json!({ "uid": 1000, "gid": 1000, "additionalGids": [50] }))
            .put("/process/cwd", json!("/mnt"));
        let rootfs = bundle.rootfs();
        std::os::unix::fs::chown(rootfs.join("mnt"), Some(0), Some(50)).expect("chown");
        std::fs::set_permissions(rootfs.join("mnt"), std::os::unix::fs::PermissionsExt::from_mode(0o750))
            .expect("chmod");
        assert_eq!(sandbox.runtime().prints(&bundle), "/mnt");
    });
}

#[test]
fn rlimits_are_exact() {
    sandbox(|sandbox| {
        let bundle = sandbox.bundle().args(&["/bin/cat", "/proc/self/limits"]).put(
            "/process/rlimits",
            json!([
                { "type": "RLIMIT_NOFILE", "soft": 100, "hard": 200 },
                { "type": "RLIMIT_CORE", "soft": 0, "hard": 1024 },
                { "type": "RLIMIT_NPROC", "soft": 50, "hard": 60 },
                { "type": "RLIMIT_STACK", "soft": 1048576, "hard": 2097152 },
                { "type": "RLIMIT_MEMLOCK", "soft": 4096, "hard": 8192 },
            ]),
        );
        let output = sandbox.runtime().run(&bundle).ok();
        let limit = |name: &str| {
            let line = output.stdout.lines().find(|line| line.starts_with(name)).expect("a line a limit");
            let mut fields = line[name.len()..].split_whitespace();
            (fields.next().unwrap_or("").to_owned(), fields.next().unwrap_or("").to_owned())
        };
        let pair = |soft: &str, hard: &str| (soft.to_owned(), hard.to_owned());
        assert_eq!(limit("Max open files"), pair("100", "200"));
        assert_eq!(limit("Max core file size"), pair("0", "1024"));
        assert_eq!(limit("Max processes"), pair("50", "60"));
        assert_eq!(limit("Max stack size"), pair("1048576", "2097152"));
        assert_eq!(limit("Max locked memory"), pair("4096", "8192"));
    });
}

#[test]
fn rlimits_too_small_to_set_up_with_hold_for_the_program_alone() {
    sandbox(|sandbox| {
        if sandbox.peer_lacks(&[Family::Runc, Family::Crun], "rlimits set last") {
            return;
        }
        let limits = json!([
            { "type": "RLIMIT_NOFILE", "soft": 4, "hard": 4 },
            { "type": "RLIMIT_NPROC", "soft": 0, "hard": 0 },
        ]);
        let script = "ulimit -n; ulimit -u; exec 3</etc/passwd; echo three; exec 4</etc/passwd";
        let bundle = sandbox.bundle().sh(script).put("/process/rlimits", limits.clone());
        let output = sandbox.runtime().run(&bundle);
        assert_eq!(output.stdout, "4\n0\nthree\n");
        assert_ne!(output.status, 0, "a fifth file was opened");
        let terminal = bundle.put("/process/terminal", json!(true));
        let output = sandbox.runtime().run(&terminal);
        assert!(output.stdout.starts_with("4\r\n0\r\n"), "{}", output.stdout);

        let container = sandbox.runtime().start(&sandbox.bundle().idle());
        let process = json!({
            "args": ["/bin/sh", "-c", "ulimit -n"], "cwd": "/", "rlimits": limits,
        });
        let file = sandbox.dir().join("process.json");
        std::fs::write(&file, process.to_string()).expect("write the process");
        let file = file.to_str().expect("a plain path");
        assert_eq!(container.exec_with(&["--process", file], &[] as &[&str]).ok().stdout, "4\n");
    });
}

#[test]
fn unknown_or_repeated_rlimit_is_refused() {
    sandbox(|sandbox| {
        let unknown = json!([{ "type": "RLIMIT_NOSUCH", "soft": 1, "hard": 1 }]);
        sandbox.runtime().run(&sandbox.bundle().put("/process/rlimits", unknown)).fails_with("RLIMIT_NOSUCH");
        if !sandbox.peer_lacks(&[Family::Crun], "refusal of a repeated rlimit") {
            let twice = json!([
                { "type": "RLIMIT_NOFILE", "soft": 10, "hard": 10 },
                { "type": "RLIMIT_NOFILE", "soft": 20, "hard": 20 },
            ]);
            sandbox
                .runtime()
                .run(&sandbox.bundle().put("/process/rlimits", twice))
                .fails_with("RLIMIT_NOFILE");
        }
    });
}

#[test]
fn no_new_privileges_is_as_asked() {
    sandbox(|sandbox| {
        for (asked, seen) in [(true, "1"), (false, "0")] {
            let bundle = sandbox
                .bundle()
                .args(&["/bin/cat", "/proc/self/status"])
                .put("/process/noNewPrivileges", json!(asked));
            assert_eq!(sandbox.runtime().run(&bundle).ok().value("NoNewPrivs"), seen);
        }
    });
}

#[test]
fn oom_score_is_adjusted() {
    sandbox(|sandbox| {
        let bundle = sandbox
            .bundle()
            .args(&["/bin/cat", "/proc/self/oom_score_adj"])
            .put("/process/oomScoreAdj", json!(321));
        assert_eq!(sandbox.runtime().prints(&bundle), "321");
    });
}

/// This host lacks CAP_SYS_RESOURCE: a value below the caller's is refused by the kernel. Ours clamps
/// it with a warning; peers fail.
#[test]
fn oom_score_the_kernel_refuses_is_clamped() {
    sandbox(|sandbox| {
        if sandbox.peer_lacks(&[Family::Runc, Family::Crun], "clamping of oomScoreAdj") {
            return;
        }
        let own = std::fs::read_to_string("/proc/self/oom_score_adj").expect("read oom_score_adj");
        let bundle = sandbox
            .bundle()
            .args(&["/bin/cat", "/proc/self/oom_score_adj"])
            .put("/process/oomScoreAdj", json!(-900));
        let seen = sandbox.runtime().prints(&bundle);
        assert!(seen == "-900" || seen == own.trim(), "oom_score_adj {seen}");
    });
}

#[test]
fn scheduler_policy_and_nice_are_set() {
    sandbox(|sandbox| {
        if sandbox.peer_lacks(&[Family::Runc, Family::Crun], "process.scheduler") {
            return;
        }
        let bundle = sandbox
            .bundle()
            .args(&["/bin/probe", "sched"])
            .put("/process/scheduler", json!({ "policy": "SCHED_BATCH", "nice": 7 }));
        let output = sandbox.runtime().run(&bundle).ok();
        assert_eq!((output.value("policy"), output.value("nice")), ("3", "7"));

        let idle = bundle.put("/process/scheduler", json!({ "policy": "SCHED_IDLE" }));
        assert_eq!(sandbox.runtime().run(&idle).ok().value("policy"), "5");
    });
}

#[test]
fn scheduler_with_contradictions_is_refused() {
    sandbox(|sandbox| {
        if sandbox.peer_lacks(&[Family::Runc, Family::Crun], "process.scheduler") {
            return;
        }
        let run = |scheduler| sandbox.runtime().run(&sandbox.bundle().put("/process/scheduler", scheduler));
        run(json!({ "policy": "SCHED_NOSUCH" })).fails();
        run(json!({ "policy": "SCHED_OTHER", "flags": ["NOSUCH"] })).fails();
        run(json!({ "policy": "SCHED_DEADLINE", "runtime": 30_000_000, "deadline": 20_000_000 }))
            .fails_with("runtime (30000000) must be <= deadline (20000000)");
    });
}

#[test]
fn io_priority_is_set() {
    sandbox(|sandbox| {
        if sandbox.peer_lacks(&[Family::Runc, Family::Crun], "process.ioPriority") {
            return;
        }
        let bundle = sandbox
            .bundle()
            .args(&["/bin/probe", "sched"])
            .put("/process/ioPriority", json!({ "class": "IOPRIO_CLASS_BE", "priority": 6 }));
        let output = sandbox.runtime().run(&bundle).ok();
        assert_eq!((output.value("ioprio_class"), output.value("ioprio_level")), ("2", "6"));
    });
}

#[test]
fn personality_is_set() {
    sandbox(|sandbox| {
        if sandbox.peer_lacks(&[Family::Runc], "linux.personality") {
            return;
        }
        let bundle = sandbox
            .bundle()
            .args(&["/bin/probe", "ids"])
            .put("/linux/personality", json!({ "domain": "LINUX32" }));
        assert_eq!(sandbox.runtime().run(&bundle).ok().value("personality"), "8");
    });
}

#[test]
fn exec_cpu_affinity_is_set_for_exec() {
    sandbox(|sandbox| {
        if sandbox.peer_lacks(&[Family::Runc, Family::Crun], "process.execCPUAffinity") {
            return;
        }
        if std::thread::available_parallelism().map_or(1, usize::from) < 2 {
            return sandbox.skip("a second CPU");
        }
        let bundle =
            sandbox.bundle().idle().put("/process/execCPUAffinity", json!({ "initial": "0", "final": "1" }));
        let container = sandbox.runtime().start(&bundle);
        let output = container.exec(["/bin/cat", "/proc/self/status"]).ok();
        assert_eq!(output.value("Cpus_allowed_list"), "1");
    });
}

#[test]
fn unmapped_standard_streams_work() {
    sandbox(|sandbox| {
        let output = sandbox
            .runtime()
            .invoke_run(&sandbox.bundle().args(&["/bin/cat"]), &[] as &[&str])
            .stdin("from outside\n")
            .output()
            .ok();
        assert_eq!(output.stdout, "from outside\n");
    });
}

#[test]
fn the_user_can_open_its_standard_streams_anew() {
    sandbox(|sandbox| {
        // Standard output is a pipe, standard error a file that is written, standard input one that is read.
        let script = "echo out >/dev/stdout; echo err >/dev/stderr; cat; \
                      (echo in >/proc/self/fd/0) 2>/dev/null || echo refused";
        let bundle = sandbox.bundle().sh(script).put("/process/user", json!({ "uid": 1000, "gid": 50 }));
        let piped = ["/bin/sh", "-c", "\"$@\" | cat", "sh"];
        let run = sandbox.runtime().invoke_run(&bundle, &[] as &[&str]).stdin("from outside\n");
        let output = run.under(piped).output();
        let peer = sandbox.peer_lacks(&[Family::Runc, Family::Crun], "keeping read-only input the caller's");
        let written = if peer { "" } else { "refused\n" };
        assert_eq!(output.stdout, format!("out\nfrom outside\n{written}"), "{}", output.stderr);
        assert!(output.stderr.ends_with("err\n"), "{}", output.stderr);

        let container = sandbox.runtime().start(&sandbox.bundle().idle());
        let options = ["--user", "1000:50"];
        let exec = container.invoke_exec(&options, ["/bin/sh", "-c", "echo anew >/dev/stdout"]);
        assert_eq!(exec.under(piped).output().ok().text(), "anew");
    });
}

#[test]
fn signals_start_unblocked_and_unignored() {
    sandbox(|sandbox| {
        let bundle = sandbox.bundle().args(&["/bin/cat", "/proc/self/status"]);
        let output = sandbox.runtime().run(&bundle).ok();
        assert_eq!(output.value("SigBlk"), "0000000000000000");
        if sandbox.peer_lacks(&[Family::Runc, Family::Crun], "reset of ignored signals") {
            return;
        }
        assert_eq!(output.value("SigIgn"), "0000000000000000");
    });
}
