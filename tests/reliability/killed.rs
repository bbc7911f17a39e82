//! SIGKILL to the runtime: while it waits (R05), at every system call (R06), or only stopped (R07).

use std::collections::BTreeMap;
use std::fs;

use taru_testkit::{Container, Invocation, Output, Sandbox, eventually, sandbox, sandbox_with_peers};

#[test]
fn r05_the_foreground_runtime_is_killed() {
    sandbox_with_peers(|sandbox| {
        let bundle = sandbox.bundle().sh("echo up; while :; do sleep 1000; done");
        let mut run = sandbox.runtime().invoke_run(&bundle, &[] as &[&str]).spawn();
        run.wait_for("up");
        let id = sandbox.runtime().command(["list", "--quiet"]).ok().text().to_owned();
        let container = Container::new(sandbox.runtime(), id);
        run.kill();
        let _ = run.wait();
        // The container goes on, or has ended; in either case the record says which, and delete works.
        let status = container.status();
        assert!(["running", "stopped"].contains(&status.as_str()), "{status}");
        if status == "running" {
            assert_eq!(container.exec(["/bin/echo", "alive"]).ok().text(), "alive");
        }
        container.delete_force().succeeds();
        sandbox.assert_no_leaks();
    });
}

/// One place to die: the `when`th call of `syscall` in one of the runtime's processes.
#[derive(Clone, Debug)]
struct Point {
    syscall: String,
    when: usize,
}

/// Runs a program under `strace -D`, which makes the tracer the grandchild: what ends is the program
/// itself. Its children may live on and be traced (a created container's init is); they are let go.
fn run_traced(sandbox: &Sandbox, invocation: Invocation, options: &[&str]) -> Output {
    let mut wrapper = vec!["strace", "-D", "-f", "-qq"];
    wrapper.extend_from_slice(options);
    let output = invocation.under(wrapper).output();
    // Everything called strace in this pid namespace is ours.
    sandbox.runtime().beside(["busybox", "killall", "-q", "-KILL", "strace"]).output();
    output
}

/// Every point of an invocation, from one traced run of it: system calls by name, with the largest count
/// that any one process made (strace counts a call's occurrences per process).
fn points_of(sandbox: &Sandbox, invocation: Invocation) -> Vec<Point> {
    let log = sandbox.dir().join("trace");
    run_traced(sandbox, invocation, &["-o", log.to_str().expect("a plain path")]);
    let text = String::from_utf8_lossy(&fs::read(&log).expect("the trace")).into_owned();
    let mut counts: BTreeMap<(String, String), usize> = BTreeMap::new();
    for line in text.lines() {
        let Some((pid, call)) = line.split_once(' ') else { continue };
        let Some((name, _)) = call.trim_start().split_once('(') else { continue };
        if name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            *counts.entry((name.to_owned(), pid.to_owned())).or_default() += 1;
        }
    }
    let mut most: BTreeMap<String, usize> = BTreeMap::new();
    for ((name, _), count) in counts {
        let entry = most.entry(name).or_default();
        *entry = (*entry).max(count);
    }
    let points = most
        .into_iter()
        .flat_map(|(syscall, count)| (1..=count).map(move |when| Point { syscall: syscall.clone(), when }));
    points.collect()
}

/// `count` of them, evenly spread.
fn some_of(points: &[Point], count: usize) -> Vec<Point> {
    if points.len() <= count {
        return points.to_vec();
    }
    (0..count).map(|index| points[index * points.len() / count].clone()).collect()
}

fn kill_at(sandbox: &Sandbox, point: &Point, invocation: Invocation) -> Output {
    let inject = format!("inject={}:signal=SIGKILL:when={}", point.syscall, point.when);
    let trace = format!("trace={}", point.syscall);
    run_traced(sandbox, invocation, &["-o", "/dev/null", "-e", &trace, "-e", &inject])
}

