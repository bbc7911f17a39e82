//! Groups on this machine's own layout: made, filled, frozen, killed, removed.

mod common;

use common::{Group, eventually};
use taru_cgroup::{Cgroup, Controller, Layout};
use taru_stdx::Kind;
use taru_sys::process::Pid;

macro_rules! group {
    ($name:literal) => {
        match Group::new() {
            Some(group) => group,
            None => return taru_testkit::skip($name, "permission to make cgroups"),
        }
    };
}

#[test]
fn made_in_every_hierarchy_and_removed_from_each() {
    let g = group!("made_in_every_hierarchy_and_removed_from_each");
    assert!(g.group.is_new());
    let paths = g.group.paths();
    let expected: usize = g.hierarchy.v1.iter().map(|h| h.names.len()).sum();
    assert_eq!(paths.len(), expected + usize::from(g.hierarchy.v2.is_some()));
    for path in paths.values() {
        assert!(path.join("cgroup.procs").exists(), "{}", path.display());
    }
    let again = Cgroup::open(&paths).unwrap();
    assert_eq!(again.paths(), paths);
    assert!(!again.is_new());
    assert!(!Cgroup::create(&g.hierarchy, &g.path).unwrap().is_new());
    assert_eq!(Cgroup::find(&g.hierarchy, &g.path).unwrap().paths(), paths);
    again.remove().unwrap();
    assert!(paths.values().all(|p| !p.exists()));
    assert!(Cgroup::open(&paths).unwrap().is_nowhere());
    assert_eq!(Cgroup::find(&g.hierarchy, &g.path).unwrap_err().kind(), Kind::NotFound);
    again.remove().unwrap();
}

#[test]
fn a_process_is_moved_found_and_killed() {
    let g = group!("a_process_is_moved_found_and_killed");
    let mut child = g.sh("sleep 1000");
    let pid = Pid(child.id() as i32);
    assert!(g.group.pids().unwrap().contains(&pid));
    let of = Cgroup::of_process(&g.hierarchy, pid).unwrap();
    assert_eq!(of.paths(), g.group.paths());
    g.group.kill_all().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&child.wait().unwrap()), Some(9));
    assert!(g.group.pids_recursive().unwrap().is_empty());
    assert_eq!(g.group.add(pid).unwrap_err().kind(), Kind::NotFound);
}

#[test]
fn a_process_that_forks_without_end_is_killed() {
    let g = group!("a_process_that_forks_without_end_is_killed");
    let limits = taru_cgroup::Limits { pids: Some(taru_cgroup::Max::Value(64)), ..Default::default() };
    g.group.apply(&limits).unwrap();
    // Each shell leaves a child behind and goes on as another process.
    let mut child = g.sh("f() { f & f & sleep 0.01; }; f; sleep 1000");
    eventually("it forks", || g.group.pids().unwrap().len() > 20);
    g.group.kill_all().unwrap();
    child.wait().unwrap();
    g.group.remove().unwrap();
}

#[test]
fn frozen_is_stopped_and_can_be_killed() {
    let g = group!("frozen_is_stopped_and_can_be_killed");
    let mut child = g.sh("while :; do :; done");
    assert!(!g.group.is_frozen().unwrap());
    g.group.freeze().unwrap();
    assert!(g.group.is_frozen().unwrap());
    if let Some(state) = g.file(Controller::Freezer, "freezer.state") {
        assert_eq!(state, "FROZEN");
    }
    // A frozen process uses no CPU time.
    let ticks = || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
        stat.split(' ').skip(13).take(2).map(|f| f.parse::<u64>().unwrap()).sum::<u64>()
    };
    let before = ticks();
    std::thread::sleep(std::time::Duration::from_millis(50));
    assert_eq!(ticks(), before);
    g.group.thaw().unwrap();
    assert!(!g.group.is_frozen().unwrap());
    g.group.freeze().unwrap();
    g.group.kill_all().unwrap();
    child.wait().unwrap();
}

#[test]
fn groups_made_inside_are_removed_bottom_up() {
    let g = group!("groups_made_inside_are_removed_bottom_up");
    for path in g.group.paths().values() {
        std::fs::create_dir_all(path.join("a/b/c")).unwrap();
        std::fs::create_dir_all(path.join("d")).unwrap();
    }
    g.group.remove().unwrap();
    assert!(g.group.paths().values().all(|p| !p.exists()));
}

#[test]
fn nesting_beyond_the_length_of_a_path_is_followed_and_removed() {
    use std::os::fd::AsFd;
    use std::path::Path;
    use taru_sys::fs::{CWD, OpenFlags, mkdirat, openat};
    let g = group!("nesting_beyond_the_length_of_a_path_is_followed_and_removed");
    let mut child = g.sh("exec sleep 1000");
    let pid = Pid(child.id() as i32);
    // Forty names of 150 bytes are more than PATH_MAX, which is 4096.
    let name = "n".repeat(150);
    for path in g.group.paths().values() {
        let mut at = openat(CWD, path, OpenFlags::PATH | OpenFlags::DIRECTORY, 0).unwrap();
        for _ in 0..40 {
            mkdirat(at.as_fd(), Path::new(&name), 0o755).unwrap();
            at = openat(at.as_fd(), Path::new(&name), OpenFlags::PATH | OpenFlags::DIRECTORY, 0).unwrap();
        }
        let cpuset = path.components().any(|c| c.as_os_str() == "cpuset");
        if !cpuset {
            let procs = openat(at.as_fd(), Path::new("cgroup.procs"), OpenFlags::WRONLY, 0).unwrap();
            std::io::Write::write_all(&mut std::fs::File::from(procs), pid.to_string().as_bytes()).unwrap();
        }
    }
    assert_eq!(g.group.pids_recursive().unwrap(), [pid]);
    g.group.kill_all().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&child.wait().unwrap()), Some(9));
    g.group.remove().unwrap();
    assert!(g.group.paths().values().all(|p| !p.exists()));
}

