//! A test of a library in namespaces of its own: the lighter sister of [`crate::sandbox()`], with no runtime.

use std::any::type_name;
use std::process::Command;

use crate::reach;

/// Set in the inner run to the test's name.
const INSIDE: &str = "TARU_TEST_NAMESPACES";

/// Runs `body` in the namespaces that unshare(1)'s `options` make (`--mount --propagation private`): the
/// test executable starts again in there with this test alone, and the verdict is that run's. Call it once,
/// as the whole of a `#[test]` function. A host that makes no such namespaces is a skip.
///
/// # Panics
/// When the body does.
#[track_caller]
pub fn in_namespaces<F: FnOnce()>(options: &[&str], body: F) {
    let full = type_name::<F>();
    let name = full.split_once("::").map_or(full, |(_, rest)| rest).trim_end_matches("::{{closure}}");
    if std::env::var(INSIDE).is_ok_and(|inside| inside == name) {
        if options.contains(&"--mount") {
            reach::open_way();
        }
        return body();
    }
    let possible = Command::new("unshare").args(options).arg("true").output();
    if !possible.is_ok_and(|done| done.status.success()) {
        return crate::skip(name, &format!("unshare {}", options.join(" ")));
    }
    let done = Command::new("unshare")
        .args(options)
        .arg(std::env::current_exe().expect("the test's own path"))
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .env(INSIDE, name)
        .env("RUST_BACKTRACE", "0")
        .output()
        .expect("start unshare");
    let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    for line in err.lines().filter(|line| line.starts_with("SKIP ")) {
        eprintln!("{line}");
    }
    assert!(done.status.success() && out.contains("1 passed"), "in its namespaces:\n{out}{err}");
}
