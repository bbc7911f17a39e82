//! How it is called: inherited files, pid files, where messages go.

use std::fs;

use serde_json::json;
use taru_testkit::{Family, sandbox};

#[test]
fn preserved_fds_arrive_and_no_other() {
    sandbox(|sandbox| {
        let file = sandbox.dir().join("passed");
        fs::write(&file, "through").expect("write a file");
        let bundle = sandbox.bundle().sh("cat <&3; ls /proc/self/fd | tr '\\n' ' '");
        let opened = format!("exec 3<{0} 4<{0} 5<{0}; exec \"$@\"", file.display());
        for (count, seen) in [("1", "through0 1 2 3 4"), ("3", "through0 1 2 3 4 5 6")] {
            let run = sandbox.runtime().invoke_run(&bundle, &["--preserve-fds", count]);
            let output = run.under(["/bin/sh", "-c", &opened, "sh"]).output().ok();
            // One more than was passed: ls has the directory open.
            assert_eq!(output.text(), seen);
        }
    });
}

#[test]
fn preserved_fds_arrive_in_exec() {
    sandbox(|sandbox| {
        let file = sandbox.dir().join("passed");
        fs::write(&file, "through").expect("write a file");
        let container = sandbox.runtime().start(&sandbox.bundle().idle());
        let opened = format!("exec 3<{}; exec \"$@\"", file.display());
        let exec = container.invoke_exec(&["--preserve-fds", "1"], ["/bin/sh", "-c", "cat <&3"]);
        assert_eq!(exec.under(["/bin/sh", "-c", &opened, "sh"]).output().ok().text(), "through");
    });
}

#[test]
fn pid_file_of_create() {
    sandbox(|sandbox| {
        let pid_file = sandbox.dir().join("pid");
        let options = ["--pid-file", pid_file.to_str().expect("a plain path")];
        let (container, output) = sandbox.runtime().try_create(&sandbox.bundle().idle(), &options);
        output.succeeds();
        assert_eq!(fs::read_to_string(&pid_file).expect("a pid file"), container.pid().to_string());
    });
}

#[test]
fn a_relative_pid_file_is_of_the_callers_directory() {
    sandbox(|sandbox| {
        if sandbox.peer_lacks(&[Family::Crun], "a relative pid file") {
            return;
        }
        let bundle = sandbox.bundle().idle();
        bundle.write();
        let id = sandbox.runtime().fresh_id();
        let container = taru_testkit::Container::new(sandbox.runtime(), &id);
        let create =
            sandbox.runtime().invoke(["create", "--pid-file", "here.pid", "--bundle"]).arg(bundle.dir());
        create.arg(&id).dir(sandbox.dir()).output().succeeds();
        let written = fs::read_to_string(sandbox.dir().join("here.pid")).expect("a pid file");
        assert_eq!(written, container.pid().to_string());
    });
}

#[test]
fn a_pid_file_that_cannot_be_written_fails_create_cleanly() {
    sandbox(|sandbox| {
        let options = ["--pid-file", "/no/such/dir/pid"];
        let (container, output) = sandbox.runtime().try_create(&sandbox.bundle().idle(), &options);
        output.fails_with("/no/such/dir/pid");
        sandbox.runtime().command(["state", container.id()]).fails();
        sandbox.assert_no_leaks();
    });
}

#[test]
fn log_gets_the_error_as_text_too() {
    sandbox(|sandbox| {
        let log = sandbox.dir().join("log");
        let output = sandbox.runtime().invoke(["--log"]).arg(&log).arg("state").arg("nobody").output();
        assert!(output.status != 0);
        let text = fs::read_to_string(&log).expect("a log");
        assert!(text.contains("exist") || text.contains("No such") || text.contains("nobody"), "{text}");
    });
}

#[test]
fn a_log_daemon_that_does_not_run_stops_no_container() {
    sandbox(|sandbox| {
        if sandbox.peer_lacks(&[Family::Runc], "logs of daemons") {
            return;
        }
        let bundle = sandbox.bundle().sh("echo here");
        bundle.write();
        for log in ["syslog:oci-test", "journald:oci-test"] {
            let run = sandbox.runtime().invoke(["--log", log, "run", "--bundle"]).arg(bundle.dir());
            assert_eq!(run.arg(sandbox.runtime().fresh_id()).output().ok().text(), "here", "{log}");
        }
    });
}

#[test]
fn a_missing_bundle_or_config_is_named() {
    sandbox(|sandbox| {
        sandbox.runtime().command(["run", "--bundle", "/no/such/bundle", "x1"]).fails_with("/no/such/bundle");
        let dir = sandbox.dir().join("empty");
        fs::create_dir_all(&dir).expect("make a directory");
        let output = sandbox.runtime().invoke(["run", "--bundle"]).arg(&dir).arg("x2").output();
        output.fails_with("config.json");
    });
}

