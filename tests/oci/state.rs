//! What is printed for programs: `state`, `list`, `ps`, `events`, `features`, `spec`, errors as JSON.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use taru_testkit::{Container, Family, Output, eventually, sandbox};

#[track_caller]
fn parsed(output: &Output) -> Value {
    serde_json::from_str(&output.stdout)
        .unwrap_or_else(|error| panic!("not JSON: {error}: {}", output.stdout))
}

#[test]
fn state_has_the_fields_of_the_specification() {
    sandbox(|sandbox| {
        let bundle = sandbox.bundle().idle().put("/annotations", json!({ "org.example.a": "1", "b": "" }));
        let container = sandbox.runtime().create(&bundle);
        let state = container.state();
        assert_eq!(state["id"], container.id());
        assert_eq!(state["status"], "created");
        assert_eq!(state["bundle"], json!(bundle.dir()));
        assert_eq!(state["annotations"], json!({ "org.example.a": "1", "b": "" }));
        let version = state["ociVersion"].as_str().expect("a version");
        assert!(version.starts_with("1."), "ociVersion {version}");
        let pid = state["pid"].as_u64().expect("a pid");
        assert!(fs::metadata(format!("/proc/{pid}")).is_ok(), "pid {pid} lives");
        // What runc adds and engines read.
        if !sandbox.peer_lacks(&[Family::Crun], "an absolute rootfs in the state") {
            assert_eq!(state["rootfs"], json!(bundle.rootfs()));
        }
        let created = state["created"].as_str().expect("a time");
        assert!(
            created.len() >= 20 && created.as_bytes()[10] == b'T',
            "created `{created}` is no RFC 3339 time"
        );
    });
}

#[test]
fn state_of_a_stopped_container() {
    sandbox(|sandbox| {
        let container = sandbox.runtime().start(&sandbox.bundle());
        container.wait_stopped();
        let state = container.state();
        assert_eq!(state["pid"].as_u64().unwrap_or(0), 0, "a stopped container has no pid");
        assert_eq!(state["id"], container.id());
    });
}

#[test]
fn list_as_table_json_and_ids() {
    sandbox(|sandbox| {
        let runtime = sandbox.runtime();
        assert_eq!(runtime.command(["list", "--quiet"]).ok().text(), "");
        let bundle = sandbox.bundle().idle();
        let first = runtime.create(&bundle);
        let second = runtime.start(&sandbox.bundle().idle());

        let ids = runtime.command(["list", "--quiet"]).ok();
        let mut ids: Vec<&str> = ids.text().lines().collect();
        ids.sort_unstable();
        assert_eq!(ids, [first.id(), second.id()]);

        let table = runtime.command(["list"]).ok();
        let header: Vec<&str> = table.text().lines().next().unwrap_or("").split_whitespace().collect();
        if !sandbox.peer_lacks(&[Family::Crun], "runc's column names") {
            assert_eq!(header[..5], ["ID", "PID", "STATUS", "BUNDLE", "CREATED"]);
        }
        let row = table.text().lines().find(|line| line.starts_with(second.id())).expect("a row a container");
        let fields: Vec<&str> = row.split_whitespace().collect();
        assert_eq!(fields[1], second.pid().to_string());
        assert_eq!(fields[2], "running");

        let list = parsed(&runtime.command(["list", "--format", "json"]).ok());
        let list = list.as_array().expect("an array");
        assert_eq!(list.len(), 2);
        let entry = list.iter().find(|entry| entry["id"] == first.id()).expect("an entry a container");
        assert_eq!(entry["status"], "created");
        assert_eq!(entry["pid"], first.pid());
        assert_eq!(entry["bundle"], json!(bundle.dir()));
        assert_eq!(entry["owner"], "root");
    });
}

#[test]
fn list_format_that_is_none_is_refused() {
    sandbox(|sandbox| {
        sandbox.runtime().command(["list", "--format", "xml"]).fails();
    });
}

