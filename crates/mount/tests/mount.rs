//! Mounts against the kernel, each test in a mount namespace of its own.

#![allow(clippy::unwrap_used, reason = "a failing helper fails the test")]

use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use taru_mount::idmap::{self, IdMaps, Range};
use taru_mount::{
    Attr, Layer, Mount, MountAttr, Overlay, Propagation, change, mountinfo, options, reconfigure,
};
use taru_rootdir::{Proc, RootDir};
use taru_stdx::Kind;
use taru_testkit::in_namespaces;

const OWN: &[&str] = &["--mount", "--propagation", "private"];

/// A tmpfs as the test's ground, gone with the namespace.
fn ground() -> (PathBuf, RootDir) {
    let path = PathBuf::from("/mnt");
    let ground = Mount::fs("tmpfs", Some("ground"), &[("mode", Some("755"))], Attr::empty()).unwrap();
    ground.attach(RootDir::open(&path).unwrap().as_fd()).unwrap();
    let root = RootDir::open(&path).unwrap();
    (path, root)
}

fn entry(point: &Path) -> mountinfo::Entry {
    let all = mountinfo::read(&Proc::open().unwrap()).unwrap();
    all.into_iter().rfind(|e| e.point == point).unwrap_or_else(|| panic!("{} in mountinfo", point.display()))
}

#[test]
fn a_file_system_is_made_unseen_filled_and_attached() {
    in_namespaces(OWN, || {
        let (path, root) = ground();
        let target = root.create_dir_all("a b/t".as_ref(), 0o755).unwrap();
        let o = options::parse(["nosuid,nodev,noexec,noatime", "size=64k,mode=700"]).unwrap();
        let mount = Mount::fs("tmpfs", Some("my source"), &o.data(), o.set).unwrap();
        mount.root().unwrap().create_file("before".as_ref(), 0o644).unwrap();
        mount.attach(target).unwrap();
        let here = path.join("a b/t");
        assert!(here.join("before").exists());
        let e = entry(&here);
        assert_eq!((e.fstype.as_str(), e.source.to_str()), ("tmpfs", Some("my source")));
        for option in ["nosuid", "nodev", "noexec", "noatime", "rw"] {
            assert!(e.has_option(option), "{option}: {}", e.options);
        }
        assert!(e.has_super_option("size=64k"), "{}", e.super_options);
        assert_eq!(std::fs::metadata(&here).unwrap().mode() & 0o777, 0o700);
        // Read-only of the file system, apart from the mount.
        reconfigure(root.subdir("a b/t".as_ref()).unwrap().as_fd(), &[("ro", None)]).unwrap();
        let e = entry(&here);
        assert!(e.has_option("rw") && e.has_super_option("ro"), "{e:?}");
    });
}

#[test]
fn errors_carry_the_file_systems_own_words() {
    in_namespaces(OWN, || {
        let e = Mount::fs("nopefs", None, &[], Attr::empty()).unwrap_err();
        assert_eq!(e.kind(), Kind::Unsupported);
        assert_eq!(e.chain().to_string(), "make the file system `nopefs`: No such device");
        let e = Mount::fs("tmpfs", None, &[("size", Some("x"))], Attr::empty()).unwrap_err();
        assert_eq!(
            e.chain().to_string(),
            "make the file system `tmpfs`: set `size=x`: tmpfs: Bad value for 'size': Invalid argument"
        );
        let e = Mount::fs("proc", None, &[("nope", None)], Attr::empty()).unwrap_err();
        let text = e.chain().to_string();
        assert!(text.contains("set `nope`: proc: Unknown parameter 'nope'"), "{text}");
    });
}

