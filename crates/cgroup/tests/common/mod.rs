//! A group of a test's own, and processes in it.
#![allow(dead_code, reason = "each test binary uses its part")]
#![allow(clippy::unwrap_used, reason = "a test")]

use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use taru_cgroup::{Cgroup, Controller, Hierarchy};
use taru_sys::process::Pid;

/// A group `taru-test-PID-N` that is killed and removed at the end.
pub(crate) struct Group {
    pub(crate) hierarchy: Hierarchy,
    pub(crate) path: String,
    pub(crate) group: Cgroup,
}

impl Group {
    /// A new group; `None` where this user may not make one.
    pub(crate) fn new() -> Option<Group> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let hierarchy = Hierarchy::probe().unwrap();
        // An ordinary user has what systemd delegated to him, beside his own group.
        let top = if taru_sys::user::geteuid() == 0 { "/" } else { "" };
        let path = format!("{top}taru-test-{}-{number}", std::process::id());
        match Cgroup::create(&hierarchy, &path) {
            Ok(group) if !group.is_nowhere() => Some(Group { hierarchy, path, group }),
            Ok(_) => None,
            Err(e) if e.kind() == taru_stdx::Kind::Permission => None,
            Err(e) => panic!("{}", e.chain()),
        }
    }

    /// Starts `sh -c script` inside: the shell waits on its input until it has been moved.
    pub(crate) fn sh(&self, script: &str) -> Child {
        let mut child = Command::new("/bin/sh")
            .args(["-c", &format!("read _; {script}")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        self.group.add(Pid(child.id() as i32)).unwrap();
        // Closing the pipe ends the `read`.
        drop(child.stdin.take());
        child
    }

    /// Whether the group has that controller, on v1 or on v2.
    pub(crate) fn has(&self, controller: Controller) -> bool {
        let Some(dir) = self.group.dir_of(controller) else { return false };
        if self.hierarchy.v1(controller).is_some() {
            return true;
        }
        let enabled = std::fs::read_to_string(dir.join("cgroup.controllers")).unwrap_or_default();
        enabled.split_whitespace().any(|c| c == controller.v2_name())
    }

    /// The text of a file of the group; `None` if there is none.
    pub(crate) fn file(&self, controller: Controller, file: &str) -> Option<String> {
        let dir = self.group.dir_of(controller)?;
        std::fs::read_to_string(dir.join(file)).ok().map(|t| t.trim().to_owned())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let killed = self.group.kill_all();
        let removed = self.group.remove();
        if !std::thread::panicking() {
            killed.unwrap();
            removed.unwrap();
        }
    }
}

/// Waits until `done`, a minute at most: the machine may be busy.
pub(crate) fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !done() {
        assert!(Instant::now() < end, "not within a minute: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
