//! Disks without room (R10) and without inodes (R11), and calls that fail (R12).

use std::fs::File;
use std::io::Write;
use std::path::Path;

use taru_content::{Content, NoLayers};
use taru_stdx::Kind;
use taru_testkit::{Disk, in_namespaces};

use crate::kill::{has_strace, some_of};
use crate::worker::{Dir, Remote, act, assert_sound, command, name};

const NAMESPACES: &[&str] = &["--mount", "--propagation", "private"];

/// Fills the disk to its last byte.
fn fill(dir: &Path) {
    let mut file = File::create(dir.join("filler")).unwrap();
    for size in [1 << 20, 4096, 512, 1] {
        while file.write_all(&vec![1; size]).is_ok() {}
    }
    let _ = file.sync_all();
}

fn fill_inodes(dir: &Path) {
    let dir = dir.join("inodes");
    std::fs::create_dir(&dir).unwrap();
    for number in 0.. {
        if File::create(dir.join(number.to_string())).is_err() {
            break;
        }
    }
}

#[test]
fn on_a_full_disk_a_pull_fails_and_removing_works() {
    in_namespaces(NAMESPACES, || {
        let dir = Dir::new();
        let disk = match Disk::ext4(dir.path(), 24 << 20, &[]) {
            Ok(disk) => disk,
            Err(lack) => return taru_testkit::skip("on_a_full_disk", &lack),
        };
        let content = disk.path().join("content");
        act(&content, "pull 1 2 500000; pull 2 2 500000").unwrap();

        // The layer does not fit.
        let store = Content::open(&content).unwrap();
        let e = Remote::new(3, 2, 30_000_000).pull(&store, &name("image3")).unwrap_err();
        assert_eq!(e.kind(), Kind::Limit, "{e:?}");
        drop(store);
        assert_eq!(assert_sound(&content, "too large"), [1, 2].into());

        fill(disk.path());
        assert!(act(&content, "pull 3 2 500000").is_err());
        // In a process of its own, which has to open the database first.
        let done = command(&content, "untag 1; gc", &[]).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        assert_eq!(assert_sound(&content, "removed"), [2].into());
        // The room is there again, and something is put aside again.
        std::fs::remove_file(disk.path().join("filler")).unwrap();
        act(&content, "gc").unwrap();
        fill(disk.path());
        let done = command(&content, "untag 2; gc", &[]).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let store = Content::open(&content).unwrap();
        assert_eq!(store.usage().unwrap().blobs, 0);
        std::fs::remove_file(disk.path().join("filler")).unwrap();
        Remote::new(3, 2, 500_000).pull(&store, &name("image3")).unwrap();
    });
}

#[test]
fn without_inodes_a_pull_fails_and_removing_works() {
    in_namespaces(NAMESPACES, || {
        let dir = Dir::new();
        let disk = match Disk::ext4(dir.path(), 64 << 20, &["-N", "64"]) {
            Ok(disk) => disk,
            Err(lack) => return taru_testkit::skip("without_inodes", &lack),
        };
        let content = disk.path().join("content");
        act(&content, "pull 1 2 500000; pull 2 2 500000").unwrap();
        fill_inodes(disk.path());
        assert!(act(&content, "pull 3 2 500000").is_err());
        let done = command(&content, "untag 1; gc", &[]).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        std::fs::remove_dir_all(disk.path().join("inodes")).unwrap();
        assert_eq!(assert_sound(&content, "removed"), [2].into());
        act(&content, "pull 3 2 500000").unwrap();
        assert_eq!(assert_sound(&content, "pulled"), [2, 3].into());
        let store = Content::open(&content).unwrap();
        store.gc(&NoLayers).unwrap();
    });
}

#[test]
fn on_a_disk_that_became_read_only_the_error_says_so() {
    in_namespaces(NAMESPACES, || {
        let dir = Dir::new();
        let disk = match Disk::ext4(dir.path(), 64 << 20, &[]) {
            Ok(disk) => disk,
            Err(lack) => return taru_testkit::skip("on_a_disk_that_became_read_only", &lack),
        };
        let content = disk.path().join("content");
        act(&content, "pull 1 2 500000").unwrap();
        let remount = |how: &str| {
            let mut mount = std::process::Command::new("mount");
            assert!(mount.args(["-o", how]).arg(disk.path()).status().unwrap().success());
        };
        remount("remount,ro");
        let e = act(&content, "pull 2 2 500000").unwrap_err();
        let text = e.chain().to_string();
        assert!(text.contains("Read-only file system"), "{text}");
        remount("remount,rw");
        assert_eq!(assert_sound(&content, "writable again"), [1].into());
    });
}

#[test]
fn a_call_that_fails_is_an_error_and_nothing_worse() {
    if !has_strace() {
        return taru_testkit::skip("a_call_that_fails", "strace");
    }
    let dir = Dir::new();
    let content = dir.path().join("content");
    act(&content, "pull 1 2 50000").unwrap();
    for error in some_of(vec!["ENOSPC", "EDQUOT", "EIO", "EROFS"], 2) {
        for (call, times) in [
            ("write", 6),
            ("pwrite64", 4),
            ("fsync", 3),
            ("fdatasync", 5),
            ("rename", 5),
            ("openat", 12),
            ("fcntl", 4),
        ] {
            for when in 1..=times {
                // The loader's own files are opened first; past them, those of the store.
                let when = if call == "openat" { when + 3 } else { when };
                let inject = format!("inject={call}:error={error}:when={when}");
                let trace = format!("trace={call}");
                let under = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject];
                let output = command(&content, "pull 2 3 300000", &under).output().unwrap();
                let at = format!("{error} at {call} {when}");
                let text = String::from_utf8_lossy(&output.stderr).into_owned();
                let named = assert_sound(&content, &at);
                assert!(named.contains(&1), "{at}: lost what was there");
                assert_eq!(output.status.success(), text.contains("done pull"), "{at}: {text}");
                assert!(!output.status.success() || named.contains(&2), "{at}: lost what was answered");
                act(&content, "untag 2; gc").unwrap();
            }
        }
    }
}
