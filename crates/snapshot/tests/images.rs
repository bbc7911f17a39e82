//! Layers that are images of erofs: one file each, mounted by whoever reads it and seen by nobody else.

#![allow(clippy::unwrap_used, reason = "a test fails so")]

mod common;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use common::{Scratch, Tar, describe, images, is_root, layer, mount, store, unpack};
use taru_mount::{Attr, Mount, mountinfo};
use taru_rootdir::Proc;
use taru_snapshot::{DriverKind, IdMaps, Ids, Key, Lower, Range, Snapshots, Usage};
use taru_stdx::Kind;
use taru_testkit::in_namespaces;

/// The tests mount.
const OWN: &[&str] = &["--mount", "--propagation", "private"];

/// A layer with some of everything.
fn tar() -> Vec<u8> {
    let tar = Tar::new().dir("./", 0o711).dir("etc", 0o755).file("etc/passwd", b"root:x:0:0::/:/bin/sh\n");
    let tar = (0..12).fold(tar.dir("d", 0o755), |tar, n| tar.file(&format!("d/{n}"), &vec![n; 3000]));
    let tar = tar.pax(&[("SCHILY.xattr.user.a", b"value")]).file("d/attribute", b"x");
    tar.file("large", &[7; 20_000]).symlink("l", "d/1").link("h", "d/2").file("gone/.wh.x", b"").end()
}

/// Runs `body` with a scratch directory and a store in it, in a mount namespace of its own.
fn with_store(test: &str, body: impl FnOnce(&Path, &Snapshots)) {
    let scratch = Scratch::new();
    if let Some(store) = images(test, &scratch.0.join("store")) {
        body(&scratch.0, &store);
    }
}

fn is_mounted() -> bool {
    mountinfo::read(&Proc::open().unwrap()).unwrap().iter().any(|entry| entry.fstype == "erofs")
}

#[test]
fn a_layer_is_one_file_that_nobody_sees_mounted() {
    if !is_root("a_layer_is_one_file_that_nobody_sees_mounted") {
        return;
    }
    in_namespaces(OWN, || {
        with_store("a_layer_is_one_file_that_nobody_sees_mounted", |dir, store| {
            let chain = unpack(store, None, &tar()).unwrap();
            let lies_in = layer(&dir.join("store"), &chain);
            let mut names: Vec<_> =
                fs::read_dir(&lies_in).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            assert_eq!(names, ["image", "layer.json", "manifest"]);
            let image = fs::metadata(lies_in.join("image")).unwrap();
            assert_eq!((image.mode() & 0o7777, image.nlink(), image.size() % 4096), (0o600, 1, 0));
            let usage = store.layer_usage(&chain).unwrap();
            assert_eq!(usage, Usage { bytes: image.blocks() * 512, files: 1 });
            assert_eq!(store.trees(&chain).unwrap(), [Lower::Image(lies_in.join("image"))]);
            assert_eq!(store.check(&chain).unwrap(), []);

            let above =
                unpack(store, Some(&chain), &Tar::new().file("etc/group", b"root:x:0:\n").end()).unwrap();
            let key = Key::container("c").unwrap();
            store.prepare(&key, Some(&above), (0, 0), false).unwrap();
            let root = store.mounts(&key).unwrap();
            let read = |path: &str| root.read_bounded(Path::new(path), 10_000).unwrap();
            assert_eq!(read("/etc/passwd"), b"root:x:0:0::/:/bin/sh\n");
            assert_eq!((read("etc/group").len(), read("h").len() + read("d/attribute").len()), (10, 3001));
            assert_eq!(store.usage(&key).unwrap().files, 1);
            assert!(!is_mounted());

            // What a container runs on lasts as long as it, whatever becomes of its name.
            let mounted = mount(&root, &dir.join("c"));
            for chain in [&above, &chain] {
                store.remove_layer(chain).unwrap();
            }
            assert_eq!(fs::read(mounted.join("large")).unwrap(), [7; 20_000]);
            assert_eq!(fs::metadata(&mounted).unwrap().mode() & 0o777, 0o711);
            fs::write(mounted.join("etc/passwd"), "new").unwrap();
            assert!(store.layers().unwrap().is_empty());
        });
    });
}

/// What a tree is to whoever reads it. The number of a file's names is what a program is told, and no more than that; of a
/// whiteout nothing counts but that it is one.
fn seen(root: &Path) -> BTreeMap<String, String> {
    let mut all = describe(root);
    all.retain(|_, line| !line.starts_with("device 0 "));
    all.values_mut().for_each(|line| {
        if let Some((before, rest)) = line.split_once(" same:") {
            *line = format!("{before} {}", rest.split_once(' ').unwrap().1);
        }
    });
    all
}

