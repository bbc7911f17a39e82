//! The fallbacks, with openat2(2) taken away by a seccomp filter: as an old kernel answers, and as a sandbox.

#![allow(clippy::unwrap_used, reason = "a failing helper fails the test")]

use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use taru_rootdir::{Proc, RootDir};
use taru_stdx::Kind;
use taru_sys::fs::{self, CWD, How, OpenFlags};
use taru_sys::process::set_no_new_privs;
use taru_sys::seccomp::{Filter, ret, set_mode_filter};
use taru_sys::{Errno, errno};

/// openat2's number, the same on every machine.
const OPENAT2: u32 = 437;

/// Lets openat2 fail with `number` in the calling thread, and all its children, for ever.
fn take_away(number: Errno) {
    let line = |code, jt, jf, k| Filter { code, jt, jf, k };
    set_no_new_privs().unwrap();
    let program = [
        line(0x20, 0, 0, 0),                            // the call's number
        line(0x15, 0, 1, OPENAT2),                      // is it openat2?
        line(0x06, 0, 0, ret::ERRNO | number.0 as u32), // fail
        line(0x06, 0, 0, ret::ALLOW),
    ];
    set_mode_filter(&program, 0).unwrap();
    let gone = fs::openat2(CWD, Path::new("."), How { flags: OpenFlags::PATH, ..How::default() });
    assert_eq!(gone.unwrap_err().errno(), number);
}

fn without_openat2(number: Errno) {
    let dir: PathBuf =
        std::env::temp_dir().join(format!("taru-no-openat2-{}-{}", std::process::id(), number.0));
    std::fs::create_dir_all(dir.join("root/etc")).unwrap();
    std::fs::write(dir.join("root/etc/passwd"), "inside").unwrap();
    symlink("/etc/passwd", dir.join("root/link")).unwrap();
    symlink("../../../..", dir.join("root/etc/up")).unwrap();
    take_away(number);

    let root = RootDir::open(&dir.join("root")).unwrap();
    for path in ["link", "etc/up/etc/passwd", "/../etc/passwd"] {
        assert_eq!(root.read_bounded(Path::new(path), 100).unwrap(), b"inside", "{path}");
    }
    assert_eq!(root.resolve(Path::new("nope")).unwrap_err().kind(), Kind::NotFound);
    root.create_dir_all(Path::new("etc/up/a/b"), 0o755).unwrap();
    assert!(dir.join("root/a/b").is_dir());
    root.remove_all(Path::new("a")).unwrap();
    assert!(!dir.join("root/a").exists());

    let proc = Proc::open().unwrap();
    let adj = proc.read_bounded("self/oom_score_adj", 16).unwrap();
    proc.write("self/oom_score_adj", &adj).unwrap();
    assert!(proc.open_file("self/root/etc/passwd", OpenFlags::RDONLY).is_err());
    let handle = fs::openat(CWD, &dir.join("root/etc/passwd"), OpenFlags::PATH, 0).unwrap();
    let file = proc.follow(&format!("self/fd/{}", handle.as_raw_fd()), OpenFlags::RDONLY).unwrap();
    assert_eq!(fs::fstat(file.as_fd()).unwrap().ino, fs::fstat(handle.as_fd()).unwrap().ino);
    std::fs::remove_dir_all(&dir).unwrap();
}

// A filter belongs to a thread, and each test has one; the process's memory of "no openat2" is shared,
// which these two can share.

#[test]
fn everything_works_on_a_kernel_without_openat2() {
    std::thread::spawn(|| without_openat2(errno::NOSYS)).join().unwrap();
}

#[test]
fn everything_works_in_a_sandbox_that_forbids_openat2() {
    std::thread::spawn(|| without_openat2(errno::PERM)).join().unwrap();
}
