//! What a run of the test machine is, whichever kernel it boots, and the exchange with it.
//!
//! One directory of the host, `target/vm/run.PID/out`, is writable for the guest:
//! ```text
//! out, err    what the command prints, copied to ours while it runs
//! status      its exit status; absent when the guest did not get that far
//! ```

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use taru_stdx::{Context, Error, Kind, Result};

use crate::workspace;

/// How often the guest's output is looked at.
const PAUSE: Duration = Duration::from_millis(50);
/// The exit status of timeout(1) that ended its command.
const TIMED_OUT: i32 = 124;

/// What to run, and in what.
#[derive(Clone)]
pub(crate) struct Machine {
    /// Whether systemd is the first process.
    pub(super) systemd: bool,
    /// The limit of its life.
    pub(super) seconds: u32,
    /// Its memory in MiB.
    pub(super) memory: u32,
    pub(super) command: Vec<OsString>,
}

/// The host's directory of one run; removed with it.
pub(super) struct Exchange {
    dir: PathBuf,
}

impl Exchange {
    pub(super) fn create() -> Result<Exchange> {
        let dir = workspace::target().join("vm").join(format!("run.{}", std::process::id()));
        let exchange = Exchange { dir };
        let out = exchange.out();
        fs::create_dir_all(&out).context(|| format!("create `{}`", out.display()))?;
        for name in ["out", "err"] {
            File::create(out.join(name)).context(|| format!("create `{}`", out.join(name).display()))?;
        }
        Ok(exchange)
    }

    /// For files of this run that the guest does not see.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// What the guest may write to.
    pub(super) fn out(&self) -> PathBuf {
        self.dir.join("out")
    }

    /// Runs the kernel to its end, passing on what the command prints; returns the command's status.
    pub(super) fn run(&self, kernel: &mut Command) -> Result<i32> {
        let log = self.dir.join("console");
        let console = File::create(&log).context(|| format!("create `{}`", log.display()))?;
        let also = console.try_clone().context(|| format!("open `{}` again", log.display()))?;
        kernel.stdin(Stdio::null()).stdout(console).stderr(also);
        let mut child =
            kernel.spawn().context(|| format!("execute `{}`", kernel.get_program().to_string_lossy()))?;
        let mut out = Follower::open(&self.out().join("out"))?;
        let mut err = Follower::open(&self.out().join("err"))?;
        let ended = loop {
            let ended = child.try_wait().context(|| "wait for the test machine")?;
            out.copy(&mut std::io::stdout())?;
            err.copy(&mut std::io::stderr())?;
            match ended {
                Some(status) => break status,
                None => sleep(PAUSE),
            }
        };
        if let Ok(status) = fs::read_to_string(self.out().join("status")) {
            return status
                .trim()
                .parse()
                .map_err(|_| Error::invalid(format!("status `{}` of the test machine", status.trim())));
        }
        if ended.code() == Some(TIMED_OUT) {
            eprintln!("vm: the time is over");
            return Ok(TIMED_OUT);
        }
        let mut said = String::new();
        let _ = File::open(&log).and_then(|mut f| f.read_to_string(&mut said));
        let last: Vec<&str> = said.lines().rev().take(20).collect();
        Err(Error::new(Kind::System, format!("the test machine ended ({ended}) before its command did"))
            .hint(last.into_iter().rev().collect::<Vec<_>>().join("\n")))
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// A file that grows, read from where the last look ended.
struct Follower(File);

impl Follower {
    fn open(path: &Path) -> Result<Follower> {
        File::open(path).map(Follower).context(|| format!("open `{}`", path.display()))
    }

    fn copy(&mut self, to: &mut impl Write) -> Result<()> {
        let mut new = Vec::new();
        self.0.read_to_end(&mut new).context(|| "read what the test machine prints")?;
        to.write_all(&new).and_then(|()| to.flush()).context(|| "print what the test machine prints")
    }
}

impl Machine {
    /// The command as a script for a shell: its directory, its words.
    pub(super) fn script(&self) -> Vec<u8> {
        let mut text = b"#!/bin/sh\n".to_vec();
        text.extend_from_slice(b"cd ");
        text.extend(quoted(workspace::root().as_os_str().as_bytes()));
        text.extend_from_slice(b" && exec");
        for word in &self.command {
            text.push(b' ');
            text.extend(quoted(word.as_bytes()));
        }
        text.push(b'\n');
        text
    }
}

/// A word as a shell reads it back unchanged.
fn quoted(word: &[u8]) -> Vec<u8> {
    let mut text = vec![b'\''];
    for &byte in word {
        if byte == b'\'' {
            text.extend_from_slice(b"'\\''");
        } else {
            text.push(byte);
        }
    }
    text.push(b'\'');
    text
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn words_pass_a_shell_unchanged() {
        assert_eq!(quoted(b"a b"), b"'a b'");
        assert_eq!(quoted(b"it's $HOME"), b"'it'\\''s $HOME'");
    }
}