#[test]
fn a_flipped_bit_of_an_image_is_found_or_changes_nothing() {
    if !is_root("a_flipped_bit_of_an_image_is_found_or_changes_nothing") {
        return;
    }
    in_namespaces(OWN, || {
        with_store("a_flipped_bit_of_an_image_is_found_or_changes_nothing", |dir, store| {
            let chain = unpack(store, None, &tar()).unwrap();
            let path = layer(&dir.join("store"), &chain).join("image");
            let at = dir.join("at");
            fs::create_dir(&at).unwrap();
            let look = || {
                let mount = Mount::image(&path, Attr::RDONLY).ok()?;
                mount.attach(File::open(&at).unwrap()).unwrap();
                let seen = std::panic::catch_unwind(|| seen(&at)).ok();
                taru_sys::mount::umount2(&at, taru_sys::mount::UmountFlags::DETACH).unwrap();
                seen
            };
            let whole = look();
            assert!(whole.is_some());
            let image = File::options().read(true).write(true).open(&path).unwrap();
            let size = image.metadata().unwrap().len();
            let steps = if std::env::var_os("TARU_TEST_FULL").is_some() { 4000 } else { 150 };
            let mut found = 0;
            // Every part of the image, each byte at another of its bits.
            for n in 0..steps {
                let (place, bit) = (size * n / steps + n % 97 % (size / steps).max(1), n % 8);
                let mut byte = [0];
                image.read_exact_at(&mut byte, place).unwrap();
                image.write_all_at(&[byte[0] ^ (1 << bit)], place).unwrap();
                let broken = store.check(&chain).unwrap();
                assert_eq!(store.is_broken(&chain), !broken.is_empty());
                if broken.is_empty() {
                    assert_eq!(look(), whole, "bit {bit} of byte {place}");
                }
                found += usize::from(!broken.is_empty());
                image.write_all_at(&byte, place).unwrap();
            }
            assert!(found > 30, "{found}");
            assert_eq!(store.check(&chain).unwrap(), []);

            // Whatever is left of it: another image is unpacked in its place.
            for damage in [0, 1, 4096, size / 2] {
                File::options().write(true).open(&path).unwrap().set_len(damage).unwrap();
                assert!(!store.check(&chain).unwrap().is_empty(), "cut at {damage}");
                unpack(store, None, &tar()).unwrap();
                assert_eq!(store.check(&chain).unwrap(), []);
                assert_eq!(look(), whole);
            }
            fs::remove_file(&path).unwrap();
            assert!(!store.check(&chain).unwrap().is_empty());
            unpack(store, None, &tar()).unwrap();
            assert_eq!(look(), whole);
        });
    });
}

#[test]
fn where_there_can_be_no_images_it_is_said() {
    if !is_root("where_there_can_be_no_images_it_is_said") {
        return;
    }
    in_namespaces(OWN, || {
        with_store("where_there_can_be_no_images_it_is_said", |dir, _| {
            let refused = |dir: &Path, ids| {
                let Err(error) = Snapshots::open(dir, DriverKind::Erofs, ids) else { panic!("no error") };
                error
            };
            // A file of tmpfs has no page cache beneath it that erofs could read.
            let tmpfs = dir.join("tmpfs");
            fs::create_dir(&tmpfs).unwrap();
            let mount = Mount::fs("tmpfs", None, &[], Attr::default()).unwrap();
            mount.attach(File::open(&tmpfs).unwrap()).unwrap();
            let error = refused(&tmpfs.join("a/store"), Ids::Host);
            assert_eq!(error.kind(), Kind::Unsupported);
            let text = error.chain().to_string();
            assert!(
                text.starts_with("use the driver `erofs`: erofs cannot be mounted from a file in `"),
                "{text}"
            );
            assert!(error.hints().contains(&"the driver `overlay` needs nothing of this"), "{error:?}");
            assert_eq!(fs::read_dir(&tmpfs).unwrap().count(), 0);
            // An ordinary user's ids.
            let map = |outside| vec![Range { inside: 0, outside, length: 1000 }];
            let maps = IdMaps { uids: map(100_000), gids: map(100_000) };
            let error = refused(&dir.join("user"), Ids::Subordinate(maps));
            assert_eq!(error.kind(), Kind::Permission);
            assert_eq!(error.chain().to_string(), "use the driver `erofs`: only root can mount images");
            assert!(!dir.join("user").exists());
            // Another driver's layers are not taken for its own.
            drop(store(&dir.join("overlay")));
            assert_eq!(refused(&dir.join("overlay"), Ids::Host).kind(), Kind::State);
            assert!(!is_mounted());
        });
    });
}