#[test]
fn binds_keep_what_is_not_asked_to_change_and_reach_all_below() {
    in_namespaces(OWN, || {
        let (path, root) = ground();
        let source = root.create_dir_all("source/sub".as_ref(), 0o755).unwrap();
        Mount::fs("tmpfs", None, &[], Attr::NOSUID).unwrap().attach(&source).unwrap();
        std::fs::write(path.join("source/sub/f"), "x").unwrap();

        let plain = Mount::bind(root.subdir("source".as_ref()).unwrap().as_fd(), false).unwrap();
        plain.attach(root.create_dir_all("plain".as_ref(), 0o755).unwrap()).unwrap();
        assert!(!path.join("plain/sub/f").exists());

        let tree = Mount::bind(root.subdir("source".as_ref()).unwrap().as_fd(), true).unwrap();
        tree.attributes(Attr::RDONLY | Attr::NOATIME, Attr::empty(), true).unwrap();
        tree.attach(root.create_dir_all("tree".as_ref(), 0o755).unwrap()).unwrap();
        assert!(path.join("tree/sub/f").exists());
        let e = entry(&path.join("tree/sub"));
        assert!(e.has_option("ro") && e.has_option("nosuid") && e.has_option("noatime"), "{}", e.options);
        assert!(entry(&path.join("source/sub")).has_option("rw"));

        // Only the top, then a change of an attached mount: rw again, another access time mode.
        let top = Mount::bind(root.subdir("source".as_ref()).unwrap().as_fd(), true).unwrap();
        top.attributes(Attr::RDONLY, Attr::empty(), false).unwrap();
        let at = top.attach(root.create_dir_all("top".as_ref(), 0o755).unwrap()).unwrap();
        assert!(entry(&path.join("top")).has_option("ro"));
        assert!(entry(&path.join("top/sub")).has_option("rw"));
        let attr = MountAttr {
            set: Attr::STRICTATIME,
            clear: Attr::RDONLY,
            propagation: Some(Propagation::Shared),
            ..MountAttr::default()
        };
        change(at.as_fd(), &attr, true).unwrap();
        let e = entry(&path.join("top/sub"));
        assert!(e.has_option("rw") && !e.has_option("relatime") && e.shared.is_some(), "{e:?}");

        // A file on a file.
        std::fs::write(path.join("from"), "from").unwrap();
        let target = root.create_file("to".as_ref(), 0o644).unwrap();
        let from = root.resolve("from".as_ref()).unwrap();
        Mount::bind(from.as_fd(), false).unwrap().attach(target).unwrap();
        assert_eq!(std::fs::read_to_string(path.join("to")).unwrap(), "from");
        let directory = root.create_dir_all("d".as_ref(), 0o755).unwrap();
        let e = Mount::bind(from.as_fd(), false).unwrap().attach(directory).unwrap_err();
        assert_eq!(e.chain().to_string(), "attach the mount: a file cannot be mounted on a directory");
    });
}

#[test]
fn propagation_travels_as_it_is_set() {
    in_namespaces(OWN, || {
        let (path, root) = ground();
        let at = Mount::fs("tmpfs", None, &[], Attr::empty())
            .unwrap()
            .attach(root.create_dir_all("peer".as_ref(), 0o755).unwrap())
            .unwrap();
        let shared = MountAttr { propagation: Some(Propagation::Shared), ..MountAttr::default() };
        change(at.as_fd(), &shared, false).unwrap();
        std::fs::create_dir(path.join("peer/d")).unwrap();
        let copy = |name: &str, propagation: Option<Propagation>| {
            let mount = Mount::bind(root.subdir("peer".as_ref()).unwrap().as_fd(), false).unwrap();
            if let Some(propagation) = propagation {
                mount.propagation(propagation, false).unwrap();
            }
            mount.attach(root.create_dir_all(name.as_ref(), 0o755).unwrap()).unwrap();
        };
        copy("shared", None);
        copy("slave", Some(Propagation::Slave));
        copy("private", Some(Propagation::Private));
        copy("unbindable", Some(Propagation::Unbindable));
        let new = Mount::fs("tmpfs", None, &[], Attr::empty()).unwrap();
        new.attach(root.resolve("peer/d".as_ref()).unwrap()).unwrap();
        std::fs::write(path.join("peer/d/new"), "").unwrap();
        assert!(path.join("shared/d/new").exists() && path.join("slave/d/new").exists());
        assert!(!path.join("private/d/new").exists() && !path.join("unbindable/d/new").exists());
        assert_eq!(entry(&path.join("slave")).master, entry(&path.join("peer")).shared);
        assert!(entry(&path.join("unbindable")).unbindable);
        let e = Mount::bind(root.subdir("unbindable".as_ref()).unwrap().as_fd(), false).unwrap_err();
        assert_eq!(e.kind(), Kind::Invalid);
    });
}

