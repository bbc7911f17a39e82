//! The verbs and the states: create, start, run, kill, pause, resume, delete, and what each refuses.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use serde_json::json;
use taru_testkit::{Container, Family, eventually, sandbox};

#[test]
fn an_init_that_is_killed_before_it_executes_its_program_is_an_error() {
    sandbox(|sandbox| {
        if sandbox.peer_lacks(&[Family::Runc, Family::Crun], "word of an init that was killed") {
            return;
        }
        // A pid namespace's first process is safe from those in it.
        let mut bundle = sandbox.bundle().without_namespace("pid");
        let hook = json!({ "path": "/bin/sh", "args": ["sh", "-c", "kill -KILL $PPID"] });
        bundle.spec["hooks"]["startContainer"] = json!([hook]);
        for options in [&[][..], &["--detach"]] {
            sandbox
                .runtime()
                .run_with(&bundle, options)
                .fails_with("start the container: its init was killed by SIGKILL");
        }
    });
}

#[test]
fn a_container_dies_with_the_parent_if_asked_to() {
    sandbox(|sandbox| {
        if sandbox.peer_lacks(&[Family::Runc, Family::Crun], "run --die-with-parent") {
            return;
        }
        let bundle = sandbox.bundle().sh("echo up; while :; do sleep 1000; done");
        let run = sandbox.runtime().invoke_run(&bundle, &["--die-with-parent"]);
        let mut parent = run.under(["sh", "-c", "\"$@\" & wait", "sh"]).spawn();
        parent.wait_for("up");
        parent.kill();
        let _ = parent.wait();
        let list = || sandbox.runtime().command(["list", "--quiet"]).ok().text().to_owned();
        eventually("the container is deleted", || list().is_empty());
        sandbox.assert_no_leaks();
    });
}

#[test]
fn run_passes_output_and_exit_status_on() {
    sandbox(|sandbox| {
        let bundle = sandbox.bundle().sh("echo out; echo err >&2; exit 7");
        let output = sandbox.runtime().run(&bundle);
        assert_eq!((output.status, output.stdout.as_str(), output.stderr.as_str()), (7, "out\n", "err\n"));
    });
}

/// Its creator completes the record while the program starts, and does not hold it up for that.
#[test]
fn a_program_that_runs_is_running_before_its_record_is_complete() {
    sandbox(|sandbox| {
        let runtime = sandbox.runtime();
        if runtime.beside(["strace", "-V"]).output().status != 0 {
            return sandbox.skip("strace");
        }
        let bundle = sandbox.bundle().sh("echo up; read -r _");
        bundle.write();
        let id = runtime.fresh_id();
        // The document, the record as far as it is known, and the one that is meant.
        let hold = ["-e", "trace=rename", "-e", "inject=rename:delay_enter=3s:when=3"];
        let strace = ["strace", "-qq", "-o", "/dev/null"].into_iter().chain(hold);
        let run = runtime.invoke(["run", "--bundle"]).arg(bundle.dir()).arg(&id).under(strace);
        let mut run = run.spawn();
        run.wait_for("up");
        let container = Container::new(runtime, id);
        assert_eq!(container.status(), "running");
        assert_eq!(container.exec(["/bin/echo", "inside"]).ok().text(), "inside");
        container.kill("KILL");
        let _ = run.wait();
        sandbox.assert_no_leaks();
    });
}

/// Where its record cannot be completed, a program that was started ahead of that ends with all that it began.
#[test]
fn a_program_whose_record_cannot_be_completed_leaves_nothing() {
    sandbox(|sandbox| {
        let runtime = sandbox.runtime();
        if runtime.beside(["strace", "-V"]).output().status != 0 {
            return sandbox.skip("strace");
        }
        // Without a pid namespace of its own nothing ends with init.
        let bundle = sandbox.bundle().without_namespace("pid").sh("sleep 1000 & echo up; exec sleep 1000");
        bundle.write();
        let full = ["-e", "trace=rename", "-e", "inject=rename:error=ENOSPC:delay_enter=5s:when=3"];
        let strace = ["strace", "-qq", "-o", "/dev/null"].into_iter().chain(full);
        let run = runtime.invoke(["run", "--bundle"]).arg(bundle.dir()).arg(runtime.fresh_id());
        let output = run.under(strace).output();
        assert_eq!((output.status, output.text()), (1, "up"));
        sandbox.assert_no_leaks();
    });
}

