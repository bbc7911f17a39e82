//! A layer that is there is whole: after a power cut, and wherever an unpack was killed.

#![allow(clippy::unwrap_used, reason = "a test fails so")]

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

use common::{Scratch, Tar, images, is_root, store, unpack, worker};
use taru_oci::Digest;
use taru_snapshot::{Key, Snapshots};
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
        survives(&disk, |dir| Some(store(dir)));
        survives(&disk, |dir| images("what_is_there_survives_a_power_cut", dir));
    });
}

/// Cuts the power after what is to be durable then, in a store of its own.
fn survives(disk: &Disk, open: impl Fn(&Path) -> Option<Snapshots>) {
    let dir = disk.path().join(format!("store.{}", fs::read_dir(disk.path()).unwrap().count()));
    let Some(store) = open(&dir) else { return };
    let key = Key::container("c").unwrap();
    let chain = unpack(&store, None, &layer()).unwrap();
    store.prepare(&key, Some(&chain), (0, 0), true).unwrap();
    drop(store);
    disk.cut_power();
    {
        let store = open(&dir).unwrap();
        assert!(store.has(&chain));
        assert_eq!(store.check(&chain).unwrap(), []);
        let root = store.mounts(&key).unwrap();
        assert_eq!(root.read_bounded("d/7".as_ref(), 10_000).unwrap(), vec![7; 5000]);
        store.remove(&key).unwrap();
    }
    disk.cut_power();
    assert!(open(&dir).unwrap().has(&chain));
}

#[test]
fn wherever_it_is_killed_nothing_is_half_there() {
    if !is_root("wherever_it_is_killed_nothing_is_half_there") {
        return;
    }
    if !Command::new("strace").arg("-V").output().is_ok_and(|done| done.status.success()) {
        return taru_testkit::skip("wherever_it_is_killed_nothing_is_half_there", "strace");
    }
    is_whole_wherever_it_is_killed(|dir| Some(store(dir)));
    is_whole_wherever_it_is_killed(|dir| images("wherever_it_is_killed_nothing_is_half_there", dir));
}

fn is_whole_wherever_it_is_killed(open: impl Fn(&Path) -> Option<Snapshots>) {
    let scratch = Scratch::new();
    let tar = layer();
    let diff_id = Digest::of(&tar);
    let (dir, blob) = (scratch.0.join("store"), scratch.0.join("blob"));
    fs::write(&blob, &tar).unwrap();
    // The program takes the driver of the store that is there.
    if open(&dir).is_none() {
        return;
    }
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
        let store = open(&dir).unwrap();
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
    assert_eq!(unpack(&open(&dir).unwrap(), None, &tar).unwrap(), diff_id);
}
