//! The OCI runtime under test, as a program, and the containers it makes; nothing here knows how it
//! works inside.

use std::cell::Cell;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::{Bundle, Invocation, Output, eventually};

/// Whose runtime it is; decides only how the sandbox is laid out and which known gaps of a peer are
/// passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// `taru-runtime`.
    Taru,
    /// `runc`.
    Runc,
    /// `crun`.
    Crun,
    /// Any other OCI runtime.
    Other,
}

impl Family {
    pub(crate) fn of(program: &Path) -> Self {
        match program.file_name().and_then(OsStr::to_str).unwrap_or_default() {
            name if name.starts_with("taru") => Self::Taru,
            name if name.starts_with("runc") => Self::Runc,
            name if name.starts_with("crun") => Self::Crun,
            _ => Self::Other,
        }
    }
}

/// A runtime with a state directory of its own.
#[derive(Debug)]
pub struct Runtime {
    program: PathBuf,
    family: Family,
    root: PathBuf,
    output_dir: PathBuf,
    marker: String,
    ids: Cell<u32>,
}

impl Runtime {
    pub(crate) fn new(program: PathBuf, sandbox_dir: &Path, marker: &str) -> Self {
        Self {
            family: Family::of(&program),
            program,
            root: sandbox_dir.join("root"),
            output_dir: sandbox_dir.join("output"),
            marker: marker.to_owned(),
            ids: Cell::new(0),
        }
    }

    /// The same runtime as a copy of its executable in `dir`, for tests that attack the executable.
    ///
    /// # Panics
    /// When it cannot be copied.
    #[must_use]
    pub fn copied_to(&self, dir: &Path) -> Self {
        let program = dir.join(self.program.file_name().expect("a program has a name"));
        fs::copy(&self.program, &program).expect("copy the runtime");
        Self {
            program,
            family: self.family,
            root: self.root.clone(),
            output_dir: self.output_dir.clone(),
            marker: format!("{}-copy", self.marker),
            ids: Cell::new(0),
        }
    }

    /// The executable.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Its state directory (`--root`).
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Whose it is.
    pub fn family(&self) -> Family {
        self.family
    }

    /// A container id no other test uses.
    pub fn fresh_id(&self) -> String {
        self.ids.set(self.ids.get() + 1);
        format!("{}-c{}", self.marker, self.ids.get())
    }

    /// `RUNTIME --root ROOT ARGS...`
    pub fn invoke<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Invocation {
        let mut invocation = Invocation::new(&self.output_dir, [&self.program]).arg("--root").arg(&self.root);
        for arg in args {
            invocation = invocation.arg(arg);
        }
        invocation
    }

    /// Runs `RUNTIME --root ROOT ARGS...` to its end.
    pub fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Output {
        self.invoke(args).output()
    }

    /// `run --bundle BUNDLE ID` in the foreground, under a fresh id.
    pub fn run(&self, bundle: &Bundle) -> Output {
        self.run_with(bundle, &[] as &[&str])
    }

    /// What the container printed, run in the foreground to success, without the white space around it.
    ///
    /// # Panics
    /// When it does not exit with 0.
    #[track_caller]
    pub fn prints(&self, bundle: &Bundle) -> String {
        self.run(bundle).ok().text().to_owned()
    }

    /// `run --bundle BUNDLE OPTIONS ID` in the foreground, under a fresh id.
    pub fn run_with<S: AsRef<OsStr>>(&self, bundle: &Bundle, options: &[S]) -> Output {
        self.invoke_run(bundle, options).output()
    }

    /// The invocation of [`Runtime::run_with`].
    pub fn invoke_run<S: AsRef<OsStr>>(&self, bundle: &Bundle, options: &[S]) -> Invocation {
        bundle.write();
        let mut invocation = self.invoke(["run", "--bundle"]).arg(bundle.dir());
        for option in options {
            invocation = invocation.arg(option);
        }
        invocation.arg(self.fresh_id())
    }

    /// `create --bundle BUNDLE OPTIONS ID`: the handle and what the command said.
    pub fn try_create<S: AsRef<OsStr>>(&self, bundle: &Bundle, options: &[S]) -> (Container<'_>, Output) {
        bundle.write();
        let container = Container::new(self, self.fresh_id());
        let mut invocation = self.invoke(["create", "--bundle"]).arg(bundle.dir());
        for option in options {
            invocation = invocation.arg(option);
        }
        let output = invocation.arg(container.id()).output();
        (container, output)
    }

    /// A created container.
    ///
    /// # Panics
    /// When creating fails.
    #[track_caller]
    pub fn create(&self, bundle: &Bundle) -> Container<'_> {
        let (container, output) = self.try_create(bundle, &[] as &[&str]);
        output.succeeds();
        container
    }

    /// A created and started container, detached.
    ///
    /// # Panics
    /// When either fails.
    #[track_caller]
    pub fn start(&self, bundle: &Bundle) -> Container<'_> {
        let container = self.create(bundle);
        container.start();
        container
    }

    /// Any other program, its output kept beside ours.
    pub fn beside<S: AsRef<OsStr>>(&self, argv: impl IntoIterator<Item = S>) -> Invocation {
        Invocation::new(&self.output_dir, argv)
    }
}

/// A container of the runtime under test; deleted by force when dropped.
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

    /// The directory of its cgroup in the hierarchy of `controller`; where all are on v2, its one cgroup.
    pub fn cgroup(&self, controller: &str) -> PathBuf {
        let pid = self.pid();
        let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("read the cgroups of init");
        let is_v2_alone = Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
        for line in text.lines() {
            let mut parts = line.splitn(3, ':');
            let (_, names, path) = (parts.next(), parts.next().unwrap_or(""), parts.next().unwrap_or(""));
            let relative = path.trim_start_matches('/');
            let named = format!("name={controller}");
            if names.split(',').any(|name| name == controller || name == named) {
                return Path::new("/sys/fs/cgroup").join(controller).join(relative);
            }
            if names.is_empty() && (controller == "unified" || is_v2_alone) {
                let mounted = if is_v2_alone { "/sys/fs/cgroup" } else { "/sys/fs/cgroup/unified" };
                return Path::new(mounted).join(relative);
            }
        }
        panic!("`{}` is in no cgroup of controller `{controller}`", self.id)
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        // After a failure the sandbox ends, and everything in it.
        if !self.deleted.get() && !std::thread::panicking() {
            let _ = self.runtime.command(["delete", "--force", &self.id]);
        }
    }
}