#[test]
fn exit_statuses_pass_through_up_to_255() {
    sandbox(|sandbox| {
        for status in [0, 1, 126, 127, 255] {
            let bundle = sandbox.bundle().sh(&format!("exit {status}"));
            assert_eq!(sandbox.runtime().run(&bundle).status, status);
        }
    });
}

#[test]
fn death_by_signal_is_128_and_the_signal() {
    sandbox(|sandbox| {
        // Pid 1 of a namespace is immune to its own signals.
        let bundle = sandbox.bundle().without_namespace("pid").sh("kill -9 $$");
        assert_eq!(sandbox.runtime().run(&bundle).status, 137);
        let bundle = sandbox.bundle().without_namespace("pid").sh("kill -15 $$");
        assert_eq!(sandbox.runtime().run(&bundle).status, 143);
    });
}

#[test]
fn create_start_stop_delete() {
    sandbox(|sandbox| {
        let container = sandbox.runtime().create(&sandbox.bundle().idle());
        assert_eq!(container.status(), "created");
        container.start();
        assert_eq!(container.status(), "running");
        container.kill("KILL").succeeds();
        container.wait_stopped();
        container.delete().succeeds();
        sandbox.runtime().command(["state", container.id()]).fails_with(container.id());
        sandbox.assert_no_leaks();
    });
}

#[test]
fn the_program_does_not_run_before_start() {
    sandbox(|sandbox| {
        let bundle = sandbox.bundle().writable().sh("echo yes > /started");
        let container = sandbox.runtime().create(&bundle);
        let marker = bundle.rootfs().join("started");
        assert!(!marker.exists());
        container.start();
        container.wait_stopped();
        assert_eq!(fs::read_to_string(marker).expect("the program ran"), "yes\n");
    });
}

#[test]
fn changes_to_config_after_create_have_no_effect() {
    sandbox(|sandbox| {
        let bundle = sandbox.bundle().writable().sh("echo first > /which");
        let container = sandbox.runtime().create(&bundle);
        let other = bundle.clone().sh("echo second > /which");
        other.write();
        container.start();
        container.wait_stopped();
        assert_eq!(fs::read_to_string(bundle.rootfs().join("which")).expect("it ran"), "first\n");
    });
}

#[test]
fn a_second_start_is_refused() {
    sandbox(|sandbox| {
        let container = sandbox.runtime().start(&sandbox.bundle().idle());
        sandbox.runtime().command(["start", container.id()]).fails();
        assert_eq!(container.status(), "running");
        container.kill("KILL").succeeds();
        container.wait_stopped();
        sandbox.runtime().command(["start", container.id()]).fails();
    });
}

#[test]
fn a_running_container_is_deleted_only_by_force() {
    sandbox(|sandbox| {
        let container = sandbox.runtime().start(&sandbox.bundle().idle());
        container.delete().fails();
        assert_eq!(container.status(), "running");
        container.delete_force().succeeds();
        sandbox.assert_no_leaks();
    });
}

#[test]
fn a_created_container_can_be_killed_and_deleted() {
    sandbox(|sandbox| {
        let container = sandbox.runtime().create(&sandbox.bundle().idle());
        container.kill("KILL").succeeds();
        container.wait_stopped();
        container.delete().succeeds();
        sandbox.runtime().create(&sandbox.bundle().idle()).delete_force().succeeds();
        sandbox.assert_no_leaks();
    });
}

#[test]
fn verbs_on_an_unknown_container_fail_and_name_it() {
    sandbox(|sandbox| {
        for args in [
            &["state", "nobody"][..],
            &["start", "nobody"],
            &["kill", "nobody", "TERM"],
            &["delete", "nobody"],
            &["exec", "nobody", "/bin/true"],
            &["pause", "nobody"],
            &["resume", "nobody"],
            &["ps", "nobody"],
        ] {
            let output = sandbox.runtime().command(args);
            output.fails_with("nobody");
        }
    });
}

#[test]
fn forced_delete_of_an_unknown_container_succeeds() {
    sandbox(|sandbox| sandbox.runtime().command(["delete", "--force", "nobody"]).succeeds());
}

