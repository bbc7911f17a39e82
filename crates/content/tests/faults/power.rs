//! The power goes (R01, R02): what was answered is there, bit by bit; what was not is whole or absent.

use taru_testkit::{Disk, in_namespaces};

use crate::kill::{has_strace, kill_at, points, some_of};
use crate::worker::{Dir, Remote, act, assert_sound, name};

const NAMESPACES: &[&str] = &["--mount", "--propagation", "private"];

/// A disk of 200 MB, or a skip.
fn disk(dir: &Dir, test: &str) -> Option<Disk> {
    Disk::ext4(dir.path(), 200 << 20, &[]).map_err(|lack| taru_testkit::skip(test, &lack)).ok()
}

#[test]
fn what_was_answered_survives() {
    in_namespaces(NAMESPACES, || {
        let dir = Dir::new();
        let Some(disk) = disk(&dir, "what_was_answered_survives") else { return };
        let content = disk.path().join("content");
        // A new store, its very first image.
        act(&content, "pull 1 3 5000000").unwrap();
        disk.cut_power();
        assert_eq!(assert_sound(&content, "pulled"), [1].into());

        // Another that shares a layer, by another process; nothing else syncs.
        act(&content, "pull 2 3 5000000").unwrap();
        disk.cut_power();
        assert_eq!(assert_sound(&content, "pulled another"), [1, 2].into());

        act(&content, "untag 1").unwrap();
        disk.cut_power();
        assert_eq!(assert_sound(&content, "removed"), [2].into());

        // A hold, and what it holds.
        let held = {
            let store = taru_content::Content::open(&content).unwrap();
            let lease = store.lease("build").unwrap();
            let digest = store.put(&lease, b"a build's", taru_oci::Algorithm::Sha256).unwrap();
            store.hold("build/1", std::slice::from_ref(&digest), &[]).unwrap();
            digest
        };
        disk.cut_power();
        assert_eq!(assert_sound(&content, "held"), [2].into());
        let store = taru_content::Content::open(&content).unwrap();
        assert_eq!(store.holds("").unwrap(), ["build/1"]);
        let descriptor = taru_oci::Descriptor::new("", held, 9);
        assert_eq!(store.read(&descriptor, 100).unwrap(), b"a build's");
    });
}

#[test]
fn what_was_not_answered_is_whole_or_absent() {
    in_namespaces(NAMESPACES, || {
        if !has_strace() {
            return taru_testkit::skip("what_was_not_answered_is_whole_or_absent", "strace");
        }
        let dir = Dir::new();
        let Some(disk) = disk(&dir, "what_was_not_answered_is_whole_or_absent") else { return };
        let content = disk.path().join("content");
        act(&content, "pull 1 2 50000").unwrap();
        let what = "pull 2 3 300000";
        let all = points(&content, what, &dir.path().join("trace"));
        for point in some_of(all, 30) {
            act(&content, "untag 2; gc").unwrap();
            let done = kill_at(&content, what, &point);
            disk.cut_power();
            let at = format!("power cut at {} {}", point.syscall, point.when);
            let named = assert_sound(&content, &at);
            assert!(named.contains(&1), "{at}: lost what was there");
            assert!(done.is_empty() || named.contains(&2), "{at}: lost what was answered");
            act(&content, what).unwrap_or_else(|e| panic!("{at}: {}", e.chain()));
        }
    });
}

#[test]
fn a_removal_is_done_or_not() {
    in_namespaces(NAMESPACES, || {
        if !has_strace() {
            return taru_testkit::skip("a_removal_is_done_or_not", "strace");
        }
        let dir = Dir::new();
        let Some(disk) = disk(&dir, "a_removal_is_done_or_not") else { return };
        let content = disk.path().join("content");
        act(&content, "pull 1 2 50000; pull 2 3 300000").unwrap();
        let what = "untag 2; gc";
        for point in some_of(points(&content, what, &dir.path().join("trace")), 15) {
            act(&content, "pull 2 3 300000").unwrap();
            let done = kill_at(&content, what, &point);
            disk.cut_power();
            let at = format!("power cut at {} {}", point.syscall, point.when);
            let named = assert_sound(&content, &at);
            assert!(named.contains(&1), "{at}: lost what was there");
            assert!(done.is_empty() || !named.contains(&2), "{at}: what was removed is back");
        }
    });
}

#[test]
fn what_was_begun_before_is_not_believed() {
    in_namespaces(NAMESPACES, || {
        let dir = Dir::new();
        let Some(disk) = disk(&dir, "what_was_begun_before_is_not_believed") else { return };
        let content = disk.path().join("content");
        let remote = Remote::new(1, 1, 1_000_000);
        {
            let store = taru_content::Content::open(&content).unwrap();
            let lease = store.lease("pull").unwrap();
            let taru_content::Want::Missing(mut ingest) = store.want(&lease, &remote.blobs[0].0).unwrap()
            else {
                panic!()
            };
            std::io::Write::write_all(&mut ingest, &remote.blobs[0].1[..700_000]).unwrap();
        }
        disk.cut_power();
        // The boot id is the same here, as it was no real power cut: whatever the disk kept of the file is continued, and
        // if that is zeros, the digest says so and the try after that begins anew.
        let store = taru_content::Content::open(&content).unwrap();
        if remote.pull(&store, &name("image1")).is_err() {
            remote.pull(&store, &name("image1")).unwrap();
        }
        drop(store);
        assert_eq!(assert_sound(&content, "continued"), [1].into());
    });
}
