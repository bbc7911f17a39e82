//! Stores of ordinary users, and containers whose ids are not the host's.

#![allow(clippy::unwrap_used, reason = "a test fails so")]

mod common;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, lchown};
use std::process::{Command, Output};

use common::{Header, Scratch, Tar, describe, is_root, store, unpack, worker};
use taru_oci::Digest;
use taru_snapshot::{Diff, IdMaps, Key, Range, Rootfs};
use taru_testkit::in_namespaces;

/// Unpacks as user 1000, who has `rest` as subordinate ids.
fn as_user(scratch: &Scratch, tar: &[u8], rest: &[&str]) -> Output {
    let blob = scratch.0.join("blob");
    fs::write(&blob, tar).unwrap();
    // The user cannot look below a directory of root's.
    let program = scratch.0.join("worker");
    if !program.exists() {
        fs::copy(worker(), &program).unwrap();
    }
    fs::set_permissions(&scratch.0, fs::Permissions::from_mode(0o755)).unwrap();
    let home = scratch.0.join("home");
    fs::create_dir_all(&home).unwrap();
    chown(&home, Some(1000), Some(1000)).unwrap();
    Command::new("setpriv")
        .args(["--reuid", "1000", "--regid", "1000", "--clear-groups"])
        .arg(&program)
        .args([home.join("store").as_os_str(), Digest::of(tar).to_string().as_ref(), blob.as_os_str()])
        .args(rest)
        .output()
        .unwrap()
}

#[test]
fn an_ordinary_user_unpacks_with_one_id_or_many() {
    if !is_root("an_ordinary_user_unpacks_with_one_id_or_many") {
        return;
    }
    in_namespaces(&["--mount", "--propagation", "private"], || {
        let scratch = Scratch::new();
        let owned = |uid, gid| Header { uid, gid, mode: 0o640, size: 1, ..Header::new("etc/shadow", b'0') };
        let tar = Tar::new()
            .dir("etc", 0o755)
            .add(&owned(0, 42), b"x")
            .add(&Header { uid: 33, gid: 33, mode: 0o700, ..Header::new("private", b'5') }, b"")
            .file("private/.wh..wh..opq", b"")
            .file("private/f", b"")
            .add(&Header { device: (1, 3), ..Header::new("null", b'3') }, b"")
            .file(".wh.gone", b"")
            .pax(&[("SCHILY.acl.access", b"user::rw-,user:33:r--,group::r--,mask::r--,other::---")])
            .add(&Header { mode: 0o640, ..Header::new("shared", b'0') }, b"")
            .end();
        // One id: all is that user's, as there is nobody else.
        let done = as_user(&scratch, &tar, &[]);
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let root = common::tree(&scratch.0.join("home/store"), &Digest::of(&tar));
        let stat = |path: &str| fs::symlink_metadata(root.join(path)).unwrap();
        assert_eq!((stat("etc/shadow").uid(), stat("etc/shadow").gid()), (1000, 1000));
        assert!(
            taru_sys::xattr::lgetxattr(&root.join("shared"), "system.posix_acl_access".as_ref()).is_err()
        );
        assert!(!root.join("null").exists() && stat("gone").rdev() == 0);
        assert_eq!(
            taru_sys::xattr::lgetxattr(&root.join("private"), "user.overlay.opaque".as_ref()).unwrap(),
            b"y"
        );
        fs::remove_dir_all(scratch.0.join("home")).unwrap();

        // Subordinate ids, in files of this namespace.
        for (file, text) in [
            ("/etc/subuid", "1000:200000:65536\n"),
            ("/etc/subgid", "1000:200000:65536\n"),
            ("/etc/passwd", "root:x:0:0::/:/bin/sh\neve:x:1000:1000::/:/bin/sh\n"),
        ] {
            let own = scratch.0.join(file.replace('/', "_"));
            fs::write(&own, text).unwrap();
            if !std::path::Path::new(file).exists() {
                return taru_testkit::skip("an_ordinary_user_unpacks_with_many_ids", file);
            }
            assert!(Command::new("mount").args(["--bind"]).arg(&own).arg(file).status().unwrap().success());
        }
        if !Command::new("newuidmap").output().is_ok_and(|done| done.status.code().is_some()) {
            return taru_testkit::skip("an_ordinary_user_unpacks_with_many_ids", "newuidmap (uidmap)");
        }
        // It checks the layer, too, and removes it: files of ids that the user has only in there.
        let done = as_user(&scratch, &tar, &["200000", "65536"]);
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        assert_eq!(fs::read_dir(scratch.0.join("home/store/layers")).unwrap().count(), 0);
        assert_eq!(fs::read_dir(scratch.0.join("home/store/staging")).unwrap().count(), 0);
        // Not enough of them.
        let done = as_user(&scratch, &tar, &["200000", "10"]);
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(
            said.contains("give it to 0:42") && said.contains("hint: this user has no such ids"),
            "{said}"
        );
    });
}

