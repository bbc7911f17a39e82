//! `process.terminal`: a new terminal, in the foreground and through a console socket.

use serde_json::json;
use taru_testkit::{Bundle, Family, Invocation, Sandbox, sandbox};

fn with_terminal(sandbox: &Sandbox) -> Bundle {
    sandbox.bundle().put("/process/terminal", json!(true))
}

/// The invocation with a terminal of 33 rows and 99 columns as its standard streams.
fn in_terminal(invocation: Invocation) -> Invocation {
    let probe = taru_testkit::probe().to_str().expect("a plain path");
    invocation.under([probe, "pty", "33", "99"])
}

#[test]
fn foreground_run_has_a_terminal_of_the_callers_size() {
    sandbox(|sandbox| {
        if sandbox.peer_lacks(&[Family::Crun], "the size of the terminal") {
            return;
        }
        let bundle =
            with_terminal(sandbox).sh("tty; stty size; test -t 0 && test -t 1 && test -t 2 && echo all");
        let output = in_terminal(sandbox.runtime().invoke_run(&bundle, &[] as &[&str])).output().ok();
        let text = output.stdout.replace('\r', "");
        assert!(text.contains("33 99"), "{text}");
        assert!(text.contains("all"), "{text}");
        let tty = text.lines().next().unwrap_or("");
        assert!(tty == "/dev/console" || tty.starts_with("/dev/pts/"), "{text}");
    });
}

#[test]
fn console_is_the_terminal_itself() {
    sandbox(|sandbox| {
        if sandbox.peer_lacks(&[Family::Crun], "a terminal without its own words") {
            return;
        }
        let bundle = with_terminal(sandbox)
            .sh("stat -c %t:%T /dev/console; stat -Lc %t:%T /proc/self/fd/0; echo to console > /dev/console");
        let output = in_terminal(sandbox.runtime().invoke_run(&bundle, &[] as &[&str])).output().ok();
        let text = output.stdout.replace('\r', "");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], lines[1], "{text}");
        assert!(lines[0].starts_with("88:"), "a devpts device (major 136): {text}");
        assert!(text.contains("to console"), "{text}");
    });
}

#[test]
fn it_is_the_controlling_terminal() {
    sandbox(|sandbox| {
        // The keyboard's ^C becomes a signal.
        let bundle = with_terminal(sandbox)
            .sh("trap 'echo interrupted; exit 5' INT; echo ready; while :; do sleep 0.05; done");
        let mut run = in_terminal(sandbox.runtime().invoke_run(&bundle, &[] as &[&str])).spawn();
        run.wait_for("ready");
        run.write("\u{3}");
        run.wait_for("interrupted");
        assert_eq!(run.wait().status, 5);
    });
}

#[test]
fn input_and_exit_status_pass() {
    sandbox(|sandbox| {
        let bundle = with_terminal(sandbox).sh("read line; echo got $line; exit 6");
        let mut run = in_terminal(sandbox.runtime().invoke_run(&bundle, &[] as &[&str])).spawn();
        run.write("hello\n");
        run.wait_for("got hello");
        assert_eq!(run.wait().status, 6);
        sandbox.assert_no_leaks();
    });
}

#[test]
fn a_terminal_that_nobody_has_open_costs_nothing_and_comes_back() {
    sandbox(|sandbox| {
        if sandbox.peer_lacks(&[Family::Runc, Family::Crun], "output after a hangup of the terminal") {
            return;
        }
        let script = "exec </dev/null >/dev/null 2>&1; sleep 0.3; echo back > /dev/console; sleep 0.2";
        let bundle = with_terminal(sandbox).sh(script);
        let output = in_terminal(sandbox.runtime().invoke_run(&bundle, &[] as &[&str])).output().ok();
        assert!(output.stdout.contains("back"), "{}", output.stdout);
    });
}

