//! Images are what the kernel and erofs-utils take them for: every value is read back from a mount.

#![allow(clippy::unwrap_used, reason = "a test fails so")]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use taru_erofs::{Attributes, Dir, Entry, FileType, Image, Inode};
use taru_stdx::Kind;
use taru_sys::fs::{CWD, OpenFlags, openat, seek_data, seek_hole};
use taru_sys::mount::{self, Attr, MoveMount};
use taru_testkit::{in_namespaces, skip};

const MEMORY: usize = 16 << 20;
const UUID: [u8; 16] = *b"0123456789abcdef";

type Xattrs = Vec<(Vec<u8>, Vec<u8>)>;

/// What a file has, as a mount shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    mode: u32,
    owner: (u32, u32),
    mtime: (i64, i64),
    links: u64,
    device: u64,
    content: Vec<u8>,
    xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Scratch(path)
    }

    fn image(&self, memory: usize) -> (Image, PathBuf) {
        let path = self.0.join("image");
        let file = File::options().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
        (Image::new(file, memory), path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Verifies the image, and mounts it from its file; what the machine lacks, if it cannot.
fn mount(image: &Path, at: &Path) -> Result<(), &'static str> {
    taru_erofs::verify(&File::open(image).unwrap(), &UUID, MEMORY).unwrap();
    let Ok(context) = mount::fsopen("erofs") else { return Err("the file system erofs") };
    mount::fsconfig_string(context.as_fd(), "source", image.to_str().unwrap()).unwrap();
    match mount::fsconfig_create(context.as_fd()) {
        // "Block device required": before Linux 6.12.
        Err(e) if e.errno().0 == 15 => return Err("erofs mounted from a file"),
        created => created.unwrap(),
    }
    fs::create_dir_all(at).unwrap();
    let mounted = mount::fsmount(context.as_fd(), Attr::RDONLY).unwrap();
    let at = openat(CWD, at, OpenFlags::PATH | OpenFlags::DIRECTORY, 0).unwrap();
    let flags = MoveMount::F_EMPTY_PATH | MoveMount::T_EMPTY_PATH;
    mount::move_mount(mounted.as_fd(), Path::new(""), at.as_fd(), Path::new(""), flags).unwrap();
    Ok(())
}

/// What erofs-utils says of it.
fn fsck(image: &Path) {
    match Command::new("fsck.erofs").arg("--extract").arg(image).output() {
        Ok(done) => assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr)),
        Err(_) => skip("fsck", "fsck.erofs"),
    }
}

/// All that is below `root`, by path.
fn all(root: &Path) -> BTreeMap<Vec<u8>, Seen> {
    let mut found = BTreeMap::new();
    let mut todo = vec![root.to_owned()];
    while let Some(path) = todo.pop() {
        let stat = fs::symlink_metadata(&path).unwrap();
        let kind = stat.file_type();
        if kind.is_dir() {
            todo.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        let content = match kind {
            kind if kind.is_symlink() => fs::read_link(&path).unwrap().into_os_string().into_vec(),
            kind if kind.is_file() && stat.size() < 64 << 20 => fs::read(&path).unwrap(),
            _ => Vec::new(),
        };
        let names = taru_sys::xattr::llistxattr(&path).unwrap();
        let value = |name: &std::ffi::OsStr| taru_sys::xattr::lgetxattr(&path, name).unwrap();
        let seen = Seen {
            mode: stat.mode(),
            owner: (stat.uid(), stat.gid()),
            mtime: (stat.mtime(), stat.mtime_nsec()),
            links: stat.nlink(),
            device: stat.rdev(),
            content,
            xattrs: names.iter().map(|name| (name.as_bytes().to_vec(), value(name))).collect(),
        };
        let below = path.strip_prefix(root).unwrap().as_os_str().as_bytes().to_vec();
        assert!(found.insert(below, seen).is_none());
    }
    found
}

/// An image and what is expected of it.
struct Model {
    image: Image,
    expected: BTreeMap<Vec<u8>, Seen>,
}

fn attributes(seen: u32, xattrs: &Xattrs) -> Attributes<'_> {
    Attributes {
        mode: seen & 0o7777,
        uid: seen * 7,
        gid: u32::MAX - 1 - seen,
        mtime: (i64::from(seen) * 1_000_003 - 5_000_000, seen * 999 % 1_000_000_000),
        xattrs,
    }
}

impl Model {
    fn expect(&mut self, path: &str, kind: u32, a: &Attributes<'_>, content: &[u8], device: u64) {
        let seen = Seen {
            mode: kind << 12 | a.mode,
            owner: (a.uid, a.gid),
            mtime: (a.mtime.0, i64::from(a.mtime.1)),
            links: 1,
            device,
            content: content.to_vec(),
            xattrs: a.xattrs.iter().cloned().collect(),
        };
        self.expected.insert(path.into(), seen);
    }

