//! Both resolvers against the same trees and the same attacker: what one finds the other finds.

#![allow(clippy::unwrap_used, reason = "a failing helper fails the test")]

use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use taru_rootdir::{Resolver, RootDir};
use taru_stdx::Kind;
use taru_sys::fs::{self, Device, FileType, OpenFlags};

const RESOLVERS: [Resolver; 2] = [Resolver::Kernel, Resolver::Steps];

struct Tree(PathBuf);

impl Tree {
    /// A directory `root` beside a directory `outside` with a secret.
    fn new(name: &str) -> Tree {
        // In memory where that can be: these tests make and remove a great many names.
        let shm = PathBuf::from("/dev/shm");
        let base = if shm.is_dir() { shm } else { std::env::temp_dir() };
        let path = base.join(format!("taru-rootdir-{name}-{}", std::process::id()));
        std::fs::create_dir_all(path.join("root")).unwrap();
        std::fs::create_dir(path.join("outside")).unwrap();
        std::fs::write(path.join("outside/secret"), "secret").unwrap();
        Tree(path)
    }

    fn at(&self, path: &str) -> PathBuf {
        self.0.join("root").join(path)
    }

    fn root(&self, resolver: Resolver) -> RootDir {
        RootDir::open(&self.0.join("root")).unwrap().with_resolver(resolver)
    }

