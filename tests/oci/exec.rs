//! `exec`: a further process in a running container.

use std::fs;

use serde_json::json;
use taru_testkit::{Container, Family, eventually, sandbox};

#[test]
fn output_status_and_stdin() {
    sandbox(|sandbox| {
        let container = sandbox.runtime().start(&sandbox.bundle().idle());
        let output = container.exec(["/bin/sh", "-c", "echo out; echo err >&2; exit 9"]);
        assert_eq!((output.status, output.stdout.as_str(), output.stderr.as_str()), (9, "out\n", "err\n"));
        let output = container.invoke_exec(&[], ["/bin/cat"]).stdin("words").output().ok();
        assert_eq!(output.stdout, "words");
        assert_eq!(container.exec(["/bin/sh", "-c", "kill -9 $$"]).status, 137);
    });
}

#[test]
fn joins_every_namespace_and_cgroup_of_init() {
    sandbox(|sandbox| {
        let bundle = sandbox.bundle().idle().namespace("cgroup", None);
        let container = sandbox.runtime().start(&bundle);
        let script = "for n in cgroup ipc mnt net pid uts user; do readlink /proc/$1/ns/$n; done";
        let of_init = container.exec(["/bin/sh", "-c", script, "sh", "1"]).ok().stdout;
        let own = container.exec(["/bin/sh", "-c", script, "sh", "self"]).ok().stdout;
        assert_eq!(own, of_init);
        let init = fs::read_to_string(format!("/proc/{}/cgroup", container.pid())).expect("cgroups of init");
        let mut sleeper = container.invoke_exec(&[], ["/bin/sh", "-c", "echo up; exec sleep 1000"]).spawn();
        sleeper.wait_for("up");
        let procs = fs::read_to_string(container.cgroup("pids").join("cgroup.procs")).expect("processes");
        for pid in procs.lines() {
            assert_eq!(fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("its cgroups"), init);
        }
        container.exec(["/bin/killall", "sleep"]).succeeds();
        let _ = sleeper.wait();
    });
}

#[test]
fn inherits_the_processes_settings() {
    sandbox(|sandbox| {
        let bundle = sandbox
            .bundle()
            .idle()
            .put("/process/env", json!(["PATH=/bin", "FROM_SPEC=1"]))
            .put("/process/cwd", json!("/usr"))
            .put("/process/rlimits", json!([{ "type": "RLIMIT_NOFILE", "soft": 77, "hard": 88 }]));
        let container = sandbox.runtime().start(&bundle);
        let output = container.exec(["/bin/sh", "-c", "echo $FROM_SPEC $PWD; cat /proc/self/status"]).ok();
        if !sandbox.peer_lacks(&[Family::Crun], "the specification's cwd in exec") {
            assert_eq!(output.stdout.lines().next(), Some("1 /usr"));
        }
        if !sandbox.peer_lacks(&[Family::Crun], "the specification's no_new_privs in exec") {
            assert_eq!(output.value("NoNewPrivs"), "1");
        }
        assert_eq!(output.value("CapBnd"), "0000000020000420");
        assert_eq!(output.value("CapEff"), "0000000020000420");
        let init = fs::read_to_string(format!("/proc/{}/status", container.pid())).expect("status of init");
        let seccomp_of_init = init.lines().find(|line| line.starts_with("Seccomp:"));
        assert_eq!(output.stdout.lines().find(|line| line.starts_with("Seccomp:")), seccomp_of_init);
    });
}

#[test]
fn options_override() {
    sandbox(|sandbox| {
        let bundle = sandbox.bundle().idle().put("/process/env", json!(["PATH=/bin", "A=1", "B=2"]));
        let container = sandbox.runtime().start(&bundle);
        let output = container.exec_with(&["-e", "A=9", "-e", "C=3"], ["/bin/env"]).ok();
        let mut lines: Vec<&str> = output.text().lines().filter(|line| !line.starts_with("HOME=")).collect();
        lines.sort_unstable();
        if !sandbox.peer_lacks(&[Family::Crun], "-e adding to the environment") {
            assert_eq!(lines, ["A=9", "B=2", "C=3", "PATH=/bin"]);
        }
        assert_eq!(container.exec_with(&["--cwd", "/tmp"], ["/bin/pwd"]).ok().text(), "/tmp");
        let output = container.exec_with(&["--user", "1000:50"], ["/bin/probe", "ids"]).ok();
        assert_eq!(output.value("uids"), "1000 1000 1000");
        assert_eq!(output.value("gids"), "50 50 50");
        let with_cap = container.exec_with(&["--cap", "CAP_SYS_ADMIN"], ["/bin/cat", "/proc/self/status"]);
        if !sandbox.peer_lacks(&[Family::Crun], "--cap adding to the container's capabilities") {
            assert_eq!(with_cap.ok().value("CapEff"), "0000000020200420");
        }
    });
}

#[test]
fn additional_groups() {
    sandbox(|sandbox| {
        if sandbox.peer_lacks(&[Family::Crun], "--additional-gids") {
            return;
        }
        let container = sandbox.runtime().start(&sandbox.bundle().idle());
        let options = ["--user", "1000:1000", "--additional-gids", "100", "--additional-gids", "65"];
        let output = container.exec_with(&options, ["/bin/probe", "ids"]).ok();
        let mut groups: Vec<&str> = output.value("groups").split(' ').collect();
        groups.sort_unstable();
        assert_eq!(groups, ["100", "65"]);
    });
}

