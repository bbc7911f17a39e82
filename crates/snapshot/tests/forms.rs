//! A layer is the same in either form, files or an image: whatever a tar does, both have the same manifest, show the same
//! tree, or are refused.

#![allow(clippy::unwrap_used, reason = "a test fails so")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use common::{Header, Scratch, Tar, both_forms, describe, is_root, layer_files, unpack, worker};
use taru_oci::Digest;
use taru_snapshot::{DriverKind, Ids, Key, Snapshots};
use taru_testkit::in_namespaces;

/// Numbers that look like chance and are the same in every run.
struct Dice(u32);

impl Dice {
    fn roll(&mut self, sides: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0 % sides
    }

    fn one_of<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.roll(of.len() as u32) as usize]
    }

    /// A path of few names, so that entries meet.
    fn path(&mut self) -> String {
        let names = ["a", "b", "c", "d", "e", "f"];
        let path: Vec<&str> = (0..=self.roll(3)).map(|_| self.one_of(&names)).collect();
        path.join("/")
    }

    fn tar(&mut self) -> Vec<u8> {
        let mut tar = Tar::new();
        let mut files: Vec<String> = vec!["a".to_owned()];
        for _ in 0..self.roll(15) {
            let path = self.path();
            if self.roll(6) == 0 {
                let name = self.one_of(&["user.a", "security.capability", "system.posix_acl_access"]);
                let acl = [
                    2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 4, 0, 7, 0, 0, 0, 4, 0, 4, 0, 255, 255,
                    255, 255, 16, 0, 4, 0, 255, 255, 255, 255, 32, 0, 4, 0, 255, 255, 255, 255,
                ];
                let value = match name {
                    "user.a" => &b"value"[..],
                    "security.capability" => &[1, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
                    _ => &acl,
                };
                tar = tar.pax(&[(&format!("SCHILY.xattr.{name}"), value), ("mtime", b"-77.25")]);
            }
            let header = |kind| Header { mode: 0o755, ..Header::new(&path, kind) };
            let (mode, uid) = ([0o644, 0o4755, 0o2750, 0o1777][self.roll(4) as usize], self.roll(3));
            tar = match self.roll(20) {
                0..=5 => {
                    files.push(path.clone());
                    let content = vec![b'x'; [0, 1, 5000, 4096, 9000][self.roll(5) as usize]];
                    tar.add(
                        &Header { mode, uid, gid: 9, size: content.len() as u64, ..header(b'0') },
                        &content,
                    )
                }
                6..=8 => tar.add(&Header { mode, uid, ..header(b'5') }, b""),
                9..=11 => {
                    let text = match self.roll(4) {
                        0 => format!("/{}", self.path()),
                        1 => format!("../{}", self.path()),
                        _ => self.path(),
                    };
                    tar.symlink(&path, &text)
                }
                12..=14 => {
                    let target = &files[self.roll(files.len() as u32) as usize];
                    tar.link(&path, target)
                }
                15 => {
                    let (dir, name) = path.rsplit_once('/').unwrap_or((".", &path));
                    tar.file(&format!("{dir}/.wh.{name}"), b"")
                }
                16 => tar.file(&format!("{path}/.wh..wh..opq"), b""),
                17 => tar.add(&Header { mode, device: (1, 3), ..header(b'3') }, b""),
                18 => tar.add(&Header { mode, uid, ..header(b'6') }, b""),
                _ => {
                    let map = [("GNU.sparse.map", &b"4096,4,50000,6"[..]), ("GNU.sparse.size", b"70000")];
                    tar.pax(&map).file(&path, b"datahidden")
                }
            };
        }
        tar.end()
    }
}

