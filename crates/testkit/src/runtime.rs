//! The OCI runtime under test, as a program: nothing here knows how it works inside.

use std::cell::Cell;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::{Bundle, Container, Invocation, Output};

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

    /// `run --bundle BUNDLE OPTIONS ID` in the foreground, under a fresh id.
    pub fn run_with<S: AsRef<OsStr>>(&self, bundle: &Bundle, options: &[S]) -> Output {
        let output = self.invoke_run(bundle, options).output();
        // A container that could not be started leaves nothing; the leak check holds us to it.
        output
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
        Invocation::new(&self.output_dir, argv).bound(Duration::from_secs(30))
    }
}
