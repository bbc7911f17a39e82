//! Layers come whole or not at all, and keep what the layers below say.

#![allow(clippy::unwrap_used, reason = "a test fails so")]

mod common;

use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::sync::atomic::{AtomicBool, Ordering};

use common::{Header, Scratch, Tar, blob, chain, is_root, store, tree, unpack};
use taru_oci::Digest;
use taru_snapshot::{ChangeKind, Diff, Key, Rootfs, Unpack};
use taru_stdx::Kind;

#[test]
fn a_layer_is_there_with_all_it_says() {
    if !is_root("a_layer_is_there_with_all_it_says") {
        return;
    }
    let scratch = Scratch::new();
    let store = store(&scratch.0);
    let tar = Tar::new()
        .dir("./", 0o751)
        .dir("etc", 0o2755)
        .file("etc/passwd", b"root:x:0:0::/:/bin/sh\n")
        .pax(&[
            ("mtime", b"1234.000000005"),
            ("SCHILY.xattr.user.a", b"b"),
            ("SCHILY.xattr.user.overlay.opaque", b"y"),
        ])
        .add(&Header { mode: 0o4750, uid: 7, gid: 8, size: 3, ..Header::new("bin/su", b'0') }, b"su\n")
        .link("bin/su2", "bin/su")
        .symlink("sh", "bin/sh")
        .add(&Header { device: (1, 3), mode: 0o666, ..Header::new("dev/null", b'3') }, b"")
        .file("gone/.wh.old", b"")
        .file("hidden/.wh..wh..opq", b"")
        .end();
    let chain = unpack(&store, None, &tar).unwrap();
    assert!(store.has(&chain));
    assert_eq!(store.layers().unwrap(), std::slice::from_ref(&chain));
    let root = tree(&scratch.0, &chain);
    let stat = |path: &str| std::fs::symlink_metadata(root.join(path)).unwrap();
    assert_eq!((stat("").mode() & 0o7777, stat("").mtime()), (0o751, 1_000_000_000));
    assert_eq!(stat("etc").mode() & 0o7777, 0o2755);
    assert_eq!(stat("etc/passwd").gid(), 0);
    let su = stat("bin/su");
    assert_eq!((su.mode() & 0o7777, su.uid(), su.gid(), su.nlink()), (0o4750, 7, 8, 2));
    assert_eq!((su.mtime(), su.mtime_nsec()), (1234, 5));
    assert_eq!(su.ino(), stat("bin/su2").ino());
    let attributes = taru_sys::xattr::llistxattr(&root.join("bin/su")).unwrap();
    assert_eq!(attributes, ["user.a"]);
    assert_eq!(std::fs::read_link(root.join("sh")).unwrap().to_str(), Some("bin/sh"));
    assert_eq!((stat("dev/null").rdev(), stat("dev/null").mode() & 0o7777), (0x103, 0o666));
    assert!(stat("gone/old").file_type().is_char_device() && stat("gone/old").rdev() == 0);
    for name in ["user.overlay.opaque", "trusted.overlay.opaque"] {
        assert_eq!(taru_sys::xattr::lgetxattr(&root.join("hidden"), name.as_ref()).unwrap(), b"y");
    }
    // Gone with one rename; its files go later.
    store.retire_layer(&chain).unwrap();
    assert!(store.layers().unwrap().is_empty() && !store.has(&chain));
    assert_eq!(std::fs::read_dir(scratch.0.join("staging")).unwrap().count(), 1);
    store.sweep().unwrap();
    store.retire_layer(&chain).unwrap();
    for left in ["staging", "locks", "layers"] {
        assert_eq!(std::fs::read_dir(scratch.0.join(left)).unwrap().count(), 0);
    }
}