/// The same for both: the layer's manifest and tree.
fn of_layer(store: &Path, chain: &Digest) -> (String, BTreeMap<String, String>) {
    let dir = store.join("layers").join(format!("sha256-{}", chain.hex()));
    let files = layer_files(store, chain);
    let mut tree = describe(&files);
    for (path, line) in &mut tree {
        // A sparse file's holes may be of another size.
        *line = line.replace("holes:true", "holes:").replace("holes:false", "holes:");
        let names = ["user.overlay.opaque", "trusted.overlay.opaque"];
        let marks = names.map(|name| taru_sys::xattr::lgetxattr(&files.join(path), name.as_ref()).ok());
        *line = format!("{line} {marks:?}");
        // A whiteout on disk has the time at which it was made.
        if line.starts_with("device 0 ") {
            *line = "whiteout".to_owned();
        }
    }
    if let Some(said) = fsck(&dir.join("image")) {
        panic!("{}: {said}", chain.hex());
    }
    (fs::read_to_string(dir.join("manifest")).unwrap(), tree)
}

/// What erofs-utils has to say against an image.
fn fsck(image: &Path) -> Option<String> {
    // Who lacks it is told so by the test of the writer of images.
    let done = Command::new("fsck.erofs").arg(image).output().ok()?;
    let is_bad = image.exists() && !done.status.success();
    is_bad.then(|| String::from_utf8_lossy(&done.stderr).into_owned())
}

#[test]
fn files_and_images_are_the_same() {
    if !is_root("files_and_images_are_the_same") {
        return;
    }
    in_namespaces(&["--mount", "--propagation", "private"], || {
        let scratch = Scratch::new();
        let both = both_forms("files_and_images_are_the_same", &scratch.0);
        let stores: Vec<_> = both.iter().map(|(store, _)| store).collect();
        let below = Tar::new()
            .dir("./", 0o700)
            .pax(&[("SCHILY.xattr.user.below", b"1")])
            .dir("a", 0o2711)
            .dir("a/b", 0o750)
            .file("a/c", b"c")
            .end();
        let bases: Vec<Digest> = stores.iter().map(|store| unpack(store, None, &below).unwrap()).collect();
        if stores.len() < 2 {
            return;
        }
        let mut dice = Dice(20_221_128);
        let (mut good, mut count) = (0, 0);
        let is_full = std::env::var_os("TARU_TEST_FULL").is_some();
        while count < if is_full { 1500 } else { 150 } {
            count += 1;
            let tar = dice.tar();
            let done: Vec<_> = stores.iter().map(|store| unpack(store, Some(&bases[0]), &tar)).collect();
            match &done[..] {
                [Ok(one), Ok(two)] => {
                    good += 1;
                    assert_eq!(one, two);
                    let seen: Vec<_> = both.iter().map(|(_, dir)| of_layer(dir, one)).collect();
                    assert_eq!(seen[0].0, seen[1].0, "{count}");
                    assert_eq!(seen[0].1, seen[1].1, "{count}");
                    for store in &stores {
                        assert_eq!(store.check(one).unwrap(), [], "{count}: {}", seen[0].0);
                        // Else its files are those of the next as well.
                        store.remove_layer(one).unwrap();
                    }
                }
                [Err(one), Err(two)] => assert_eq!(one.kind(), two.kind(), "{count}: {one:?} {two:?}"),
                other => panic!("{count}: {other:?}"),
            }
        }
        assert!(good > count / 5, "{good} of {count} tars are good");
    });
}

