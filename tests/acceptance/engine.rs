//! What the engines have in common: a program found or skipped, a daemon that is waited for, a command line.

use std::path::{Path, PathBuf};
use std::time::Duration;

use taru_testkit::{Invocation, Output, Running, Sandbox, eventually};

/// A daemon needs some seconds to end, and Go programs some to start.
const BOUND: Duration = Duration::from_secs(60);

/// An engine's command line, with the options that every call has.
pub(crate) struct Engine {
    argv: Vec<PathBuf>,
    env: Vec<(&'static str, String)>,
    dir: PathBuf,
}

impl Engine {
    /// A command line that begins with `argv`.
    pub(crate) fn new(sandbox: &Sandbox, argv: &[&str]) -> Self {
        Self { argv: argv.iter().map(PathBuf::from).collect(), env: Vec::new(), dir: sandbox.dir() }
    }

    /// With a variable of the environment for every call.
    pub(crate) fn env(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.env.push((name, value.into()));
        self
    }

    /// Runs one command to its end, whatever its status.
    pub(crate) fn call(&self, args: &[&str]) -> Output {
        let mut invocation = Invocation::new(&self.dir, &self.argv).bound(BOUND);
        for (name, value) in &self.env {
            invocation = invocation.env(name, value);
        }
        for arg in args {
            invocation = invocation.arg(arg);
        }
        invocation.output()
    }

    /// Runs one command that must succeed, and returns what it printed.
    #[track_caller]
    pub(crate) fn prints(&self, args: &[&str]) -> String {
        self.call(args).ok().text().to_owned()
    }
}

/// A daemon of the test's own; ended with it.
pub(crate) struct Daemon {
    running: Option<Running>,
    /// What it leaves in /run when it ends; not the runtime's to remove.
    leavings: Vec<PathBuf>,
}

impl Daemon {
    /// Starts `argv` and waits until `client` answers to `question`.
    pub(crate) fn start(
        sandbox: &Sandbox,
        argv: &[&str],
        client: &Engine,
        question: &[&str],
        leavings: &[&str],
    ) -> Self {
        let running = Invocation::new(&sandbox.dir(), argv).bound(BOUND).spawn();
        let daemon = Self { running: Some(running), leavings: leavings.iter().map(PathBuf::from).collect() };
        eventually("the daemon answers", || client.call(question).status == 0);
        daemon
    }

    /// Ends it as its service manager would, and removes what it leaves in /run.
    pub(crate) fn stop(mut self) {
        let Some(running) = self.running.take() else { return };
        let pid = running.pid().to_string();
        let killed = std::process::Command::new("kill").args(["-TERM", &pid]).status();
        assert!(killed.is_ok_and(|status| status.success()), "end the daemon");
        running.wait();
        for path in &self.leavings {
            remove(path);
        }
    }
}

/// Removes a tree of an engine's own, with the mounts an engine keeps in it.
pub(crate) fn remove(path: &Path) {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let below =
        mounts.lines().filter_map(|line| line.split(' ').nth(4)).filter(|at| Path::new(at).starts_with(path));
    for at in below.collect::<Vec<_>>().into_iter().rev() {
        let _ = std::process::Command::new("umount").args(["--lazy", at]).status();
    }
    let _ = std::fs::remove_dir_all(path);
}

/// Whether `programs` are all there; a skip that names the first that is not.
pub(crate) fn has(sandbox: &Sandbox, programs: &[&str]) -> bool {
    match programs.iter().find(|program| !Path::new(program).exists()) {
        None => true,
        Some(program) => {
            sandbox.skip(program);
            false
        }
    }
}