#[test]
fn an_id_in_use_is_refused_and_its_owner_unharmed() {
    sandbox(|sandbox| {
        let container = sandbox.runtime().start(&sandbox.bundle().idle());
        let other = sandbox.bundle();
        other.write();
        let output =
            sandbox.runtime().invoke(["create", "--bundle"]).arg(other.dir()).arg(container.id()).output();
        output.fails_with(container.id());
        assert_eq!(container.status(), "running");
        assert_eq!(container.exec(["/bin/echo", "alive"]).text(), "alive");
    });
}

#[test]
fn ids_that_are_no_names_are_refused() {
    sandbox(|sandbox| {
        let bundle = sandbox.bundle();
        bundle.write();
        let long = "x".repeat(2000);
        for id in ["", ".", "..", "a/b", "../escape", "/abs", &long] {
            if id.contains('/') && sandbox.peer_lacks(&[Family::Crun], "refusal of a slash in an id") {
                continue;
            }
            let output = sandbox.runtime().invoke(["run", "--bundle"]).arg(bundle.dir()).arg(id).output();
            output.fails();
        }
        if !sandbox.peer_lacks(&[Family::Crun], "a check of the characters of an id") {
            for id in ["a b", "a\nb", "é", "a$b", "a;b"] {
                sandbox.runtime().invoke(["run", "--bundle"]).arg(bundle.dir()).arg(id).output().fails();
            }
        }
        sandbox.assert_no_leaks();
    });
}

#[test]
fn ids_with_every_allowed_character() {
    sandbox(|sandbox| {
        let bundle = sandbox.bundle();
        bundle.write();
        let id = format!("{}-Az09_+.-x", sandbox.marker());
        sandbox.runtime().invoke(["run", "--bundle"]).arg(bundle.dir()).arg(id).output().succeeds();
    });
}

#[test]
fn a_signal_has_three_spellings() {
    sandbox(|sandbox| {
        let bundle = sandbox.bundle().args(&["/bin/probe", "signals"]);
        let mut run = sandbox.runtime().invoke_run(&bundle, &[] as &[&str]).spawn();
        run.wait_for("ready");
        let list = sandbox.runtime().command(["list", "--quiet"]).ok();
        let container = Container::new(sandbox.runtime(), list.text());
        for (spelling, number) in [("10", 10), ("USR2", 12), ("SIGHUP", 1), ("35", 35)] {
            container.kill(spelling).succeeds();
            run.wait_for(&format!("got {number}\n"));
        }
        // Without a signal it is SIGTERM.
        sandbox.runtime().command(["kill", container.id()]).succeeds();
        run.wait_for("got 15\n");
        assert_eq!(run.wait().status, 42);
    });
}

#[test]
fn a_signal_that_is_none_is_refused() {
    sandbox(|sandbox| {
        let container = sandbox.runtime().start(&sandbox.bundle().idle());
        for signal in ["NOSUCH", "SIGNOSUCH", "4x", "65"] {
            let output = sandbox.runtime().command(["kill", container.id(), signal]);
            if !sandbox.peer_lacks(&[Family::Crun], "refusal of an unknown signal") {
                assert!(output.status != 0, "signal `{signal}` was accepted");
            }
        }
        assert_eq!(container.status(), "running");
    });
}

#[test]
fn a_stopped_container_takes_no_signal() {
    sandbox(|sandbox| {
        let container = sandbox.runtime().start(&sandbox.bundle());
        container.wait_stopped();
        container.kill("TERM").fails();
        container.exec(["/bin/true"]).fails();
        sandbox.runtime().command(["pause", container.id()]).fails();
        container.delete().succeeds();
    });
}

#[test]
fn kill_all_reaches_every_process_of_a_shared_pid_namespace() {
    sandbox(|sandbox| {
        let bundle = sandbox.bundle().without_namespace("pid").sh("sleep 1000 & sleep 1000 & wait");
        let container = sandbox.runtime().start(&bundle);
        let procs = container.cgroup("pids").join("cgroup.procs");
        let count = || fs::read_to_string(&procs).unwrap_or_default().lines().count();
        eventually("both sleepers run", || count() == 3);
        sandbox.runtime().command(["kill", "--all", container.id(), "KILL"]).succeeds();
        eventually("all are gone", || count() == 0);
        container.delete().succeeds();
    });
}

