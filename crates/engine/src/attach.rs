//! This process's standard streams at a detached container's, through its supervisor's control socket.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use taru_stdx::{Context, Error, Kind, Result};
use taru_supervise::control::{self, FRAME, Frame};
use taru_supervise::log::Stream;
use taru_sys::poll::{events, poll_all};
use taru_sys::signal::{self, SignalFd};
use taru_sys::tty;

use crate::Engine;
use crate::reconcile::{self, Status};

/// Ctrl-P Ctrl-Q, Docker's way of letting go.
const LET_GO: [u8; 2] = [0x10, 0x11];

/// Stays attached to the container `key` until it ends, and returns its exit status; 0 if the user let go.
///
/// # Errors
/// [`Kind::State`] if it does not run under a supervisor.
pub fn attach(engine: &mut Engine, key: &str, with_input: bool) -> Result<u8> {
    let (record, status) = reconcile::one(engine, key)?;
    let Status::Running { .. } = status else {
        return Err(Error::new(Kind::State, format!("attach to `{key}`: it is not running")));
    };
    let is_tty = record.config()?.tty;
    let stream = control::connect(&engine.dirs.bundle(&record.id))
        .context_as(Kind::State, || format!("attach to `{key}`"))?;
    let resized = signal::Set::new(&[signal::SIGWINCH]);
    signal::block(&resized);
    let signals = SignalFd::new(&resized).context(|| "wait for signals")?;
    let input = std::io::stdin();
    let mut terminal = None;
    if is_tty && with_input && tty::is_terminal(input.as_fd()) {
        terminal = Some(Raw::new(input.as_fd())?);
    }
    let mut session = Session { stream, from: Vec::new(), terminal: terminal.is_some(), held: 0 };
    session.resize()?;
    let result = session.until_end(&signals, with_input);
    // Before anything is printed.
    drop(terminal);
    result
}

/// A terminal in raw mode, put back when dropped.
struct Raw<'a> {
    tty: BorrowedFd<'a>,
    before: tty::Settings,
}

impl Raw<'_> {
    fn new(tty: BorrowedFd<'_>) -> Result<Raw<'_>> {
        let before = tty::settings(tty).context(|| "read the terminal's settings")?;
        tty::apply(tty, &before.raw()).context(|| "change the terminal's settings")?;
        Ok(Raw { tty, before })
    }
}

impl Drop for Raw<'_> {
    fn drop(&mut self) {
        // If it is gone there is nothing to put back.
        let _ = tty::apply(self.tty, &self.before);
    }
}

struct Session {
    stream: UnixStream,
    /// What came and is not a whole frame.
    from: Vec<u8>,
    /// Whether input comes from a terminal in raw mode.
    terminal: bool,
    /// How many of [`LET_GO`] were typed.
    held: usize,
}

enum Step {
    On,
    End(u8),
}

impl Session {
    fn until_end(&mut self, signals: &SignalFd, mut with_input: bool) -> Result<u8> {
        let input = std::io::stdin();
        loop {
            let mut wanted = vec![(self.stream.as_fd(), events::IN), (signals.as_fd(), events::IN)];
            if with_input {
                wanted.push((input.as_fd(), events::IN));
            }
            let seen = poll_all(&wanted, None).context(|| "wait for the container")?;
            let is = |n: usize| seen.get(n).is_some_and(|s| *s != 0);
            if is(1) {
                while signals.read().context(|| "wait for signals")?.is_some() {}
                self.resize()?;
            }
            if is(2) {
                match self.pass_input()? {
                    Some(Step::End(status)) => return Ok(status),
                    Some(Step::On) => {}
                    None => with_input = false,
                }
            }
            if is(0)
                && let Step::End(status) = self.take()?
            {
                return Ok(status);
            }
        }
    }

    fn send(&mut self, frame: Frame<'_>) -> Result<()> {
        match self.stream.write_all(&frame.to_bytes()) {
            // It ended; its last words are still to be read.
            Err(e) if e.kind() == ErrorKind::BrokenPipe => Ok(()),
            other => other.context(|| "write to the container"),
        }
    }

    fn resize(&mut self) -> Result<()> {
        let size = tty::size(std::io::stdin().as_fd());
        match (self.terminal, size) {
            (true, Ok(size)) => self.send(Frame::Resize(size)),
            _ => Ok(()),
        }
    }

    /// Hands on what was typed; `None` at the end of input.
    fn pass_input(&mut self) -> Result<Option<Step>> {
        let mut chunk = [0u8; FRAME / 2];
        // Read from the descriptor: the standard library's buffer would hide from poll what it holds.
        let mut input =
            File::from(std::io::stdin().as_fd().try_clone_to_owned().context(|| "read standard input")?);
        let length = match input.read(&mut chunk) {
            Ok(0) => {
                self.send(Frame::EndOfInput)?;
                return Ok(None);
            }
            Ok(length) => length,
            Err(e) if e.kind() == ErrorKind::Interrupted => return Ok(Some(Step::On)),
            Err(e) => return Err(e).context(|| "read standard input"),
        };
        let typed = chunk.get(..length).unwrap_or_default();
        if !self.terminal {
            self.send(Frame::Input(typed))?;
            return Ok(Some(Step::On));
        }
        let mut passed = Vec::with_capacity(length + 1);
        for &byte in typed {
            match (self.held, byte == LET_GO[self.held]) {
                (0, true) => self.held = 1,
                (_, true) => return Ok(Some(Step::End(0))),
                (held, false) => {
                    passed.extend_from_slice(&LET_GO[..held]);
                    self.held = usize::from(byte == LET_GO[0]);
                    if self.held == 0 {
                        passed.push(byte);
                    }
                }
            }
        }
        if !passed.is_empty() {
            self.send(Frame::Input(&passed))?;
        }
        Ok(Some(Step::On))
    }

    /// Shows what the container wrote.
    fn take(&mut self) -> Result<Step> {
        let mut chunk = [0u8; FRAME];
        let length = match self.stream.read(&mut chunk) {
            Ok(0) => {
                return Err(Error::new(Kind::State, "stay attached: the supervisor let go")
                    .hint("it ended, or more was written than could be shown: `taru logs` has all of it"));
            }
            Ok(length) => length,
            Err(e) if e.kind() == ErrorKind::Interrupted => return Ok(Step::On),
            Err(e) => return Err(e).context(|| "read from the container"),
        };
        self.from.extend_from_slice(chunk.get(..length).unwrap_or_default());
        loop {
            let bad =
                |()| Error::new(Kind::System, "read from the container: the supervisor speaks otherwise");
            let Some((frame, length)) = Frame::parse(&self.from).map_err(bad)? else { return Ok(Step::On) };
            match frame {
                Frame::Output(stream, data) => show(stream, data)?,
                Frame::Status(status) => return Ok(Step::End(status)),
                _ => return Err(bad(())),
            }
            self.from.drain(..length);
        }
    }
}

fn show(stream: Stream, data: &[u8]) -> Result<()> {
    let written = match stream {
        Stream::Stdout => write(std::io::stdout().lock(), data),
        Stream::Stderr => write(std::io::stderr().lock(), data),
    };
    written.context(|| "write what the container wrote")
}

fn write(mut to: impl Write, data: &[u8]) -> std::io::Result<()> {
    to.write_all(data)?;
    to.flush()
}