#[test]
fn the_top_of_a_hierarchy_is_left_alone() {
    let hierarchy = taru_cgroup::Hierarchy::probe().unwrap();
    let invalid = |e: taru_stdx::Error| assert_eq!(e.kind(), Kind::Invalid, "{}", e.chain());
    for path in ["/", "", "/..", "./"] {
        invalid(Cgroup::create(&hierarchy, path).unwrap_err());
    }
    let Ok(top) = Cgroup::find(&hierarchy, "/") else {
        return taru_testkit::skip("the_top_of_a_hierarchy_is_left_alone", "cgroups");
    };
    invalid(top.kill_all().unwrap_err());
    invalid(top.signal_all(0).unwrap_err());
    invalid(top.freeze().unwrap_err());
    invalid(top.remove().unwrap_err());
}

#[test]
fn a_thread_moves_itself_by_an_open_file() {
    let g = group!("a_thread_moves_itself_by_an_open_file");
    if g.hierarchy.v1.is_empty() {
        return taru_testkit::skip("a_thread_moves_itself_by_an_open_file", "cgroup v1");
    }
    let joiner = g.group.joiner_v1().unwrap();
    let paths = g.group.paths();
    // A thread, so that this process as a whole stays where it is; on v1 threads are the unit.
    std::thread::spawn(move || {
        joiner.join().unwrap();
        let own = std::fs::read_to_string("/proc/thread-self/cgroup").unwrap();
        for line in own.lines().filter(|l| !l.starts_with("0::")) {
            assert!(line.contains("/taru-test-"), "{line}");
        }
        let tid = std::fs::read_link("/proc/thread-self").unwrap();
        let tid: String = tid.file_name().unwrap().to_str().unwrap().to_owned();
        let tasks = std::fs::read_to_string(paths["devices"].join("tasks")).unwrap();
        assert!(tasks.lines().any(|l| l == tid));
    })
    .join()
    .unwrap();
}

#[test]
fn a_group_split_up_from_inside_takes_processes_beside_its_init() {
    const NAME: &str = "a_group_split_up_from_inside_takes_processes_beside_its_init";
    let g = group!("a_group_split_up_from_inside_takes_processes_beside_its_init");
    if g.hierarchy.layout() != Layout::V2 {
        return taru_testkit::skip(NAME, "cgroup v2 alone");
    }
    let dir = g.group.paths()[""].clone();
    // What a systemd in a container does: itself into a child group, controllers for all children.
    let mut init = g.sh("sleep 1000");
    std::fs::create_dir(dir.join("init.scope")).unwrap();
    let inner = Cgroup::open(&[(String::new(), dir.join("init.scope"))].into()).unwrap();
    for pid in g.group.pids().unwrap() {
        inner.add(pid).unwrap();
    }
    std::fs::write(dir.join("cgroup.subtree_control"), "+pids").unwrap();
    let mut other = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
    let (pid, beside) = (Pid(other.id() as i32), Pid(init.id() as i32));
    assert_eq!(g.group.add(pid).unwrap_err().kind(), Kind::Busy);
    g.group.add_beside(pid, beside).unwrap();
    assert!(inner.pids().unwrap().contains(&pid));
    assert!(g.group.v2_dir_beside(beside).is_ok());
    assert_eq!(g.group.v2_dir_beside(Pid(1)).unwrap_err().kind(), Kind::State);
    assert!(g.group.pids_recursive().unwrap().contains(&pid));
    g.group.kill_all().unwrap();
    other.wait().unwrap();
    init.wait().unwrap();
}

#[test]
fn a_delegated_group_belongs_to_its_user() {
    use std::os::unix::fs::MetadataExt;
    let g = group!("a_delegated_group_belongs_to_its_user");
    if taru_sys::user::geteuid() != 0 {
        return taru_testkit::skip("a_delegated_group_belongs_to_its_user", "root");
    }
    g.group.delegate(1234, 1235).unwrap();
    for path in g.group.paths().values() {
        for file in [".", "cgroup.procs"] {
            let meta = std::fs::metadata(path.join(file)).unwrap();
            assert_eq!((meta.uid(), meta.gid()), (1234, 1235), "{}", path.display());
        }
    }
    // Limits stay with the owner.
    if let Some(dir) = g.group.dir_of(Controller::Memory) {
        let limit = ["memory.limit_in_bytes", "memory.max"].map(|f| dir.join(f));
        assert!(limit.iter().filter_map(|f| f.metadata().ok()).all(|m| m.uid() == 0));
    }
}
