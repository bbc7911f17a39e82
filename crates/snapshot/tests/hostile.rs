//! Layers that want out, or too much: what stands outside is untouched, memory stays bounded, nothing is left.
//! The numbers are those of docs/security.md.

#![allow(clippy::unwrap_used, reason = "a test fails so")]

mod common;

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use common::{Header, Scratch, Tar, blob, both_forms, is_root, layer_files, record, store, tree, unpack};
use taru_oci::Digest;
use taru_snapshot::{Snapshots, Unpack};
use taru_stdx::Kind;
use taru_sys::process::Pid;
use taru_sys::sched::{Limit, Resource, prlimit};
use taru_testkit::{Disk, eventually, in_namespaces};

/// Private memory that this process and its children may have: what the largest image may take.
fn bound_memory() {
    let limit = Limit { soft: 64 << 20, hard: 64 << 20 };
    prlimit(Pid(0), Resource::named("data").unwrap(), Some(limit)).unwrap();
}

#[test]
fn paths_stay_inside() {
    if !is_root("paths_stay_inside") {
        return;
    }
    in_namespaces(&["--mount", "--propagation", "private"], || {
        let scratch = Scratch::new();
        for (store, dir) in both_forms("paths_stay_inside", &scratch.0) {
            paths(&store, &dir);
        }
    });
}