#[test]
fn kill_with_sigkill_ends_all_in_a_joined_pid_namespace() {
    sandbox(|sandbox| {
        if sandbox.peer_lacks(&[Family::Runc, Family::Crun], "SIGKILL to all behind a joined pid namespace") {
            return;
        }
        let first = sandbox.runtime().start(&sandbox.bundle().idle());
        let path = format!("/proc/{}/ns/pid", first.pid());
        let bundle = sandbox.bundle().namespace("pid", Some(&path)).sh("sleep 1000 & wait");
        let container = sandbox.runtime().start(&bundle);
        let procs = container.cgroup("pids").join("cgroup.procs");
        let count = || fs::read_to_string(&procs).unwrap_or_default().lines().count();
        eventually("both run", || count() == 2);
        container.kill("KILL").succeeds();
        eventually("both are gone", || count() == 0);
        assert_eq!(first.status(), "running");
        container.delete().succeeds();
        first.delete_force().succeeds();
    });
}

#[test]
fn kill_reaches_init_without_a_group() {
    sandbox(|sandbox| {
        if sandbox.peer_lacks(&[Family::Runc, Family::Crun], "containers without a control group") {
            return;
        }
        let bundle = sandbox.bundle().without_namespace("pid").args(&["/bin/sleep", "1000"]);
        let id = sandbox.runtime().fresh_id();
        let container = Container::new(sandbox.runtime(), &id);
        bundle.write();
        let run = ["--cgroup-manager", "disabled", "run", "--detach", "--bundle"];
        sandbox.runtime().invoke(run).arg(bundle.dir()).arg(&id).output().succeeds();
        container.kill("KILL").succeeds();
        container.wait_stopped();
        container.delete().succeeds();
    });
}

#[test]
fn forced_delete_ends_processes_outside_init_too() {
    sandbox(|sandbox| {
        let bundle = sandbox.bundle().without_namespace("pid").sh("sleep 1000 & setsid sleep 1000 & wait");
        let container = sandbox.runtime().start(&bundle);
        let procs = container.cgroup("pids").join("cgroup.procs");
        eventually("they run", || fs::read_to_string(&procs).unwrap_or_default().lines().count() == 3);
        container.delete_force().succeeds();
        sandbox.assert_no_leaks();
    });
}

#[test]
fn foreground_run_forwards_signals() {
    sandbox(|sandbox| {
        let bundle = sandbox.bundle().args(&["/bin/probe", "signals"]);
        let mut run = sandbox.runtime().invoke_run(&bundle, &[] as &[&str]).spawn();
        run.wait_for("ready");
        for (name, number) in [("-USR1", 10), ("-HUP", 1), ("-TERM", 15)] {
            sandbox.runtime().beside(["kill", name]).arg(run.pid().to_string()).output().succeeds();
            run.wait_for(&format!("got {number}\n"));
        }
        assert_eq!(run.wait().status, 42);
        sandbox.assert_no_leaks();
    });
}

#[test]
fn foreground_run_waits_for_init_only() {
    sandbox(|sandbox| {
        // A daemonised child dies with its pid namespace; run must not wait for its output.
        let bundle = sandbox.bundle().sh("setsid sleep 1000 & exit 3");
        assert_eq!(sandbox.runtime().run(&bundle).status, 3);
        sandbox.assert_no_leaks();
    });
}

#[test]
fn very_short_programs_never_hang_run() {
    sandbox(|sandbox| {
        let bundle = sandbox.bundle();
        for _ in 0..25 {
            sandbox.runtime().run(&bundle).succeeds();
        }
    });
}

#[test]
fn detached_run_leaves_it_running() {
    sandbox(|sandbox| {
        let bundle = sandbox.bundle().idle();
        let pid_file = sandbox.dir().join("pid");
        let options = ["--detach", "--pid-file", pid_file.to_str().expect("a plain path")];
        sandbox.runtime().run_with(&bundle, &options).succeeds();
        let id = sandbox.runtime().command(["list", "--quiet"]).ok().text().to_owned();
        let container = Container::new(sandbox.runtime(), id);
        assert_eq!(container.status(), "running");
        let written = fs::read_to_string(pid_file).expect("a pid file");
        assert_eq!(written, container.pid().to_string(), "the pid file holds the pid and nothing else");
    });
}