    fn outside_is_untouched(&self) {
        let names: Vec<_> =
            std::fs::read_dir(self.0.join("outside")).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names, ["secret"]);
        assert_eq!(std::fs::read_to_string(self.0.join("outside/secret")).unwrap(), "secret");
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn every_path_ends_inside_and_both_resolvers_agree() {
    let tree = Tree::new("agree");
    std::fs::create_dir_all(tree.at("a/b")).unwrap();
    std::fs::write(tree.at("a/file"), "file").unwrap();
    for (text, link) in [
        ("/a", "absolute"),
        ("../../../../a", "upward"),
        ("a/b/../file", "through"),
        ("loop2", "loop1"),
        ("loop1", "loop2"),
        ("/missing/below", "dangling"),
        ("..", "a/b/up"),
        ("/", "a/slash"),
        ("a/", "trailing"),
        (".", "dot"),
    ] {
        symlink(text, tree.at(link)).unwrap();
    }
    symlink(tree.0.join("outside/secret"), tree.at("escape")).unwrap();
    let paths = [
        "/",
        "",
        ".",
        "..",
        "/..",
        "a",
        "/a/",
        "a/file",
        "a/file/",
        "a/file/x",
        "a/../a/b",
        "absolute/b",
        "absolute/file",
        "upward/file",
        "through",
        "loop1",
        "dangling",
        "a/b/up/file",
        "a/b/up/up",
        "a/slash/a",
        "a/slash",
        "trailing",
        "trailing/file",
        "dot/dot/a",
        "escape",
        "missing",
        "missing/x",
        "../../a/file",
        "absolute/../absolute/b",
        "a/b/../../..",
        "a/./b/.",
    ];
    let kernel = tree.root(Resolver::Kernel);
    let steps = tree.root(Resolver::Steps);
    for path in paths {
        let look = |root: &RootDir, follow: bool| {
            let path = Path::new(path);
            let found = if follow { root.resolve(path) } else { root.resolve_nofollow(path) };
            found
                .map(|fd| fs::fstat(fd.as_fd()).map(|s| (s.device, s.ino)).unwrap())
                .map_err(|e| e.chain().to_string())
        };
        for follow in [true, false] {
            assert_eq!(look(&kernel, follow), look(&steps, follow), "`{path}`, follow: {follow}");
        }
        let read =
            |root: &RootDir| root.read_bounded(Path::new(path), 100).map_err(|e| e.chain().to_string());
        assert_eq!(read(&kernel), read(&steps), "`{path}`");
    }
    assert_eq!(kernel.read_bounded(Path::new("upward/file"), 10).unwrap(), b"file");
    let e = kernel.resolve(Path::new("escape")).unwrap_err();
    assert_eq!(e.kind(), Kind::NotFound);
    assert_eq!(e.chain().to_string(), "resolve `escape`: No such file or directory");
}

#[test]
fn directories_are_made_inside_also_through_links_to_nothing() {
    for resolver in RESOLVERS {
        let tree = Tree::new(&format!("mkdir-{resolver:?}"));
        let root = tree.root(resolver);
        std::fs::create_dir(tree.at("var")).unwrap();
        symlink("/run", tree.at("var/run")).unwrap();
        symlink(tree.0.join("outside"), tree.at("escape")).unwrap();
        symlink("../../../../outside/x", tree.at("climb")).unwrap();

        root.create_dir_all(Path::new("/var/run/secrets/x"), 0o750).unwrap();
        let made = std::fs::symlink_metadata(tree.at("run/secrets/x")).unwrap();
        assert!(made.is_dir());
        assert_eq!(made.mode() & 0o777, 0o750);
        root.create_dir_all(Path::new("climb/y"), 0o755).unwrap();
        assert!(tree.at("outside/x/y").is_dir());
        root.create_dir_all(Path::new("escape/z"), 0o755).unwrap();
        tree.outside_is_untouched();

        let fd = root.create_dir_all(Path::new("/var"), 0o755).unwrap();
        assert_eq!(fs::fstat(fd.as_fd()).unwrap().ino, std::fs::metadata(tree.at("var")).unwrap().ino());
        std::fs::write(tree.at("file"), "").unwrap();
        let e = root.create_dir_all(Path::new("file/x"), 0o755).unwrap_err();
        assert_eq!(e.chain().to_string(), "create the directory `file/x`: Not a directory");
        assert!(root.create_dir_all(Path::new("file"), 0o755).is_err());
    }
}

#[test]
fn mount_points_nodes_links_and_their_removal() {
    for resolver in RESOLVERS {
        let tree = Tree::new(&format!("nodes-{resolver:?}"));
        let root = tree.root(resolver);
        symlink("/etc/../deep/er/target", tree.at("resolv.conf")).unwrap();
        std::fs::create_dir(tree.at("etc")).unwrap();
        root.create_file(Path::new("resolv.conf"), 0o640).unwrap();
        assert!(std::fs::symlink_metadata(tree.at("deep/er/target")).unwrap().is_file());
        let again = root.create_file(Path::new("resolv.conf"), 0o640).unwrap();
        assert_eq!(
            fs::fstat(again.as_fd()).unwrap().ino,
            std::fs::metadata(tree.at("deep/er/target")).unwrap().ino()
        );
        assert_eq!(root.create_file(Path::new("etc"), 0o644).unwrap_err().kind(), Kind::Invalid);

        let fifo = root.mknod(Path::new("etc/fifo"), FileType::Fifo, 0o666, Device::default()).unwrap();
        assert_eq!(fs::fstat(fifo.as_fd()).unwrap().permissions(), 0o666);
        let again = root.mknod(Path::new("etc/fifo"), FileType::Fifo, 0o666, Device::default());
        assert_eq!(again.unwrap_err().kind(), Kind::Exists);
        assert_eq!(root.read_bounded(Path::new("etc/fifo"), 10).unwrap_err().kind(), Kind::Invalid);

        root.symlink(Path::new("/proc/self/fd"), Path::new("etc/fd")).unwrap();
        assert_eq!(root.read_link(Path::new("etc/fd")).unwrap(), Path::new("/proc/self/fd"));
        root.rename(Path::new("etc/fd"), Path::new("etc/fd2")).unwrap();
        root.remove(Path::new("etc/fd2")).unwrap();
        root.remove(Path::new("etc/fifo")).unwrap();
        root.remove(Path::new("etc")).unwrap();
        assert!(!tree.at("etc").exists());
        assert_eq!(root.remove(Path::new("/")).unwrap_err().kind(), Kind::Invalid);
        assert!(root.exists(Path::new("deep/er/target")));
        assert!(!root.exists(Path::new("etc")));

        let mut file = root.open_file(Path::new("new"), OpenFlags::WRONLY | OpenFlags::CREATE).unwrap();
        std::io::Write::write_all(&mut file, b"0123456789").unwrap();
        assert_eq!(root.read_bounded(Path::new("new"), 10).unwrap(), b"0123456789");
        assert_eq!(root.read_bounded(Path::new("new"), 9).unwrap_err().kind(), Kind::Limit);
    }
}

#[test]
fn a_tree_is_removed_with_its_links_its_width_and_its_depth() {
    let tree = Tree::new("remove");
    let root = tree.root(Resolver::Kernel);
    std::fs::create_dir_all(tree.at("t/wide")).unwrap();
    for n in 0..3000 {
        std::fs::write(tree.at(&format!("t/wide/{n}")), "").unwrap();
    }
    symlink(tree.0.join("outside"), tree.at("t/link")).unwrap();
    symlink("/", tree.at("t/wide/root")).unwrap();
    // Deeper than a path can name and than a process may hold descriptors.
    let mut at = root.create_dir_all(Path::new("t/deep"), 0o755).unwrap();
    for _ in 0..5000 {
        fs::mkdirat(at.as_fd(), Path::new("d"), 0o755).unwrap();
        at = fs::openat(at.as_fd(), Path::new("d"), OpenFlags::PATH, 0).unwrap();
    }
    root.remove_all(Path::new("t")).unwrap();
    assert!(!tree.at("t").exists());
    root.remove_all(Path::new("t")).unwrap();
    root.remove_all(Path::new("never/was")).unwrap();
    tree.outside_is_untouched();
}

#[test]
fn a_swapping_attacker_never_leads_outside() {
    for resolver in RESOLVERS {
        let tree = Tree::new(&format!("race-{resolver:?}"));
        let root = tree.root(resolver);
        std::fs::create_dir_all(tree.at("dir/sub")).unwrap();
        std::fs::write(tree.at("dir/sub/secret"), "inside").unwrap();
        symlink(tree.0.join("outside"), tree.at("link")).unwrap();
        symlink("../../outside", tree.at("sub-link")).unwrap();
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let at = fs::openat(fs::CWD, &tree.at(""), OpenFlags::DIRECTORY, 0).unwrap();
                let swap = |a: &str, b: &str| {
                    let flags = fs::RenameFlags::EXCHANGE;
                    drop(fs::renameat2(at.as_fd(), Path::new(a), at.as_fd(), Path::new(b), flags));
                };
                while !stop.load(Ordering::Relaxed) {
                    swap("dir", "link");
                    swap("dir/sub", "sub-link");
                }
            });
            for round in 0..2000 {
                if let Ok(content) = root.read_bounded(Path::new("dir/sub/../sub/secret"), 100) {
                    assert_eq!(content, b"inside");
                }
                drop(root.create_dir_all(Path::new(&format!("dir/sub/new{}", round % 7)), 0o755));
                drop(root.create_file(Path::new(&format!("dir/file{}", round % 5)), 0o644));
                drop(root.remove_all(Path::new(&format!("dir/sub/new{}", round % 7))));
            }
            stop.store(true, Ordering::Relaxed);
        });
        tree.outside_is_untouched();
    }
}

#[test]
fn two_makers_of_the_same_directories_both_succeed() {
    for resolver in RESOLVERS {
        let tree = Tree::new(&format!("makers-{resolver:?}"));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let root = tree.root(resolver);
                    for n in 0..200 {
                        root.create_dir_all(Path::new(&format!("a{n}/b/c")), 0o755).unwrap();
                        root.create_file(Path::new(&format!("f{n}/g/h")), 0o644).unwrap();
                    }
                });
            }
        });
    }
}