fn paths(store: &Snapshots, dir: &Path) {
    let decoy = dir.with_extension("decoy");
    fs::create_dir(&decoy).unwrap();
    fs::write(decoy.join("secret"), "secret").unwrap();
    let describe = || common::describe(&decoy);
    let before = describe();
    let out = decoy.to_str().unwrap();
    let secret = format!("{out}/secret");
    let up = "../".repeat(20);
    let relative = format!("{up}{}", out.trim_start_matches('/'));
    let plain = || Tar::new().dir("./", 0o755);
    // (name, tar, whether it must be refused)
    let attacks: Vec<(&str, Tar, bool)> = vec![
        ("T01", plain().file(&format!("{relative}/new"), b"x"), true),
        ("T02", plain().file(&format!("{out}/new"), b"x"), false),
        ("T03", plain().symlink("a", out).file("a/x", b"x"), false),
        ("T04", plain().symlink("a", &relative).file("a/x", b"x"), true),
        ("T05", plain().link("l", &secret).file("l", b"x"), true),
        ("T06", plain().link("l", &format!("{relative}/secret")).file("l", b"x"), true),
        ("T07", plain().symlink("a", out).link("l", "a/secret").file("l", b"x"), true),
        ("T08", plain().symlink("a", out).dir("a", 0o777), false),
        ("T09", plain().dir("d", 0o755).file("d/.wh...", b""), true),
        ("T10", plain().symlink("a", out).file("a/.wh.secret", b""), false),
        ("T11", plain().symlink("a", out).file("a/.wh..wh..opq", b""), false),
        ("T12", plain().file(".wh..wh.plnk/1.1", b"x").link("l", ".wh..wh.plnk/1.1"), true),
        (
            "T13",
            plain().symlink("a", "b").symlink("b", "c").symlink("c", "d").symlink("d", out).file("a/x", b""),
            false,
        ),
        ("T14", plain().pax(&[("path", format!("{relative}/x").as_bytes())]).file("ok", b"x"), true),
        ("T15", plain().pax(&[("linkpath", secret.as_bytes())]).link("l", "ok"), true),
        ("T17", plain().symlink(".", out), true),
        ("T18", plain().symlink("./", out).file("x", b""), true),
        ("loop", plain().symlink("a", "b").symlink("b", "a").file("a/x", b""), true),
        ("through a file", plain().file("a", b"").file("a/x", b""), true),
        ("a whiteout's device", plain().add(&Header::new("dev", b'3'), b""), true),
        ("link to a directory", plain().dir("d", 0o755).link("l", "d"), true),
        ("link to itself", plain().file("a", b"").link("a", "a"), true),
        ("NUL in a name", plain().pax(&[("path", b"a\0b")]).file("x", b""), true),
        ("unknown type", plain().add(&Header::new("x", b'Z'), b""), true),
        ("solaris header", plain().add(&Header::new("x", b'X'), b""), true),
        ("no id", plain().pax(&[("uid", b"4294967295")]).file("x", b""), true),
        // T92
        ("two sizes", plain().pax(&[("size", b"5")]).file("x", b"12345678"), true),
        ("size of a directory", plain().add(&Header { size: 5, ..Header::new("d", b'5') }, b"12345"), true),
        (
            "two names",
            plain()
                .add(&Header { size: 2, ..Header::new("long", b'L') }, b"a\0")
                .pax(&[("path", b"b")])
                .file("c", b""),
            true,
        ),
        ("names twice", plain().pax(&[("path", b"a")]).pax(&[("path", b"b")]).file("c", b""), true),
        ("key twice", plain().pax(&[("path", b"a"), ("path", b"b")]).file("c", b""), true),
        (
            "global",
            plain().add(&Header { size: 10, ..Header::new("g", b'g') }, b"10 path=a\n").file("c", b""),
            true,
        ),
        ("after the end", Tar([plain().end(), plain().end()].concat()), true),
    ];
    for (name, tar, is_refused) in attacks {
        let tar = tar.end();
        let done = unpack(store, None, &tar);
        assert_eq!(describe(), before, "{name}");
        assert!(done.is_err() || !is_refused, "{name} was not refused");
        if let Err(error) = &done {
            assert!(
                [Kind::Invalid, Kind::NotFound, Kind::Limit].contains(&error.kind()),
                "{name}: {error:?}"
            );
        }
        for layer in store.layers().unwrap() {
            assert_eq!(store.check(&layer).unwrap(), [], "{name}");
            store.remove_layer(&layer).unwrap();
        }
        assert_eq!(fs::read_dir(dir.join("staging")).unwrap().count(), 0, "{name}");
    }
    // What must work: T02 lies inside, T03 goes where the link leads inside.
    let tar = Tar::new()
        .file(&format!("{out}/new"), b"x")
        .symlink("a", "/b")
        .dir("b", 0o755)
        .file("a/x", b"y")
        .end();
    let layer = unpack(store, None, &tar).unwrap();
    let root = layer_files(dir, &layer);
    assert_eq!(fs::read(root.join(out.trim_start_matches('/')).join("new")).unwrap(), b"x");
    assert_eq!(fs::read(root.join("b/x")).unwrap(), b"y");
    // T16, T97: nobody but root comes near what is in layers.
    assert_eq!(fs::metadata(dir.join("layers")).unwrap().mode() & 0o777, 0o700);
}

#[test]
fn entries_may_replace_what_came_before() {
    if !is_root("entries_may_replace_what_came_before") {
        return;
    }
    in_namespaces(&["--mount", "--propagation", "private"], || {
        let scratch = Scratch::new();
        for (store, dir) in both_forms("entries_may_replace_what_came_before", &scratch.0) {
            replacing(&store, &dir);
        }
    });
}

fn replacing(store: &Snapshots, dir: &Path) {
    let tar = Tar::new()
        .dir("a/b", 0o755)
        .file("a/b/c", b"1")
        .file("a", b"now a file")
        .file("x", b"now a directory")
        .dir("x", 0o700)
        .file("x/y", b"2")
        .file("first", b"old")
        .link("second", "first")
        .file("first", b"new")
        .file(".wh.w", b"")
        .dir("w", 0o755)
        .file("w/z", b"3")
        .file("same", b"4")
        .file(".wh.same", b"")
        .end();
    let layer = unpack(store, None, &tar).unwrap();
    let root = layer_files(dir, &layer);
    let read = |path: &str| fs::read_to_string(root.join(path)).unwrap();
    assert_eq!((read("a").as_str(), read("x/y").as_str()), ("now a file", "2"));
    assert_eq!((read("first").as_str(), read("second").as_str()), ("new", "old"));
    assert_eq!(taru_sys::xattr::lgetxattr(&root.join("w"), "user.overlay.opaque".as_ref()).unwrap(), b"y");
    // A whiteout means the layers below only.
    assert_eq!(read("same"), "4");
    assert_eq!(store.check(&layer).unwrap(), []);
}

