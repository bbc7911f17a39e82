//! One thread until execve(2): what is cloned goes on in the memory of the clone, where a lock that another thread held
//! would stay held for ever.

use std::fs;

use taru_testkit::sandbox;

#[test]
fn the_runtime_makes_processes_and_no_thread() {
    sandbox(|sandbox| {
        let runtime = sandbox.runtime();
        if runtime.beside(["strace", "-V"]).output().status != 0 {
            return sandbox.skip("strace");
        }
        if sandbox.peer_lacks(&[taru_testkit::Family::Runc], "a runtime of one thread") {
            return;
        }
        let trace = sandbox.dir().join("trace");
        let traced = |invocation: taru_testkit::Invocation| {
            let file = trace.to_str().expect("a plain path");
            invocation.under(["strace", "-f", "-qq", "-e", "trace=clone,clone3,execve", "-o", file])
        };
        let clones = || {
            let seen = fs::read_to_string(&trace).expect("the trace");
            assert!(seen.contains("execve("), "{seen}");
            let threads: Vec<&str> = seen.lines().filter(|line| line.contains("CLONE_THREAD")).collect();
            assert!(threads.is_empty(), "{threads:#?}");
            seen.lines().filter(|line| line.contains("clone")).count()
        };
        let bundle = sandbox.bundle();
        traced(runtime.invoke_run(&bundle, &[] as &[&str])).output().succeeds();
        assert!(clones() > 0, "the container's init was cloned");

        let container = runtime.create(&sandbox.bundle().idle());
        let tasks = fs::read_dir(format!("/proc/{}/task", container.pid())).expect("its threads").count();
        assert_eq!(tasks, 1, "init that waits for start");
        container.start();
        traced(container.invoke_exec(&[] as &[&str], ["/bin/true"])).output().succeeds();
        assert!(clones() > 0, "the process of exec was cloned");
    });
}
