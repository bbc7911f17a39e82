//! The store of records on a real directory: exclusive ids, kills at any point, foreign and broken content.
#![allow(clippy::unwrap_used, reason = "a test may")]
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use taru_cgroup::{Cgroup, Hierarchy};
use taru_runtime::pause::{pause, resume};
use taru_runtime::state::{Process, State, Status, Store};
use taru_stdx::Kind;
use taru_sys::process::Pid;

/// A directory of this test alone, removed at its end.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Dir {
        let path = std::env::temp_dir().join(format!("taru-state-{name}-{}", std::process::id()));
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        Dir(path)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn state(id: &str) -> State {
    State::new(id, "1.2.0", Path::new("/bundle"), Path::new("/bundle/rootfs"), 0)
}

#[test]
fn an_id_is_taken_once_and_given_back_if_create_fails() {
    let dir = Dir::new("once");
    let store = Store::open(dir.0.join("made/on/demand"));
    assert!(store.list().unwrap().is_empty());
    let first = store.reserve("web").unwrap();
    assert_eq!(store.reserve("web").unwrap_err().kind(), Kind::Exists);
    assert_eq!(store.load("web").unwrap_err().kind(), Kind::Busy);
    assert_eq!(fs::metadata(first.dir()).unwrap().permissions().mode() & 0o7777, 0o700);
    drop(first);
    assert_eq!(store.load("web").unwrap_err().kind(), Kind::NotFound);
    let mut again = store.reserve("web").unwrap();
    again.save_config(b"{}").unwrap();
    fs::write(again.start_socket(), "").unwrap();
    let mut record = again.commit(state("web")).unwrap();
    assert_eq!(fs::metadata(record.dir().join("state.json")).unwrap().permissions().mode() & 0o7777, 0o600);
    assert_eq!(store.reserve("web").unwrap_err().kind(), Kind::Exists);
    assert_eq!(store.load("web").unwrap().state, record.state);
    assert_eq!(store.load("web").unwrap().config().unwrap(), b"{}");

    store.remove("web", record.lock().unwrap()).unwrap();
    assert_eq!(record.lock().unwrap_err().kind(), Kind::NotFound);
    assert_eq!(fs::read_dir(store.root()).unwrap().count(), 0);
}

#[test]
fn the_kernel_says_where_a_container_is_in_its_life() {
    let dir = Dir::new("status");
    let store = Store::open(&dir.0);
    let mut reservation = store.reserve("web").unwrap();
    let mut state = state("web");
    reservation.save(&state).unwrap();
    assert_eq!(store.load("web").unwrap().status().unwrap(), Status::Creating);

    state.init = Some(Process::of_pid(std::process::id() as i32).unwrap());
    fs::write(reservation.start_socket(), "").unwrap();
    let mut record = reservation.commit(state).unwrap();
    assert_eq!(record.status().unwrap(), Status::Created);
    fs::remove_file(record.start_socket()).unwrap();
    assert_eq!(record.status().unwrap(), Status::Running);

    record.state.init.as_mut().unwrap().start_time += 1;
    assert_eq!(record.status().unwrap(), Status::Stopped, "another process has the pid now");
    record.state.init.as_mut().unwrap().start_time -= 1;
    record.state.boot = "another boot".into();
    assert_eq!(record.status().unwrap(), Status::Stopped, "the machine was rebooted");
}

#[test]
fn a_frozen_container_is_paused() {
    let dir = Dir::new("paused");
    let path = format!("/taru-state-{}", std::process::id());
    let group = Hierarchy::probe().and_then(|hierarchy| Cgroup::create(&hierarchy, &path));
    let Ok(group) = group else {
        taru_testkit::skip("a_frozen_container_is_paused", "writable control groups");
        return;
    };
    let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
    let pid = child.id() as i32;
    group.add(Pid(pid)).unwrap();
    let mut state = state("web");
    state.init = Some(Process::of_pid(pid).unwrap());
    state.cgroup.paths = group.paths();
    let record = Store::open(&dir.0).reserve("web").unwrap().commit(state).unwrap();

    let before = record.status().unwrap();
    let paused = pause(&record).and_then(|()| record.status());
    let again = pause(&record);
    let resumed = resume(&record).and_then(|()| record.status());
    let twice = resume(&record);
    child.kill().unwrap();
    child.wait().unwrap();
    let dead = pause(&record);
    group.remove().unwrap();

    assert_eq!(before, Status::Running);
    assert_eq!(paused.unwrap(), Status::Paused);
    assert_eq!(again.unwrap_err().to_string(), "pause container `web`: it is paused");
    assert_eq!(resumed.unwrap(), Status::Running);
    assert_eq!(twice.unwrap_err().to_string(), "resume container `web`: container not paused: it is running");
    assert_eq!(dead.unwrap_err().to_string(), "pause container `web`: container not running: it is stopped");
}