#[test]
fn ps_shows_the_processes() {
    sandbox(|sandbox| {
        let container = sandbox.runtime().start(&sandbox.bundle().sh("sleep 1234 & wait"));
        let pids = || parsed(&sandbox.runtime().command(["ps", "--format", "json", container.id()]).ok());
        eventually("two processes", || pids().as_array().is_some_and(|list| list.len() == 2));
        assert!(pids().as_array().expect("an array").contains(&json!(container.pid())));
        let table = sandbox.runtime().command(["ps", container.id()]).ok();
        let header = table.text().lines().next().unwrap_or("");
        assert!(header.contains("PID"), "header `{header}`");
        if !sandbox.peer_lacks(&[Family::Crun], "the output of ps(1) in its table") {
            assert!(table.stdout.contains("sleep 1234"), "{}", table.stdout);
        }
    });
}

#[test]
fn events_stats_are_one_json_object() {
    sandbox(|sandbox| {
        if sandbox.peer_lacks(&[Family::Crun], "the events command") {
            return;
        }
        let container = sandbox.runtime().start(&sandbox.bundle().idle());
        let stats = parsed(&sandbox.runtime().command(["events", "--stats", container.id()]).ok());
        assert_eq!(stats["type"], "stats");
        assert_eq!(stats["id"], container.id());
        assert!(stats["data"]["memory"]["usage"]["usage"].as_u64().is_some_and(|bytes| bytes > 0), "{stats}");
        assert!(stats["data"]["pids"]["current"].as_u64().is_some_and(|pids| pids >= 1), "{stats}");
        assert!(stats["data"]["cpu"]["usage"]["total"].as_u64().is_some(), "{stats}");
        // v2 has none of these files.
        if Path::new("/sys/fs/cgroup/cpuset").is_dir() {
            let cpuset = &stats["data"]["cpuset"];
            assert_eq!(cpuset["sched_load_balance"], 1, "{stats}");
            assert_eq!(cpuset["sched_relax_domain_level"], -1, "{stats}");
        }
    });
}

#[test]
fn features_are_consistent_with_behaviour() {
    sandbox(|sandbox| {
        if sandbox.peer_lacks(&[Family::Crun], "the features command") {
            return;
        }
        let features = parsed(&sandbox.runtime().command(["features"]).ok());
        assert!(features["ociVersionMin"].as_str().is_some_and(|version| version.starts_with("1.")));
        assert!(features["ociVersionMax"].as_str().is_some_and(|version| version.starts_with("1.")));
        let has = |pointer: &str, name: &str| {
            features
                .pointer(pointer)
                .and_then(Value::as_array)
                .is_some_and(|list| list.contains(&json!(name)))
        };
        for namespace in ["cgroup", "ipc", "mount", "network", "pid", "user", "uts"] {
            assert!(has("/linux/namespaces", namespace), "namespace {namespace}");
        }
        for option in ["bind", "rbind", "ro", "rro", "nosuid", "rslave", "tmpcopyup"] {
            assert!(has("/mountOptions", option), "mount option {option}");
        }
        for hook in
            ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"]
        {
            assert!(has("/hooks", hook), "hook {hook}");
        }
        for capability in ["CAP_CHOWN", "CAP_CHECKPOINT_RESTORE"] {
            assert!(has("/linux/capabilities", capability), "{capability}");
        }
        assert_eq!(features.pointer("/linux/seccomp/enabled"), Some(&json!(true)));
        assert!(has("/linux/seccomp/actions", "SCMP_ACT_NOTIFY"));
        assert!(has("/linux/seccomp/operators", "SCMP_CMP_MASKED_EQ"));
        assert_eq!(features.pointer("/linux/cgroup/v1"), Some(&json!(true)));
        assert_eq!(features.pointer("/linux/cgroup/v2"), Some(&json!(true)));

        // Every mount option that is claimed is accepted on a mount.
        let options = features["mountOptions"].as_array().cloned().unwrap_or_default();
        let runtime = sandbox.runtime();
        for option in options.iter().filter_map(Value::as_str) {
            // These need more than the word, or a file system this test does not mount.
            if ["idmap", "ridmap", "remount", "loud", "mand"].contains(&option) || option.contains("iversion")
            {
                continue;
            }
            let source = sandbox.dir();
            let bundle = if ["bind", "rbind"].contains(&option) {
                sandbox.bundle().mount("/mnt", "none", source.to_str().unwrap_or(""), &[option])
            } else {
                sandbox.bundle().mount("/mnt", "tmpfs", "tmpfs", &[option])
            };
            if option == "defaults" && sandbox.peer_lacks(&[Family::Runc], "`defaults`, which it claims") {
                continue;
            }
            let output = runtime.run(&bundle);
            assert!(output.status == 0, "claimed option `{option}`: {}", output.stderr);
        }
    });
}

