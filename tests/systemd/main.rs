//! Under a systemd that is the first process, on cgroup v2: its driver as root, and an ordinary user's limits in
//! what systemd delegates. `cargo xtask vm --systemd test` boots such a machine; elsewhere these are skips.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use serde_json::{Value, json};

/// Debian's `nobody`: there on every host, and nobody works as it.
const USER: u32 = 65_534;
/// What a program prints of its own control group.
const SHOW: &str = "cd /sys/fs/cgroup; for f in memory.max pids.max cpu.max; do echo $f $(cat $f); done; cat /proc/self/uid_map";

/// A directory with a bundle, for the time of a test.
struct Place {
    dir: PathBuf,
}

impl Place {
    /// `None`, and a skip, where there is no such systemd.
    fn new(test: &str, owner: u32) -> Option<Place> {
        let is_v2 = Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
        if !Path::new("/run/systemd/system").is_dir() || !is_v2 || !is_root() {
            taru_testkit::skip(test, "systemd as the first process, with cgroup v2 and root");
            return None;
        }
        let dir = std::env::temp_dir().join(format!("taru-{test}-{}", std::process::id()));
        for sub in
            ["bundle/rootfs/bin", "bundle/rootfs/proc", "bundle/rootfs/dev", "bundle/rootfs/sys", "state"]
        {
            fs::create_dir_all(dir.join(sub)).unwrap();
        }
        fs::copy("/bin/busybox", dir.join("bundle/rootfs/bin/busybox")).unwrap();
        for name in ["sh", "cat", "sleep"] {
            symlink("busybox", dir.join("bundle/rootfs/bin").join(name)).unwrap();
        }
        let place = Place { dir };
        place.done(place.command(&runtime(), &["spec", "--bundle"]).arg(place.bundle()));
        for path in [place.dir.clone(), place.bundle(), place.dir.join("state")] {
            chown(&path, Some(owner), Some(owner)).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        Some(place)
    }

    fn bundle(&self) -> PathBuf {
        self.dir.join("bundle")
    }

    /// Changes the bundle's document.
    fn edit(&self, change: impl FnOnce(&mut Value)) {
        let path = self.bundle().join("config.json");
        let mut spec: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        spec["process"]["terminal"] = json!(false);
        spec["process"]["args"] = json!(["sleep", "1000"]);
        change(&mut spec);
        fs::write(&path, spec.to_string()).unwrap();
    }

    fn command(&self, program: &Path, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(args).current_dir(self.bundle());
        command
    }

    /// taru-runtime with this place's state.
    fn runtime(&self, args: &[&str]) -> Command {
        let state = self.dir.join("state");
        let mut command = self.command(&runtime(), &["--systemd-cgroup", "--root"]);
        command.arg(state).args(args);
        command
    }

    /// The command as the user, in a unit of the user's own systemd, or in one of the system's.
    fn as_user(&self, options: &[&str], inner: &Command) -> Command {
        let mut command =
            self.command(Path::new("systemd-run"), &["--quiet", "--pipe", "--wait", "--collect"]);
        command.args(options).arg(format!("--working-directory={}", self.bundle().display()));
        command.arg(format!("--setenv=HOME={}", self.dir.display()));
        command.arg(inner.get_program()).args(inner.get_args());
        command
    }

    /// What the command prints; it succeeds.
    fn done(&self, command: &mut Command) -> String {
        let (status, out, err) = self.output(command);
        assert!(status.success(), "{command:?}: {status}\n{out}{err}");
        out
    }

    /// How the command ends, and what it prints on both streams. They are files: a container left running would keep
    /// pipes open.
    fn output(&self, command: &mut Command) -> (ExitStatus, String, String) {
        let (out, err) = (self.dir.join("out"), self.dir.join("err"));
        let file = |path| fs::File::create(path).unwrap();
        command.stdin(Stdio::null()).stdout(file(&out)).stderr(file(&err));
        let status = command.status().unwrap_or_else(|e| panic!("{command:?}: {e}"));
        (status, fs::read_to_string(out).unwrap(), fs::read_to_string(err).unwrap())
    }

    fn property(&self, unit: &str, name: &str) -> String {
        self.done(Command::new("systemctl").args(["show", "--value", "-p", name, unit])).trim().to_owned()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// Beside the test's own directory.
fn executable(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let path = test.ancestors().nth(2).unwrap().join(name);
    assert!(path.exists(), "no `{}`: cargo build -p taru -p taru-runtime-cli", path.display());
    path
}

fn runtime() -> PathBuf {
    std::env::var_os("TARU_TEST_RUNTIME").map_or_else(|| executable("taru-runtime"), PathBuf::from)
}

#[test]
fn a_container_of_root_is_a_scope_with_its_limits() {
    let Some(place) = Place::new("scope", 0) else { return };
    let id = format!("scope-{}", std::process::id());
    let unit = format!("taru-{id}.scope");
    place.edit(|spec| {
        spec["linux"]["resources"]["memory"] = json!({ "limit": 64 << 20 });
        spec["linux"]["resources"]["pids"] = json!({ "limit": 20 });
        spec["annotations"] = json!({ "org.systemd.property.Description": "'of a test'" });
    });
    place.done(&mut place.runtime(&["run", "--detach", &id]));
    let shown = |name| place.property(&unit, name);
    assert_eq!((shown("ActiveState"), shown("Description")), ("active".to_owned(), "of a test".to_owned()));
    assert_eq!((shown("MemoryMax"), shown("TasksMax")), ((64 << 20).to_string(), "20".to_owned()));
    let group = PathBuf::from("/sys/fs/cgroup").join(shown("ControlGroup").trim_start_matches('/'));
    let limit = || fs::read_to_string(group.join("memory.max")).unwrap().trim().to_owned();
    assert_eq!(limit(), (64 << 20).to_string());

    place.done(&mut place.runtime(&["update", "--memory", "32M", &id]));
    // A reload writes what systemd knows.
    place.done(Command::new("systemctl").arg("daemon-reload"));
    assert_eq!((limit(), shown("MemoryMax")), ((32 << 20).to_string(), (32 << 20).to_string()));

    let own = place.done(&mut place.runtime(&["exec", &id, "cat", "/proc/self/cgroup"]));
    assert_eq!(own.trim(), "0::/", "exec is in the container's group, which its cgroup namespace begins at");
    place.done(&mut place.runtime(&["pause", &id]));
    let state: Value = serde_json::from_str(&place.done(&mut place.runtime(&["state", &id]))).unwrap();
    assert_eq!(state["status"], "paused");
    place.done(&mut place.runtime(&["resume", &id]));
    place.done(&mut place.runtime(&["delete", "--force", &id]));
    assert_eq!(shown("ActiveState"), "inactive");
    assert!(!group.exists());
}

#[test]
fn an_ordinary_user_has_limits_in_what_systemd_delegates() {
    let Some(place) = Place::new("delegated", USER) else { return };
    let manager = format!("user@{USER}.service");
    place.done(Command::new("systemctl").args(["start", &manager]));
    let in_session = ["--user", "--machine=nobody@.host"];
    let limits = ["--memory", "64M", "--pids", "20", "--cpus", "0.5"];
    let (taru, state) = (executable("taru"), place.dir.join("state"));
    let run = |more: &[&str]| {
        let mut command = place.command(&taru, &["--root"]);
        command.arg(state.join("taru")).arg("run").args(limits).args(more);
        command.args(["host", "--", "sh", "-c", SHOW]);
        command
    };
    let seen = place.done(&mut place.as_user(&in_session, &run(&[])));
    let mut lines = seen.lines();
    assert_eq!(lines.next(), Some("memory.max 67108864"));
    assert_eq!(lines.next(), Some("pids.max 20"));
    assert_eq!(lines.next(), Some("cpu.max 50000 100000"));
    let map = lines.next().unwrap().split_whitespace().nth(1).unwrap();
    assert_eq!(map, USER.to_string(), "root inside is the user outside");

    // Where nothing is delegated, that is said, and nothing is left.
    let (_, _, refusal) = place.output(&mut place.as_user(&[&format!("--uid={USER}")], &run(&[])));
    assert!(refusal.contains("an ordinary user needs a delegated cgroup v2"), "{refusal}");

    // The systemd driver, with the user's own systemd.
    let id = format!("user-{}", std::process::id());
    place.edit(|spec| {
        let namespaces = spec["linux"]["namespaces"].as_array_mut().unwrap();
        namespaces.push(json!({ "type": "user" }));
        let mounts = spec["mounts"].as_array_mut().unwrap();
        mounts.retain(|mount| mount["type"] != "devpts");
        spec["linux"]["resources"] = json!({ "memory": { "limit": 64 << 20 }, "pids": { "limit": 20 } });
    });
    let inside = |args: &[&str]| place.done(&mut place.as_user(&in_session, &place.runtime(args)));
    inside(&["run", "--detach", &id]);
    let state: Value = serde_json::from_str(&inside(&["state", &id])).unwrap();
    let group = fs::read_to_string(format!("/proc/{}/cgroup", state["pid"])).unwrap();
    let group = group.trim().strip_prefix("0::/").unwrap();
    assert!(group.contains(&manager) && group.ends_with(&format!("taru-{id}.scope")), "{group}");
    let limit = |name| fs::read_to_string(Path::new("/sys/fs/cgroup").join(group).join(name)).unwrap();
    assert_eq!((limit("memory.max"), limit("pids.max")), ("67108864\n".to_owned(), "20\n".to_owned()));
    inside(&["update", "--memory", "32M", &id]);
    assert_eq!(limit("memory.max"), "33554432\n");
    inside(&["delete", "--force", &id]);
    assert!(!Path::new("/sys/fs/cgroup").join(group).exists());
    place.done(Command::new("systemctl").args(["stop", &manager]));
}