#[test]
fn a_resize_reaches_the_container() {
    sandbox(|sandbox| {
        if sandbox.peer_lacks(&[Family::Crun], "the size of the terminal") {
            return;
        }
        let bundle = with_terminal(sandbox).sh("trap 'stty size' WINCH; echo ready; while :; do sleep 0.05; stty size | grep -q 132 && exit 0; done");
        let mut run = in_terminal(sandbox.runtime().invoke_run(&bundle, &[] as &[&str])).spawn();
        run.wait_for("ready");
        sandbox.runtime().beside(["kill", "-USR1"]).arg(run.pid().to_string()).output().succeeds();
        assert_eq!(run.wait().status, 0);
    });
}

#[test]
fn a_size_in_the_specification_is_used() {
    sandbox(|sandbox| {
        let socket = sandbox.dir().join("console.sock");
        let bundle = with_terminal(sandbox)
            .put("/process/consoleSize", json!({ "height": 11, "width": 22 }))
            .sh("stty size");
        let mut console =
            sandbox.runtime().beside([taru_testkit::probe()]).arg("console").arg(&socket).spawn();
        console.wait_for("listening");
        let options = ["--console-socket", socket.to_str().expect("a plain path")];
        let (container, output) = sandbox.runtime().try_create(&bundle, &options);
        output.succeeds();
        container.start();
        console.wait_for("11 22");
        container.wait_stopped();
    });
}

#[test]
fn a_console_socket_receives_the_terminal() {
    sandbox(|sandbox| {
        let socket = sandbox.dir().join("console.sock");
        let bundle = with_terminal(sandbox).sh("echo ready; read line; echo got $line");
        let mut console =
            sandbox.runtime().beside([taru_testkit::probe()]).arg("console").arg(&socket).spawn();
        console.wait_for("listening");
        let options = ["--console-socket", socket.to_str().expect("a plain path")];
        let (container, output) = sandbox.runtime().try_create(&bundle, &options);
        output.succeeds();
        container.start();
        let seen = console.wait_for("ready");
        assert!(seen.contains("is_tty 1"), "{seen}");
        console.write("words\n");
        console.wait_for("got words");
        container.wait_stopped();
        console.wait().succeeds();
        container.delete().succeeds();
        sandbox.assert_no_leaks();
    });
}

#[test]
fn exec_with_a_terminal() {
    sandbox(|sandbox| {
        if sandbox.peer_lacks(&[Family::Crun], "a terminal without its own words") {
            return;
        }
        let container = sandbox.runtime().start(&sandbox.bundle().idle());
        let exec = container
            .invoke_exec(&["--tty"], ["/bin/sh", "-c", "stty size; test -t 0 && echo terminal; exit 4"]);
        let output = in_terminal(exec).output();
        assert_eq!(output.status, 4, "{} {}", output.stdout, output.stderr);
        assert!(output.stdout.contains("33 99") && output.stdout.contains("terminal"), "{}", output.stdout);
    });
}

#[test]
fn exec_through_a_console_socket() {
    sandbox(|sandbox| {
        let socket = sandbox.dir().join("console.sock");
        let container = sandbox.runtime().start(&sandbox.bundle().idle());
        let mut console =
            sandbox.runtime().beside([taru_testkit::probe()]).arg("console").arg(&socket).spawn();
        console.wait_for("listening");
        let options = ["--tty", "--detach", "--console-socket", socket.to_str().expect("a plain path")];
        container.exec_with(&options, ["/bin/sh", "-c", "tty; echo done"]).succeeds();
        let seen = console.wait_for("done");
        assert!(seen.contains("/dev/"), "{seen}");
    });
}

#[test]
fn create_with_a_terminal_needs_a_console_socket_and_the_reverse() {
    sandbox(|sandbox| {
        let (_, output) = sandbox.runtime().try_create(&with_terminal(sandbox), &[] as &[&str]);
        output.fails();
        let socket = sandbox.dir().join("console.sock");
        let options = ["--console-socket", socket.to_str().expect("a plain path")];
        let (_, output) = sandbox.runtime().try_create(&with_terminal(sandbox), &options);
        output.fails_with("console.sock");
        sandbox.assert_no_leaks();
    });
}