#[test]
fn features_name_the_newer_parts() {
    sandbox(|sandbox| {
        if sandbox.peer_lacks(&[Family::Runc, Family::Crun], "features of specification 1.3") {
            return;
        }
        let features = parsed(&sandbox.runtime().command(["features"]).ok());
        let list = |pointer: &str| features.pointer(pointer).cloned().unwrap_or_default().to_string();
        assert!(list("/linux/namespaces").contains("\"time\""));
        assert!(list("/mountOptions").contains("\"idmap\""));
        assert_eq!(features.pointer("/linux/mountExtensions/idmap/enabled"), Some(&json!(true)));
        assert_eq!(features.pointer("/linux/netDevices/enabled"), Some(&json!(true)));
    });
}

#[test]
fn spec_writes_a_configuration_that_runs() {
    sandbox(|sandbox| {
        let bundle = sandbox.bundle();
        let config = bundle.dir().join("config.json");
        let _ = fs::remove_file(&config);
        sandbox.runtime().invoke(["spec"]).dir(bundle.dir()).output().succeeds();
        let text = fs::read_to_string(&config).expect("config.json");
        let mut spec: Value = serde_json::from_str(&text).expect("JSON");
        // The same keys and defaults as runc's, which everybody knows.
        assert_eq!(spec["process"]["terminal"], true);
        assert_eq!(spec["process"]["args"], json!(["sh"]));
        assert_eq!(spec["root"]["path"], "rootfs");
        // It refuses to overwrite.
        if !sandbox.peer_lacks(&[Family::Crun], "refusal to overwrite config.json") {
            sandbox.runtime().invoke(["spec"]).dir(bundle.dir()).output().fails();
        }
        assert_eq!(fs::read_to_string(&config).expect("config.json"), text);
        // It runs: here, and on runc where there is one.
        spec["process"]["terminal"] = json!(false);
        spec["process"]["args"] = json!(["/bin/echo", "ran"]);
        fs::write(&config, spec.to_string()).expect("write config.json");
        let run = |program: &Path| {
            let id = sandbox.runtime().fresh_id();
            let root = sandbox.dir().join("spec-root");
            let line = sandbox.runtime().beside([program]).arg("--root").arg(root).arg("run");
            line.arg("--bundle").arg(bundle.dir()).arg(id).output().ok().text().to_owned()
        };
        assert_eq!(run(sandbox.runtime().program()), "ran");
        for peer in ["/usr/bin/runc", "/usr/sbin/runc"].map(Path::new) {
            if peer.exists() {
                assert_eq!(run(peer), "ran");
            }
        }
    });
}

#[test]
fn spec_rootless_maps_the_caller() {
    sandbox(|sandbox| {
        let dir = sandbox.dir();
        sandbox.runtime().invoke(["spec", "--rootless"]).dir(&dir).output().succeeds();
        let text = fs::read_to_string(dir.join("config.json")).expect("config.json");
        let spec: Value = serde_json::from_str(&text).expect("JSON");
        if sandbox.peer_lacks(&[Family::Crun], "id maps in spec --rootless") {
            return;
        }
        assert_eq!(spec["linux"]["uidMappings"], json!([{ "containerID": 0, "hostID": 0, "size": 1 }]));
        let namespaces = spec["linux"]["namespaces"].as_array().expect("namespaces");
        assert!(namespaces.iter().any(|namespace| namespace["type"] == "user"));
    });
}