    fn file(&mut self, dir: Dir, path: &str, content: &[u8], a: &Attributes<'_>) -> Inode {
        let mut open = self.image.begin(a, content.len() as u64).unwrap();
        // In parts as they may come.
        for part in content.chunks(1000.max(content.len() / 3)) {
            self.image.append(&mut open, part).unwrap();
        }
        let inode = self.image.end(open, a).unwrap();
        assert_eq!(self.image.xattrs(inode).unwrap(), a.xattrs);
        self.image.insert(dir, path.rsplit('/').next().unwrap().as_bytes(), inode).unwrap();
        self.expect(path, 0o10, a, content, 0);
        inode
    }

    fn dir(&mut self, dir: Dir, path: &str, a: &Attributes<'_>) -> Dir {
        let name = path.rsplit('/').next().unwrap();
        let made = self.image.make_dir(dir, name.as_bytes()).unwrap();
        self.image.set(made, a).unwrap();
        self.expect(path, 0o4, a, b"", 0);
        made
    }
}

fn noise(length: usize, seed: u32) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    };
    (0..length).map(|_| next()).collect()
}

/// A rich tree; [`Model::expected`] counts the names of directories and files itself.
fn model(image: Image) -> Model {
    let none = Xattrs::new();
    let acl: &[u8] = &[
        2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 4, 0, 7, 0, 0, 0, 4, 0, 4, 0, 255, 255, 255, 255,
        16, 0, 4, 0, 255, 255, 255, 255, 32, 0, 4, 0, 255, 255, 255, 255,
    ];
    let capability: &[u8] = &[1, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let some: Xattrs = vec![
        (b"user.a".into(), b"\0\n=".into()),
        (b"user.empty".into(), b"".into()),
        (b"user.long".into(), noise(3000, 1)),
        (b"trusted.overlay.opaque".into(), b"y".into()),
        (b"user.overlay.opaque".into(), b"y".into()),
    ];
    let special: Xattrs = vec![
        (b"security.capability".into(), capability.into()),
        (b"system.posix_acl_access".into(), acl.into()),
    ];
    let default: Xattrs = vec![(b"system.posix_acl_default".into(), acl.into())];
    let much: Xattrs =
        vec![(b"user.much".into(), noise(60_000, 2)), ([b"user.", &[b'n'; 250][..]].concat(), noise(9, 3))];
    let mut m = Model { image, expected: BTreeMap::new() };
    let root = Dir::ROOT;
    m.image.set(root, &attributes(0o1751, &default)).unwrap();
    m.expect("", 0o4, &attributes(0o1751, &default), b"", 0);
    for (n, size) in [
        0,
        1,
        4031,
        4032,
        4033,
        4095,
        4096,
        4097,
        8191,
        8192,
        8193,
        100_000,
        262_144,
        262_145,
        3 << 20,
        (3 << 20) + 1,
    ]
    .into_iter()
    .enumerate()
    {
        m.file(root, &format!("size{size}"), &noise(size, size as u32), &attributes(n as u32, &none));
        m.file(root, &format!("with{size}"), &noise(size, 7), &attributes(0o4755, &some));
        m.file(root, &format!("much{size}"), &noise(size, 8), &attributes(0o600, &much));
    }
    m.file(root, "special", b"capable", &attributes(0o644, &special));
    let dir = m.dir(root, "dir", &attributes(0o2755, &some));
    let deep = m.dir(dir, "dir/deep", &attributes(0o700, &much));
    m.dir(deep, "dir/deep/empty", &attributes(0o555, &none));
    // Names that come before `.` and between it and `..`, and names that are long.
    for name in ["!", "-", "..!", "...", ".a", "ü"] {
        m.file(deep, &format!("dir/deep/{name}"), name.as_bytes(), &attributes(1, &none));
    }
    let many = m.dir(root, "many", &attributes(0o755, &none));
    for n in 0..10_000u32 {
        m.file(many, &format!("many/{n}"), format!("{n}").as_bytes(), &attributes(n % 4096, &none));
    }
    let long = m.dir(root, "long", &attributes(0o755, &none));
    for n in 0..100u32 {
        let name = format!("{n:03}{}", "l".repeat(252));
        m.file(long, &format!("long/{name}"), &noise(n as usize * 50, n), &attributes(n, &none));
        m.dir(long, &format!("long/d{}", &name[..254]), &attributes(n, &none));
    }
    for length in [1, 100, 3000, 4032, 4033, 4095] {
        let (name, text) = (format!("link{length}"), vec![b'x'; length]);
        let inode = m.image.symlink(&attributes(0o777, &none), &text).unwrap();
        assert_eq!(m.image.read_link(inode).unwrap(), text);
        m.image.insert(root, name.as_bytes(), inode).unwrap();
        m.expect(&name, 0o12, &attributes(0o777, &none), &text, 0);
    }
    for (name, file_type, kind, (major, minor)) in [
        ("null", FileType::Character, 0o2, (1, 3)),
        ("whiteout", FileType::Character, 0o2, (0, 0)),
        ("disk", FileType::Block, 0o6, (4095, (1 << 20) - 1)),
        ("fifo", FileType::Fifo, 0o1, (0, 0)),
    ] {
        let inode = m.image.node(&attributes(0o622, &none), file_type, (major, minor)).unwrap();
        m.image.insert(dir, name.as_bytes(), inode).unwrap();
        let device = taru_sys::fs::Device::new(major, minor).to_raw();
        m.expect(&format!("dir/{name}"), kind, &attributes(0o622, &none), b"", device);
        assert_eq!(m.image.stat(inode).unwrap().device, (major, minor));
    }
    // Several names: of three the first is taken again, of two one is removed, with its directory.
    let first = m.file(root, "first", b"linked", &attributes(0o640, &some));
    m.image.link((root, b"first"), dir, b"second").unwrap();
    m.image.link((dir, b"second"), root, b"third").unwrap();
    m.file(root, "first", b"another", &attributes(0o600, &none));
    m.expect("dir/second", 0o10, &attributes(0o640, &some), b"linked", 0);
    m.expect("third", 0o10, &attributes(0o640, &some), b"linked", 0);
    assert_eq!(m.image.find(dir, b"second"), Some(Entry::Inode(first)));
    let gone = m.image.make_dir(root, b"gone").unwrap();
    m.file(root, "single", b"1", &attributes(0o600, &none));
    m.image.link((root, b"single"), gone, b"x").unwrap();
    m.file(root, "gone", b"no directory", &attributes(0o600, &none));
    m.file(root, "removed", b"", &attributes(0o600, &none));
    m.image.remove(root, b"removed");
    m.expected.remove(&b"removed"[..]);
    let names: Vec<Vec<u8>> = m.expected.keys().filter(|path| !path.is_empty()).cloned().collect();
    let is_directory = |seen: &Seen| seen.mode >> 12 == 0o4;
    for path in names {
        if is_directory(&m.expected[&path]) {
            m.expected.get_mut(&path).unwrap().links += 1;
            let parent = path.rsplitn(2, |b| *b == b'/').nth(1).unwrap_or_default().to_vec();
            m.expected.get_mut(&parent).unwrap().links += 1;
        }
    }
    m.expected.get_mut(&b""[..]).unwrap().links += 1;
    for path in [&b"dir/second"[..], b"third"] {
        m.expected.get_mut(path).unwrap().links = 2;
    }
    m
}

#[test]
fn the_kernel_sees_all_that_was_written() {
    in_namespaces(&["--mount", "--propagation", "private"], || {
        let scratch = Scratch::new("all");
        let (image, path) = scratch.image(MEMORY);
        let Model { image, expected } = model(image);
        image.finish(&UUID).unwrap();
        let root = scratch.0.join("root");
        if let Err(lacking) = mount(&path, &root) {
            return skip("the_kernel_sees_all_that_was_written", lacking);
        }
        let seen = all(&root);
        let names = |of: &BTreeMap<Vec<u8>, Seen>| of.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&seen), names(&expected));
        for (path, expected) in &expected {
            assert!(seen[path] == *expected, "{}: {:?}", path.escape_ascii(), seen[path]);
        }
        // Whatever the order of names in memory, the bytes are the same.
        let bytes = fs::read(&path).unwrap();
        assert_eq!(&bytes[1024 + 48..][..16], UUID);
        let again = scratch.0.join("again");
        let file = File::options().read(true).write(true).create(true).truncate(true).open(&again).unwrap();
        model(Image::new(file, MEMORY)).image.finish(&UUID).unwrap();
        assert!(fs::read(&again).unwrap() == bytes);
        fsck(&path);
    });
}