#[test]
fn run_with_keep_leaves_a_stopped_container() {
    sandbox(|sandbox| {
        if sandbox.peer_lacks(&[Family::Crun], "run --keep") {
            return;
        }
        let output = sandbox.runtime().run_with(&sandbox.bundle().sh("exit 4"), &["--keep"]);
        assert_eq!(output.status, 4);
        let id = sandbox.runtime().command(["list", "--quiet"]).ok().text().to_owned();
        let container = Container::new(sandbox.runtime(), id);
        assert_eq!(container.status(), "stopped");
        container.delete().succeeds();
    });
}

#[test]
fn pause_and_resume() {
    sandbox(|sandbox| {
        let bundle = sandbox.bundle().writable().sh("while :; do date +%N >> /beat; usleep 1000; done");
        let container = sandbox.runtime().start(&bundle);
        let beats = || fs::metadata(bundle.rootfs().join("beat")).map_or(0, |file| file.len());
        eventually("it beats", || beats() > 0);
        sandbox.runtime().command(["pause", container.id()]).succeeds();
        assert_eq!(container.status(), "paused");
        let group = container.cgroup("freezer");
        let state = fs::read_to_string(group.join("freezer.state"))
            .or_else(|_| fs::read_to_string(group.join("cgroup.freeze")));
        assert!(["FROZEN", "1"].contains(&state.expect("a freezer").trim()));
        let frozen_at = beats();
        container.exec(["/bin/true"]).fails();
        assert_eq!(beats(), frozen_at);
        sandbox.runtime().command(["resume", container.id()]).succeeds();
        assert_eq!(container.status(), "running");
        eventually("it beats again", || beats() > frozen_at);
        if !sandbox.peer_lacks(&[Family::Crun], "refusal to resume what runs") {
            sandbox.runtime().command(["resume", container.id()]).fails();
        }
    });
}

#[test]
fn a_paused_container_can_be_deleted_by_force() {
    sandbox(|sandbox| {
        let container = sandbox.runtime().start(&sandbox.bundle().idle());
        sandbox.runtime().command(["pause", container.id()]).succeeds();
        container.delete_force().succeeds();
        sandbox.assert_no_leaks();
    });
}

#[test]
fn the_bundle_defaults_to_the_working_directory() {
    sandbox(|sandbox| {
        let bundle = sandbox.bundle().args(&["/bin/echo", "here"]);
        bundle.write();
        let id = sandbox.runtime().fresh_id();
        assert_eq!(sandbox.runtime().invoke(["run", &id]).dir(bundle.dir()).output().ok().text(), "here");
        // And may be relative; what the state says is absolute.
        let idle = bundle.idle();
        idle.write();
        let id = sandbox.runtime().fresh_id();
        let output = sandbox.runtime().invoke(["create", "--bundle", "."]).arg(&id).dir(idle.dir()).output();
        output.succeeds();
        let container = Container::new(sandbox.runtime(), id);
        assert_eq!(container.state()["bundle"], json!(idle.dir()));
    });
}

#[test]
fn options_may_follow_the_id() {
    sandbox(|sandbox| {
        if sandbox.peer_lacks(&[Family::Crun], "options after the container id") {
            return;
        }
        let bundle = sandbox.bundle().args(&["/bin/echo", "yes"]);
        bundle.write();
        let id = sandbox.runtime().fresh_id();
        let output =
            sandbox.runtime().invoke(["run"]).arg(&id).arg("--bundle").arg(bundle.dir()).output().ok();
        assert_eq!(output.text(), "yes");
    });
}

#[test]
fn rootfs_by_absolute_path() {
    sandbox(|sandbox| {
        let bundle = sandbox.bundle().args(&["/bin/echo", "yes"]);
        let absolute = json!(bundle.rootfs());
        assert_eq!(sandbox.runtime().prints(&bundle.put("/root/path", absolute)), "yes");
    });
}

#[test]
fn a_failed_create_leaves_nothing() {
    sandbox(|sandbox| {
        let broken = [
            sandbox.bundle().put("/root/path", json!("nowhere")),
            sandbox.bundle().mount("/x", "nopefs", "none", &[]),
            sandbox.bundle().mount("/x", "bind", "/no/such/source", &["bind"]),
            sandbox.bundle().put("/linux/sysctl", json!({ "net.no.such": "1" })),
            sandbox.bundle().args(&["/no/such/program"]),
            sandbox.bundle().namespace("network", Some("/no/such/netns")),
        ];
        for bundle in &broken {
            let (container, output) = sandbox.runtime().try_create(bundle, &[] as &[&str]);
            output.fails();
            sandbox.runtime().command(["state", container.id()]).fails();
        }
        sandbox.assert_no_leaks();
    });
}

