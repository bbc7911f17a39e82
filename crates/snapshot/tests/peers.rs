//! Trees to tars and back, with GNU tar and umoci on the other side.

#![allow(clippy::unwrap_used, reason = "a test fails so")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use common::{Scratch, describe, is_root, store, tree, unpack};
use taru_oci::Digest;
use taru_snapshot::{Diff, Key, Rootfs};

/// A tree with some of everything that a tar can hold, in `dir`.
fn plant(dir: &Path) {
    let shell = r#"
        mkdir -p etc 'a b/c' deep/$(printf 'n%.0s' $(seq 90))/$(printf 'm%.0s' $(seq 90))
        echo one > etc/one; echo two > 'a b/c/ü'; printf '' > empty
        (cd deep/n*/m*; echo x > $(printf 'o%.0s' $(seq 120)))
        ln etc/one etc/hard; ln -s ../etc/one 'a b/soft'; ln -s $(printf '/long%.0s' $(seq 40)) longlink
        mkfifo fifo; mknod null c 1 3; mknod disk b 8 1
        chmod 4755 etc/one; chmod 1777 'a b'; chmod 2750 deep
        chown 1:2 empty; chown -h 70000:3000000 longlink; chown 33:33 deep
        touch -d '1969-12-31 23:59:58.5 UTC' empty; touch -d '2001-01-01 00:00:00.123456789 UTC' etc etc/one
        touch -h -d '2002-02-02 UTC' longlink
    "#;
    assert!(Command::new("sh").arg("-ec").arg(shell).current_dir(dir).status().unwrap().success());
    let sparse = fs::File::create(dir.join("sparse")).unwrap();
    sparse.set_len(30 << 20).unwrap();
    for n in 0..40u64 {
        sparse.write_all_at(b"piece", n * 700_000 / 4096 * 4096).unwrap();
    }
    let set = |path: &str, name: &str, value: &[u8]| {
        let flags = taru_sys::xattr::SetFlags::empty();
        taru_sys::xattr::lsetxattr(&dir.join(path), name.as_ref(), value, flags).unwrap();
    };
    set("etc", "user.directory", b"d");
    set("empty", "user.file", b"\0\xff\n=");
    set("empty", "security.capability", &[1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
}

/// Without what only some formats carry: nanoseconds and attributes.
fn coarse(tree: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let cut = |line: &str| {
        let (front, _) = line.rsplit_once(" [").unwrap();
        let (front, time) = front.rsplit_once(' ').unwrap();
        let seconds = time.split('.').next().unwrap();
        format!("{front} {seconds}")
    };
    tree.iter().map(|(path, line)| (path.clone(), cut(line))).collect()
}

fn assert_same(what: &str, was: &BTreeMap<String, String>, now: &BTreeMap<String, String>) {
    assert_eq!(was.keys().collect::<Vec<_>>(), now.keys().collect::<Vec<_>>(), "{what}");
    for (path, line) in was {
        assert_eq!(now.get(path), Some(line), "{what}: {path}");
    }
}

#[test]
fn tars_of_gnu_tar_are_unpacked_as_it_would() {
    if !is_root("tars_of_gnu_tar_are_unpacked_as_it_would") {
        return;
    }
    let scratch = Scratch::new();
    let source = scratch.0.join("source");
    fs::create_dir(&source).unwrap();
    plant(&source);
    let was = describe(&source);
    let store = store(&scratch.0.join("store"));
    for options in [
        &["--format=posix", "--xattrs", "--xattrs-include=*", "-S", "--sparse-version=1.0"][..],
        &["--format=posix", "--xattrs", "--xattrs-include=*", "-S", "--sparse-version=0.1"],
        &["--format=posix", "--xattrs", "--xattrs-include=*", "-S", "--sparse-version=0.0"],
        &["--format=gnu", "-S"],
    ] {
        let what = options.join(" ");
        let done =
            Command::new("tar").arg("-c").args(options).arg("-C").arg(&source).arg(".").output().unwrap();
        assert!(done.status.success(), "{what}: {}", String::from_utf8_lossy(&done.stderr));
        let layer = unpack(&store, None, &done.stdout).unwrap();
        let now = describe(&tree(&scratch.0.join("store"), &layer));
        if options.contains(&"--format=gnu") {
            assert_same(&what, &coarse(&was), &coarse(&now));
        } else {
            assert_same(&what, &was, &now);
        }
        assert_eq!(store.check(&layer).unwrap(), []);
        store.remove_layer(&layer).unwrap();
    }
}

/// GNU tar tells ACLs in words, with the names that the host has.
#[test]
fn acls_of_gnu_tar_are_kept() {
    const TEST: &str = "acls_of_gnu_tar_are_kept";
    if !is_root(TEST) {
        return;
    }
    let scratch = Scratch::new();
    let source = scratch.0.join("source");
    fs::create_dir_all(source.join("dir")).unwrap();
    for name in ["ids", "root", "plain"] {
        fs::write(source.join(name), name).unwrap();
    }
    let set = |path: &str, attribute: &str, users: &[u32]| {
        let mut value = vec![2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255];
        for user in users {
            value.extend_from_slice(&[2, 0, 7, 0]);
            value.extend_from_slice(&user.to_le_bytes());
        }
        for [tag, permissions] in [[4, 4], [16, 7], [32, 0]] {
            value.extend_from_slice(&[tag, 0, permissions, 0, 255, 255, 255, 255]);
        }
        let flags = taru_sys::xattr::SetFlags::empty();
        taru_sys::xattr::lsetxattr(&source.join(path), attribute.as_ref(), &value, flags)
    };
    // Ids of nobody, which GNU tar has to write as numbers.
    let lacks = set("ids", "system.posix_acl_access", &[3_000_000_123, 3_000_000_124]);
    if lacks.is_err() {
        return taru_testkit::skip(TEST, "a file system with ACLs for temporary files");
    }
    set("root", "system.posix_acl_access", &[0]).unwrap();
    set("dir", "system.posix_acl_access", &[3_000_000_123]).unwrap();
    set("dir", "system.posix_acl_default", &[0, 3_000_000_125]).unwrap();
    let done = Command::new("tar").args(["--acls", "-c", "-C"]).arg(&source).arg(".").output().unwrap();
    if !done.status.success() || !done.stdout.windows(18).any(|bytes| bytes == b"SCHILY.acl.default") {
        return taru_testkit::skip(TEST, "a tar that writes ACLs");
    }
    let store = store(&scratch.0.join("store"));
    let layer = unpack(&store, None, &done.stdout).unwrap();
    let now = tree(&scratch.0.join("store"), &layer);
    // GNU tar writes no nanoseconds with these options.
    let attributes = |root: &Path| -> BTreeMap<String, String> {
        let cut = |line: &str| line.rsplit_once(" [").unwrap().1.to_owned();
        describe(root).into_iter().map(|(path, line)| (path, cut(&line))).collect()
    };
    assert_same("acls", &attributes(&source), &attributes(&now));
    assert!(attributes(&now)["ids"].contains("posix_acl_access"));
    assert_eq!(store.check(&layer).unwrap(), []);
}

#[test]
fn layers_that_are_written_are_read_by_gnu_tar_and_umoci() {
    if !is_root("layers_that_are_written_are_read_by_gnu_tar_and_umoci") {
        return;
    }
    let scratch = Scratch::new();
    let store = store(&scratch.0.join("store"));
    let key = Key::container("c").unwrap();
    store.prepare(&key, None, (0, 0), true).unwrap();
    let Rootfs::Overlay { upper, .. } = store.mounts(&key).unwrap() else { panic!() };
    plant(&upper);
    let was = describe(&upper);
    let mut tar = Vec::new();
    store.diff(&key, &Diff::default(), &mut tar).unwrap();
    let (file, out) = (scratch.0.join("layer.tar"), scratch.0.join("out"));
    fs::write(&file, &tar).unwrap();
    fs::create_dir(&out).unwrap();
    let done = Command::new("tar")
        .args(["-x", "-p", "--xattrs", "--xattrs-include=*", "--same-owner", "-C"])
        .args([&out, Path::new("-f"), &file])
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert_same("GNU tar", &was, &describe(&out));

    if Command::new("umoci").arg("--version").output().is_err() {
        return taru_testkit::skip("layers_that_are_written_are_read_by_umoci", "umoci");
    }
    let image = scratch.0.join("image");
    write_image(&image, &tar);
    let bundle = scratch.0.join("bundle");
    let done = Command::new("umoci")
        .arg("unpack")
        .arg("--image")
        .arg(format!("{}:x", image.display()))
        .arg(&bundle)
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let now = describe(&bundle.join("rootfs"));
    // It fills holes, and knows no capabilities of an image that a label does not name.
    let strip = |tree: BTreeMap<String, String>| -> BTreeMap<String, String> {
        tree.into_iter().map(|(path, line)| (path, line.replace("holes:true", "holes:false"))).collect()
    };
    assert_same("umoci", &strip(was), &strip(now));
}

/// An OCI layout of one image `x` with this layer.
fn write_image(dir: &Path, layer: &[u8]) {
    let blobs = dir.join("blobs/sha256");
    fs::create_dir_all(&blobs).unwrap();
    let put = |bytes: &[u8]| {
        let digest = Digest::of(bytes);
        fs::write(blobs.join(digest.hex()), bytes).unwrap();
        format!("\"digest\":\"{digest}\",\"size\":{}", bytes.len())
    };
    let diff_id = Digest::of(layer);
    let layer = put(layer);
    let config = put(format!(
        r#"{{"architecture":"amd64","os":"linux","config":{{}},"rootfs":{{"type":"layers","diff_ids":["{diff_id}"]}}}}"#
    ).as_bytes());
    let kind = "application/vnd.oci.image";
    let manifest = put(format!(
        r#"{{"schemaVersion":2,"mediaType":"{kind}.manifest.v1+json","config":{{"mediaType":"{kind}.config.v1+json",{config}}},"layers":[{{"mediaType":"{kind}.layer.v1.tar",{layer}}}]}}"#
    ).as_bytes());
    let index = format!(
        r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"{kind}.manifest.v1+json",{manifest},"annotations":{{"org.opencontainers.image.ref.name":"x"}}}}]}}"#
    );
    fs::write(dir.join("index.json"), index).unwrap();
    fs::write(dir.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
}
