//! The mistakes.

use std::fs;

use serde_json::{Value, json};
use taru_testkit::{Bundle, Output, Sandbox};

/// Every mistake with what it led to.
pub(crate) fn all(sandbox: &Sandbox) -> Vec<(&'static str, Output)> {
    let mut cases = Vec::new();
    cases.extend(command_line(sandbox));
    cases.extend(bundles(sandbox));
    cases.extend(verbs(sandbox));
    cases.extend(processes(sandbox));
    cases.extend(mounts(sandbox));
    cases.extend(kernel(sandbox));
    cases.extend(execs(sandbox));
    cases
}

fn command_line(sandbox: &Sandbox) -> Vec<(&'static str, Output)> {
    let call = |args: &[&str]| sandbox.runtime().command(args);
    vec![
        ("unknown command", call(&["strat", "web"])),
        ("unknown option", call(&["create", "--bundel", "/x", "web"])),
        ("no id", call(&["start"])),
        ("two ids", call(&["start", "web", "db"])),
        ("a global option after the command", call(&["list", "--root", "/x"])),
        ("unknown log format", call(&["--log-format", "xml", "list"])),
        ("unknown list format", call(&["list", "--format", "xml"])),
        ("a count that is no number", call(&["run", "--preserve-fds", "many", "web"])),
    ]
}

fn bundles(sandbox: &Sandbox) -> Vec<(&'static str, Output)> {
    let runtime = sandbox.runtime();
    let text = |text: &str| {
        let bundle = sandbox.bundle();
        fs::write(bundle.dir().join("config.json"), text).expect("write config.json");
        runtime.invoke(["run", "--bundle"]).arg(bundle.dir()).arg(runtime.fresh_id()).output()
    };
    let run = |change: &dyn Fn(Bundle) -> Bundle| runtime.run(&change(sandbox.bundle()));
    let without = |key: &str| {
        run(&|bundle| {
            bundle.edit(|spec| {
                spec.as_object_mut().expect("an object").remove(key);
            })
        })
    };
    let empty = sandbox.dir().join("empty");
    fs::create_dir_all(&empty).expect("make a directory");
    let file = sandbox.dir().join("file");
    fs::write(&file, "").expect("write a file");
    vec![
        ("no such bundle", runtime.command(["run", "--bundle", "/no/such/bundle", "web"])),
        ("a bundle without config.json", runtime.invoke(["run", "--bundle"]).arg(empty).arg("web").output()),
        ("config.json is empty", text("")),
        ("config.json ends too early", text("{ \"ociVersion\": \"1.0.2\", ")),
        ("config.json has a comma too many", text("{\n  \"ociVersion\": \"1.0.2\",\n}")),
        ("config.json is no object", text("[]")),
        ("a field of the wrong type", run(&|bundle| bundle.put("/process/args", json!("sh")))),
        ("no process", without("process")),
        ("no root", without("root")),
        ("a version that is not ours", run(&|bundle| bundle.put("/ociVersion", json!("2.0.0")))),
        ("no such rootfs", run(&|bundle| bundle.put("/root/path", json!("no-rootfs")))),
        ("rootfs is a file", run(&|bundle| bundle.put("/root/path", json!(file)))),
        (
            "several problems at once",
            run(&|bundle| {
                bundle
                    .put("/process/cwd", json!("relative"))
                    .put("/process/args", json!([]))
                    .put("/linux/rootfsPropagation", json!("sideways"))
            }),
        ),
    ]
}

fn verbs(sandbox: &Sandbox) -> Vec<(&'static str, Output)> {
    let runtime = sandbox.runtime();
    let call = |args: &[&str]| runtime.command(args);
    let bundle = sandbox.bundle().idle();
    let container = runtime.start(&bundle);
    let id = container.id();
    let create_again = runtime.invoke(["create", "--bundle"]).arg(bundle.dir()).arg(id).output();
    let mut cases = vec![
        ("an id that is none", call(&["run", "web server"])),
        ("an id that leads out", call(&["run", "../web"])),
        ("an id in use", create_again),
        ("no such container", call(&["state", "nobody"])),
        ("start what runs", call(&["start", id])),
        ("delete what runs", call(&["delete", id])),
        ("resume what is not paused", call(&["resume", id])),
        ("a signal that is none", call(&["kill", id, "TREM"])),
        ("update with a size that is none", call(&["update", "--memory", "lots", id])),
        ("update with what the kernel refuses", call(&["update", "--cpuset-cpus", "4095", id])),
        ("update of cache where none is allocated", call(&["update", "--l3-cache-schema", "L3:0=f", id])),
        ("update with no such file", call(&["update", "--resources", "/no/such/file", id])),
        ("checkpoint", call(&["checkpoint", id])),
    ];
    runtime.command(["pause", id]).succeeds();
    cases.push(("exec in what is paused", call(&["exec", id, "true"])));
    runtime.command(["resume", id]).succeeds();
    container.kill("KILL").succeeds();
    container.wait_stopped();
    cases.push(("start what has stopped", call(&["start", id])));
    cases.push(("kill what has stopped", call(&["kill", id])));
    cases.push(("pause what has stopped", call(&["pause", id])));
    cases.push(("exec in what has stopped", call(&["exec", id, "true"])));
    cases
}

