//! What every driver must do: one suite, run over each.

#![allow(clippy::unwrap_used, reason = "a test fails so")]

mod common;

use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::Command;

use common::{Header, Scratch, Tar, describe, images, is_root, mount, unpack, worker};
use taru_snapshot::{ChangeKind, Diff, DriverKind, Ids, Key, Snapshots};
use taru_sys::fs::{CWD, Device, FileType, mknodat};
use taru_testkit::in_namespaces;

/// What `changes` lists, as lines.
fn changes(store: &Snapshots, key: &Key) -> Vec<String> {
    let letter = |kind| match kind {
        ChangeKind::Added => 'A',
        ChangeKind::Changed => 'C',
        ChangeKind::Deleted => 'D',
    };
    let all = store.changes(key, &Diff::default()).unwrap();
    all.iter().map(|change| format!("{} {}", letter(change.kind), change.path.display())).collect()
}

/// The layers that the suite begins with.
fn base(store: &Snapshots) -> taru_oci::Digest {
    let first = Tar::new()
        .dir("./", 0o755)
        .dir("etc", 0o755)
        .file("etc/keep", b"keep")
        .file("etc/change", b"old")
        .file("etc/gone", b"gone")
        .add(&Header { mode: 0o4755, uid: 5, gid: 6, size: 2, ..Header::new("etc/first", b'0') }, b"hl")
        .link("etc/second", "etc/first")
        .dir("opaque", 0o755)
        .file("opaque/old", b"1")
        .dir("replaced", 0o755)
        .file("replaced/in", b"1")
        .file("becomes", b"file")
        .dir("lib", 0o755)
        .dir("lib/deep", 0o750)
        .file("lib/deep/er", b"2")
        .symlink("sbin", "lib")
        .end();
    let second = Tar::new()
        .file("etc/.wh.gone", b"")
        .file("opaque/.wh..wh..opq", b"")
        .file("opaque/new", b"3")
        .file("replaced", b"now a file")
        .dir("becomes", 0o711)
        .file("becomes/dir", b"4")
        .file("lib/deep/more", b"5")
        .end();
    let first = unpack(store, None, &first).unwrap();
    unpack(store, Some(&first), &second).unwrap()
}

