//! SIGKILL at every system call (R01-R03 without a power cut): whatever was killed, nothing is lost and nothing is left.

use std::collections::BTreeMap;
use std::path::Path;

use crate::worker::{Dir, Remote, act, assert_sound, command};

/// The calls that change what others see; a process killed at any other leaves what it left at the one before.
const CALLS: &str =
    "openat,write,pwrite64,fsync,fdatasync,rename,unlink,fcntl,flock,ftruncate,fallocate,mkdir,mmap,close";

/// One place to die: the `when`th call of `syscall`.
pub(crate) struct Point {
    pub(crate) syscall: String,
    pub(crate) when: usize,
}

/// Every point of what the worker does, from one traced run.
pub(crate) fn points(content: &Path, what: &str, log: &Path) -> Vec<Point> {
    let log_path = log.to_str().unwrap();
    let trace = format!("trace={CALLS}");
    let under = ["strace", "-f", "-qq", "-o", log_path, "-e", &trace];
    let output = command(content, what, &under).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut most: BTreeMap<(String, String), usize> = BTreeMap::new();
    for line in String::from_utf8_lossy(&std::fs::read(log).unwrap()).lines() {
        let Some((pid, call)) = line.split_once(' ') else { continue };
        let Some((name, _)) = call.trim_start().split_once('(') else { continue };
        // strace counts by thread.
        *most.entry((name.to_owned(), pid.to_owned())).or_default() += 1;
    }
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for ((name, _), count) in most {
        let entry = counts.entry(name).or_default();
        *entry = (*entry).max(count);
    }
    counts
        .into_iter()
        .flat_map(|(syscall, count)| (1..=count).map(move |when| Point { syscall: syscall.clone(), when }))
        .collect()
}

/// All of them with `TARU_TEST_FULL=1`, else about `few`, evenly spread.
pub(crate) fn some_of<T>(points: Vec<T>, few: usize) -> Vec<T> {
    let is_full = std::env::var("TARU_TEST_FULL").is_ok_and(|value| value == "1");
    let step = if is_full { 1 } else { points.len().div_ceil(few).max(1) };
    points.into_iter().step_by(step).collect()
}

/// Kills the worker there. Returns the steps that were answered before.
pub(crate) fn kill_at(content: &Path, what: &str, point: &Point) -> Vec<String> {
    let inject = format!("inject={}:signal=SIGKILL:when={}", point.syscall, point.when);
    let trace = format!("trace={}", point.syscall);
    let under = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject];
    let output = command(content, what, &under).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    text.lines().filter_map(|line| line.strip_prefix("done ").map(|step| step.trim().to_owned())).collect()
}

pub(crate) fn has_strace() -> bool {
    std::process::Command::new("strace").arg("-V").output().is_ok_and(|output| output.status.success())
}

#[test]
fn killed_at_any_call_of_a_pull_the_image_is_whole_or_absent() {
    if !has_strace() {
        return taru_testkit::skip("killed_at_any_call_of_a_pull", "strace");
    }
    let dir = Dir::new();
    let (base, content) = (dir.path().join("base"), dir.path().join("content"));
    // Into a store that has one image; the other shares a layer with it.
    act(&base, "pull 1 2 50000").unwrap();
    let copy = |to: &Path| {
        let _ = std::fs::remove_dir_all(to);
        copy_dir(&base, to);
    };
    copy(&content);
    let what = "pull 2 3 300000";
    let all = points(&content, what, &dir.path().join("trace"));
    assert!(all.len() > 60, "only {} system calls were seen", all.len());
    assert_eq!(assert_sound(&content, "not killed"), [1, 2].into());
    for point in some_of(all, 40) {
        copy(&content);
        let done = kill_at(&content, what, &point);
        let at = format!("killed at {} {}", point.syscall, point.when);
        let named = assert_sound(&content, &at);
        assert!(named.contains(&1), "{at}: lost what was there");
        assert!(done.is_empty() || named.contains(&2), "{at}: lost what was answered");
        // And the next pull succeeds.
        act(&content, what).unwrap_or_else(|e| panic!("{at}: {}", e.chain()));
        assert_eq!(assert_sound(&content, &at), [1, 2].into());
    }
}

#[test]
fn killed_at_any_call_of_a_removal_the_rest_stays() {
    if !has_strace() {
        return taru_testkit::skip("killed_at_any_call_of_a_removal", "strace");
    }
    let dir = Dir::new();
    let (base, content) = (dir.path().join("base"), dir.path().join("content"));
    act(&base, "pull 1 2 50000; pull 2 3 300000").unwrap();
    let copy = |to: &Path| {
        let _ = std::fs::remove_dir_all(to);
        copy_dir(&base, to);
    };
    copy(&content);
    let what = "untag 2; gc";
    let all = points(&content, what, &dir.path().join("trace"));
    for point in some_of(all, 30) {
        copy(&content);
        let done = kill_at(&content, what, &point);
        let at = format!("killed at {} {}", point.syscall, point.when);
        let named = assert_sound(&content, &at);
        assert!(named.contains(&1), "{at}: lost what was there");
        assert!(done.is_empty() || !named.contains(&2), "{at}: what was removed is back");
    }
}

#[test]
fn what_a_killed_pull_fetched_is_not_fetched_again() {
    let dir = Dir::new();
    let content = dir.path().join("content");
    let remote = Remote::new(1, 2, 3_000_000);
    if !has_strace() {
        return taru_testkit::skip("what_a_killed_pull_fetched", "strace");
    }
    // In the middle of the second layer: before the last writes that are synced with it. The first sync is index.json's.
    let log = dir.path().join("trace");
    points(&dir.path().join("model"), "pull 1 2 3000000", &log);
    let log = std::fs::read_to_string(&log).unwrap();
    let calls = |name: &str| -> Vec<usize> {
        let lines = log.lines().enumerate();
        lines.filter(|(_, line)| line.contains(&format!(" {name}("))).map(|(at, _)| at).collect()
    };
    let synced = calls("fdatasync")[2];
    let when = calls("write").into_iter().filter(|at| *at < synced).count() - 3;
    kill_at(&content, "pull 1 2 3000000", &Point { syscall: "write".into(), when });
    let store = taru_content::Content::open(&content).unwrap();
    let lease = store.lease("look").unwrap();
    assert!(matches!(store.want(&lease, &remote.blobs[0].0).unwrap(), taru_content::Want::There));
    match store.want(&lease, &remote.blobs[1].0).unwrap() {
        taru_content::Want::Missing(ingest) => assert!(ingest.offset() > 0),
        other => panic!("{other:?}"),
    }
}

fn copy_dir(from: &Path, to: &Path) {
    let status = std::process::Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(status.success());
}
