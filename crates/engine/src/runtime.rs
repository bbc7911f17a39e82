//! taru-runtime, which is executed, never linked: what it does to a process it does to its own.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use taru_runtime::start::{self, Shown};
use taru_runtime::state::Store;
use taru_stdx::fs::read_bounded;
use taru_stdx::{Context, Error, Kind, Result};

use crate::told::{self, Detail, Say};

/// The executables and how they are called.
#[derive(Debug, Clone)]
pub struct Runtime {
    /// taru-runtime.
    own: PathBuf,
    /// Another OCI runtime to be used in its place for all but supervising.
    other: Option<PathBuf>,
    root: PathBuf,
    say: Say,
}

impl Runtime {
    /// Finds taru-runtime: beside this executable, then on the PATH. `$TARU_RUNTIME` names another OCI
    /// runtime, which then makes the containers. State is kept in `root`.
    ///
    /// # Errors
    /// [`Kind::NotFound`] if there is none.
    pub fn find(root: PathBuf, say: Say) -> Result<Runtime> {
        let own = std::env::current_exe().context(|| "find taru's own executable")?;
        let beside = own.with_file_name("taru-runtime");
        let own = if beside.is_file() { Some(beside) } else { on_path("taru-runtime") };
        let own = own.ok_or_else(|| {
            Error::new(Kind::NotFound, "find `taru-runtime`: neither beside taru nor on the PATH")
                .hint("`taru` and `taru-runtime` belong together: install them in one directory")
        })?;
        let other = match std::env::var("TARU_RUNTIME") {
            Ok(name) if name.contains('/') => Some(PathBuf::from(name)),
            Ok(name) if !name.is_empty() => Some(on_path(&name).ok_or_else(|| {
                Error::new(Kind::NotFound, format!("find the runtime `{name}`: it is not on the PATH"))
                    .hint("TARU_RUNTIME names it; without the variable taru-runtime is used")
            })?),
            _ => None,
        };
        Ok(Runtime { own, other, root, say })
    }

    /// The runtime that makes the containers.
    pub fn program(&self) -> &Path {
        self.other.as_deref().unwrap_or(&self.own)
    }

    /// A call that supervises a container: its own options are still to come.
    pub fn supervise(&self) -> Command {
        let mut command = Command::new(&self.own);
        // A service's own word of readiness is not the container's to give: starting would wait for it.
        command.env_remove("NOTIFY_SOCKET");
        command.arg("--root").arg(&self.root).arg("supervise");
        if let Some(other) = &self.other {
            command.arg("--runtime").arg(other);
        }
        command
    }

    /// The words of a call: the executable, its global options, then `words`.
    pub(crate) fn words(&self, words: &[&dyn AsRef<std::ffi::OsStr>]) -> Vec<OsString> {
        let mut all: Vec<OsString> = vec![self.program().into(), "--root".into(), self.root.clone().into()];
        all.extend(words.iter().map(|w| w.as_ref().to_owned()));
        all
    }

    /// The words that run the container `id` of `bundle` in the foreground; what goes wrong is written to `log`.
    pub(crate) fn run(&self, bundle: &Path, log: &Path, id: &str) -> Vec<OsString> {
        self.words(&[&"--log", &log, &"--log-format", &"json", &"run", &"--bundle", &bundle, &id])
    }

    /// As [`Runtime::run`], of a bundle whose document is to be read from this process's descriptor `document`, and so may
    /// be written while the runtime begins. `None` of another runtime than ours: it has no word for that.
    pub(crate) fn run_ahead(
        &self,
        bundle: &Path,
        log: &Path,
        document: i32,
        id: &str,
    ) -> Option<Vec<OsString>> {
        if self.other.is_some() {
            return None;
        }
        let mut words = self.run(bundle, log, id);
        let at = words.len() - 1;
        words.splice(at..at, ["--config".into(), format!("/proc/self/fd/{document}").into()]);
        Some(words)
    }

    /// As [`Runtime::run`], of a container that is killed with this process. Another runtime than ours has no word for that.
    pub(crate) fn run_until_our_end(&self, bundle: &Path, log: &Path, id: &str) -> Vec<OsString> {
        let mut words = self.run(bundle, log, id);
        if self.other.is_none() {
            words.insert(words.len() - 1, "--die-with-parent".into());
        }
        words
    }

