//! containerd's runc shim with `BinaryName`: what Kubernetes' nodes use, through `ctr`.

use std::fs;

use taru_testkit::{Sandbox, eventually, sandbox};

use crate::engine::{Daemon, Engine, has, remove};
use crate::image;

const DAEMON: &str = "/usr/bin/containerd";
const CLIENT: &str = "/usr/bin/ctr";
const IMAGE: &str = "localhost/busybox:latest";
/// What containerd makes in /run beside the directories it is told.
const LEAVINGS: [&str; 1] = ["/run/containerd"];

/// Runs `body` with a containerd that has the image; the last argument is `--runc-binary=...`.
fn with_containerd(sandbox: &Sandbox, body: fn(&Sandbox, &Engine, &str)) {
    if !has(sandbox, &[DAEMON, CLIENT, "/usr/bin/containerd-shim-runc-v2", "/bin/busybox"]) {
        return;
    }
    let dir = sandbox.dir().join("containerd");
    fs::create_dir_all(&dir).expect("make containerd's directory");
    let (config, socket) = (dir.join("config.toml"), dir.join("socket").display().to_string());
    let text = format!(
        "version = 2\nroot = \"{0}/root\"\nstate = \"{0}/state\"\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\naddress = \"{socket}\"\n",
        dir.display()
    );
    fs::write(&config, text).expect("write containerd's configuration");
    let ctr = Engine::new(sandbox, &[CLIENT, "--address", &socket, "--namespace", "taru"]);
    let argv = [DAEMON, "--config", &config.display().to_string()];
    let daemon = Daemon::start(sandbox, &argv, &ctr, &["version"], &LEAVINGS);
    ctr.prints(&["images", "import", &image::layout(&sandbox.dir(), IMAGE).display().to_string()]);
    body(sandbox, &ctr, &format!("--runc-binary={}", sandbox.runtime().program().display()));
    assert_eq!(ctr.prints(&["containers", "list", "--quiet"]), "", "every container is removed");
    daemon.stop();
    remove(&dir);
}

#[test]
fn run_passes_output_and_status() {
    sandbox(|own| {
        with_containerd(own, |sandbox, ctr, runtime| {
            let cgroup = format!("--cgroup=/{0}/{0}-ctr", sandbox.marker());
            let run = |id: &str, command: &[&str]| {
                let mut argv = vec!["run", "--rm", runtime, &cgroup, IMAGE, id];
                argv.extend(command);
                ctr.call(&argv)
            };
            assert_eq!(run("one", &["echo", "hello"]).ok().text(), "hello");
            assert_eq!(run("two", &["sh", "-c", "exit 7"]).status, 7);
            let absent = run("three", &["/no/such"]);
            assert_ne!(absent.status, 0);
            assert!(absent.stderr.contains("/no/such"), "{}", absent.stderr);
        });
    });
}

#[test]
fn the_life_of_a_container() {
    sandbox(|own| {
        with_containerd(own, |sandbox, ctr, runtime| {
            let cgroup = format!("--cgroup=/{0}/{0}-ctr", sandbox.marker());
            let status = || {
                let list = ctr.prints(&["tasks", "list"]);
                let line = list.lines().find(|line| line.starts_with("web")).unwrap_or_default().to_owned();
                line.split_whitespace().last().unwrap_or_default().to_owned()
            };
            let script = "trap 'exit 5' TERM; while :; do sleep 0.1; done";
            ctr.prints(&[
                "run",
                "--detach",
                "--null-io",
                runtime,
                &cgroup,
                "--memory-limit=67108864",
                IMAGE,
                "web",
                "sh",
                "-c",
                script,
            ]);
            assert_eq!(status(), "RUNNING");
            assert_eq!(ctr.prints(&["tasks", "exec", "--exec-id=a", "web", "echo", "in"]), "in");
            assert_eq!(ctr.call(&["tasks", "exec", "--exec-id=b", "web", "sh", "-c", "exit 3"]).status, 3);
            assert!(ctr.prints(&["tasks", "ps", "web"]).lines().count() >= 2);
            let metrics = ctr.prints(&["tasks", "metrics", "web"]);
            assert!(metrics.contains("67108864") || metrics.contains("memory.max"), "{metrics}");
            ctr.prints(&["tasks", "pause", "web"]);
            assert_eq!(status(), "PAUSED");
            ctr.prints(&["tasks", "resume", "web"]);
            assert_eq!(status(), "RUNNING");
            ctr.prints(&["tasks", "kill", "--signal=SIGTERM", "web"]);
            eventually("the container has stopped", || status() == "STOPPED");
            let deleted = ctr.call(&["tasks", "delete", "web"]);
            assert!(deleted.stderr.contains("exit code 5"), "{}", deleted.stderr);
            ctr.prints(&["containers", "delete", "web"]);
        });
    });
}
