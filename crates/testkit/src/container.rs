//! A handle on one container; deletes it by force when dropped.

use std::cell::Cell;
use std::ffi::OsStr;
use std::fs;

use serde_json::Value;

use crate::{Invocation, Output, Runtime, eventually};

/// A container of the runtime under test.
#[derive(Debug)]
pub struct Container<'a> {
    runtime: &'a Runtime,
    id: String,
    deleted: Cell<bool>,
}

impl<'a> Container<'a> {
    /// A handle on container `id`, whoever made it.
    pub fn new(runtime: &'a Runtime, id: impl Into<String>) -> Self {
        Self { runtime, id: id.into(), deleted: Cell::new(false) }
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// `start ID`.
    ///
    /// # Panics
    /// When it fails.
    #[track_caller]
    pub fn start(&self) {
        self.runtime.command(["start", &self.id]).succeeds();
    }

    /// `state ID`, parsed.
    ///
    /// # Panics
    /// When it fails or is no JSON.
    #[track_caller]
    pub fn state(&self) -> Value {
        let output = self.runtime.command(["state", &self.id]).ok();
        serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("state of `{}`: {error}", self.id))
    }

    /// `status` of its state.
    #[track_caller]
    pub fn status(&self) -> String {
        self.state()["status"].as_str().unwrap_or("(not a string)").to_owned()
    }

    /// The process id of its init.
    #[track_caller]
    pub fn pid(&self) -> u32 {
        self.state()["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok()).expect("a pid in the state")
    }

    /// Waits until it has stopped.
    ///
    /// # Panics
    /// When it never does.
    #[track_caller]
    pub fn wait_stopped(&self) {
        eventually("the container stops", || self.status() == "stopped");
    }

    /// `exec ID ARGS...` to its end.
    pub fn exec<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Output {
        self.exec_with(&[], args)
    }

    /// `exec OPTIONS ID ARGS...` to its end.
    pub fn exec_with<S: AsRef<OsStr>>(&self, options: &[&str], args: impl IntoIterator<Item = S>) -> Output {
        self.invoke_exec(options, args).output()
    }

    /// The invocation of [`Container::exec_with`].
    pub fn invoke_exec<S: AsRef<OsStr>>(
        &self,
        options: &[&str],
        args: impl IntoIterator<Item = S>,
    ) -> Invocation {
        let mut invocation = self.runtime.invoke(["exec"]);
        for option in options {
            invocation = invocation.arg(option);
        }
        invocation = invocation.arg(&self.id);
        for arg in args {
            invocation = invocation.arg(arg);
        }
        invocation
    }

    /// `kill ID SIGNAL`.
    pub fn kill(&self, signal: &str) -> Output {
        self.runtime.command(["kill", &self.id, signal])
    }

    /// `delete ID`.
    pub fn delete(&self) -> Output {
        let output = self.runtime.command(["delete", &self.id]);
        self.deleted.set(output.status == 0);
        output
    }

    /// `delete --force ID`.
    pub fn delete_force(&self) -> Output {
        let output = self.runtime.command(["delete", "--force", &self.id]);
        self.deleted.set(output.status == 0);
        output
    }

    /// Its cgroups, wherever they are mounted: every directory of a hierarchy that bears its id.
    pub fn cgroup(&self, controller: &str) -> std::path::PathBuf {
        let pid = self.pid();
        let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("read the cgroups of init");
        for line in text.lines() {
            let mut parts = line.splitn(3, ':');
            let (_, names, path) = (parts.next(), parts.next().unwrap_or(""), parts.next().unwrap_or(""));
            let relative = path.trim_start_matches('/');
            if names.split(',').any(|name| name == controller) {
                return std::path::Path::new("/sys/fs/cgroup").join(controller).join(relative);
            }
            if names.is_empty() && controller == "unified" {
                return std::path::Path::new("/sys/fs/cgroup/unified").join(relative);
            }
        }
        panic!("`{}` is in no cgroup of controller `{controller}`", self.id)
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        if !self.deleted.get() {
            let _ = self.runtime.command(["delete", "--force", &self.id]);
        }
    }
}