#[test]
fn holes_are_holes() {
    in_namespaces(&["--mount", "--propagation", "private"], || {
        let scratch = Scratch::new("holes");
        let (mut image, path) = scratch.image(MEMORY);
        let none = Xattrs::new();
        let a = attributes(0o644, &none);
        // Size and pieces: at both ends, within a block, over chunks, behind 64 MiB, where a chunk is more than a block.
        let mebi = 1u64 << 20;
        let files: [(u64, &[(u64, usize)]); 7] = [
            (0, &[]),
            (10 * mebi, &[]),
            (10 * mebi + 5, &[(0, 10), (100, 50), (mebi, 9000), (10 * mebi, 5)]),
            (4097, &[(4096, 1)]),
            (5000, &[(0, 5000)]),
            (300 * mebi, &[(17, 3), (128 * mebi - 100, 40_000), (300 * mebi - 1, 1)]),
            ((1 << 44) - mebi, &[(1 << 40, 7), ((1 << 44) - mebi - 3, 3)]),
        ];
        for (n, (size, pieces)) in files.iter().enumerate() {
            let mut open = image.begin_sparse(&a, *size).unwrap();
            for (at, length) in *pieces {
                image.append_at(&mut open, *at, &noise(*length, n as u32 + 1)).unwrap();
            }
            let inode = image.end(open, &a).unwrap();
            image.insert(Dir::ROOT, format!("{n}").as_bytes(), inode).unwrap();
            image.flush().unwrap();
            let extents = image.extents(inode).unwrap();
            for (at, length) in *pieces {
                let extent = extents.iter().find(|e| e.offset <= *at && at - e.offset < e.length).unwrap();
                let mut bytes = vec![0; (*length).min((extent.offset + extent.length - at) as usize)];
                image.read(extent.at + (at - extent.offset), &mut bytes).unwrap();
                assert!(bytes == noise(*length, n as u32 + 1)[..bytes.len()]);
            }
        }
        image.finish(&UUID).unwrap();
        let root = scratch.0.join("root");
        if let Err(lacking) = mount(&path, &root) {
            return skip("holes_are_holes", lacking);
        }
        for (n, (size, pieces)) in files.iter().enumerate() {
            let file = File::open(root.join(n.to_string())).unwrap();
            assert_eq!(file.metadata().unwrap().size(), *size, "{n}");
            let mut expected = BTreeMap::new();
            for (at, length) in *pieces {
                let mut bytes = vec![0; *length];
                file.read_exact_at(&mut bytes, *at).unwrap();
                assert!(bytes == noise(*length, n as u32 + 1), "{n} at {at}");
                expected.insert(*at, *at + *length as u64);
            }
            // All data is in what the kernel says is data, and what it says besides is zeros.
            let (mut at, mut found, mut data) = (0, 0, 0);
            while at < *size {
                let Ok(start) = seek_data(file.as_fd(), at) else { break };
                let end = seek_hole(file.as_fd(), start).unwrap();
                found += pieces.iter().filter(|(at, _)| (start..end).contains(at)).count();
                data += end - start;
                at = end;
            }
            assert_eq!(found, pieces.len(), "{n}");
            // A chunk is 2^14th of the file.
            let chunk = 4096.max(size.div_ceil(1 << 14).next_power_of_two());
            let bound: u64 = pieces.iter().map(|(_, length)| *length as u64 + 2 * chunk).sum();
            assert!(data <= bound, "{n}: {data}");
        }
        let middle = File::open(root.join("2")).unwrap();
        let mut zeros = vec![1; 3000];
        middle.read_exact_at(&mut zeros, 150).unwrap();
        assert!(zeros.iter().all(|byte| *byte == 0));
        // What is a hole in the file is one in the image.
        assert!(fs::metadata(&path).unwrap().blocks() * 512 < 2 * mebi);
    });
}

#[test]
fn what_has_no_room_is_refused() {
    let scratch = Scratch::new("room");
    let limit = |done: taru_stdx::Result<()>, what: &str| {
        assert_eq!(done.map_err(|error| error.kind()), Err(Kind::Limit), "{what}");
    };
    let (none, much) = (Xattrs::new(), vec![(b"user.a".to_vec(), vec![0; 5000])]);
    let (mut image, _) = scratch.image(MEMORY);
    limit(image.begin(&attributes(0, &none), 1 << 44).map(drop), "a file");
    let device = image.node(&attributes(0, &none), FileType::Block, (4096, 0));
    limit(device.map(drop), "a device");
    let fifo = image.node(&attributes(0, &none), FileType::Fifo, (0, 0)).unwrap();
    limit(image.insert(Dir::ROOT, &[b'x'; 256], fifo), "a name");
    let (mut image, _) = scratch.image(MEMORY);
    image.set(Dir::ROOT, &attributes(0, &much)).unwrap();
    limit(image.finish(&UUID), "the root's attributes");
    let (mut image, _) = scratch.image(100 << 10);
    limit((0..).try_for_each(|n| image.make_dir(Dir::ROOT, format!("{n}").as_bytes()).map(drop)), "memory");
}