#[test]
fn directories_that_are_not_named_keep_the_attributes_of_the_layers_below() {
    if !is_root("directories_that_are_not_named_keep_the_attributes_of_the_layers_below") {
        return;
    }
    let scratch = Scratch::new();
    let store = store(&scratch.0);
    let owned = |name: &str, mode| Header { mode, uid: 33, gid: 34, ..Header::new(name, b'5') };
    let first = Tar::new()
        .dir("./", 0o711)
        .pax(&[("SCHILY.xattr.user.k", b"v")])
        .add(&owned("a", 0o2750), b"")
        .dir("a/b", 0o700)
        .add(&owned("gone", 0o700), b"")
        .end();
    let second = Tar::new().file(".wh.gone", b"").file("a/b/new", b"1").file("gone/x", b"").end();
    let third = Tar::new().file("a/b/c/d", b"2").file("gone/y", b"").end();
    // At once: each waits for the one below.
    let mut layers = Vec::new();
    let mut below: Option<Digest> = None;
    for tar in [&first, &second, &third] {
        let diff_id = Digest::of(tar);
        let chain = chain(below.as_ref(), &diff_id);
        layers.push(Unpack { chain: chain.clone(), parent: below.clone(), diff_id, blob: blob(tar).into() });
        below = Some(chain);
    }
    store.unpack(&layers, &|_, _| {}).unwrap();
    for layer in &layers {
        let root = tree(&scratch.0, &layer.chain);
        let of = |path: &str| {
            let s = std::fs::metadata(root.join(path)).unwrap();
            (s.mode() & 0o7777, s.uid(), s.mtime())
        };
        assert_eq!(of(""), (0o711, 0, 1_000_000_000));
        assert_eq!(of("a"), (0o2750, 33, 1_000_000_000));
        assert_eq!(of("a/b"), (0o700, 0, 1_000_000_000));
        assert_eq!(taru_sys::xattr::lgetxattr(&root.join("a"), "user.k".as_ref()).unwrap(), b"v");
    }
    let third = tree(&scratch.0, &layers[2].chain);
    let made = std::fs::metadata(third.join("a/b/c")).unwrap();
    assert_eq!((made.mode() & 0o7777, made.uid()), (0o755, 0));
    // What was taken away gives nothing on.
    let again = std::fs::metadata(third.join("gone")).unwrap();
    assert_eq!((again.mode() & 0o7777, again.uid()), (0o755, 0));

    let key = Key::container("c1").unwrap();
    store.prepare(&key, below.as_ref(), (0, 0), true).unwrap();
    assert_eq!(store.prepare(&key, below.as_ref(), (0, 0), true).unwrap_err().kind(), Kind::Exists);
    let Rootfs::Overlay { lower, upper, work } = store.mounts(&key).unwrap() else { panic!() };
    assert_eq!(lower.len(), 3);
    assert!(lower[0].path().ends_with("tree") && upper.is_dir() && work.is_dir());
    assert_eq!(std::fs::metadata(&upper).unwrap().mode() & 0o7777, 0o711);
    store.remove(&key).unwrap();
    assert_eq!(store.mounts(&key).unwrap_err().kind(), Kind::NotFound);
}

#[test]
fn what_is_not_the_layer_named_is_never_visible() {
    if !is_root("what_is_not_the_layer_named_is_never_visible") {
        return;
    }
    let scratch = Scratch::new();
    let store = store(&scratch.0);
    let tar = Tar::new().file("a", b"a").end();
    let wrong = Digest::of(b"something else");
    let layer = Unpack { chain: wrong.clone(), parent: None, diff_id: wrong, blob: blob(&tar).into() };
    let error = store.unpack(&[layer], &|_, _| {}).unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
    assert!(error.chain().to_string().contains("verify the diff id"), "{error:?}");
    // The right bytes under the name of another chain.
    let base = unpack(&store, None, &Tar::new().file("b", b"b").end()).unwrap();
    let diff_id = Digest::of(&tar);
    for (chain, parent) in [(Digest::of(b"another"), None), (diff_id.clone(), Some(base.clone()))] {
        let layer = Unpack { chain, parent, diff_id: diff_id.clone(), blob: blob(&tar).into() };
        let error = store.unpack(&[layer], &|_, _| {}).unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid);
        assert!(error.chain().to_string().contains("chain id"), "{error:?}");
    }
    store.remove_layer(&base).unwrap();
    // Behind the second block only zeros are missing, which nobody needs.
    for end in (1..1024).step_by(97) {
        unpack(&store, None, &tar[..end]).unwrap_err();
    }
    assert!(store.layers().unwrap().is_empty());
    assert_eq!(std::fs::read_dir(scratch.0.join("staging")).unwrap().count(), 0);
    // A killed process leaves what nobody has locked.
    std::fs::create_dir_all(scratch.0.join("staging/1.7/tree/x")).unwrap();
    common::store(&scratch.0);
    assert_eq!(std::fs::read_dir(scratch.0.join("staging")).unwrap().count(), 0);
}