/// What an image has no room for is unpacked as files, and stacked with images all the same.
#[test]
fn what_is_too_much_for_an_image_is_files() {
    if !is_root("what_is_too_much_for_an_image_is_files") {
        return;
    }
    in_namespaces(&["--mount", "--propagation", "private"], || {
        let scratch = Scratch::new();
        let Ok(store) = Snapshots::open(&scratch.0, DriverKind::Erofs, Ids::Host) else {
            return taru_testkit::skip("what_is_too_much_for_an_image_is_files", "erofs mounted from a file");
        };
        let store = store.with_worker(worker());
        let value = vec![b'v'; 3500];
        // The root's attributes must fit behind the superblock.
        let root =
            Tar::new().pax(&[("SCHILY.xattr.user.much", &value)]).dir("./", 0o711).file("a", b"1").end();
        let small = Tar::new().file("b", b"2").end();
        let (root, small) = (unpack(&store, None, &root).unwrap(), unpack(&store, None, &small).unwrap());
        let dir = |chain: &Digest| scratch.0.join("layers").join(format!("sha256-{}", chain.hex()));
        assert!(dir(&root).join("tree").is_dir() && !dir(&root).join("image").exists());
        assert!(dir(&small).join("image").is_file() && !dir(&small).join("tree").exists());
        assert_eq!(fs::read(dir(&root).join("tree/a")).unwrap(), b"1");
        // What is adopted from below may be too much, too.
        let above = Tar::new().file("c", b"3").end();
        let above = unpack(&store, Some(&root), &above).unwrap();
        assert!(dir(&above).join("tree").is_dir());
        // More attributes of directories than the child's memory is for.
        let many = (0..3600).fold(Tar::new(), |tar, n| {
            tar.pax(&[("SCHILY.xattr.user.much", &value)]).dir(&format!("{n}"), 0o755)
        });
        let many = unpack(&store, None, &many.end()).unwrap();
        assert!(dir(&many).join("tree/3599").is_dir());
        for layer in [&root, &small, &above, &many] {
            assert_eq!(store.check(layer).unwrap(), []);
            assert_eq!(fs::read_dir(dir(layer)).unwrap().count(), 3);
        }
        assert_eq!(fs::read_dir(scratch.0.join("staging")).unwrap().count(), 0);
    });
}

/// A large layer that begins with many small files is an image to the driver overlay, too, where images can be mounted.
#[test]
fn a_crowd_of_small_files_is_an_image() {
    const NAME: &str = "a_crowd_of_small_files_is_an_image";
    if !is_root(NAME) {
        return;
    }
    in_namespaces(&["--mount", "--propagation", "private"], || {
        let scratch = Scratch::new();
        if Snapshots::open(&scratch.0.join("erofs"), DriverKind::Erofs, Ids::Host).is_err() {
            return taru_testkit::skip(NAME, "erofs mounted from a file");
        }
        let root = scratch.0.join("overlay");
        let store = Snapshots::open(&root, DriverKind::Overlay, Ids::Host).unwrap().with_worker(worker());
        let crowd = |tar: Tar, name: &str| {
            (0..300).fold(tar, |tar, n| tar.file(&format!("{name}/{n}"), format!("{name} {n}").as_bytes()))
        };
        let large = vec![7; 5 << 20];
        let first = crowd(Tar::new(), "one").file("large", &large).end();
        let last = crowd(Tar::new().file("large", &large), "two").end();
        let little = crowd(Tar::new(), "three").end();
        let first = unpack(&store, None, &first).unwrap();
        let last = unpack(&store, Some(&first), &last).unwrap();
        let little = unpack(&store, Some(&last), &little).unwrap();
        let dir = |chain: &Digest| root.join("layers").join(format!("sha256-{}", chain.hex()));
        let is_image = |chain| {
            let (image, tree) = (dir(chain).join("image").is_file(), dir(chain).join("tree").is_dir());
            assert_ne!(image, tree);
            image
        };
        assert_eq!([&first, &last, &little].map(is_image), [true, false, false]);
        for layer in [&first, &last, &little] {
            assert_eq!(store.check(layer).unwrap(), []);
            assert_eq!(fs::read_dir(dir(layer)).unwrap().count(), 3);
        }
        let key = Key::container("c").unwrap();
        store.prepare(&key, Some(&little), (0, 0), false).unwrap();
        let rootfs = store.mounts(&key).unwrap();
        for (path, text) in [("one/299", "one 299"), ("two/0", "two 0"), ("three/7", "three 7")] {
            assert_eq!(rootfs.read_bounded(path.as_ref(), 100).unwrap(), text.as_bytes());
        }
        assert_eq!(fs::read_dir(root.join("staging")).unwrap().count(), 0);
    });
}
