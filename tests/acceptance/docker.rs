//! `dockerd --add-runtime`: Docker's own daemon, through containerd's shim.

use std::path::Path;

use taru_testkit::{Sandbox, eventually, sandbox};

use crate::engine::{Daemon, Engine, has, remove};
use crate::image;

const CLIENT: &str = "/usr/bin/docker";
const DAEMON: &str = "/usr/sbin/dockerd";
/// What Docker makes in /run beside the directories it is told.
const LEAVINGS: [&str; 3] = ["/run/docker", "/run/containerd", "/run/docker.sock"];

/// Runs `body` with a Docker whose default runtime is the one under test, and an image `busybox`.
fn with_docker(sandbox: &Sandbox, body: fn(&Engine)) {
    if !has(sandbox, &[CLIENT, DAEMON, "/usr/bin/containerd", "/bin/busybox"]) {
        return;
    }
    let dir = sandbox.dir().join("docker");
    let at = |name: &str| dir.join(name).display().to_string();
    let docker = Engine::new(sandbox, &[CLIENT]).env("DOCKER_HOST", format!("unix://{}", at("socket")));
    let daemon = start(sandbox, &docker, &dir);
    docker.prints(&["import", &image::tree(&sandbox.dir()).display().to_string(), "busybox"]);
    body(&docker);
    assert_eq!(docker.prints(&["ps", "--all", "--quiet"]), "", "every container is removed");
    daemon.stop();
    remove(&dir);
}

fn start(sandbox: &Sandbox, docker: &Engine, dir: &Path) -> Daemon {
    let option = |name: &str, value: &str| format!("--{name}={value}");
    let at = |name: &str| dir.join(name).display().to_string();
    let options = [
        option("data-root", &at("data")),
        option("exec-root", &at("exec")),
        option("pidfile", &at("pid")),
        option("host", &format!("unix://{}", at("socket"))),
        option("cgroup-parent", &format!("/{}", sandbox.marker())),
        option("add-runtime", &format!("tested={}", sandbox.runtime().program().display())),
        option("default-runtime", "tested"),
        // No rule and no bridge of a host is touched.
        option("iptables", "false"),
        option("ip6tables", "false"),
        option("bridge", "none"),
        option("storage-driver", "overlay2"),
    ];
    let mut argv = vec![DAEMON];
    argv.extend(options.iter().map(String::as_str));
    Daemon::start(sandbox, &argv, docker, &["version"], &LEAVINGS)
}

#[test]
fn run_passes_output_and_status() {
    sandbox(|own| {
        with_docker(own, |docker| {
            assert_eq!(
                docker.prints(&["run", "--rm", "--network=none", "busybox", "echo", "hello"]),
                "hello"
            );
            let failed =
                docker.call(&["run", "--rm", "--network=none", "busybox", "sh", "-c", "echo no >&2; exit 7"]);
            assert_eq!((failed.status, failed.stderr.trim()), (7, "no"));
            let absent = docker.call(&["run", "--rm", "--network=none", "busybox", "/no/such"]);
            assert_eq!(absent.status, 127, "{}", absent.stderr);
            let denied = docker.call(&["run", "--rm", "--network=none", "busybox", "/etc/passwd"]);
            assert_eq!(denied.status, 126, "{}", denied.stderr);
            let tty = docker.prints(&[
                "run",
                "--rm",
                "--tty",
                "--network=none",
                "busybox",
                "sh",
                "-c",
                "test -t 0 && echo tty",
            ]);
            assert_eq!(tty, "tty");
        });
    });
}

#[test]
fn the_life_of_a_container() {
    sandbox(|own| {
        with_docker(own, |docker| {
            let state = |format: &str| docker.prints(&["inspect", "--format", format, "web"]);
            let limits = [
                "--memory=64m",
                "--pids-limit=50",
                "--cpu-shares=512",
                "--user=1000:1000",
                "--env=KEY=value",
            ];
            let mut run = vec!["run", "--detach", "--name=web", "--network=none", "--hostname=barrel"];
            run.extend(limits);
            run.extend(["busybox", "sh", "-c", "trap 'exit 5' TERM; while :; do sleep 0.1; done"]);
            docker.prints(&run);
            assert_eq!(docker.prints(&["exec", "web", "hostname"]), "barrel");
            assert_eq!(docker.prints(&["exec", "web", "sh", "-c", "echo $KEY"]), "value");
            assert_eq!(docker.prints(&["exec", "web", "id", "-u"]), "1000");
            assert_eq!(docker.prints(&["exec", "--user=0", "web", "id", "-u"]), "0");
            assert_eq!(docker.call(&["exec", "web", "sh", "-c", "exit 3"]).status, 3);
            // Between two of them there is none.
            eventually("its sleep", || docker.prints(&["top", "web"]).contains("sleep 0.1"));
            assert!(
                docker
                    .prints(&["stats", "--no-stream", "--format={{.MemUsage}}", "web"])
                    .ends_with("/ 64MiB")
            );
            docker.prints(&["pause", "web"]);
            assert_eq!(state("{{.State.Status}}"), "paused");
            docker.prints(&["unpause", "web"]);
            assert_eq!(state("{{.State.Status}}"), "running");
            docker.prints(&["update", "--memory=32m", "--memory-swap=32m", "web"]);
            assert!(
                docker
                    .prints(&["stats", "--no-stream", "--format={{.MemUsage}}", "web"])
                    .ends_with("/ 32MiB")
            );
            docker.prints(&["stop", "--time=20", "web"]);
            assert_eq!(state("{{.State.Status}} {{.State.ExitCode}}"), "exited 5");
            docker.prints(&["start", "web"]);
            docker.prints(&["kill", "web"]);
            assert_eq!(state("{{.State.ExitCode}}"), "137");
            docker.prints(&["rm", "web"]);
        });
    });
}

#[test]
fn more_and_less_privilege() {
    sandbox(|own| {
        with_docker(own, |docker| {
            let run = |options: &[&str], script: &str| {
                let mut argv = vec!["run", "--rm", "--network=none"];
                argv.extend(options);
                argv.extend(["busybox", "sh", "-c", script]);
                docker.prints(&argv)
            };
            let mine = "grep -E '^(CapEff|Seccomp|NoNewPrivs):' /proc/self/status | tr -d '\\n\\t'";
            assert_eq!(
                run(&[], &mine.replace("grep", "busybox grep").replace("tr", "busybox tr")),
                "CapEff:00000000a80425fbNoNewPrivs:0Seccomp:2"
            );
            let dropped = run(
                &["--cap-drop=ALL", "--security-opt=no-new-privileges"],
                &mine.replace("grep", "busybox grep").replace("tr", "busybox tr"),
            );
            assert_eq!(dropped, "CapEff:0000000000000000NoNewPrivs:1Seccomp:2");
            assert_eq!(
                run(
                    &["--cap-add=SYS_ADMIN", "--security-opt=systempaths=unconfined", "--device=/dev/kmsg"],
                    "test -c /dev/kmsg && echo yes; hostname x && hostname"
                ),
                "yes
x"
            );
            assert_eq!(run(&["--read-only"], "echo x > /file || echo refused"), "refused");
            assert_eq!(
                run(&["--tmpfs=/data:size=1m"], "busybox df /data | busybox awk 'NR==2 {print $2}'"),
                "1024"
            );
        });
    });
}
