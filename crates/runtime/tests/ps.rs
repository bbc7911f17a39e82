//! The processes of a container that has no control group.
#![allow(clippy::unwrap_used, reason = "a test may")]

use taru_runtime::ps::pids;
use taru_runtime::state::{Process, State, Store};
use taru_stdx::Kind;

#[test]
fn without_a_control_group_the_pid_namespace_tells() {
    let own = std::process::id() as i32;
    let root = std::env::temp_dir().join(format!("taru-ps-{own}"));
    let mut state = State::new("web", "1.2.0", "/b".as_ref(), "/b/rootfs".as_ref(), 0);
    state.init = Some(Process::of_pid(own).unwrap());
    state.namespaces = vec!["mount".into()];
    let mut record = Store::open(&root).reserve("web").unwrap().commit(state).unwrap();

    let neither = pids(&record);
    record.state.namespaces.push("pid".into());
    let found = pids(&record);
    record.state.init.as_mut().unwrap().start_time += 1;
    let ended = pids(&record);
    std::fs::remove_dir_all(&root).unwrap();

    assert_eq!(neither.unwrap_err().kind(), Kind::Unsupported);
    assert!(found.unwrap().contains(&own));
    assert!(ended.unwrap().is_empty());
}
