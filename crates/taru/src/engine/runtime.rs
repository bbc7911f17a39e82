//! taru-runtime, which is executed, never linked: what it does to a process it does to its own.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use taru_stdx::{Context, Error, Kind, Result};

/// The executable and how it is called.
#[derive(Debug, Clone)]
pub struct Runtime {
    program: PathBuf,
    root: PathBuf,
}

impl Runtime {
    /// Finds the executable: `$TARU_RUNTIME`, then `taru-runtime` beside this executable, then on the
    /// PATH. Its state is kept in `root`.
    ///
    /// # Errors
    /// [`Kind::NotFound`] if it is nowhere.
    pub fn find(root: PathBuf) -> Result<Runtime> {
        if let Some(program) = std::env::var_os("TARU_RUNTIME").filter(|p| !p.is_empty()) {
            return Ok(Runtime { program: program.into(), root });
        }
        let own = std::env::current_exe().context(|| "find taru's own executable")?;
        let beside = own.with_file_name("taru-runtime");
        let on_path = || {
            let path = std::env::var_os("PATH").unwrap_or_default();
            std::env::split_paths(&path).map(|dir| dir.join("taru-runtime")).find(|p| p.is_file())
        };
        let program = if beside.is_file() { Some(beside) } else { on_path() };
        let program = program.ok_or_else(|| {
            Error::new(Kind::NotFound, "find `taru-runtime`: neither beside taru nor on the PATH")
                .hint("install it beside taru, or name it: TARU_RUNTIME=/path/to/taru-runtime")
        })?;
        Ok(Runtime { program, root })
    }

    /// The executable.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// The words of a call: the executable, its global options, then `words`.
    pub fn words(&self, words: &[&dyn AsRef<std::ffi::OsStr>]) -> Vec<OsString> {
        let mut all: Vec<OsString> =
            vec![self.program.clone().into(), "--root".into(), self.root.clone().into()];
        all.extend(words.iter().map(|w| w.as_ref().to_owned()));
        all
    }

    /// Calls it for something that takes no input, and returns what it prints.
    ///
    /// # Errors
    /// Of the kind [`Kind::System`] if it fails, with what it says.
    pub fn call(&self, words: &[&str]) -> Result<Vec<u8>> {
        let what = || format!("`{} {}`", self.program.display(), words.join(" "));
        let mut command = Command::new(&self.program);
        command.arg("--root").arg(&self.root).args(words);
        let output = command.stdin(Stdio::null()).output().context(|| format!("execute {}", what()))?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(Error::new(Kind::System, what()).because(said_error(&said, Kind::System)))
    }
}

/// What the runtime said on standard error as an error: its lines without its name, hints as hints.
pub fn said_error(said: &str, kind: Kind) -> Error {
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