#[test]
fn equal_files_of_two_layers_are_stored_once() {
    if !is_root("equal_files_of_two_layers_are_stored_once") {
        return;
    }
    let scratch = Scratch::new();
    let store = store(&scratch.0);
    let content = vec![5; 20_000];
    let entry = |name: &str, mode| Header { mode, size: 20_000, ..Header::new(name, b'0') };
    let first = Tar::new()
        .dir("d", 0o755)
        .add(&entry("d/same", 0o644), &content)
        .add(&entry("mode", 0o600), &content[..])
        .add(&entry("damaged", 0o640), &content)
        .add(&entry("marked", 0o641), &content)
        .end();
    let first = unpack(&store, None, &first).unwrap();
    let one = tree(&scratch.0, &first);
    let time = std::fs::metadata(one.join("damaged")).unwrap().modified().unwrap();
    let damaged = std::fs::File::options().write(true).open(one.join("damaged")).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&damaged, b"x", 10_000).unwrap();
    damaged.set_modified(time).unwrap();
    // An attribute that the manifest does not know.
    let flags = taru_sys::xattr::SetFlags::empty();
    taru_sys::xattr::lsetxattr(&one.join("marked"), "user.mark".as_ref(), b"1", flags).unwrap();
    let second = Tar::new()
        .dir("e", 0o755)
        .add(&entry("e/other-name", 0o644), &content)
        .add(&entry("mode", 0o400), &content)
        .add(&entry("damaged", 0o640), &content)
        .add(&entry("marked", 0o641), &content)
        .file("small", b"s")
        .end();
    let second = unpack(&store, None, &second).unwrap();
    let two = tree(&scratch.0, &second);
    let number = |path: std::path::PathBuf| std::fs::metadata(path).unwrap().ino();
    assert_eq!(number(one.join("d/same")), number(two.join("e/other-name")));
    assert_ne!(number(one.join("mode")), number(two.join("mode")));
    // What is damaged is not spread.
    assert_ne!(number(one.join("damaged")), number(two.join("damaged")));
    assert_ne!(number(one.join("marked")), number(two.join("marked")));
    assert_eq!(store.check(&second).unwrap(), []);
    store.remove_layer(&first).unwrap();
    assert_eq!(store.check(&second).unwrap(), []);
}

#[test]
fn hundreds_of_layers_are_compared() {
    if !is_root("hundreds_of_layers_are_compared") {
        return;
    }
    let scratch = Scratch::new();
    let store = store(&scratch.0);
    let mut top = None;
    for part in 0..6 {
        let mut layers = Vec::new();
        for n in 0..50 {
            let tar = Tar::new().file(&format!("f{part}.{n}"), b"x").end();
            let diff_id = Digest::of(&tar);
            let name = chain(top.as_ref(), &diff_id);
            let parent = top.replace(name.clone());
            layers.push(Unpack { chain: name, parent, diff_id, blob: blob(&tar).into() });
        }
        store.unpack(&layers, &|_, _| {}).unwrap();
    }
    let key = Key::container("many").unwrap();
    store.prepare(&key, top.as_ref(), (0, 0), false).unwrap();
    let Rootfs::Overlay { lower, upper, .. } = store.mounts(&key).unwrap() else { panic!() };
    assert_eq!(lower.len(), 300);
    std::fs::write(upper.join("f0.0"), b"other").unwrap();
    let changes = store.changes(&key, &Diff::default()).unwrap();
    let changes: Vec<_> = changes.iter().map(|c| (c.kind, c.path.to_str().unwrap())).collect();
    assert_eq!(changes, [(ChangeKind::Changed, "/f0.0")]);
    // A file of which overlay copied no more than the attributes.
    let name = "user.overlay.metacopy".as_ref();
    let flags = taru_sys::xattr::SetFlags::empty();
    taru_sys::xattr::lsetxattr(&upper.join("f0.0"), name, b"", flags).unwrap();
    assert_eq!(store.changes(&key, &Diff::default()).unwrap_err().kind(), Kind::Unsupported);
}