/// Everything a driver is asked for.
fn suite(dir: &Path, driver: DriverKind) {
    let store = Snapshots::open(&dir.join("store"), driver, Ids::Host).unwrap().with_worker(worker());
    let top = base(&store);
    for layer in store.layers().unwrap() {
        assert_eq!(store.check(&layer).unwrap(), []);
    }
    let key = Key::container("one").unwrap();
    store.prepare(&key, Some(&top), (0, 0), true).unwrap();
    let root = mount(&store.mounts(&key).unwrap(), &dir.join("one"));

    // Layers are stacked.
    let seen: Vec<String> = describe(&root).into_keys().filter(|path| !path.is_empty()).collect();
    let expected = "becomes becomes/dir etc etc/change etc/first etc/keep etc/second lib lib/deep lib/deep/er \
        lib/deep/more opaque opaque/new replaced sbin";
    assert_eq!(seen.join(" "), expected);
    assert_eq!(fs::read_to_string(root.join("replaced")).unwrap(), "now a file");
    assert_eq!(fs::metadata(root.join("becomes")).unwrap().permissions().mode() & 0o777, 0o711);
    assert_eq!(fs::metadata(root.join("lib/deep")).unwrap().permissions().mode() & 0o777, 0o750);
    assert_eq!(changes(&store, &key), Vec::<String>::new());

    // All that a container can do to files.
    let path = |path: &str| root.join(path);
    fs::write(path("etc/change"), "new").unwrap();
    fs::remove_file(path("etc/keep")).unwrap();
    fs::set_permissions(path("lib"), fs::Permissions::from_mode(0o2700)).unwrap();
    fs::remove_dir_all(path("opaque")).unwrap();
    fs::create_dir(path("opaque")).unwrap();
    fs::write(path("opaque/newest"), "").unwrap();
    fs::remove_dir_all(path("becomes")).unwrap();
    symlink("/nowhere", path("becomes")).unwrap();
    fs::remove_file(path("replaced")).unwrap();
    fs::create_dir(path("replaced")).unwrap();
    fs::create_dir_all(path("a/b c/ü")).unwrap();
    fs::write(path("a/b c/ü/f"), "x".repeat(100_000)).unwrap();
    fs::hard_link(path("a/b c/ü/f"), path("a/link")).unwrap();
    // New names of files that did not change: one before them in the walk, one behind.
    fs::hard_link(path("lib/deep/er"), path("lib/a")).unwrap();
    fs::hard_link(path("lib/deep/more"), path("lib/z")).unwrap();
    chown(path("a/link"), Some(1000), Some(4_000_000_000)).unwrap();
    let sparse = fs::File::create(path("a/sparse")).unwrap();
    sparse.set_len(10 << 20).unwrap();
    sparse.write_all_at(b"data", 5 << 20).unwrap();
    mknodat(CWD, &path("a/null"), FileType::CharDevice, 0o622, Device::new(1, 3)).unwrap();
    mknodat(CWD, &path("a/fifo"), FileType::Fifo, 0o600, Device::default()).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(path("a/socket")).unwrap();
    for (file, name, value) in [
        ("a", "system.posix_acl_default", ACL),
        ("a/null", "security.capability", &[1, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0][..]),
        ("a/sparse", "user.attribute", b"\0\n="),
        ("a/link", "system.posix_acl_access", ACL),
        ("a/link", "security.capability", &[1, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0][..]),
    ] {
        taru_sys::xattr::lsetxattr(&path(file), name.as_ref(), value, taru_sys::xattr::SetFlags::empty())
            .unwrap();
    }
    let long = path("long").join("n".repeat(200)).join("m".repeat(200));
    fs::create_dir_all(&long).unwrap();
    fs::write(long.join("f"), "f").unwrap();
    // Opened for writing, but not changed.
    drop(fs::OpenOptions::new().append(true).open(path("lib/deep/er")).unwrap());

    let listed = changes(&store, &key);
    let expected = "C /etc, C /etc/change, D /etc/keep, C /lib, C /opaque, A /opaque/newest, C /becomes, \
        C /replaced, A /a, A /a/b c, A /a/b c/ü, A /a/b c/ü/f, A /a/fifo, A /a/link, A /a/null, A /a/socket, A /a/sparse";
    for line in expected.split(", ") {
        assert!(listed.contains(&line.trim().to_owned()), "{line} of {listed:?}");
    }
    assert!(
        !listed.iter().any(|line| line.contains("/lib/deep/") || line.contains("etc/first")),
        "{listed:?}"
    );

    // The changes as a layer bring the same tree about, and the same changes are the same bytes.
    let mut tar = Vec::new();
    store.diff(&key, &Diff::default(), &mut tar).unwrap();
    let mut again = Vec::new();
    store.diff(&key, &Diff::default(), &mut again).unwrap();
    assert!(tar == again);
    let committed = unpack(&store, Some(&top), &tar).unwrap();
    assert_eq!(store.check(&committed).unwrap(), []);
    let second = Key::container("two").unwrap();
    store.prepare(&second, Some(&committed), (0, 0), true).unwrap();
    let copy = mount(&store.mounts(&second).unwrap(), &dir.join("two"));
    let mut was = describe(&root);
    was.remove("a/socket").unwrap();
    let now = describe(&copy);
    assert_eq!(was.keys().collect::<Vec<_>>(), now.keys().collect::<Vec<_>>());
    for (path, line) in &was {
        // stat(2) of a file of erofs counts its holes as blocks.
        let line = if driver == DriverKind::Erofs {
            line.replace("holes:true", "holes:false")
        } else {
            line.clone()
        };
        assert_eq!(now.get(path), Some(&line), "{path}");
    }
    assert_eq!(changes(&store, &second), Vec::<String>::new());

    // A root that hides all that is below, and a layer above it.
    let hides = Tar::new().dir("./", 0o711).file(".wh..wh..opq", b"").file("etc/only", b"x").end();
    let hides = unpack(&store, Some(&committed), &hides).unwrap();
    let above = unpack(&store, Some(&hides), &Tar::new().file("etc/above", b"y").end()).unwrap();
    for layer in [&hides, &above] {
        assert_eq!(store.check(layer).unwrap(), []);
    }
    let third = Key::container("three").unwrap();
    store.prepare(&third, Some(&above), (0, 0), true).unwrap();
    let bare = mount(&store.mounts(&third).unwrap(), &dir.join("three"));
    let seen: Vec<String> = describe(&bare).into_keys().collect();
    assert_eq!(seen, ["", "etc", "etc/above", "etc/only"]);
    assert_eq!(fs::metadata(&bare).unwrap().permissions().mode() & 0o777, 0o711);
    assert_eq!(changes(&store, &third), Vec::<String>::new());
    fs::write(bare.join("etc/keep"), "new").unwrap();
    assert_eq!(changes(&store, &third), ["C /etc", "A /etc/keep"]);
    let trees = store.trees(&above).unwrap().len();
    let is_stacked = matches!(driver, DriverKind::Overlay | DriverKind::Erofs);
    assert_eq!(trees, if is_stacked { 2 } else { 1 });

    // Clamped times.
    let mut clamped = Vec::new();
    store.diff(&key, &Diff { epoch: Some(1_000), ..Diff::default() }, &mut clamped).unwrap();
    assert!(clamped.len() <= tar.len());

    // Ten megabytes that are a hole take nothing.
    let usage = store.usage(&key).unwrap();
    assert!(usage.files > 15 && (100_000..5 << 20).contains(&usage.bytes), "{usage:?}");
    // An image is one file.
    let layer = store.layer_usage(&top).unwrap();
    let files = if driver == DriverKind::Erofs { 1..2 } else { 6..100 };
    assert!(files.contains(&layer.files) && layer.bytes >= 4096, "{layer:?}");

    // The first container's layers did not change by any of it.
    for layer in store.layers().unwrap() {
        assert_eq!(store.check(&layer).unwrap(), []);
    }
    for key in [key, second, third] {
        store.remove(&key).unwrap_or_else(|e| panic!("{e:?}"));
    }
    assert!(store.roots().unwrap().is_empty());
    for layer in store.layers().unwrap().iter().rev() {
        store.remove_layer(layer).unwrap();
    }
    assert_eq!(fs::read_dir(dir.join("store/staging")).unwrap().count(), 0);
}

