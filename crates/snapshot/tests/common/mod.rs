//! What these tests share: a store in a temporary directory, tars byte by byte.
#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses some of it")]

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use taru_oci::Digest;
use taru_snapshot::{DriverKind, Ids, Snapshots, Unpack};
use taru_stdx::{Kind, Result};

/// A directory that is removed in the end.
pub(crate) struct Scratch(pub(crate) PathBuf);

impl Scratch {
    pub(crate) fn new() -> Scratch {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("taru-snapshot-{}-{number}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        Scratch(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is mounted in there is nobody else's, and would stay.
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let points = mounts.lines().filter_map(|line| line.split(' ').nth(1)).map(Path::new);
        for point in points.filter(|point| point.starts_with(&self.0)).collect::<Vec<_>>().iter().rev() {
            unmount(point);
        }
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The disposable child.
pub(crate) fn worker() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_taru-snapshot-worker"))
}

/// A store with overlays, for root.
pub(crate) fn store(dir: &Path) -> Snapshots {
    Snapshots::open(dir, DriverKind::Overlay, Ids::Host).unwrap().with_worker(worker())
}

/// A store of images of erofs, for root; none, which is told, where such cannot be mounted.
pub(crate) fn images(test: &str, dir: &Path) -> Option<Snapshots> {
    match Snapshots::open(dir, DriverKind::Erofs, Ids::Host) {
        Err(e) if e.kind() == Kind::Unsupported => {
            taru_testkit::skip(test, "erofs from a file (Linux 6.12)");
            None
        }
        store => Some(store.unwrap().with_worker(worker())),
    }
}

/// Stores of the two forms that a layer can have, for root: files, and images where they can be mounted.
pub(crate) fn both_forms(test: &str, dir: &Path) -> Vec<(Snapshots, PathBuf)> {
    let (files, other) = (dir.join("overlay"), dir.join("erofs"));
    let other = images(test, &other).map(|store| (store, other));
    std::iter::once((store(&files), files)).chain(other).collect()
}

/// Whether root runs the test; if not it is skipped.
pub(crate) fn is_root(test: &str) -> bool {
    let is = taru_sys::user::geteuid() == 0;
    if !is {
        taru_testkit::skip(test, "root (the tests make device nodes and owners)");
    }
    is
}

/// Unpacks a tar onto `parent` and returns the layer's chain id.
pub(crate) fn unpack(store: &Snapshots, parent: Option<&Digest>, tar: &[u8]) -> Result<Digest> {
    let diff_id = Digest::of(tar);
    let chain = chain(parent, &diff_id);
    let layer = Unpack { chain: chain.clone(), parent: parent.cloned(), diff_id, blob: blob(tar).into() };
    store.unpack(&[layer], &|_, _| {}).map(|()| chain)
}

/// The chain id of `diff_id` on `parent`.
pub(crate) fn chain(parent: Option<&Digest>, diff_id: &Digest) -> Digest {
    match parent {
        None => diff_id.clone(),
        Some(parent) => Digest::of(format!("{parent} {diff_id}").as_bytes()),
    }
}

/// A file with these bytes.
pub(crate) fn blob(bytes: &[u8]) -> File {
    let mut file = File::from(taru_sys::fd::memfd_create(c"blob", false).unwrap());
    file.write_all(bytes).unwrap();
    file
}

/// The directory of a layer.
pub(crate) fn layer(dir: &Path, chain: &Digest) -> PathBuf {
    dir.join("layers").join(format!("sha256-{}", chain.hex()))
}

/// Where the files of a layer are.
pub(crate) fn tree(dir: &Path, chain: &Digest) -> PathBuf {
    layer(dir, chain).join("tree")
}

fn unmount(point: &Path) {
    let _ = taru_sys::mount::umount2(point, taru_sys::mount::UmountFlags::DETACH);
}

/// The files of a layer, an image's mounted beside the store. To be called in a mount namespace of its own.
pub(crate) fn layer_files(dir: &Path, chain: &Digest) -> PathBuf {
    let layer = layer(dir, chain);
    let image = layer.join("image");
    match image.exists() {
        true => {
            unmount(&dir.with_extension("0"));
            attached(&taru_snapshot::Lower::Image(image), dir, 0)
        }
        false => layer.join("tree"),
    }
}

/// A tar under construction.
#[derive(Default)]
pub(crate) struct Tar(pub(crate) Vec<u8>);

/// One header.
pub(crate) struct Header {
    pub(crate) name: Vec<u8>,
    pub(crate) kind: u8,
    pub(crate) link: Vec<u8>,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) size: u64,
    pub(crate) mtime: u64,
    pub(crate) device: (u32, u32),
}

impl Header {
    pub(crate) fn new(name: &str, kind: u8) -> Header {
        Header {
            name: name.into(),
            kind,
            link: Vec::new(),
            mode: 0o644,
            uid: 0,
            gid: 0,
            size: 0,
            mtime: 1_000_000_000,
            device: (0, 0),
        }
    }

    pub(crate) fn block(&self) -> [u8; 512] {
        let mut block = [0; 512];
        let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &self.name[..self.name.len().min(100)]);
        put(100, format!("{:07o}", self.mode).as_bytes());
        put(108, format!("{:07o}", self.uid).as_bytes());
        put(116, format!("{:07o}", self.gid).as_bytes());
        put(124, format!("{:011o}", self.size).as_bytes());
        put(136, format!("{:011o}", self.mtime).as_bytes());
        put(148, b"        ");
        put(156, &[self.kind]);
        put(157, &self.link[..self.link.len().min(100)]);
        put(257, b"ustar\x0000");
        put(329, format!("{:07o}", self.device.0).as_bytes());
        put(337, format!("{:07o}", self.device.1).as_bytes());
        let sum: u32 = block.iter().map(|&b| u32::from(b)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        block
    }
}

impl Tar {
    pub(crate) fn new() -> Tar {
        Tar::default()
    }

