//! Many at once (R19-R21): processes that pull, name, remove and collect.

use std::collections::BTreeSet;

use taru_content::{Content, NoLayers};

use crate::worker::{Dir, Remote, assert_sound, command, name};

#[test]
fn processes_that_pull_remove_and_collect_do_not_hurt_each_other() {
    let dir = Dir::new();
    let content = dir.path().join("content");
    let mut children = Vec::new();
    for number in 0..8u32 {
        // Two of each image; each keeps one that nobody else touches.
        let (shared, own) = (number / 2, 100 + number);
        let round = format!(
            "pull {shared} 3 200000; hold {shared}; gc; untag {shared}; unhold {shared}; pull {own} 2 200000"
        );
        let what = vec![round; 5].join("; ");
        let mut command = command(&content, &what, &[]);
        children.push(command.stderr(std::process::Stdio::piped()).spawn().unwrap());
    }
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let named = assert_sound(&content, "all done");
    assert_eq!(named, (100..108).collect::<BTreeSet<u32>>());
}

#[test]
fn threads_that_pull_the_same_image_write_each_blob_once() {
    let dir = Dir::new();
    let store = Content::open(&dir.path().join("content")).unwrap();
    let remote = Remote::new(1, 4, 400_000);
    let fetched: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..16u32)
            .map(|number| {
                let (store, remote) = (&store, &remote);
                scope.spawn(move || {
                    let fetched = remote.pull(store, &name(&format!("image{number}"))).unwrap();
                    store.gc(&NoLayers).unwrap();
                    fetched
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(fetched, remote.blobs.len());
    drop(store);
    assert_eq!(assert_sound(&dir.path().join("content"), "pulled").len(), 16);
}

#[test]
fn one_of_two_pulls_is_killed_and_the_other_finishes() {
    let dir = Dir::new();
    let content = dir.path().join("content");
    for _ in 0..3 {
        let what = "pull 1 6 1000000";
        let mut one = command(&content, what, &[]).stderr(std::process::Stdio::null()).spawn().unwrap();
        let two = command(&content, what, &[]).stderr(std::process::Stdio::piped()).spawn().unwrap();
        // Somewhere in the middle of it: once it has begun a layer.
        taru_testkit::eventually("a layer is begun", || {
            let blobs = std::fs::read_dir(content.join("blobs/sha256"));
            blobs.is_ok_and(|blobs| blobs.count() > 0) || one.try_wait().unwrap().is_some()
        });
        let _ = one.kill();
        let _ = one.wait();
        let output = two.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(assert_sound(&content, "the other finished"), [1].into());
        crate::worker::act(&content, "untag 1; gc").unwrap();
    }
}