fn processes(sandbox: &Sandbox) -> Vec<(&'static str, Output)> {
    let runtime = sandbox.runtime();
    let run = |bundle: Bundle| runtime.run(&bundle);
    let put = |pointer: &str, value: Value| run(sandbox.bundle().put(pointer, value));
    let create = |bundle: Bundle, options: &[&str]| runtime.try_create(&bundle, options).1;
    let script = sandbox.bundle().file("script", "#!/no/such/interpreter\n", 0o755).args(&["/script"]);
    let not_executable = sandbox.bundle().file("script", "#!/bin/sh\n", 0o644).args(&["/script"]);
    vec![
        ("no such program", run(sandbox.bundle().args(&["/no/such/program"]))),
        ("no such program in PATH", run(sandbox.bundle().args(&["no-such-program"]))),
        ("a program without a name", run(sandbox.bundle().args(&[""]))),
        ("no such interpreter", run(script)),
        ("a program without x", run(not_executable)),
        ("a directory as program", run(sandbox.bundle().args(&["/etc"]))),
        ("no arguments", put("/process/args", json!([]))),
        ("cwd is a file", put("/process/cwd", json!("/etc/passwd"))),
        ("cwd is relative", put("/process/cwd", json!("tmp"))),
        ("unknown capability", put("/process/capabilities/bounding", json!(["CAP_NOSUCH"]))),
        (
            "unknown rlimit",
            put("/process/rlimits", json!([{ "type": "RLIMIT_NOSUCH", "soft": 1, "hard": 1 }])),
        ),
        (
            "soft limit above the hard one",
            put("/process/rlimits", json!([{ "type": "RLIMIT_NOFILE", "soft": 9, "hard": 1 }])),
        ),
        ("a user that is too large", put("/process/user", json!({ "uid": 4_294_967_296_u64, "gid": 0 }))),
        (
            "a user outside the map",
            run(sandbox
                .bundle()
                .user_namespace(100_000)
                .put("/process/user", json!({ "uid": 70_000, "gid": 0 }))),
        ),
        (
            "a terminal without console socket",
            create(sandbox.bundle().put("/process/terminal", json!(true)), &[]),
        ),
        (
            "a console socket without terminal",
            create(sandbox.bundle(), &["--console-socket", "/no/such/socket"]),
        ),
        (
            "nobody listens on the console socket",
            create(
                sandbox.bundle().put("/process/terminal", json!(true)),
                &["--console-socket", "/no/such/socket"],
            ),
        ),
        ("a pid file that cannot be written", create(sandbox.bundle(), &["--pid-file", "/no/such/dir/pid"])),
        ("an AppArmor profile without AppArmor", put("/process/apparmorProfile", json!("docker-default"))),
        (
            "an SELinux label without SELinux",
            put("/process/selinuxLabel", json!("system_u:system_r:container_t:s0")),
        ),
        ("unknown scheduler", put("/process/scheduler", json!({ "policy": "SCHED_NOSUCH" }))),
    ]
}

fn mounts(sandbox: &Sandbox) -> Vec<(&'static str, Output)> {
    let mount = |destination: &str, kind: &str, source: &str, options: &[&str]| {
        sandbox.runtime().run(&sandbox.bundle().mount(destination, kind, source, options))
    };
    let file = sandbox.dir().join("file");
    fs::write(&file, "").expect("write a file");
    let file = file.display().to_string();
    vec![
        ("no such bind source", mount("/mnt", "bind", "/no/such/source", &["rbind"])),
        ("unknown file system", mount("/mnt", "nopefs", "none", &[])),
        ("unknown option of a file system", mount("/mnt", "tmpfs", "tmpfs", &["sise=1m"])),
        ("bad value of an option", mount("/mnt", "tmpfs", "tmpfs", &["size=lots"])),
        ("a file on a directory", mount("/etc", "bind", &file, &["bind"])),
        ("a directory on a file", mount("/etc/passwd", "bind", "/etc", &["bind"])),
        ("below a file", mount("/etc/passwd/x", "tmpfs", "tmpfs", &[])),
        ("idmap without a user namespace", mount("/mnt", "bind", &file, &["bind", "idmap"])),
    ]
}

