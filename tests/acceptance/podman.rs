//! `podman --runtime`: no daemon; conmon is the container's parent and executes the runtime.

use taru_testkit::{Sandbox, eventually, sandbox};

use crate::engine::{Engine, has, remove};
use crate::image;

const PODMAN: &str = "/usr/bin/podman";
/// What podman makes in /run beside the directories it is told.
const LEAVINGS: [&str; 7] =
    ["/run/libpod", "/run/containers", "/run/podman", "/run/lock", "/run/runc", "/run/netns", "/run/taru"];

/// Runs `body` with a podman on the runtime under test, and an image `busybox`.
fn with_podman(sandbox: &Sandbox, body: fn(&Engine, &str)) {
    if !has(sandbox, &[PODMAN, "/usr/bin/conmon", "/bin/busybox"]) {
        return;
    }
    let dir = sandbox.dir().join("podman");
    let option = |name: &str, value: &str| format!("--{name}={value}");
    let at = |name: &str| dir.join(name).display().to_string();
    let options = [
        option("root", &at("root")),
        option("runroot", &at("run")),
        option("tmpdir", &at("tmp")),
        option("runtime", &sandbox.runtime().program().display().to_string()),
        option("cgroup-manager", "cgroupfs"),
        option("events-backend", "file"),
        option("storage-driver", "overlay"),
        option("network-config-dir", &at("networks")),
    ];
    let mut argv = vec![PODMAN];
    argv.extend(options.iter().map(String::as_str));
    let podman = Engine::new(sandbox, &argv);
    podman.prints(&["import", &image::tree(&sandbox.dir()).display().to_string(), "busybox"]);
    body(&podman, &format!("--cgroup-parent=/{}", sandbox.marker()));
    assert_eq!(podman.prints(&["ps", "--all", "--quiet"]), "", "every container is removed");
    remove(&dir);
    for path in LEAVINGS {
        remove(path.as_ref());
    }
}

#[test]
fn run_passes_output_and_status() {
    sandbox(|own| {
        with_podman(own, |podman, parent| {
            let run = |options: &[&str], command: &[&str]| {
                let mut argv = vec!["run", "--rm", "--network=none", parent];
                argv.extend(options);
                argv.push("busybox");
                argv.extend(command);
                podman.call(&argv)
            };
            assert_eq!(run(&[], &["echo", "hello"]).ok().text(), "hello");
            let failed = run(&[], &["sh", "-c", "echo no >&2; exit 7"]);
            assert_eq!((failed.status, failed.stderr.trim()), (7, "no"));
            let absent = run(&[], &["/no/such"]);
            assert_eq!(absent.status, 127, "{}", absent.stderr);
            let denied = run(&[], &["/etc/passwd"]);
            assert_eq!(denied.status, 126, "{}", denied.stderr);
            assert_eq!(run(&["--tty"], &["sh", "-c", "test -t 0 && echo tty"]).ok().text(), "tty");
        });
    });
}

#[test]
fn the_life_of_a_container() {
    sandbox(|own| {
        with_podman(own, |podman, parent| {
            let state = |format: &str| podman.prints(&["inspect", "--format", format, "web"]);
            let mut run =
                vec!["run", "--detach", "--name=web", "--network=none", "--hostname=barrel", parent];
            run.extend(["--memory=64m", "--pids-limit=50", "--user=1000:1000", "--env=KEY=value"]);
            run.extend(["busybox", "sh", "-c", "trap 'exit 5' TERM; while :; do sleep 0.1; done"]);
            podman.prints(&run);
            assert_eq!(podman.prints(&["exec", "web", "hostname"]), "barrel");
            assert_eq!(podman.prints(&["exec", "web", "sh", "-c", "echo $KEY"]), "value");
            assert_eq!(podman.prints(&["exec", "web", "id", "-u"]), "1000");
            assert_eq!(podman.prints(&["exec", "--user=0", "web", "id", "-u"]), "0");
            assert_eq!(podman.call(&["exec", "web", "sh", "-c", "exit 3"]).status, 3);
            // Between two of them there is none.
            eventually("its sleep", || podman.prints(&["top", "web"]).contains("sleep 0.1"));
            assert!(
                podman
                    .prints(&["stats", "--no-stream", "--format={{.MemUsage}}", "web"])
                    .ends_with("/ 67.11MB")
            );
            podman.prints(&["pause", "web"]);
            assert_eq!(state("{{.State.Status}}"), "paused");
            podman.prints(&["unpause", "web"]);
            assert_eq!(state("{{.State.Status}}"), "running");
            podman.prints(&["stop", "--time=20", "web"]);
            assert_eq!(state("{{.State.Status}} {{.State.ExitCode}}"), "exited 5");
            podman.prints(&["start", "web"]);
            podman.prints(&["kill", "web"]);
            podman.call(&["wait", "web"]);
            assert_eq!(state("{{.State.ExitCode}}"), "137");
            podman.prints(&["rm", "web"]);
        });
    });
}
