//! The leak check itself: it sees each kind of thing that can be left behind.

use std::fs;
use std::path::Path;

use taru_testkit::sandbox;

#[test]
fn every_kind_of_leak_is_seen() {
    sandbox(|sandbox| {
        let call = |args: &[&str]| sandbox.runtime().beside(args.iter().copied()).output();
        sandbox.assert_no_leaks();
        let seen =
            |kind: &str| sandbox.leaks_now().lines.iter().any(|line| line.starts_with(&format!("+ {kind} ")));

        let dir = sandbox.dir().join("mounted");
        fs::create_dir_all(&dir).expect("make a directory");
        let path = dir.to_str().expect("a plain path");
        call(&["mount", "-t", "tmpfs", "left", path]).succeeds();
        assert!(seen("mount"));
        call(&["umount", path]).succeeds();

        let state = sandbox.runtime().root().join("left");
        fs::create_dir(&state).expect("make a directory");
        assert!(seen("file"));
        fs::remove_dir(&state).expect("remove it");

        fs::create_dir_all("/run/netns").expect("make a directory");
        fs::write("/run/netns/left", "").expect("write a file");
        assert!(seen("file"));
        fs::remove_dir_all("/run/netns").expect("remove it");

        let mut process = sandbox.runtime().beside(["sleep", "1000"]).spawn();
        assert!(seen("process"));
        process.kill();
        let _ = process.wait();

        if call(&["busybox", "ip", "link", "add", "left0", "type", "dummy"]).status == 0 {
            assert!(seen("link"));
            call(&["busybox", "ip", "link", "del", "left0"]).succeeds();
        }

        let hierarchy = ["/sys/fs/cgroup/pids", "/sys/fs/cgroup"].map(Path::new);
        let top = hierarchy.into_iter().find(|dir| dir.is_dir()).expect("a cgroup hierarchy");
        let group = top.join(format!("{}-left", sandbox.marker()));
        fs::create_dir(&group).expect("make a cgroup");
        assert!(seen("cgroup"));
        fs::remove_dir(&group).expect("remove it");
    });
}