#[test]
fn nobody_waits_for_a_layer_of_another_whose_next_blob_does_not_come() {
    if !is_root("nobody_waits_for_a_layer_of_another_whose_next_blob_does_not_come") {
        return;
    }
    let scratch = Scratch::new();
    let (store, other) = (store(&scratch.0), store(&scratch.0));
    let (base, upper) = (Tar::new().file("a", b"a").end(), Tar::new().file("b", b"b").end());
    let (base_id, upper_id) = (Digest::of(&base), Digest::of(&upper));
    let top = chain(Some(&base_id), &upper_id);
    let (is_asked, is_there) = (AtomicBool::new(false), AtomicBool::new(false));
    let wait = |is_vain: &dyn Fn() -> bool| {
        is_asked.store(true, Ordering::SeqCst);
        while !is_there.load(Ordering::SeqCst) {
            if is_vain() {
                return Err(taru_stdx::Error::new(Kind::State, "in vain"));
            }
            std::thread::yield_now();
        }
        Ok(blob(&upper))
    };
    let layers = [
        Unpack { chain: base_id.clone(), parent: None, diff_id: base_id.clone(), blob: blob(&base).into() },
        Unpack {
            chain: top.clone(),
            parent: Some(base_id.clone()),
            diff_id: upper_id,
            blob: taru_snapshot::Blob::Awaited(Box::new(wait)),
        },
    ];
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| store.unpack(&layers, &|_, _| {}));
        while !is_asked.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        assert_eq!(unpack(&other, None, &base).unwrap(), base_id);
        assert!(!other.has(&top));
        is_there.store(true, Ordering::SeqCst);
        slow.join().unwrap().unwrap();
    });
    assert!(other.has(&base_id) && other.has(&top));
    assert_eq!(store.check(&top).unwrap(), []);
    assert_eq!(std::fs::read_dir(scratch.0.join("staging")).unwrap().count(), 0);
    assert_eq!(std::fs::read_dir(scratch.0.join("locks")).unwrap().count(), 0);
}

#[test]
fn a_file_is_read_as_the_stacked_layers_show_it() {
    if !is_root("a_file_is_read_as_the_stacked_layers_show_it") {
        return;
    }
    let scratch = Scratch::new();
    let store = store(&scratch.0);
    let link = |name: &str, target: &str| Header { link: target.into(), ..Header::new(name, b'2') };
    let base = Tar::new()
        .dir("etc", 0o755)
        .file("etc/passwd", b"old")
        .file("etc/group", b"old")
        .dir("gone", 0o755)
        .file("gone/passwd", b"old")
        .dir("opaque", 0o755)
        .file("opaque/passwd", b"old")
        .file("replaced", b"old")
        .dir("kept", 0o755)
        .file("kept/passwd", b"old")
        .file("far", b"far")
        .end();
    let upper = Tar::new()
        .file("etc/.wh.passwd", b"")
        .file(".wh.gone", b"")
        .file("opaque/.wh..wh..opq", b"")
        .file("opaque/group", b"new")
        .dir("replaced", 0o755)
        .file("replaced/passwd", b"new")
        .file("kept/group", b"new")
        .add(&link("absolute", "/kept/../kept/passwd"), b"")
        .add(&link("kept/up", "../../../far"), b"")
        .add(&link("loop", "loop"), b"")
        .end();
    let base = unpack(&store, None, &base).unwrap();
    let top = unpack(&store, Some(&base), &upper).unwrap();
    let key = Key::container("reads").unwrap();
    store.prepare(&key, Some(&top), (0, 0), false).unwrap();
    let root = store.mounts(&key).unwrap();
    let read = |path: &str| match root.read_bounded(path.as_ref(), 3) {
        Ok(bytes) => String::from_utf8(bytes).unwrap(),
        Err(e) => format!("{:?}", e.kind()),
    };
    let reads = |all: &[(&str, &str)]| {
        for (path, expected) in all {
            assert_eq!(read(path), *expected, "{path}");
        }
    };
    reads(&[
        ("etc/passwd", "NotFound"),
        ("etc/group", "old"),
        ("gone/passwd", "NotFound"),
        ("opaque/passwd", "NotFound"),
        ("opaque/group", "new"),
        ("replaced", "Invalid"),
        ("replaced/passwd", "new"),
        ("/kept/passwd", "old"),
        ("kept/group", "new"),
        ("absolute", "old"),
        ("kept/up", "far"),
        ("loop", "Invalid"),
        ("far/passwd", "NotFound"),
    ]);
    // What the container changed counts first: here it moved `kept` away and made another, which overlay marks.
    let Rootfs::Overlay { upper, .. } = &root else { panic!() };
    std::fs::create_dir(upper.join("kept")).unwrap();
    let flags = taru_sys::xattr::SetFlags::empty();
    taru_sys::xattr::lsetxattr(&upper.join("kept"), "user.overlay.opaque".as_ref(), b"y", flags).unwrap();
    std::fs::write(upper.join("far"), "farther").unwrap();
    reads(&[("absolute", "NotFound"), ("kept/group", "NotFound"), ("far", "Limit"), ("etc/group", "old")]);
}
