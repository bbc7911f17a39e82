//! The procfs handle against a procfs, against what only looks like one, and against covered entries.

#![allow(clippy::unwrap_used, reason = "a failing helper fails the test")]

use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use taru_rootdir::{Proc, Subset};
use taru_stdx::Kind;
use taru_sys::fs::{self, CWD, OpenFlags};
use taru_sys::mount::{self, MountFlags};

#[test]
fn reads_writes_and_follows() {
    for proc in [Proc::open().unwrap(), Proc::host().unwrap()] {
        let pid = std::process::id();
        assert_eq!(proc.read_link("self").unwrap(), Path::new(&pid.to_string()));
        let stat = proc.read_text("self/stat", 4096).unwrap();
        assert!(stat.starts_with(&format!("{pid} (")), "{stat}");
        let own = proc.pid(pid).unwrap();
        assert_eq!(
            own.read_bounded("cmdline", 1 << 16).unwrap(),
            proc.self_dir().unwrap().read_bounded("cmdline", 1 << 16).unwrap()
        );
        let adj = own.read_bounded("oom_score_adj", 16).unwrap();
        own.write("oom_score_adj", &adj).unwrap();

        let net = own.follow("ns/net", OpenFlags::RDONLY).unwrap();
        assert_eq!(fs::fstatfs(net.as_fd()).unwrap().kind, fs::FsType::NSFS);
        let exe = proc.follow("self/exe", OpenFlags::RDONLY).unwrap();
        let expected = std::fs::metadata(std::env::current_exe().unwrap()).unwrap();
        assert_eq!(fs::fstat(exe.as_fd()).unwrap().ino, expected.ino());
        let handle = fs::openat(CWD, Path::new("/etc/passwd"), OpenFlags::PATH, 0).unwrap();
        let file = proc.follow(&format!("self/fd/{}", handle.as_raw_fd()), OpenFlags::RDONLY).unwrap();
        assert_eq!(fs::fstat(file.as_fd()).unwrap().ino, fs::fstat(handle.as_fd()).unwrap().ino);

        // Magic links are refused everywhere but in `follow`, which takes nothing else.
        assert!(proc.open_file("self/exe", OpenFlags::RDONLY).is_err());
        assert!(proc.open_file("self/root/etc/passwd", OpenFlags::RDONLY).is_err());
        assert!(proc.open_file("self/../../etc/passwd", OpenFlags::RDONLY).is_err());
        assert!(proc.open_file("/etc/passwd", OpenFlags::RDONLY).is_err());
        assert!(proc.follow("self/stat", OpenFlags::RDONLY).is_err());
        assert_eq!(proc.read_bounded("self/stat", 3).unwrap_err().kind(), Kind::Limit);
        assert_eq!(proc.pid(u32::MAX).unwrap_err().kind(), Kind::NotFound);
        let e = own.write("uid_map", b"nonsense").unwrap_err();
        assert!(e.to_string().starts_with(&format!("write `/proc/{pid}/uid_map`")), "{e}");
    }
}

#[test]
fn a_private_instance_is_mounted_nowhere() {
    let proc = match Proc::private(Subset::Pids) {
        Err(e) if e.kind() == Kind::Permission => {
            return taru_testkit::skip("a_private_instance_is_mounted_nowhere", "CAP_SYS_ADMIN");
        }
        made => made.unwrap(),
    };
    assert!(proc.read_text("self/stat", 4096).unwrap().contains(" ("));
    assert_eq!(proc.open_file("sys/kernel/hostname", OpenFlags::RDONLY).unwrap_err().kind(), Kind::NotFound);
    assert_ne!(
        fs::fstat(proc.as_fd()).unwrap().device,
        fs::fstat(Proc::host().unwrap().as_fd()).unwrap().device
    );
}

#[test]
fn a_false_proc_and_covered_entries_are_found_out() {
    taru_testkit::in_namespaces(&["--mount", "--propagation", "private"], || {
        let none = MountFlags::empty();
        let before = Proc::host().unwrap();
        // Entries covered by a file, as an attacker would cover attr/exec.
        mount::mount(
            Some(Path::new("/dev/null")),
            Path::new("/proc/self/oom_score_adj"),
            None,
            MountFlags::BIND,
            None,
        )
        .unwrap();
        let e = before.write("self/oom_score_adj", b"0").unwrap_err();
        assert!(e.chain().to_string().ends_with("Invalid cross-device link"), "{}", e.chain());
        // A covered sysctl is reached all the same, through an instance nobody can cover.
        mount::mount(
            Some(Path::new("/dev/null")),
            Path::new("/proc/sys/kernel/domainname"),
            None,
            MountFlags::BIND,
            None,
        )
        .unwrap();
        let name = Proc::private(Subset::All).unwrap().read_bounded("sys/kernel/domainname", 100).unwrap();
        before.write("sys/kernel/domainname", &name).unwrap();

        mount::mount(None, Path::new("/proc"), Some("tmpfs"), none, None).unwrap();
        assert_eq!(Proc::host().unwrap_err().kind(), Kind::Unsupported);
        assert!(Proc::open().unwrap().read_text("self/stat", 4096).unwrap().contains(" ("));
        // A subdirectory of a real procfs is not its root.
        let sub = before.self_dir().unwrap();
        let fd = mount::open_tree(sub.as_fd(), Path::new("fdinfo"), mount::OpenTree::CLONE).unwrap();
        assert_eq!(Proc::from_fd(fd).unwrap_err().kind(), Kind::Unsupported);
    });
}
