//! The default posture: what a program can do in a container that nobody configured.
//!
//! T64 to T74 of docs/security.md. The list of actions is `posture/actions.c`; only the harmless ones may succeed.
#![allow(clippy::unwrap_used, reason = "the functions around the tests are tests too")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Harmless: they reach nothing but the caller itself.
const HARMLESS: [&str; 5] = ["ptrace_traceme", "process_vm", "landlock", "memfd", "netlink_route"];

/// A directory of this test's own with the program in it; removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let dir = std::env::temp_dir().join(format!("taru-posture-{name}-{}", std::process::id()));
        std::fs::create_dir(&dir).unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/posture/actions.c");
        let built = Command::new("cc")
            .args(["-static", "-O1", "-o"])
            .arg(dir.join("actions"))
            .arg(source)
            .status()
            .unwrap();
        assert!(built.success(), "compile the actions");
        Scratch(dir)
    }

    /// The names of the actions that succeed in `taru run OPTIONS host`, and how many were tried.
    fn successes(&self, options: &[&str]) -> (Vec<String>, usize) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_taru"));
        command.arg("--root").arg(self.0.join("state")).arg("run").args(options);
        command.arg("--ro").arg(self.0.join("actions")).args(["host", "--"]).arg(self.0.join("actions"));
        let output = command.stdin(Stdio::null()).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
        let done = text.lines().filter_map(|line| line.strip_suffix(" ok")).map(str::to_owned).collect();
        (done, text.lines().count())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Whether a container can be made at all here.
fn is_possible(test: &str) -> bool {
    let beside = Path::new(env!("CARGO_BIN_EXE_taru")).with_file_name("taru-runtime");
    if !beside.is_file() {
        taru_testkit::skip(test, "taru-runtime, built beside taru");
    }
    beside.is_file()
}

#[test]
fn nothing_but_the_harmless_succeeds() {
    if !is_possible("nothing_but_the_harmless_succeeds") {
        return;
    }
    let scratch = Scratch::new("default");
    let (done, tried) = scratch.successes(&[]);
    assert_eq!(tried, 62);
    let harmful: Vec<&String> = done.iter().filter(|name| !HARMLESS.contains(&name.as_str())).collect();
    assert!(harmful.is_empty(), "{harmful:?}");
    assert!(done.iter().any(|name| name == "memfd"), "{done:?}");
}

#[test]
fn an_ordinary_user_can_do_no_more() {
    if !is_possible("an_ordinary_user_can_do_no_more") {
        return;
    }
    let scratch = Scratch::new("user");
    let (done, _) = scratch.successes(&["--user", "1000:1000"]);
    let harmful: Vec<&String> = done.iter().filter(|name| !HARMLESS.contains(&name.as_str())).collect();
    assert!(harmful.is_empty(), "{harmful:?}");
}

/// The counterproof: the actions work where they are allowed, so that their failure above says something.
#[test]
fn a_capability_opens_what_it_is_for() {
    if !is_possible("a_capability_opens_what_it_is_for") {
        return;
    }
    let scratch = Scratch::new("caps");
    let (done, _) = scratch.successes(&["--cap-add", "SYS_ADMIN", "--cap-add", "SYS_CHROOT"]);
    for name in ["unshare_user", "mount_tmpfs", "fsopen", "open_tree", "chroot"] {
        assert!(done.iter().any(|d| d == name), "{name} is not among {done:?}");
    }
}