#[test]
fn errors_go_to_the_log_as_json_when_asked() {
    sandbox(|sandbox| {
        let log = sandbox.dir().join("log.json");
        let bundle = sandbox.bundle().args(&["/no/such/program"]);
        bundle.write();
        let id = sandbox.runtime().fresh_id();
        let output = sandbox
            .runtime()
            .invoke(["--log"])
            .arg(&log)
            .arg("--log-format")
            .arg("json")
            .arg("run")
            .arg("--bundle")
            .arg(bundle.dir())
            .arg(id)
            .output();
        output.fails();
        let text = fs::read_to_string(&log).expect("a log");
        // containerd and dockerd read the last line whose level is error.
        let lines: Vec<Value> =
            text.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect();
        let errors: Vec<&Value> = lines.iter().filter(|line| line["level"] == "error").collect();
        let last = errors.last().expect("an error line");
        assert!(last["msg"].as_str().is_some_and(|message| message.contains("/no/such/program")), "{text}");
        assert!(last["time"].is_string(), "{text}");
    });
}

#[test]
fn version_names_the_specification() {
    sandbox(|sandbox| {
        let output = sandbox.runtime().command(["--version"]).ok();
        assert!(output.stdout.lines().any(|line| line.starts_with("spec: 1.")), "{}", output.stdout);
        assert!(output.stdout.starts_with(&format!(
            "{} version ",
            sandbox.runtime().program().file_name().unwrap_or_default().to_string_lossy()
        )));
    });
}

#[test]
fn unknown_options_and_commands_are_refused() {
    sandbox(|sandbox| {
        sandbox.runtime().command(["--no-such-option"]).fails();
        sandbox.runtime().command(["create", "--no-such-option", "x"]).fails();
        if !sandbox.peer_lacks(&[Family::Runc], "an error status for an unknown command") {
            sandbox.runtime().command(["nosuchcommand"]).fails();
        }
    });
}

#[test]
fn oci_versions_1_x_are_accepted_and_others_refused() {
    sandbox(|sandbox| {
        for version in ["1.0.0", "1.0.2-dev", "1.1.0", "1.2.1", "1.3.0", "1.99.7"] {
            if !version.starts_with("1.0")
                && sandbox.peer_lacks(&[Family::Crun], "acceptance of later 1.x versions")
            {
                continue;
            }
            let output = sandbox.runtime().run(&sandbox.bundle().put("/ociVersion", json!(version)));
            assert!(output.status == 0, "version {version}: {}", output.stderr);
        }
        if !sandbox.peer_lacks(&[Family::Runc, Family::Crun], "a check of the major version") {
            for version in ["2.0.0", "0.9.0", "nonsense", ""] {
                sandbox.runtime().run(&sandbox.bundle().put("/ociVersion", json!(version))).fails();
            }
        }
    });
}

#[test]
fn annotations_survive_into_the_state_of_a_running_container() {
    sandbox(|sandbox| {
        let bundle = sandbox.bundle().idle().put("/annotations", json!({ "k": "v with \"quotes\" and é" }));
        let container: Container = sandbox.runtime().start(&bundle);
        assert_eq!(container.state()["annotations"]["k"], "v with \"quotes\" and é");
    });
}

#[test]
fn checkpoint_says_plainly_that_it_is_not_there() {
    sandbox(|sandbox| {
        if sandbox.peer_lacks(&[Family::Runc, Family::Crun], "nothing: theirs needs CRIU") {
            return;
        }
        let container = sandbox.runtime().start(&sandbox.bundle().idle());
        sandbox.runtime().command(["checkpoint", container.id()]).fails_with("not");
        assert_eq!(container.status(), "running");
    });
}
