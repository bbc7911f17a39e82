//! Data that wants to be a command, and documents that are none (T46, T50, T90).

use std::fs;

use serde_json::{Value, json};
use taru_testkit::sandbox_with_peers;

#[test]
fn t46_hooks_run_without_the_containers_environment() {
    sandbox_with_peers(|sandbox| {
        let out = sandbox.dir().join("environment");
        let hostile = json!([
            "PATH=/evil",
            "LD_PRELOAD=/evil.so",
            "LD_LIBRARY_PATH=/evil",
            "GCONV_PATH=/evil",
            "BASH_ENV=/evil",
            "ENV=/evil",
            "PYTHONPATH=/evil",
            "HOSTALIASES=/evil",
        ]);
        let script = format!("/usr/bin/env > {}", out.display());
        let bundle = sandbox.bundle().put("/process/env", hostile);
        for hook in ["prestart", "createRuntime", "poststart", "poststop"] {
            let _ = fs::remove_file(&out);
            let with_hook = bundle
                .clone()
                .put("/hooks", json!({ hook: [{ "path": "/bin/sh", "args": ["sh", "-c", script] }] }));
            sandbox.runtime().run(&with_hook);
            let seen = fs::read_to_string(&out).unwrap_or_default();
            assert!(!seen.contains("evil"), "{hook} has the container's environment: {seen}");
        }
    });
}

#[test]
fn t50_sysctls_of_the_host_are_out_of_reach() {
    sandbox_with_peers(|sandbox| {
        let watched = ["kernel/core_pattern", "kernel/hostname", "kernel/printk", "vm/overcommit_memory"];
        let read = || watched.map(|name| fs::read_to_string(format!("/proc/sys/{name}")).unwrap_or_default());
        let before = read();
        for (name, value) in [
            ("kernel.core_pattern", "|/bin/evil"),
            ("kernel/core_pattern", "|/bin/evil"),
            ("net.../kernel.core_pattern", "|/bin/evil"),
            ("net/../kernel/core_pattern", "|/bin/evil"),
            ("net.ipv4.ip_forward/../../../kernel/core_pattern", "|/bin/evil"),
            ("kernel.shm../core_pattern", "|/bin/evil"),
            ("fs.mqueue/../../kernel/core_pattern", "|/bin/evil"),
            ("kernel.shm_rmid_forced+kernel.core_pattern", "1"),
            ("/proc/sys/kernel/core_pattern", "|/bin/evil"),
            ("vm.overcommit_memory", "1"),
            ("net", "1"),
            ("", "1"),
        ] {
            let mut sysctl = serde_json::Map::new();
            sysctl.insert(name.to_owned(), json!(value));
            let bundle = sandbox.bundle().put("/linux/sysctl", Value::Object(sysctl));
            let output = sandbox.runtime().run(&bundle);
            assert!(output.status != 0, "sysctl `{name}` was accepted");
            assert_eq!(read(), before, "sysctl `{name}` reached the host");
        }
        // A value is one value: it cannot set a second.
        let two = json!({ "kernel.msgmax": "9000\nkernel.core_pattern=|/bin/evil" });
        sandbox.runtime().run(&sandbox.bundle().put("/linux/sysctl", two));
        assert_eq!(read(), before);
    });
}

#[test]
fn t90_malformed_configurations_are_errors() {
    sandbox_with_peers(|sandbox| {
        let base = sandbox.bundle();
        base.write();
        let config = base.dir().join("config.json");
        let good = fs::read_to_string(&config).expect("config.json");
        let mut many_mounts: Value = base.spec.clone();
        let mount = json!({ "destination": "/no/such", "type": "nopefs", "source": "x" });
        many_mounts["mounts"] = Value::Array(vec![mount; 200_000]);
        let cases: Vec<(&str, Vec<u8>)> = vec![
            ("empty", Vec::new()),
            ("blank", b" \n\t ".to_vec()),
            ("truncated", good.as_bytes()[..good.len() / 2].to_vec()),
            ("only brackets", vec![b'['; 200_000]),
            ("deep", [vec![b'['; 200_000], vec![b']'; 200_000]].concat()),
            ("deep objects", [b"{\"a\":".repeat(100_000), b"1".to_vec(), vec![b'}'; 100_000]].concat()),
            ("NUL bytes", vec![0; 4096]),
            ("no UTF-8", b"{\"ociVersion\":\"1.0\xff\xfe\"}".to_vec()),
            ("a number", b"42".to_vec()),
            ("null", b"null".to_vec()),
            ("an array", b"[]".to_vec()),
            ("an empty object", b"{}".to_vec()),
            ("a long string", format!("{{\"ociVersion\":\"{}\"}}", "1".repeat(5_000_000)).into_bytes()),
            ("a string too much", good.replacen("/bin/true", &"x".repeat(5_000_000), 1).into_bytes()),
            ("a NUL in an argument", good.replacen("/bin/true", "/bin/\\u0000true", 1).into_bytes()),
            ("wrong types", good.replace("\"args\"", "\"args\": {}, \"args2\"").into_bytes()),
            ("many mounts", many_mounts.to_string().into_bytes()),
        ];
        for (name, text) in cases {
            fs::write(&config, text).expect("write config.json");
            let id = sandbox.runtime().fresh_id();
            let output = sandbox.runtime().invoke(["run", "--bundle"]).arg(base.dir()).arg(id).output();
            assert_eq!(output.signal, None, "{name}: ended by a signal");
            assert!(output.status != 0, "{name}: was accepted");
            assert!(output.status < 128, "{name}: status {}", output.status);
            assert!(output.stderr.len() < 100_000, "{name}: {} bytes of message", output.stderr.len());
            assert!(!output.stderr.contains("panicked"), "{name}: {}", output.stderr);
        }
    });
}

#[test]
fn t90_strange_strings_everywhere_are_errors_or_exact() {
    sandbox_with_peers(|sandbox| {
        let long = "x".repeat(70_000);
        for pointer in [
            "/hostname",
            "/process/cwd",
            "/root/path",
            "/linux/cgroupsPath",
            "/process/args/0",
            "/linux/mountLabel",
        ] {
            for text in ["a\u{0}b", "\n", &long] {
                let output = sandbox.runtime().run(&sandbox.bundle().put(pointer, json!(text)));
                assert_eq!(output.signal, None, "{pointer}");
                assert!(!output.stderr.contains("panicked"), "{pointer}: {}", output.stderr);
            }
        }
    });
}