/// Sweeps one verb: `prepare` makes what it needs, `verb` is its invocation on that container.
fn sweep(sandbox: &Sandbox, prepare: impl Fn(&Container<'_>), verb: impl Fn(&Container<'_>) -> Invocation) {
    if sandbox.runtime().beside(["strace", "-V"]).output().status != 0 {
        return sandbox.skip("strace");
    }
    let fresh = || Container::new(sandbox.runtime(), sandbox.runtime().fresh_id());
    let model = fresh();
    prepare(&model);
    let points = points_of(sandbox, verb(&model));
    model.delete_force().succeeds();
    sandbox.assert_no_leaks();
    assert!(points.len() > 20, "only {} system calls were seen", points.len());

    let mut failures = Vec::new();
    for point in some_of(&points, sandbox.tries(40, usize::MAX)) {
        let container = fresh();
        prepare(&container);
        let killed = kill_at(sandbox, &point, verb(&container));
        let said = killed.stderr.trim();
        let deleted = container.delete_force();
        if deleted.status != 0 {
            failures.push(format!("{point:?} ({said}): delete --force: {}", deleted.stderr.trim()));
        }
        let left = sandbox.leaks().lines;
        if !left.is_empty() {
            failures.push(format!("{point:?} ({said}): {}", left.join("; ")));
            sandbox.clear_leaks();
        }
    }
    assert!(failures.is_empty(), "{} points leave something:\n{}", failures.len(), failures.join("\n"));
}

fn create(sandbox: &Sandbox, container: &Container<'_>) -> Invocation {
    let bundle = sandbox.bundle_of(container.id()).idle();
    bundle.write();
    sandbox.runtime().invoke(["create", "--bundle"]).arg(bundle.dir()).arg(container.id())
}

fn started(sandbox: &Sandbox, container: &Container<'_>) {
    create(sandbox, container).output().succeeds();
    container.start();
}

#[test]
fn r06_killed_at_every_step_of_create() {
    sandbox_with_peers(|sandbox| sweep(sandbox, |_| (), |container| create(sandbox, container)));
}

#[test]
fn r06_killed_at_every_step_of_start() {
    sandbox_with_peers(|sandbox| {
        let prepare = |container: &Container<'_>| create(sandbox, container).output().succeeds();
        sweep(sandbox, prepare, |container| sandbox.runtime().invoke(["start", container.id()]));
    });
}

#[test]
fn r06_killed_at_every_step_of_exec() {
    sandbox_with_peers(|sandbox| {
        let prepare = |container: &Container<'_>| started(sandbox, container);
        sweep(sandbox, prepare, |container| sandbox.runtime().invoke(["exec", container.id(), "/bin/true"]));
    });
}

#[test]
fn r06_killed_at_every_step_of_delete() {
    sandbox_with_peers(|sandbox| {
        let prepare = |container: &Container<'_>| started(sandbox, container);
        sweep(sandbox, prepare, |container| sandbox.runtime().invoke(["delete", "--force", container.id()]));
    });
}

#[test]
fn r06_killed_at_every_step_of_detached_run() {
    sandbox_with_peers(|sandbox| {
        sweep(
            sandbox,
            |_| (),
            |container| {
                let bundle = sandbox.bundle_of(container.id()).idle();
                bundle.write();
                let run = sandbox.runtime().invoke(["run", "--detach", "--bundle"]);
                run.arg(bundle.dir()).arg(container.id())
            },
        );
    });
}

#[test]
fn r06_a_live_container_survives_what_kills_its_exec() {
    sandbox(|sandbox| {
        let container = sandbox.runtime().start(&sandbox.bundle().idle());
        for syscall in ["clone3", "setns", "execve"] {
            for when in 1..4 {
                let point = Point { syscall: syscall.to_owned(), when };
                kill_at(sandbox, &point, container.invoke_exec(&[], ["/bin/true"]));
                assert_eq!(container.status(), "running", "{point:?}");
            }
        }
        assert_eq!(container.exec(["/bin/echo", "alive"]).ok().text(), "alive");
    });
}

#[test]
fn r07_a_stopped_runtime_stops_nobody_else() {
    sandbox_with_peers(|sandbox| {
        let bundle =
            sandbox.bundle().writable().sh("echo up; while ! test -e /end; do usleep 1000; done; exit 5");
        let mut run = sandbox.runtime().invoke_run(&bundle, &[] as &[&str]).spawn();
        run.wait_for("up");
        let id = sandbox.runtime().command(["list", "--quiet"]).ok().text().to_owned();
        let signal =
            |name: &str| sandbox.runtime().beside(["kill", name]).arg(run.pid().to_string()).output();
        signal("-STOP").succeeds();
        // The other verbs and other containers work meanwhile.
        let container = Container::new(sandbox.runtime(), &id);
        assert_eq!(container.status(), "running");
        assert_eq!(container.exec(["/bin/echo", "alive"]).ok().text(), "alive");
        sandbox.runtime().run(&sandbox.bundle()).succeeds();
        fs::write(bundle.rootfs().join("end"), "").expect("tell it to end");
        eventually("its end is seen", || container.status() == "stopped");
        signal("-CONT").succeeds();
        assert_eq!(run.wait().status, 5);
        sandbox.assert_no_leaks();
    });
}