#[test]
fn damage_is_found_and_healed() {
    if !is_root("damage_is_found_and_healed") {
        return;
    }
    let scratch = Scratch::new();
    let store = store(&scratch.0);
    let tar = Tar::new()
        .dir("d", 0o755)
        .file("d/a", b"aaaa")
        .file("d/b", b"bbbb")
        .file("c", b"c")
        .symlink("l", "c")
        .end();
    let layer = unpack(&store, None, &tar).unwrap();
    let root = tree(&scratch.0, &layer);
    let keep_time = |path: &str, act: &dyn Fn(&Path)| {
        let path = root.join(path);
        let stat = fs::metadata(&path).unwrap();
        let time = (stat.mtime(), stat.mtime_nsec() as u32);
        act(&path);
        taru_sys::fs::utimensat(taru_sys::fs::CWD, &path, time, time, taru_sys::fs::AtFlags::empty())
            .unwrap();
    };
    keep_time("d/a", &|path| fs::write(path, b"aaab").unwrap());
    keep_time("d", &|path| {
        fs::remove_file(path.join("b")).unwrap();
        fs::write(path.join("new"), b"").unwrap();
    });
    keep_time("c", &|path| {
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap()
    });
    let broken: Vec<String> = store
        .check(&layer)
        .unwrap()
        .iter()
        .map(|b| format!("{} {}", b.path.as_ref().unwrap().display(), b.why))
        .collect();
    assert_eq!(
        broken,
        ["/c another mode", "/d/a another content", "/d/b missing", "/d/new not of the layer"]
    );
    store.remove_layer(&layer).unwrap();
    let again = unpack(&store, None, &tar).unwrap();
    assert_eq!(store.check(&again).unwrap(), []);
    let manifest = root.parent().unwrap().join("manifest");
    let text = fs::read(&manifest).unwrap();
    fs::write(&manifest, &text[..text.len() / 2]).unwrap();
    assert!(!store.check(&again).unwrap().is_empty());
}

#[test]
fn memory_stays_bounded() {
    if !is_root("memory_stays_bounded") {
        return;
    }
    // Only the process that is started for it is limited, and its children.
    in_namespaces(&["--mount"], || {
        bound_memory();
        let is_full = std::env::var_os("TARU_TEST_FULL").is_some();
        let count = if is_full { 1_000_000 } else { 20_000 };
        let scratch = Scratch::new();
        for (store, dir) in both_forms("memory_stays_bounded", &scratch.0) {
            floods(&store, &dir, is_full, count);
        }
    });
}

