//! A layer that is there is whole: after a power cut, and wherever an unpack was killed.

#![allow(clippy::unwrap_used, reason = "a test fails so")]

mod common;

use std::fs;
use std::process::Command;

use common::{Scratch, Tar, is_root, store, tree, unpack, worker};
use taru_oci::Digest;
use taru_snapshot::Key;
use taru_testkit::{Disk, in_namespaces};

/// A layer with some of everything.
fn layer() -> Vec<u8> {
    let files =
        (0..30).fold(Tar::new().dir("d", 0o755), |tar, n| tar.file(&format!("d/{n}"), &vec![n; 5000]));
    files.symlink("l", "d/1").link("h", "d/2").file("gone/.wh.x", b"").end()
}

#[test]
fn what_is_there_survives_a_power_cut() {
    if !is_root("what_is_there_survives_a_power_cut") {
        return;
    }
    in_namespaces(&["--mount", "--propagation", "private"], || {
        let scratch = Scratch::new();
        let disk = match Disk::ext4(&scratch.0, 64 << 20, &[]) {
            Ok(disk) => disk,
            Err(lacking) => return taru_testkit::skip("what_is_there_survives_a_power_cut", &lacking),
        };
        let dir = disk.path().join("store");
        let key = Key::container("c").unwrap();
        let chain = {
            let store = store(&dir);
            let chain = unpack(&store, None, &layer()).unwrap();
            store.prepare(&key, Some(&chain), (0, 0), true).unwrap();
            chain
        };
        disk.cut_power();
        {
            let store = store(&dir);
            assert!(store.has(&chain));
            assert_eq!(store.check(&chain).unwrap(), []);
            assert!(store.mounts(&key).is_ok());
            assert_eq!(fs::read(tree(&dir, &chain).join("d/7")).unwrap(), vec![7; 5000]);
            store.remove(&key).unwrap();
        }
        disk.cut_power();
        assert!(store(&dir).has(&chain));
    });
}

#[test]
fn wherever_it_is_killed_nothing_is_half_there() {
    if !is_root("wherever_it_is_killed_nothing_is_half_there") {
        return;
    }
    if !Command::new("strace").arg("-V").output().is_ok_and(|done| done.status.success()) {
        return taru_testkit::skip("wherever_it_is_killed_nothing_is_half_there", "strace");
    }
    let scratch = Scratch::new();
    let tar = layer();
    let diff_id = Digest::of(&tar);
    let (dir, blob) = (scratch.0.join("store"), scratch.0.join("blob"));
    fs::write(&blob, &tar).unwrap();
    drop(store(&dir));
    let step = if std::env::var_os("TARU_TEST_FULL").is_some() { 1 } else { 5 };
    let mut killed = 0;
    for at in (1..5000).step_by(step) {
        // Each thread counts its own calls: it is the parent, the stage, the worker or one of its threads that dies.
        let done = Command::new("strace")
            .args(["-f", "-qq", "-o", "/dev/null", "-e"])
            .arg(format!("inject=all:signal=KILL:when={at}"))
            .arg(worker())
            .args([dir.as_os_str(), diff_id.to_string().as_ref(), blob.as_os_str()])
            .output()
            .unwrap();
        let store = store(&dir);
        assert_eq!(fs::read_dir(dir.join("staging")).unwrap().count(), 0, "killed at {at}");
        for layer in store.layers().unwrap() {
            assert_eq!(store.check(&layer).unwrap(), [], "killed at {at}");
            store.remove_layer(&layer).unwrap();
        }
        if done.status.success() {
            break;
        }
        killed += 1;
    }
    assert!(killed > 5, "{killed}");
    assert_eq!(unpack(&store(&dir), None, &tar).unwrap(), diff_id);
}
