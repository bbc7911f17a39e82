//! Usage and lack of memory of a real group of processes.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::process::{Command, Stdio};
use std::time::Duration;

use taru_cgroup::{Cgroup, Hierarchy, Limits, Max};
use taru_runtime::events::Watch;
use taru_runtime::state::{Process, State, Store};
use taru_stdx::Kind;
use taru_sys::process::Pid;

/// A program that waits for a line and then uses memory without end.
const HOG: &str = "read line; exec tail /dev/zero";

#[test]
fn lack_of_memory_is_told_and_the_end_ends_it() {
    let path = format!("/taru-events-{}", std::process::id());
    let group = Hierarchy::probe().and_then(|hierarchy| Cgroup::create(&hierarchy, &path));
    let Ok(group) = group else {
        taru_testkit::skip("lack_of_memory_is_told_and_the_end_ends_it", "writable control groups");
        return;
    };
    let mut limits = Limits::default();
    limits.memory.limit = Some(Max::Value(16 << 20));
    let limited = group.apply(&limits);
    let mut hog =
        Command::new("sh").args(["-c", HOG]).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    group.add(Pid(hog.id() as i32)).unwrap();

    let root = std::env::temp_dir().join(format!("taru-events-{}", std::process::id()));
    let mut state = State::new("hog", "1.2.0", "/b".as_ref(), "/b/rootfs".as_ref(), 0);
    state.init = Some(Process::of_pid(hog.id() as i32).unwrap());
    state.cgroup.paths = group.paths();
    let record = Store::open(&root).reserve("hog").unwrap().commit(state).unwrap();

    let watch = Watch::new(&record).unwrap();
    let usage = serde_json::to_value(watch.usage().unwrap()).unwrap();
    let oom = watch.oom();
    drop(hog.stdin.take()); // the end of its input lets it begin
    let mut kinds = Vec::new();
    if let Ok(oom) = oom {
        watch
            .follow(Duration::from_millis(50), Some(oom), |event| {
                kinds.push(event.kind);
                Ok(())
            })
            .unwrap();
    } else {
        hog.kill().unwrap();
    }
    hog.wait().unwrap();
    let ended = Watch::new(&record).err().map(|e| e.kind());
    group.remove().unwrap();
    std::fs::remove_dir_all(&root).unwrap();

    assert_eq!((&usage["type"], &usage["id"]), (&"stats".into(), &"hog".into()));
    assert_eq!(usage["data"]["pids"]["current"], 1);
    assert_eq!(ended, Some(Kind::State));
    match limited {
        Ok(skipped) if skipped.is_empty() => {
            assert_eq!(usage["data"]["memory"]["usage"]["limit"], 16 << 20);
            assert!(kinds.contains(&"oom"), "{kinds:?}");
        }
        _ => taru_testkit::skip("lack_of_memory_is_told_and_the_end_ends_it", "the memory controller"),
    }
}