#[test]
fn no_new_privileges_can_be_added() {
    sandbox(|sandbox| {
        let bundle = sandbox.bundle().idle().put("/process/noNewPrivileges", json!(false));
        let container = sandbox.runtime().start(&bundle);
        let status = ["/bin/cat", "/proc/self/status"];
        assert_eq!(container.exec(status).ok().value("NoNewPrivs"), "0");
        assert_eq!(container.exec_with(&["--no-new-privs"], status).ok().value("NoNewPrivs"), "1");
    });
}

#[test]
fn a_process_file_says_it_all() {
    sandbox(|sandbox| {
        let container = sandbox.runtime().start(&sandbox.bundle().idle());
        let process = sandbox.dir().join("process.json");
        let content = json!({
            "args": ["/bin/sh", "-c", "pwd; echo $X; probe ids; cat /proc/self/status"],
            "env": ["PATH=/bin", "X=y"],
            "cwd": "/etc",
            "user": { "uid": 1000, "gid": 1000, "additionalGids": [3], "umask": 63 },
            "capabilities": { "bounding": ["CAP_KILL"] },
            "noNewPrivileges": true,
        });
        fs::write(&process, content.to_string()).expect("write process.json");
        let output =
            sandbox.runtime().invoke(["exec", "--process"]).arg(&process).arg(container.id()).output().ok();
        assert_eq!(output.stdout.lines().take(2).collect::<Vec<_>>(), ["/etc", "y"]);
        assert_eq!(output.value("uids"), "1000 1000 1000");
        assert_eq!(output.value("groups"), "3");
        if !sandbox.peer_lacks(&[Family::Runc], "umask in exec") {
            assert_eq!(output.value("umask"), "077");
        }
        assert_eq!(output.value("CapBnd"), "0000000000000020");
    });
}

#[test]
fn detached_with_a_pid_file() {
    sandbox(|sandbox| {
        let container = sandbox.runtime().start(&sandbox.bundle().writable().idle());
        let pid_file = sandbox.dir().join("pid");
        let options = ["--detach", "--pid-file", pid_file.to_str().expect("a plain path")];
        container.exec_with(&options, ["/bin/sleep", "1000"]).succeeds();
        let pid = fs::read_to_string(&pid_file).expect("a pid file");
        eventually("the program runs", || {
            fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim() == "sleep")
        });
        // It belongs to the container: it ends with it.
        container.delete_force().succeeds();
        sandbox.assert_no_leaks();
    });
}

#[test]
fn a_missing_program_or_directory_is_an_error() {
    sandbox(|sandbox| {
        let container = sandbox.runtime().start(&sandbox.bundle().idle());
        container.exec(["/no/such/program"]).fails_with("/no/such/program");
        let output = container.exec_with(&["--cwd", "/no/such/dir"], ["/bin/true"]);
        if !sandbox.peer_lacks(&[Family::Crun, Family::Runc], "refusal of a missing cwd in exec") {
            output.fails_with("/no/such/dir");
        }
        assert_eq!(container.status(), "running");
    });
}

#[test]
fn in_a_created_container() {
    sandbox(|sandbox| {
        if sandbox.peer_lacks(&[Family::Crun], "exec before start") {
            return;
        }
        let container = sandbox.runtime().create(&sandbox.bundle().idle());
        assert_eq!(container.exec(["/bin/echo", "early"]).ok().text(), "early");
        container.start();
        assert_eq!(container.status(), "running");
    });
}

#[test]
fn many_at_once() {
    sandbox(|sandbox| {
        let container = sandbox.runtime().start(&sandbox.bundle().idle());
        let execs: Vec<_> = (0..12)
            .map(|number: i32| container.invoke_exec(&[], ["/bin/echo", &number.to_string()]).spawn())
            .collect();
        for (number, exec) in execs.into_iter().enumerate() {
            assert_eq!(exec.wait().ok().text(), number.to_string());
        }
    });
}

#[test]
fn in_a_container_with_a_user_namespace() {
    sandbox(|sandbox| {
        let container = sandbox.runtime().start(&sandbox.bundle().idle().user_namespace(100_000));
        let output = container.exec(["/bin/sh", "-c", "cat /proc/self/uid_map; probe ids"]).ok();
        assert_eq!(output.stdout.split_whitespace().take(3).collect::<Vec<_>>(), ["0", "100000", "65536"]);
        assert_eq!(output.value("uids"), "0 0 0");
        let output = container.exec_with(&["--user", "5:6"], ["/bin/probe", "ids"]).ok();
        assert_eq!(output.value("uids"), "5 5 5");
    });
}

#[test]
fn while_paused_only_when_told_to_ignore_it() {
    sandbox(|sandbox| {
        let container: Container = sandbox.runtime().start(&sandbox.bundle().idle());
        sandbox.runtime().command(["pause", container.id()]).succeeds();
        container.exec(["/bin/true"]).fails();
        sandbox.runtime().command(["resume", container.id()]).succeeds();
        container.exec(["/bin/true"]).succeeds();
    });
}