#[test]
fn ids_of_a_container_are_shifted_back() {
    if !is_root("ids_of_a_container_are_shifted_back") {
        return;
    }
    const BASE: u32 = 0x7000_0000;
    let scratch = Scratch::new();
    let store = store(&scratch.0);
    let base = Tar::new().dir("./", 0o755).dir("dir", 0o755).file("dir/old", b"1").file("gone", b"").end();
    let base = unpack(&store, None, &base).unwrap();
    let key = Key::container("c").unwrap();
    store.prepare(&key, Some(&base), (BASE, BASE), true).unwrap();
    let Rootfs::Overlay { upper, .. } = store.mounts(&key).unwrap() else { panic!() };
    let place = fs::metadata(upper.parent().unwrap()).unwrap();
    assert_eq!((place.mode() & 0o777, place.uid(), place.gid()), (0o710, 0, BASE));
    assert_eq!(fs::metadata(&upper).unwrap().uid(), BASE);
    // As overlay in the container would leave it.
    let own = |path: &str, uid: u32| lchown(upper.join(path), Some(BASE + uid), Some(BASE + 5)).unwrap();
    fs::create_dir(upper.join("dir")).unwrap();
    own("dir", 0);
    taru_sys::xattr::lsetxattr(
        &upper.join("dir"),
        "user.overlay.opaque".as_ref(),
        b"y",
        taru_sys::xattr::SetFlags::empty(),
    )
    .unwrap();
    fs::write(upper.join("dir/new"), "new").unwrap();
    own("dir/new", 33);
    // A file capability that means root of the container.
    let mut capability = vec![1, 0, 0, 3, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    capability.extend_from_slice(&BASE.to_le_bytes());
    taru_sys::xattr::lsetxattr(
        &upper.join("dir/new"),
        "security.capability".as_ref(),
        &capability,
        taru_sys::xattr::SetFlags::empty(),
    )
    .unwrap();
    taru_sys::fs::mknodat(
        taru_sys::fs::CWD,
        &upper.join("gone"),
        taru_sys::fs::FileType::CharDevice,
        0,
        taru_sys::fs::Device::default(),
    )
    .unwrap();
    let map = vec![Range::new(0, BASE, 65536)];
    let maps = IdMaps { uids: map.clone(), gids: map };
    let how = Diff { maps: Some(&maps), epoch: None };
    let listed: Vec<String> = store
        .changes(&key, &how)
        .unwrap()
        .iter()
        .map(|c| format!("{:?} {}", c.kind, c.path.display()))
        .collect();
    assert_eq!(listed, ["Changed /dir", "Added /dir/new", "Deleted /gone"]);
    let mut tar = Vec::new();
    store.diff(&key, &how, &mut tar).unwrap();
    let layer = unpack(&store, Some(&base), &tar).unwrap();
    let tree = describe(&common::tree(&scratch.0, &layer));
    assert!(tree["dir/new"].contains(" 33:5 "), "{tree:?}");
    assert!(tree["dir/new"].contains(r"security.capability=\\x01\\x00\\x00\\x02"), "{tree:?}");
    assert!(tree["dir"].contains(" 0:5 "));
    assert_eq!(store.check(&layer).unwrap(), []);
}