#[test]
fn overlays_of_many_layers_by_path_and_by_descriptor() {
    in_namespaces(OWN, || {
        let (path, root) = ground();
        // Long names: 100 of them are far more than one value of fsconfig holds.
        let layers: Vec<PathBuf> = (0..100)
            .map(|n| {
                let layer = path.join(format!("layers/a-name-of-some-length-{n:04}"));
                std::fs::create_dir_all(&layer).unwrap();
                std::fs::write(layer.join(format!("f{n}")), "").unwrap();
                std::fs::write(layer.join("same"), n.to_string()).unwrap();
                layer
            })
            .collect();
        for dir in ["upper", "work", "by path", "by fd", "by text", "a,b:c\\d"] {
            std::fs::create_dir(path.join(dir)).unwrap();
        }
        let mut overlay = Overlay::new(layers.iter().map(|l| Layer::Path(l)).collect());
        overlay.writable = Some((Layer::Path("/mnt/upper".as_ref()), Layer::Path("/mnt/work".as_ref())));
        overlay.mount(Attr::empty()).unwrap().attach(root.resolve("by path".as_ref()).unwrap()).unwrap();
        assert_eq!(std::fs::read_to_string(path.join("by path/same")).unwrap(), "0");
        assert!(path.join("by path/f99").exists());
        std::fs::write(path.join("by path/same"), "changed").unwrap();
        assert_eq!(std::fs::read_to_string(path.join("upper/same")).unwrap(), "changed");
        assert_eq!(std::fs::read_to_string(layers[0].join("same")).unwrap(), "0");

        // By descriptor, one with a name that options cannot hold.
        let odd = root.resolve("a,b:c\\d".as_ref()).unwrap();
        std::fs::write(path.join("a,b:c\\d/odd"), "").unwrap();
        let opened: Vec<_> = layers.iter().map(|l| RootDir::open(l).unwrap()).collect();
        let mut lower = vec![Layer::Fd(odd.as_fd())];
        lower.extend(opened.iter().map(|o| Layer::Fd(o.as_fd())));
        let read_only = Overlay::new(lower).mount(Attr::NODEV).unwrap();
        read_only.attach(root.resolve("by fd".as_ref()).unwrap()).unwrap();
        assert!(path.join("by fd/odd").exists() && path.join("by fd/f99").exists());
        assert!(std::fs::write(path.join("by fd/x"), "").is_err());

        // As an OCI mount has it: one option with everything, longer than fsconfig takes.
        let joined = layers.iter().map(|l| l.to_str().unwrap()).collect::<Vec<_>>().join(":");
        let lowerdir = format!("lowerdir=/mnt/a\\,b\\:c\\\\d:{joined}");
        let o = options::parse(["ro", lowerdir.as_str()]).unwrap();
        let mount = Mount::fs("overlay", Some("overlay"), &o.data(), o.set).unwrap();
        mount.attach(root.resolve("by text".as_ref()).unwrap()).unwrap();
        assert!(path.join("by text/odd").exists() && path.join("by text/f7").exists());

        let e = Overlay::new(vec![]).mount(Attr::empty()).unwrap_err();
        assert_eq!(e.kind(), Kind::Invalid);
        let e = Overlay::new(vec![Layer::Path("/mnt/nope".as_ref())]).mount(Attr::empty()).unwrap_err();
        assert_eq!(
            e.chain().to_string(),
            "make the file system `overlay`: open the layer `/mnt/nope`: No such file or directory"
        );
    });
}

#[test]
fn id_mapped_mounts_show_other_owners() {
    in_namespaces(OWN, || {
        let (path, root) = ground();
        let proc = Proc::open().unwrap();
        let maps =
            IdMaps { uids: vec![Range::new(0, 100_000, 1000)], gids: vec![Range::new(0, 200_000, 1000)] };
        let userns = idmap::user_namespace(&proc, &maps).unwrap();
        let source = root.create_dir_all("source".as_ref(), 0o755).unwrap();
        std::fs::write(path.join("source/f"), "x").unwrap();
        std::os::unix::fs::chown(path.join("source/f"), Some(5), Some(6)).unwrap();
        let mount = Mount::bind(source.as_fd(), false).unwrap();
        match mount.idmap(userns.as_fd(), false) {
            Err(e) if e.kind() == Kind::Unsupported => {
                return taru_testkit::skip("id_mapped_mounts_show_other_owners", "id-mapped tmpfs (6.3)");
            }
            done => done.unwrap(),
        }
        mount.attach(root.create_dir_all("mapped".as_ref(), 0o755).unwrap()).unwrap();
        let seen = std::fs::metadata(path.join("mapped/f")).unwrap();
        assert_eq!((seen.uid(), seen.gid()), (100_005, 200_006));
        assert!(entry(&path.join("mapped")).has_option("idmapped"));

        // procfs cannot be id-mapped.
        let e = Mount::bind(proc.as_fd(), false).unwrap().idmap(userns.as_fd(), false).unwrap_err();
        assert_eq!((e.kind(), e.hints().len()), (Kind::Unsupported, 1));
        let e = idmap::user_namespace(&proc, &IdMaps::default()).unwrap_err();
        assert_eq!(e.kind(), Kind::Invalid);
    });
}

