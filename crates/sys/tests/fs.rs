//! The file calls against the kernel, in a directory of their own.

#![allow(clippy::unwrap_used, reason = "a failing helper fails the test")]
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use taru_sys::fs::{self, AtFlags, CWD, Device, FileType, How, MountId, OpenFlags, Resolve, Unlink};
use taru_sys::{errno, xattr};

struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Dir {
        let path = std::env::temp_dir().join(format!("taru-sys-{name}-{}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        Dir(path)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn open_dir(path: &Path) -> std::os::fd::OwnedFd {
    fs::openat(CWD, path, OpenFlags::DIRECTORY, 0).unwrap()
}

#[test]
fn openat2_keeps_inside_its_root_and_tells_what_was_refused() {
    let dir = Dir::new("openat2");
    std::fs::write(dir.0.join("passwd"), "mine").unwrap();
    std::os::unix::fs::symlink("/passwd", dir.0.join("absolute")).unwrap();
    std::os::unix::fs::symlink("../../../passwd", dir.0.join("upward")).unwrap();
    let root = open_dir(&dir.0);
    for path in ["absolute", "upward", "/passwd", "../passwd"] {
        let how = How { resolve: Resolve::IN_ROOT, ..How::default() };
        let fd = fs::openat2(root.as_fd(), Path::new(path), how).unwrap();
        assert_eq!(std::io::read_to_string(std::fs::File::from(fd)).unwrap(), "mine", "{path}");
    }
    let how = How { resolve: Resolve::BENEATH, ..How::default() };
    let e = fs::openat2(root.as_fd(), Path::new("upward"), how).unwrap_err();
    assert_eq!((e.errno(), e.to_string().as_str()), (errno::XDEV, "openat2 `upward`"));
    let how = How { resolve: Resolve::NO_SYMLINKS, ..How::default() };
    assert_eq!(fs::openat2(root.as_fd(), Path::new("absolute"), how).unwrap_err().errno(), errno::LOOP);
}

#[test]
fn makes_links_reads_and_removes_names() {
    let dir = Dir::new("names");
    let root = open_dir(&dir.0);
    let at = root.as_fd();
    fs::mkdirat(at, Path::new("d"), 0o700).unwrap();
    fs::symlinkat(Path::new("a target"), at, Path::new("d/l")).unwrap();
    assert_eq!(fs::readlinkat(at, Path::new("d/l")).unwrap(), Path::new("a target"));
    let link = fs::openat(at, Path::new("d/l"), OpenFlags::PATH | OpenFlags::NOFOLLOW, 0).unwrap();
    assert_eq!(fs::readlinkat(link.as_fd(), Path::new("")).unwrap(), Path::new("a target"));
    assert_eq!(fs::fstat(link.as_fd()).unwrap().file_type(), FileType::Symlink);

    fs::mknodat(at, Path::new("fifo"), FileType::Fifo, 0o640, Device::default()).unwrap();
    let stat = fs::statx(at, Path::new("fifo"), AtFlags::empty(), MountId::Reused).unwrap();
    assert_eq!((stat.file_type(), stat.permissions()), (FileType::Fifo, 0o640));
    assert!(stat.mount_id.is_some());
    assert_eq!(stat.is_mount_root, Some(false));

    fs::linkat(at, Path::new("fifo"), at, Path::new("second"), AtFlags::empty()).unwrap();
    fs::renameat2(at, Path::new("second"), at, Path::new("third"), fs::RenameFlags::NOREPLACE).unwrap();
    let e = fs::renameat2(at, Path::new("third"), at, Path::new("fifo"), fs::RenameFlags::NOREPLACE);
    assert_eq!(e.unwrap_err().errno(), errno::EXIST);

    let mut names: Vec<_> = taru_sys::dir::read_dir(at, 100).unwrap().into_iter().map(|e| e.name).collect();
    names.sort();
    assert_eq!(names, ["d", "fifo", "third"]);
    let again = open_dir(&dir.0);
    assert_eq!(taru_sys::dir::read_dir(again.as_fd(), 2).unwrap_err().errno(), errno::OVERFLOW);

    assert_eq!(fs::unlinkat(at, Path::new("d"), Unlink::Directory).unwrap_err().errno(), errno::NOTEMPTY);
    assert_eq!(fs::unlinkat(at, Path::new("d"), Unlink::File).unwrap_err().errno(), errno::ISDIR);
    fs::unlinkat(at, Path::new("fifo"), Unlink::File).unwrap();
}

#[test]
fn modes_owners_and_times_reach_path_handles() {
    let dir = Dir::new("modes");
    std::fs::write(dir.0.join("f"), "x").unwrap();
    let handle = fs::openat(CWD, &dir.0.join("f"), OpenFlags::PATH, 0).unwrap();
    let at = handle.as_fd();
    match fs::fchmodat(at, Path::new(""), 0o604, AtFlags::EMPTY_PATH) {
        Ok(()) => assert_eq!(fs::fstat(at).unwrap().permissions(), 0o604),
        Err(e) => assert_eq!(e.errno(), errno::NOSYS),
    }
    let own = fs::fstat(at).unwrap();
    fs::fchownat(at, Path::new(""), Some(own.uid), None, AtFlags::EMPTY_PATH).unwrap();
    fs::utimensat(CWD, &dir.0.join("f"), (1, 0), (1234, 5), AtFlags::empty()).unwrap();
    assert_eq!(fs::fstat(at).unwrap().mtime, (1234, 5));
    let file = fs::openat(CWD, &dir.0.join("f"), OpenFlags::RDWR, 0).unwrap();
    fs::fallocate(file.as_fd(), fs::FallocateMode::empty(), 0, 4096).unwrap();
    assert_eq!(fs::fstat(file.as_fd()).unwrap().size, 4096);
    fs::syncfs(file.as_fd()).unwrap();
}

#[test]
fn file_systems_and_devices_are_told_apart() {
    let proc_root = fs::openat(CWD, Path::new("/proc"), OpenFlags::PATH, 0).unwrap();
    assert_eq!(fs::fstatfs(proc_root.as_fd()).unwrap().kind, fs::FsType::PROC);
    assert_eq!(fs::fstat(proc_root.as_fd()).unwrap().ino, 1);
    let null = fs::statx(CWD, Path::new("/dev/null"), AtFlags::empty(), MountId::Reused).unwrap();
    assert_eq!((null.file_type(), null.rdev), (FileType::CharDevice, Device::new(1, 3)));
}

#[test]
fn extended_attributes_of_files() {
    let dir = Dir::new("xattr");
    let path = dir.0.join("f");
    std::fs::write(&path, "x").unwrap();
    let file = fs::openat(CWD, &path, OpenFlags::RDWR, 0).unwrap();
    let name = std::ffi::OsStr::new("user.taru");
    if let Err(e) = xattr::fsetxattr(file.as_fd(), name, b"v\0w", xattr::SetFlags::CREATE) {
        assert_eq!(e.errno(), errno::NOTSUP);
        println!("SKIP extended_attributes_of_files: user xattrs on the temporary directory");
        return;
    }
    assert_eq!(xattr::fgetxattr(file.as_fd(), name).unwrap(), b"v\0w");
    assert_eq!(xattr::lgetxattr(&path, name).unwrap(), b"v\0w");
    assert_eq!(xattr::flistxattr(file.as_fd()).unwrap(), ["user.taru"]);
    xattr::lsetxattr(&path, name, b"", xattr::SetFlags::REPLACE).unwrap();
    assert_eq!(xattr::fgetxattr(file.as_fd(), name).unwrap(), b"");
    xattr::fremovexattr(file.as_fd(), name).unwrap();
    assert_eq!(xattr::fgetxattr(file.as_fd(), name).unwrap_err().errno(), errno::NODATA);
    assert!(xattr::llistxattr(&path).unwrap().is_empty());
}
