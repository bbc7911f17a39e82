//! Single threads in groups of their own. Alone in its file, because this process itself is moved.
#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use common::Group;
use taru_cgroup::{Cgroup, Layout};
use taru_sys::process::{Pid, getpid};

/// The groups of the calling thread.
fn own() -> String {
    std::fs::read_to_string("/proc/thread-self/cgroup").unwrap()
}

#[test]
fn a_thread_is_moved_without_its_process() {
    let Some(g) = Group::new() else {
        return taru_testkit::skip("a_thread_is_moved_without_its_process", "permission to make cgroups");
    };
    let home = Cgroup::of_process(&g.hierarchy, getpid()).unwrap();
    g.group.add(getpid()).unwrap();
    let inner = Cgroup::create(&g.hierarchy, &format!("{}/inner", g.path));
    if g.hierarchy.layout() == Layout::V2 {
        inner.as_ref().unwrap().make_threaded().unwrap();
    }
    let inner = inner.unwrap();
    std::thread::spawn(move || {
        let tid = std::fs::read_link("/proc/thread-self").unwrap();
        let tid = tid.file_name().unwrap().to_str().unwrap().parse().unwrap();
        inner.add_thread(Pid(tid)).unwrap();
        for line in own().lines() {
            // Beside v1 the v2 tree follows whole processes.
            let moved = g.hierarchy.layout() == Layout::V2 || !line.starts_with("0::");
            assert_eq!(line.ends_with("/inner"), moved, "{line}");
        }
        let process = std::fs::read_to_string("/proc/self/cgroup").unwrap();
        assert!(!process.contains("/inner"), "{process}");
        home.add(getpid()).unwrap();
        assert!(!own().contains("taru-test"), "{}", own());
        inner.remove().unwrap();
    })
    .join()
    .unwrap();
}