#[test]
fn the_id_map_helper_works_where_proc_counts_other_pids() {
    // A pid namespace below the one /proc was mounted for.
    in_namespaces(&["--mount", "--propagation", "private", "--pid", "--fork"], || {
        let maps = IdMaps { uids: vec![Range::new(7, 70_000, 5)], gids: vec![Range::new(7, 70_000, 5)] };
        let proc = Proc::open().unwrap();
        let userns = idmap::user_namespace(&proc, &maps).unwrap();
        assert_eq!(taru_sys::ns::kind_of(userns.as_fd()).unwrap(), taru_sys::ns::Namespaces::USER);
    });
}

#[test]
fn this_machines_own_table_is_read() {
    let all = mountinfo::read(&Proc::open().unwrap()).unwrap();
    assert!(all.iter().any(|e| e.point == Path::new("/proc") && e.fstype == "proc"));
    let own = taru_sys::fs::fstat(Proc::host().unwrap().as_fd()).unwrap();
    assert!(all.iter().any(|e| Some(e.id) == own.mount_id && e.device == own.device));
}

#[test]
fn an_image_in_a_file_is_mounted_without_a_loop_device() {
    const TEST: &str = "an_image_in_a_file_is_mounted_without_a_loop_device";
    in_namespaces(OWN, || {
        let dir = std::env::temp_dir().join(format!("taru-image-{}", std::process::id()));
        let long = dir.join("n".repeat(200)).join("m".repeat(200));
        std::fs::create_dir_all(&long).unwrap();
        let undo = Removed(dir.clone());
        std::fs::create_dir(dir.join("tree")).unwrap();
        std::fs::write(dir.join("tree/file"), "content").unwrap();
        let done =
            std::process::Command::new("mkfs.erofs").args(["image", "tree"]).current_dir(&dir).output();
        if !done.is_ok_and(|done| done.status.success()) {
            return taru_testkit::skip(TEST, "mkfs.erofs (erofs-utils)");
        }
        let attributes = Attr::RDONLY | Attr::NODEV | Attr::NOSUID;
        let mount = match Mount::image(&dir.join("image"), attributes) {
            Err(e) if e.kind() == Kind::Unsupported => {
                assert!(e.hints().iter().any(|hint| hint.contains("6.12")), "{e:?}");
                return taru_testkit::skip(TEST, "erofs from a file (Linux 6.12)");
            }
            mount => mount.unwrap(),
        };
        let read = |mount: &Mount| mount.root().unwrap().read_bounded("file".as_ref(), 100).unwrap();
        assert_eq!(read(&mount), b"content");
        // Nobody sees it, and its file needs no name.
        let all = || mountinfo::read(&Proc::open().unwrap()).unwrap();
        assert!(!all().iter().any(|entry| entry.fstype == "erofs"));
        std::fs::rename(dir.join("image"), long.join("image")).unwrap();
        assert_eq!(read(&mount), b"content");
        // A path that no option holds.
        assert_eq!(read(&Mount::image(&long.join("image"), attributes).unwrap()), b"content");
        // A layer of an overlay once it is attached, for the container's users.
        let (_, root) = ground();
        let at = |name: &str| root.create_dir_all(name.as_ref(), 0o755).unwrap();
        let range = |outside| vec![Range { inside: 0, outside, length: 1000 }];
        let maps = IdMaps { uids: range(5000), gids: range(6000) };
        mount.idmap(idmap::user_namespace(&Proc::open().unwrap(), &maps).unwrap().as_fd(), false).unwrap();
        let lower = mount.attach(at("lower")).unwrap();
        let (upper, work) = (at("upper"), at("work"));
        let mut overlay = Overlay::new(vec![Layer::Fd(lower.as_fd())]);
        overlay.writable = Some((Layer::Fd(upper.as_fd()), Layer::Fd(work.as_fd())));
        overlay.mount(Attr::empty()).unwrap().attach(at("root")).unwrap();
        let stat = std::fs::metadata("/mnt/root/file").unwrap();
        assert_eq!((stat.uid(), stat.gid()), (5000, 6000));
        std::fs::write("/mnt/root/file", "new").unwrap();
        assert_eq!(std::fs::read_to_string("/mnt/upper/file").unwrap(), "new");
        // What is no image, and what is damaged.
        for (content, name) in [(&[0_u8; 8192][..], "zeros"), (b"", "empty")] {
            std::fs::write(dir.join(name), content).unwrap();
            let error = Mount::image(&dir.join(name), attributes).unwrap_err();
            assert_eq!(error.kind(), Kind::Invalid, "{name}: {error:?}");
        }
        assert_eq!(Mount::image(&dir.join("none"), attributes).unwrap_err().kind(), Kind::NotFound);
        drop(undo);
    });
}

/// A directory that is removed in the end.
struct Removed(PathBuf);

impl Drop for Removed {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