fn floods(store: &Snapshots, dir: &Path, is_full: bool, count: usize) {
    let refused = |what: &str, bytes: &[u8]| {
        let error = unpack(store, None, bytes).map(drop).unwrap_err();
        assert!(matches!(error.kind(), Kind::Invalid | Kind::Limit | Kind::System), "{what}: {error:?}");
        assert!(!error.chain().to_string().contains("signal"), "{what}: {error:?}");
    };
    // T78: a window of 2 GiB.
    refused("window", &[0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa8, 0x01, 0, 0, 0]);
    // T80: names, headers, files that are too large.
    let name = vec![b'n'; (1 << 20) - 20];
    refused("name", &Tar::new().pax(&[("path", &name)]).file("x", b"").end());
    refused("header", &Tar::new().add(&Header { size: 1 << 32, ..Header::new("x", b'x') }, b"").end());
    let huge = (8u64 << 60).to_string();
    let map = [("GNU.sparse.map", &b"0,1"[..]), ("GNU.sparse.size", huge.as_bytes())];
    refused("sparse", &Tar::new().pax(&map).file("x", b"1").end());
    let pieces: Vec<u8> =
        (0..70_000).flat_map(|n| record("GNU.sparse.offset", format!("{n}").as_bytes())).collect();
    let pieces = &pieces[..(1 << 20).min(pieces.len())];
    refused(
        "pieces",
        &Tar::new()
            .add(&Header { size: pieces.len() as u64, ..Header::new("x", b'x') }, pieces)
            .file("x", b"")
            .end(),
    );
    // The largest file that may be, all of it a hole.
    let largest = ((1u64 << 44) - (1 << 20)).to_string();
    let map = [("GNU.sparse.map", &b"0,1"[..]), ("GNU.sparse.size", largest.as_bytes())];
    if let Ok(layer) = unpack(store, None, &Tar::new().pax(&map).file("x", b"1").end()) {
        assert_eq!(store.check(&layer).unwrap(), []);
    }
    // T80: many entries, each with attributes, and many names of one file; as gzip members of their own (T78).
    let path = dir.with_extension("blob");
    let mut hasher = taru_oci::Hasher::new(taru_oci::Algorithm::Sha256);
    {
        let mut file = std::io::BufWriter::new(File::create(&path).unwrap());
        let mut member = |bytes: &[u8]| {
            hasher.update(bytes);
            let mut encoder = flate2::write::GzEncoder::new(&mut file, flate2::Compression::fast());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap();
        };
        for n in 0..count {
            let name = format!("d{}/{n}", n % 100);
            let xattrs = [("SCHILY.xattr.user.a", &b"1"[..]), ("SCHILY.xattr.user.b", b"2")];
            let tar = match n % 10 {
                0 => Tar::new().pax(&xattrs).file(&name, b""),
                1..=3 if n > 10 => Tar::new().link(&name, "d0/0"),
                _ => Tar::new().symlink(&name, "x"),
            };
            member(&tar.0);
        }
        member(&[0; 1024]);
        file.flush().unwrap();
    }
    let diff_id = hasher.finish();
    let layer = Unpack {
        chain: diff_id.clone(),
        parent: None,
        diff_id: diff_id.clone(),
        blob: File::open(&path).unwrap().into(),
    };
    match store.unpack(&[layer], &|_, _| {}) {
        Ok(()) => assert_eq!(store.check(&diff_id).unwrap(), []),
        // ext4 gives a file 65000 names.
        Err(error) => {
            assert!(is_full && error.chain().to_string().contains("Too many links"), "{error:?}")
        }
    }
    refused("random", &(0..5000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect::<Vec<_>>());
    assert_eq!(fs::read_dir(dir.join("staging")).unwrap().count(), 0);
}

/// T81: a blob that is cut off is refused wherever the cut is.
#[test]
fn a_prefix_is_refused() {
    if !is_root("a_prefix_is_refused") {
        return;
    }
    in_namespaces(&["--mount", "--propagation", "private"], || {
        let scratch = Scratch::new();
        for (store, dir) in both_forms("a_prefix_is_refused", &scratch.0) {
            prefixes(&store, &dir);
        }
    });
}

fn prefixes(store: &Snapshots, dir: &Path) {
    let tar = Tar::new()
        .dir("d", 0o755)
        .pax(&[("mtime", b"1234.5"), ("SCHILY.xattr.user.a", b"b")])
        .file("d/a", &(0..3072u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect::<Vec<_>>())
        .link("l", "d/a")
        .end();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&tar).unwrap();
    let gzip = gzip.finish().unwrap();
    let zstd = zstd::encode_all(tar.as_slice(), 1).unwrap();
    // Of a plain tar, the blocks of zeros at its end are nothing that anybody needs.
    for (name, whole, end) in
        [("plain", &tar, tar.len() - 1024), ("gzip", &gzip, gzip.len()), ("zstd", &zstd, zstd.len())]
    {
        for at in (1..end).step_by(131).chain([end - 1]) {
            // What a plain tar has up to the end of an entry is a tar, too, of which only the digest tells that it is cut.
            let diff_id = Digest::of(if name == "plain" { &whole[..at] } else { &tar });
            let blob = blob(&whole[..at]);
            let layer = Unpack { chain: diff_id.clone(), parent: None, diff_id, blob: blob.into() };
            let error = store.unpack(&[layer], &|_, _| {}).expect_err(&format!("{name} cut at {at}"));
            assert_eq!(error.kind(), Kind::Invalid, "{name} cut at {at}: {error:?}");
            assert!(store.layers().unwrap().is_empty());
            assert_eq!(fs::read_dir(dir.join("staging")).unwrap().count(), 0, "{name} cut at {at}");
        }
    }
    assert_eq!(unpack(store, None, &tar).unwrap(), Digest::of(&tar));
}

#[test]
fn a_full_disk_gets_its_space_back() {
    if !is_root("a_full_disk_gets_its_space_back") {
        return;
    }
    in_namespaces(&["--mount", "--propagation", "private"], || {
        let scratch = Scratch::new();
        for (options, count, size) in [(&[][..], 1, 200 << 20), (&["-N", "300"][..], 1000, 0)] {
            let disk = match Disk::ext4(&scratch.0, 64 << 20, options) {
                Ok(disk) => disk,
                Err(lacking) => return taru_testkit::skip("a_full_disk_gets_its_space_back", &lacking),
            };
            for (store, dir) in both_forms("a_full_disk_gets_its_space_back", disk.path()) {
                // An image is one file, whatever is in it.
                let has_room = size == 0 && dir.ends_with("erofs");
                full(&disk, &store, (count, size), has_room);
            }
        }
    });
}

/// Unpacks `count` files of `size`, for which the disk has no room.
fn full(disk: &Disk, store: &Snapshots, (count, size): (u32, u64), has_room: bool) {
    let mut hasher = taru_oci::Hasher::new(taru_oci::Algorithm::Sha256);
    let mut bytes = zstd::stream::Encoder::new(Vec::new(), 1).unwrap();
    let mut write = |part: &[u8]| {
        hasher.update(part);
        bytes.write_all(part).unwrap();
    };
    for n in 0..count {
        write(&Header { size, ..Header::new(&format!("f{n}"), b'0') }.block());
        (0..size >> 20).for_each(|_| write(&vec![1; 1 << 20]));
    }
    write(&[0; 1024]);
    let diff_id: Digest = hasher.finish();
    let blob = blob(&bytes.finish().unwrap());
    let layer = Unpack { chain: diff_id.clone(), parent: None, diff_id, blob: blob.into() };
    let free = || {
        let dir = File::open(disk.path()).unwrap();
        let stat = taru_sys::fs::fstatfs(std::os::fd::AsFd::as_fd(&dir)).unwrap();
        (stat.blocks_free >> 4, stat.files_free)
    };
    let before = free();
    let done = store.unpack(&[layer], &|_, _| {});
    if has_room {
        return done.unwrap();
    }
    let error = done.unwrap_err();
    assert!(error.chain().to_string().contains("No space left on device"), "{error:?}");
    // The kernel takes down the worker's mount namespace a little after the worker, and with it the last hold on the
    // directory that was its root. And a sync(2), also that of a test beside this one, holds a removed file's inode while it
    // waits for it; maybe before, too.
    eventually("all is given back", || {
        let now = free();
        now.0 >= before.0 && now.1 >= before.1
    });
    assert!(unpack(store, None, &Tar::new().file("small", b"fits").end()).is_ok());
}
