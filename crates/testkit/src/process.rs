//! One process of a test: what to execute, with a safety bound, and what came out.
//!
//! Output goes to files, not pipes: a detached container keeps its caller's standard output open, and
//! a reader of a pipe would wait for it.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// No single command of a test takes this long, also on a machine with much else to do; one that does hangs.
const BOUND: Duration = Duration::from_secs(180);

/// Whether [`Output::fails_with`] looks at the words: when the runtime is our own.
pub(crate) static JUDGES_WORDS: AtomicBool = AtomicBool::new(true);

static COUNTER: AtomicU32 = AtomicU32::new(0);

/// A command about to be run.
#[derive(Clone, Debug)]
pub struct Invocation {
    argv: Vec<OsString>,
    env: Vec<(OsString, Option<OsString>)>,
    dir: Option<PathBuf>,
    stdin: Option<Vec<u8>>,
    output_dir: PathBuf,
    bound: Duration,
}

impl Invocation {
    /// `argv`, its output kept in files under `output_dir`.
    pub fn new<S: AsRef<OsStr>>(output_dir: &Path, argv: impl IntoIterator<Item = S>) -> Self {
        Self {
            argv: argv.into_iter().map(|arg| arg.as_ref().to_owned()).collect(),
            env: Vec::new(),
            dir: None,
            stdin: None,
            output_dir: output_dir.to_owned(),
            bound: BOUND,
        }
    }

    /// The same command as an argument of `wrapper` (`strace ...`, `setpriv ...`).
    #[must_use]
    pub fn under<S: AsRef<OsStr>>(mut self, wrapper: impl IntoIterator<Item = S>) -> Self {
        let wrapper = wrapper.into_iter().map(|arg| arg.as_ref().to_owned());
        self.argv.splice(0..0, wrapper);
        self
    }

    /// With one more argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.argv.push(arg.as_ref().to_owned());
        self
    }

    /// With a variable of the environment changed.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.env.push((name.into(), Some(value.as_ref().to_owned())));
        self
    }

    /// In another working directory.
    #[must_use]
    pub fn dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.dir = Some(dir.into());
        self
    }

    /// With this text on standard input (otherwise `/dev/null`).
    #[must_use]
    pub fn stdin(mut self, text: impl Into<Vec<u8>>) -> Self {
        self.stdin = Some(text.into());
        self
    }

    /// With another safety bound.
    #[must_use]
    pub fn bound(mut self, bound: Duration) -> Self {
        self.bound = bound;
        self
    }

    /// Runs it to its end.
    ///
    /// # Panics
    /// When it cannot be started, or does not end within the bound.
    pub fn output(self) -> Output {
        let stdin = match &self.stdin {
            None => Stdio::null(),
            Some(text) => {
                let path = self.fresh_path("in");
                std::fs::write(&path, text).expect("write standard input");
                File::open(path).expect("open standard input").into()
            }
        };
        self.start(stdin).wait()
    }

    /// Starts it with a pipe as standard input, and returns while it runs.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn spawn(self) -> Running {
        self.start(Stdio::piped())
    }

    fn fresh_path(&self, kind: &str) -> PathBuf {
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        self.output_dir.join(format!("{}-{number}.{kind}", std::process::id()))
    }

    fn start(self, stdin: Stdio) -> Running {
        let (stdout, stderr) = (self.fresh_path("out"), self.fresh_path("err"));
        let mut command = Command::new(&self.argv[0]);
        command
            .args(&self.argv[1..])
            .stdin(stdin)
            .stdout(File::create(&stdout).expect("create output file"))
            .stderr(File::create(&stderr).expect("create output file"));
        for (name, value) in &self.env {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        if let Some(dir) = &self.dir {
            command.current_dir(dir);
        }
        let line = self.argv.iter().map(|arg| arg.to_string_lossy()).collect::<Vec<_>>().join(" ");
        let child = command.spawn().unwrap_or_else(|error| panic!("run `{line}`: {error}"));
        Running { child, line, stdout, stderr, bound: self.bound }
    }
}

/// A command that runs. Killed when dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    line: String,
    stdout: PathBuf,
    stderr: PathBuf,
    bound: Duration,
}

impl Running {
    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its standard output so far.
    pub fn stdout(&self) -> String {
        read_lossy(&self.stdout)
    }

    /// Its standard error so far.
    pub fn stderr(&self) -> String {
        read_lossy(&self.stderr)
    }