#[test]
fn unknown_fields_are_passed_over_and_missing_ones_refused() {
    sandbox(|sandbox| {
        let bundle = sandbox
            .bundle()
            .put("/futureThing", json!({ "a": [1, 2] }))
            .put("/process/futureToo", json!(true));
        sandbox.runtime().run(&bundle).succeeds();
        for field in ["root", "process"] {
            let bundle = sandbox.bundle().edit(|spec| {
                spec.as_object_mut().expect("an object").remove(field);
            });
            sandbox.runtime().run(&bundle).fails();
        }
    });
}

#[test]
fn a_closed_standard_input_is_no_problem() {
    sandbox(|sandbox| {
        let bundle = sandbox.bundle().sh("echo fine");
        let run = sandbox.runtime().invoke_run(&bundle, &[] as &[&str]);
        let output = run.under(["/bin/sh", "-c", "exec \"$@\" <&-", "sh"]).output();
        if output.status != 0
            && sandbox.peer_lacks(&[Family::Crun, Family::Runc], "running with a closed stdin")
        {
            return;
        }
        assert_eq!(output.ok().text(), "fine");
    });
}

#[test]
fn the_state_directory_is_created_and_private() {
    sandbox(|sandbox| {
        use std::os::unix::fs::PermissionsExt;
        let root = sandbox.dir().join("new/root");
        let bundle = sandbox.bundle().idle();
        bundle.write();
        let call = |args: &[&str]| {
            let mut call = sandbox.runtime().beside([sandbox.runtime().program()]).arg("--root").arg(&root);
            for arg in args {
                call = call.arg(arg);
            }
            call
        };
        call(&["create", "--bundle"]).arg(bundle.dir()).arg("tc-root").output().succeeds();
        let mode =
            fs::metadata(root.join("tc-root")).expect("a state directory").permissions().mode() & 0o777;
        assert_eq!(mode & 0o022, 0, "{mode:o}");
        call(&["delete", "--force", "tc-root"]).output().succeeds();
        assert!(!root.join("tc-root").exists());
    });
}

#[test]
fn socket_activation_is_handed_on() {
    sandbox(|sandbox| {
        if sandbox.peer_lacks(&[Family::Crun], "LISTEN_FDS without LISTEN_PID") {
            return;
        }
        let file = sandbox.dir().join("passed");
        fs::write(&file, "through").expect("write a file");
        let bundle = sandbox.bundle().sh("cat <&3; echo $LISTEN_FDS $LISTEN_PID");
        let opened = format!("exec 3<{}; export LISTEN_FDS=1 LISTEN_PID=$$; exec \"$@\"", file.display());
        let run = sandbox.runtime().invoke_run(&bundle, &[] as &[&str]);
        let output = run.under(["/bin/sh", "-c", &opened, "sh"]).output().ok();
        assert_eq!(output.text(), "through1 1");
    });
}

/// sd_listen_fds(3) takes no sockets that are said to be another process's.
#[test]
fn socket_activation_names_the_program_itself() {
    sandbox(|sandbox| {
        if sandbox.peer_lacks(&[Family::Runc, Family::Crun], "LISTEN_PID of a process that is not the first")
        {
            return;
        }
        let tell = "echo $LISTEN_FDS $((LISTEN_PID - $$))";
        let opened = "exec 3</dev/null; export LISTEN_FDS=1 LISTEN_PID=$$; exec \"$@\"";
        let container = sandbox.runtime().start(&sandbox.bundle().idle());
        let exec = container.invoke_exec(&[], ["sh", "-c", tell]);
        assert_eq!(exec.under(["/bin/sh", "-c", opened, "sh"]).output().ok().text(), "1 0");
        let bundle = sandbox.bundle().without_namespace("pid").sh(tell);
        let run = sandbox.runtime().invoke_run(&bundle, &[] as &[&str]);
        assert_eq!(run.under(["/bin/sh", "-c", opened, "sh"]).output().ok().text(), "1 0");
    });
}

#[test]
fn socket_activation_without_sockets_is_none() {
    sandbox(|sandbox| {
        if sandbox.peer_lacks(&[Family::Crun], "a look at what LISTEN_FDS says") {
            return;
        }
        let bundle = sandbox.bundle().sh("echo ${LISTEN_FDS-none} ${LISTEN_PID-none}");
        let run = sandbox.runtime().invoke_run(&bundle, &[] as &[&str]).env("LISTEN_FDS", "1");
        assert_eq!(run.output().ok().text(), "none none");
    });
}