    pub(crate) fn add(mut self, header: &Header, content: &[u8]) -> Tar {
        self.0.extend_from_slice(&header.block());
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    pub(crate) fn file(self, name: &str, content: &[u8]) -> Tar {
        self.add(&Header { size: content.len() as u64, ..Header::new(name, b'0') }, content)
    }

    pub(crate) fn dir(self, name: &str, mode: u32) -> Tar {
        self.add(&Header { mode, ..Header::new(name, b'5') }, b"")
    }

    pub(crate) fn link(self, name: &str, target: &str) -> Tar {
        self.add(&Header { link: target.into(), ..Header::new(name, b'1') }, b"")
    }

    pub(crate) fn symlink(self, name: &str, target: &str) -> Tar {
        self.add(&Header { link: target.into(), ..Header::new(name, b'2') }, b"")
    }

    /// A PAX header for the next entry.
    pub(crate) fn pax(self, records: &[(&str, &[u8])]) -> Tar {
        let text: Vec<u8> = records.iter().flat_map(|(key, value)| record(key, value)).collect();
        self.add(&Header { size: text.len() as u64, ..Header::new("pax", b'x') }, &text)
    }

    pub(crate) fn end(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }
}

/// A PAX record, whose length counts itself.
pub(crate) fn record(key: &str, value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let length = (rest..).find(|n| n.to_string().len() + rest == *n).unwrap();
    [format!("{length} {key}=").as_bytes(), value, b"\n"].concat()
}

/// What a tree holds, path by path: everything that a layer is to carry.
pub(crate) fn describe(root: &Path) -> std::collections::BTreeMap<String, String> {
    let mut all = std::collections::BTreeMap::new();
    let mut links = std::collections::BTreeMap::new();
    describe_into(root, root, &mut links, &mut all);
    all
}

fn describe_into(
    root: &Path,
    path: &Path,
    links: &mut std::collections::BTreeMap<u64, String>,
    all: &mut std::collections::BTreeMap<String, String>,
) {
    use std::os::unix::fs::{FileTypeExt, MetadataExt};
    let stat = std::fs::symlink_metadata(path).unwrap();
    let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
    let kind = stat.file_type();
    let mut names = taru_sys::xattr::llistxattr(path).unwrap_or_default();
    names.retain(|name| !name.to_string_lossy().contains(".overlay."));
    names.sort();
    let xattrs: Vec<String> = names
        .iter()
        .map(|name| {
            let value = taru_sys::xattr::lgetxattr(path, name).unwrap();
            format!("{}={}", name.to_string_lossy(), value.escape_ascii())
        })
        .collect();
    let content = if kind.is_file() {
        let first = links.entry(stat.ino()).or_insert_with(|| name.clone()).clone();
        let holes = stat.blocks() * 512 < stat.size() / 2;
        let hash = Digest::of(&std::fs::read(path).unwrap());
        let same = if stat.nlink() > 1 { first } else { String::new() };
        format!("file {} {hash} holes:{holes} same:{same}", stat.size())
    } else if kind.is_symlink() {
        format!("link {}", std::fs::read_link(path).unwrap().display())
    } else if kind.is_char_device() || kind.is_block_device() {
        format!("device {} {:?}", stat.rdev(), kind)
    } else if kind.is_dir() {
        "dir".to_owned()
    } else {
        format!("{kind:?}")
    };
    let line = format!(
        "{content} {:o} {}:{} {}.{:09} {xattrs:?}",
        stat.mode(),
        stat.uid(),
        stat.gid(),
        stat.mtime(),
        stat.mtime_nsec()
    );
    all.insert(name, line);
    if kind.is_dir() {
        // In order: each file system lists a directory in its own, and the first of several names stands for all.
        let mut entries: Vec<PathBuf> = std::fs::read_dir(path).unwrap().map(|e| e.unwrap().path()).collect();
        entries.sort();
        for entry in entries {
            describe_into(root, &entry, links, all);
        }
    }
}

/// Where the files of a layer are: of an image, where it is mounted, beside `at`.
fn attached(lower: &taru_snapshot::Lower, at: &Path, n: usize) -> PathBuf {
    use taru_mount::{Attr, Mount};
    match lower {
        taru_snapshot::Lower::Directory(path) => path.clone(),
        taru_snapshot::Lower::Image(path) => {
            let beside = at.with_extension(n.to_string());
            std::fs::create_dir_all(&beside).unwrap();
            Mount::image(path, Attr::RDONLY).unwrap().attach(File::open(&beside).unwrap()).unwrap();
            beside
        }
    }
}

/// Mounts what a container's root is made of, and returns where. To be called in a mount namespace of its own.
pub(crate) fn mount(rootfs: &taru_snapshot::Rootfs, at: &Path) -> PathBuf {
    use taru_mount::{Attr, Layer, Overlay};
    match rootfs {
        taru_snapshot::Rootfs::Directory { path } => path.clone(),
        taru_snapshot::Rootfs::Overlay { lower, upper, work } => {
            let layers: Vec<_> = (0..).zip(lower).map(|(n, lower)| attached(lower, at, n)).collect();
            let mut overlay = Overlay::new(layers.iter().map(|path| Layer::Path(path)).collect());
            overlay.writable = Some((Layer::Path(upper), Layer::Path(work)));
            overlay.options.push(("userxattr", None));
            std::fs::create_dir_all(at).unwrap();
            let target = File::open(at).unwrap();
            overlay.mount(Attr::empty()).unwrap().attach(&target).unwrap();
            at.to_owned()
        }
    }
}