    /// Its standard input; dropping what is returned closes it.
    pub fn take_stdin(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    /// Sends text to its standard input.
    ///
    /// # Panics
    /// When it no longer reads.
    pub fn write(&mut self, text: &str) {
        let stdin = self.child.stdin.as_mut().expect("standard input is a pipe");
        stdin.write_all(text.as_bytes()).expect("write to the process");
    }

    /// Waits until its standard output contains `text`.
    ///
    /// # Panics
    /// When it ended without, or the bound passed.
    pub fn wait_for(&mut self, text: &str) -> String {
        let deadline = Instant::now() + self.bound;
        loop {
            let ended = self.try_status();
            let seen = self.stdout();
            if seen.contains(text) {
                return seen;
            }
            let all = || format!("stdout: {seen}\nstderr: {}", self.stderr());
            assert!(ended.is_none(), "`{}` ended without printing `{text}`\n{}", self.line, all());
            assert!(Instant::now() < deadline, "`{}` never printed `{text}`\n{}", self.line, all());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Its status, if it has ended.
    pub fn try_status(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("wait for a child")
    }

    /// Kills it (SIGKILL).
    pub fn kill(&mut self) {
        let _ = self.child.kill();
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When the safety bound passes first.
    pub fn wait(mut self) -> Output {
        drop(self.child.stdin.take());
        let deadline = Instant::now() + self.bound;
        let mut pause = Duration::from_micros(200);
        loop {
            if let Some(status) = self.try_status() {
                return Output {
                    status: status.code().unwrap_or(-1),
                    signal: status.signal(),
                    stdout: self.stdout(),
                    stderr: self.stderr(),
                    line: std::mem::take(&mut self.line),
                };
            }
            if Instant::now() > deadline {
                let said = format!("stdout: {}\nstderr: {}", self.stdout(), self.stderr());
                panic!("`{}` did not end within {:?}\n{said}", self.line, self.bound);
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(4));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn read_lossy(path: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
}

/// Waits until `condition` holds.
///
/// # Panics
/// When it does not within a generous bound; a test never depends on how long it takes.
#[track_caller]
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    // A peer is not judged: what it never does is not waited for as long.
    let bound = if JUDGES_WORDS.load(Ordering::Relaxed) { 60 } else { 20 };
    let deadline = Instant::now() + Duration::from_secs(bound);
    while !condition() {
        assert!(Instant::now() < deadline, "never came true: {what}");
        std::thread::sleep(Duration::from_millis(3));
    }
}

/// What a command did.
#[derive(Clone, Debug)]
pub struct Output {
    /// Its exit status; -1 when a signal ended it.
    pub status: i32,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
    line: String,
}

impl Output {
    /// Itself, if it exited with 0.
    ///
    /// # Panics
    /// With everything it said, otherwise.
    #[track_caller]
    #[must_use = "use `.succeeds()` when only success matters"]
    pub fn ok(self) -> Self {
        self.succeeds();
        self
    }

    /// Asserts that it exited with 0.
    ///
    /// # Panics
    /// When it did not.
    #[track_caller]
    pub fn succeeds(&self) {
        assert!(self.status == 0, "`{}` was to succeed: {}", self.line, self.describe());
    }

    /// Asserts that it exited with an error, by itself and not by a signal, and said why on standard
    /// error.
    ///
    /// # Panics
    /// When it did not.
    #[track_caller]
    pub fn fails(&self) {
        assert!(self.status > 0, "`{}` was to fail: {}", self.line, self.describe());
        assert!(!self.stderr.trim().is_empty(), "`{}` fails without a word", self.line);
    }

    /// As [`Output::fails`], with `words` in its message. A peer's words are its own: of it, only
    /// failure is asked.
    ///
    /// # Panics
    /// When it did not.
    #[track_caller]
    pub fn fails_with(&self, words: &str) {
        self.fails();
        let judged = JUDGES_WORDS.load(Ordering::Relaxed);
        assert!(
            !judged || self.stderr.contains(words),
            "`{}` was to say `{words}`: {}",
            self.line,
            self.describe()
        );
    }

    /// The value of line `key value` in standard output.
    ///
    /// # Panics
    /// When there is none.
    #[track_caller]
    pub fn value(&self, key: &str) -> &str {
        let found = self.stdout.lines().find_map(|line| {
            let value = line.strip_prefix(key)?;
            (value.is_empty() || value.starts_with([' ', '\t', ':'])).then_some(value)
        });
        match found {
            Some(value) => value.trim_start_matches(':').trim(),
            None => panic!("`{}` printed no line `{key}`: {}", self.line, self.describe()),
        }
    }

    /// Standard output without the white space around it.
    pub fn text(&self) -> &str {
        self.stdout.trim()
    }

    fn describe(&self) -> String {
        let signal = self.signal.map(|number| format!(" (signal {number})")).unwrap_or_default();
        format!("status {}{signal}\nstdout: {}\nstderr: {}", self.status, self.stdout, self.stderr)
    }
}