    /// Calls it for something that takes no input, and returns what it prints.
    ///
    /// # Errors
    /// Of the kind [`Kind::System`] if it fails, with what it says.
    pub fn call(&self, words: &[&str]) -> Result<Vec<u8>> {
        let what = || format!("`{} {}`", self.program().display(), words.join(" "));
        let mut command = Command::new(self.program());
        command.arg("--root").arg(&self.root).args(words);
        self.tell(&command);
        let output = command.stdin(Stdio::null()).output().context(|| format!("execute {}", what()))?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(Error::new(Kind::System, what()).because(said_error(&said, Kind::System)))
    }
}

impl Runtime {
    /// Says what is about to be executed.
    pub fn tell(&self, command: &Command) {
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        (self.say)(Detail::Every, &format!("execute {}", told::line(words)));
    }

    /// Makes a container that only waits. Its first process would hold on to streams that are pipes, so it gets none, and
    /// why it failed is read from the log.
    ///
    /// # Errors
    /// Of the kind [`Kind::System`] if it fails, with what it says.
    pub fn create(&self, id: &str, bundle: &Path) -> Result<()> {
        let what = || format!("make `{id}` ready");
        let log = bundle.join("runtime.log");
        let mut command = Command::new(self.program());
        command.arg("--root").arg(&self.root).arg("--log").arg(&log).args(["--log-format", "json", "create"]);
        command.arg("--bundle").arg(bundle).arg(id);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.tell(&command);
        let status = command.status().context(what)?;
        if status.success() {
            return Ok(());
        }
        let silent = || Error::new(Kind::System, "the runtime says nothing");
        Err(Error::new(Kind::System, what()).because(failure(&log).unwrap_or_else(silent)))
    }
}

impl Runtime {
    /// Has the init of a container that only waits show itself to this user, who is not root, until what this returns is
    /// dropped. Another runtime's is visible, or stays hidden.
    ///
    /// # Errors
    /// There is no such container; the conversation with its init fails.
    pub fn show(&self, id: &str) -> Result<Option<Shown>> {
        if self.other.is_some() {
            return Ok(None);
        }
        start::show(&Store::open(&self.root).load(id)?)
    }
}

/// The first file of this name in the directories of `$PATH`.
fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|p| p.is_file())
}

/// What the runtime said on standard error as an error: its lines without its name, hints as hints.
pub(crate) fn said_error(said: &str, kind: Kind) -> Error {
    let mut message = String::new();
    let mut hints = Vec::new();
    for line in said.lines().map(str::trim).filter(|l| !l.is_empty()) {
        match line.strip_prefix("hint: ") {
            Some(hint) => hints.push(hint),
            None => {
                let line = line.strip_prefix("taru-runtime: ").unwrap_or(line);
                message.push_str(if message.is_empty() { "" } else { "; " });
                message.push_str(line);
            }
        }
    }
    if message.is_empty() {
        message.push_str("it says nothing");
    }
    hints.into_iter().fold(Error::new(kind, message), Error::hint)
}

/// What the runtime logged as its failure, if it failed: the program's own exit status may be the same number.
pub fn failure(log: &Path) -> Option<Error> {
    #[derive(serde::Deserialize)]
    struct Line {
        level: String,
        msg: String,
        #[serde(default)]
        exit: Option<i32>,
        #[serde(default)]
        hints: Vec<String>,
    }
    let text = read_bounded(log, 1 << 20).ok()?;
    let mut lines = text.split(|&b| b == b'\n').filter_map(|line| serde_json::from_slice::<Line>(line).ok());
    let line = lines.rfind(|line| line.level == "error")?;
    let kind = line.exit.or_else(|| exec_status(&line.msg)).map_or(Kind::System, Kind::Exec);
    Some(line.hints.into_iter().fold(Error::new(kind, line.msg), Error::hint))
}

/// The status that runc's and crun's words for a program that cannot be executed stand for; they have no
/// field for it, and every engine reads the words.
fn exec_status(message: &str) -> Option<i32> {
    let has = |words: &str| message.contains(words);
    if has("executable file not found") || has("exec: ") && has("no such file or directory") {
        return Some(127);
    }
    (has("exec: ") && has("permission denied")).then_some(126)
}
