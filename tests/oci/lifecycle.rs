//! The verbs: create, start, run, exec, kill, delete, state, list, ps.

use taru_testkit::sandbox;

#[test]
fn run_passes_output_and_exit_status_on() {
    sandbox(|sandbox| {
        let bundle = sandbox.bundle().sh("echo out; echo err >&2; exit 7");
        let output = sandbox.runtime().run(&bundle);
        assert_eq!((output.status, output.stdout.as_str(), output.stderr.as_str()), (7, "out\n", "err\n"));
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
        sandbox.assert_no_leaks();
    });
}