fn kernel(sandbox: &Sandbox) -> Vec<(&'static str, Output)> {
    let runtime = sandbox.runtime();
    let run = |bundle: Bundle| runtime.run(&bundle);
    let put = |pointer: &str, value: Value| run(sandbox.bundle().put(pointer, value));
    let hook =
        |script: &str| json!({ "createRuntime": [{ "path": "/bin/sh", "args": ["sh", "-c", script] }] });
    let overlapping = json!([
        { "containerID": 0, "hostID": 1000, "size": 10 }, { "containerID": 5, "hostID": 2000, "size": 10 },
    ]);
    let seccomp = |action: &str, names: &[&str]| {
        put(
            "/linux/seccomp",
            json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{ "names": names, "action": action }] }),
        )
    };
    vec![
        ("no such namespace", run(sandbox.bundle().namespace("network", Some("/run/netns/blue")))),
        (
            "a namespace of another type",
            run(sandbox.bundle().namespace("network", Some("/proc/self/ns/uts"))),
        ),
        ("unknown namespace type", run(sandbox.bundle().namespace("netwrok", None))),
        ("a host name without its namespace", run(sandbox.bundle().without_namespace("uts"))),
        (
            "a user namespace with a map of users alone",
            run(sandbox
                .bundle()
                .namespace("user", None)
                .put("/linux/uidMappings", json!([{ "containerID": 0, "hostID": 1000, "size": 10 }]))),
        ),
        (
            "id maps that overlap",
            run(sandbox.bundle().user_namespace(100_000).put("/linux/uidMappings", overlapping)),
        ),
        (
            "time offsets without their namespace",
            put("/linux/timeOffsets", json!({ "boottime": { "secs": 1 } })),
        ),
        ("a sysctl of the host", put("/linux/sysctl", json!({ "vm.overcommit_memory": "1" }))),
        ("no such sysctl", put("/linux/sysctl", json!({ "net.ipv4.no_such": "1" }))),
        (
            "a sysctl value the kernel refuses",
            put("/linux/sysctl", json!({ "net.ipv4.ip_default_ttl": "x" })),
        ),
        ("a CPU that is not there", put("/linux/resources/cpu", json!({ "cpus": "4095" }))),
        ("a memory limit too small to start", put("/linux/resources/memory", json!({ "limit": 4096 }))),
        (
            "a controller that is not there",
            put("/linux/resources/rdma", json!({ "mlx5_1": { "hcaHandles": 3 } })),
        ),
        (
            "unknown device type",
            put("/linux/devices", json!([{ "path": "/dev/x", "type": "z", "major": 1, "minor": 3 }])),
        ),
        ("unknown seccomp action", seccomp("SCMP_ACT_NOSUCH", &["read"])),
        ("seccomp notify without a listener", seccomp("SCMP_ACT_NOTIFY", &["getpriority"])),
        ("no such hook", put("/hooks", json!({ "createRuntime": [{ "path": "/no/such/hook" }] }))),
        ("a hook that fails", put("/hooks", hook("echo no network left >&2; exit 3"))),
        ("a hook that is killed", put("/hooks", hook("kill -9 $$"))),
        ("unknown rootfsPropagation", put("/linux/rootfsPropagation", json!("sideways"))),
        ("no such network device", put("/linux/netDevices", json!({ "eth7": {} }))),
        (
            "intelRdt where there is none",
            put("/linux/intelRdt", json!({ "closID": "x", "l3CacheSchema": "L3:0=f" })),
        ),
    ]
}

fn execs(sandbox: &Sandbox) -> Vec<(&'static str, Output)> {
    let container = sandbox.runtime().start(&sandbox.bundle().idle());
    let exec = |options: &[&str], args: &[&str]| container.exec_with(options, args);
    vec![
        ("exec: no such container", sandbox.runtime().command(["exec", "nobody", "true"])),
        ("exec: no program", exec(&[], &[])),
        ("exec: no such program", exec(&[], &["/no/such/program"])),
        ("exec: no such cwd", exec(&["--cwd", "/no/such/dir"], &["true"])),
        ("exec: a user that is none", exec(&["--user", "0x0"], &["true"])),
        ("exec: unknown capability", exec(&["--cap", "CAP_NOSUCH"], &["true"])),
        ("exec: no such process file", exec(&["--process", "/no/such/file"], &[])),
        ("exec: detached with a terminal", exec(&["--tty", "--detach"], &["true"])),
    ]
}