#[test]
fn twenty_containers_at_once() {
    sandbox(|sandbox| {
        let bundle = sandbox.bundle().sh("echo $HOSTNAME_MARK").edit(|spec| {
            spec["linux"].as_object_mut().expect("linux").remove("cgroupsPath");
        });
        let runs: Vec<_> =
            (0..20).map(|_| sandbox.runtime().invoke_run(&bundle, &[] as &[&str]).spawn()).collect();
        for run in runs {
            run.wait().succeeds();
        }
        sandbox.assert_no_leaks();
    });
}

#[test]
fn readiness_reaches_whoever_started_the_container() {
    sandbox(|sandbox| {
        if sandbox.peer_lacks(&[Family::Runc], "an end without the receiver's acknowledgement") {
            return;
        }
        let path = sandbox.dir().join("caller");
        let caller = UnixDatagram::bind(&path).expect("bind a socket");
        caller.set_read_timeout(Some(Duration::from_secs(60))).expect("set a timeout");
        let heard = || {
            let mut buffer = [0; 100];
            let length = caller.recv(&mut buffer).expect("hear of it");
            String::from_utf8_lossy(&buffer[..length]).trim().to_owned()
        };
        let ready = ["/bin/probe", "notify", "STATUS=nearly\nREADY=1\nMAINPID=1"];
        let in_foreground = sandbox.bundle().args(&ready);
        let rootless = in_foreground.user_namespace(70_000);
        let runtime = sandbox.runtime();
        for bundle in [sandbox.bundle().args(&ready), rootless] {
            let output =
                runtime.invoke_run(&bundle, &[] as &[&str]).env("NOTIFY_SOCKET", &path).output().ok();
            if runtime.family() == Family::Taru {
                let inside = path.join("notify");
                assert_eq!(output.text(), inside.to_str().expect("a plain path"));
            }
            assert_eq!(heard(), "READY=1");
            if !sandbox.peer_lacks(&[Family::Crun], "MAINPID behind READY=1") {
                assert!(heard().starts_with("MAINPID="));
            }
        }
    });
}

#[test]
fn start_returns_once_the_container_is_ready_or_has_ended() {
    sandbox(|sandbox| {
        if sandbox.peer_lacks(&[Family::Runc, Family::Crun], "an end without readiness") {
            return;
        }
        let path = sandbox.dir().join("caller");
        let caller = UnixDatagram::bind(&path).expect("bind a socket");
        caller.set_nonblocking(true).expect("not to wait");
        let runtime = sandbox.runtime();
        let script = "/bin/probe notify READY=1; read line";
        let (input, id) = (sandbox.dir().join("input"), runtime.fresh_id());
        runtime.beside(["mkfifo"]).arg(&input).output().succeeds();
        let bundle = sandbox.bundle().sh(&format!("exec </input; {script}")).mount(
            "/input",
            "bind",
            input.to_str().expect("a plain path"),
            &["bind"],
        );
        bundle.write();
        let container = Container::new(runtime, id.as_str());
        let verb = |args: &[&str]| runtime.invoke(args.iter().copied()).env("NOTIFY_SOCKET", &path);
        verb(&["create", "--bundle"]).arg(bundle.dir()).arg(&id).output().succeeds();
        assert_eq!(caller.recv(&mut [0; 100]).expect_err("no word yet").kind(), ErrorKind::WouldBlock);
        // A writer, so that the program can open its input and stays.
        let writer = fs::OpenOptions::new().read(true).write(true).open(&input).expect("open the fifo");
        verb(&["start", &id]).output().succeeds();
        let mut word = [0; 100];
        let length = caller.recv(&mut word).expect("it is ready once start has returned");
        assert_eq!(&word[..length], b"READY=1");
        assert_eq!(container.status(), "running");
        drop(writer);
        container.delete_force().succeeds();

        // One that never says so: its end is waited for.
        let silent = sandbox.bundle();
        silent.write();
        let silent_id = runtime.fresh_id();
        let ended = Container::new(runtime, silent_id.as_str());
        verb(&["run", "--detach", "--bundle"]).arg(silent.dir()).arg(&silent_id).output().succeeds();
        assert_eq!(ended.status(), "stopped");
        ended.delete().succeeds();
    });
}