/// An ACL: owner rwx, user 1000 rwx, group r-x, mask rwx, others ---.
const ACL: &[u8] = &[
    2, 0, 0, 0, 1, 0, 7, 0, 255, 255, 255, 255, 2, 0, 7, 0, 232, 3, 0, 0, 4, 0, 5, 0, 255, 255, 255, 255, 16,
    0, 7, 0, 255, 255, 255, 255, 32, 0, 0, 0, 255, 255, 255, 255,
];

#[test]
fn overlay() {
    if !is_root("overlay") {
        return;
    }
    in_namespaces(&["--mount", "--propagation", "private"], || {
        let scratch = Scratch::new();
        suite(&scratch.0, DriverKind::Overlay);
    });
}

#[test]
fn erofs() {
    if !is_root("erofs") {
        return;
    }
    in_namespaces(&["--mount", "--propagation", "private"], || {
        let scratch = Scratch::new();
        if images("erofs", &scratch.0.join("store")).is_some() {
            suite(&scratch.0, DriverKind::Erofs);
        }
    });
}

#[test]
fn directories() {
    if !is_root("directories") {
        return;
    }
    in_namespaces(&["--mount", "--propagation", "private"], || {
        let scratch = Scratch::new();
        suite(&scratch.0, DriverKind::Directory);
    });
}

#[test]
fn btrfs() {
    if !is_root("btrfs") {
        return;
    }
    in_namespaces(&["--mount", "--propagation", "private"], || {
        let scratch = Scratch::new();
        let run = |program: &str, arguments: &[&str]| {
            let done = Command::new(program).current_dir(&scratch.0).args(arguments).output();
            done.is_ok_and(|done| done.status.success())
        };
        fs::File::create(scratch.0.join("disk")).unwrap().set_len(256 << 20).unwrap();
        fs::create_dir(scratch.0.join("mnt")).unwrap();
        if !run("mkfs.btrfs", &["-q", "disk"]) || !run("mount", &["-o", "loop", "disk", "mnt"]) {
            return taru_testkit::skip(
                "btrfs",
                "mkfs.btrfs (btrfs-progs), loop devices and btrfs in the kernel",
            );
        }
        suite(&scratch.0.join("mnt"), DriverKind::Btrfs);
        // No subvolume is left.
        let left =
            Command::new("btrfs").args(["subvolume", "list"]).arg(scratch.0.join("mnt")).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&left.stdout), "");
        let error = Snapshots::open(&scratch.0.join("ext"), DriverKind::Btrfs, Ids::Host)
            .unwrap()
            .prepare(&Key::container("x").unwrap(), None, (0, 0), true)
            .unwrap_err();
        assert!(error.hints().contains(&"this is no btrfs"), "{error:?}");
        assert!(run("umount", &["--lazy", "mnt"]));
    });
}