#[test]
fn what_a_killed_create_left_is_taken_over_or_reported() {
    let dir = Dir::new("killed");
    let store = Store::open(&dir.0);
    // Killed before the first record: nothing exists beside the directory.
    fs::create_dir(dir.0.join("early")).unwrap();
    fs::write(dir.0.join("early/.state.json.1.tmp"), "half").unwrap();
    assert_eq!(store.load("early").unwrap_err().kind(), Kind::State);
    let taken = store.reserve("early").unwrap();
    assert_eq!(fs::read_dir(taken.dir()).unwrap().count(), 0);
    drop(taken);

    // Killed after it: there may be processes and control groups, so only a deletion frees the id.
    let late = store.reserve("late").unwrap();
    late.save(&state("late")).unwrap();
    let copy = dir.0.join("copy.json");
    fs::copy(late.dir().join("state.json"), &copy).unwrap();
    drop(late);
    fs::create_dir(dir.0.join("late")).unwrap();
    fs::rename(&copy, dir.0.join("late/state.json")).unwrap();
    assert_eq!(store.reserve("late").unwrap_err().kind(), Kind::Exists);
    let mut record = store.load("late").unwrap();
    assert_eq!(record.status().unwrap(), Status::Stopped);
    store.remove("late", record.lock().unwrap()).unwrap();
    store.reserve("late").unwrap();
}

#[test]
fn a_lock_is_that_of_the_container_that_was_looked_at() {
    let dir = Dir::new("same");
    let store = Store::open(&dir.0);
    let mut made = store.reserve("web").unwrap().commit(state("web")).unwrap();
    let mut loaded = store.load("web").unwrap();
    let lock = loaded.lock().unwrap();
    store.remove("web", lock).unwrap();
    let mut other = store.reserve("web").unwrap().commit(state("web")).unwrap();
    for old in [&mut made, &mut loaded] {
        let e = old.lock().unwrap_err();
        assert_eq!((e.kind(), e.to_string().as_str()), (Kind::NotFound, "container `web` does not exist"));
    }
    drop(other.lock().unwrap());
    assert_eq!(store.load("web").unwrap().state, other.state);
}

#[test]
fn a_locked_record_says_what_is_true_by_then() {
    let dir = Dir::new("fresh");
    let store = Store::open(&dir.0);
    let mut reservation = store.reserve("web").unwrap();
    let mut state = state("web");
    reservation.save(&state).unwrap();
    let mut early = store.load("web").unwrap();
    state.namespaces = vec!["mount".into()];
    let made = reservation.commit(state).unwrap();
    assert!(!early.state.complete);
    drop(early.lock().unwrap());
    assert_eq!(early.state, made.state);
}

#[test]
fn a_broken_record_harms_only_its_own_container() {
    let dir = Dir::new("broken");
    let store = Store::open(&dir.0);
    store.reserve("good").unwrap().commit(state("good")).unwrap();
    for (id, content) in [("empty", ""), ("torn", "{\"version\":1,"), ("newer", "{\"version\":9}")] {
        fs::create_dir(dir.0.join(id)).unwrap();
        fs::write(dir.0.join(id).join("state.json"), content).unwrap();
    }
    fs::write(dir.0.join("a file"), "").unwrap();
    fs::write(dir.0.join("file"), "").unwrap();
    symlink("good", dir.0.join("link")).unwrap();
    let found: Vec<(String, Option<Kind>)> =
        store.list().unwrap().into_iter().map(|(id, r)| (id, r.err().map(|e| e.kind()))).collect();
    let expected = [
        ("empty", Some(Kind::System)),
        ("good", None),
        ("newer", Some(Kind::Unsupported)),
        ("torn", Some(Kind::System)),
    ];
    assert_eq!(found, expected.map(|(id, kind)| (id.to_owned(), kind)));

    let e = store.load("torn").unwrap_err();
    assert_eq!(e.hints(), ["`taru-runtime delete --force torn` removes a record that cannot be read"]);
    store.remove("torn", store.lock("torn").unwrap()).unwrap();
    assert_eq!(store.load("torn").unwrap_err().kind(), Kind::NotFound);
}

#[test]
fn a_state_directory_that_others_can_write_is_refused() {
    let dir = Dir::new("loose");
    let store = Store::open(&dir.0);
    fs::set_permissions(&dir.0, fs::Permissions::from_mode(0o777)).unwrap();
    assert_eq!(store.reserve("web").unwrap_err().kind(), Kind::Permission);
    assert_eq!(fs::read_dir(&dir.0).unwrap().count(), 0);
    fs::set_permissions(&dir.0, fs::Permissions::from_mode(0o1777)).unwrap();
    store.reserve("web").unwrap();
}

#[test]
fn many_creates_of_one_id_have_one_winner() {
    let dir = Dir::new("race");
    let store = Store::open(&dir.0);
    for round in 0..200 {
        let id = format!("c{round}");
        let won: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| store.reserve(&id).and_then(|mut r| r.commit(state(&id))).is_ok()))
                .collect();
            threads.into_iter().map(|t| usize::from(t.join().unwrap())).sum()
        });
        assert_eq!(won, 1, "{id}");
        assert!(store.load(&id).is_ok());
    }
}
