//! Staying with a process in the foreground: its signals, its terminal, its end.
//!
//! All signals are blocked from before the process is cloned and read from a descriptor, so that none is
//! lost between its start and our first wait.

use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use taru_stdx::{Context, Result};
use taru_sys::poll::{events, poll};
use taru_sys::process::{self, Child, Exit};
use taru_sys::signal::{self, SignalFd};
use taru_sys::{errno, fd, tty};

use crate::{ended, notify};

/// How much is carried between terminal and standard streams at a time.
const CHUNK: usize = 16 << 10;

/// How long to leave a terminal alone that nobody has open: poll(2) would report the hangup without pause.
const PAUSE: Duration = Duration::from_millis(50);
/// How much is still carried after the end: a process left behind may write for ever.
const LAST_CHUNKS: usize = 64;

/// Blocks all signals until dropped.
pub(crate) struct Blocked(signal::Set);

impl Blocked {
    pub(crate) fn all() -> Blocked {
        Blocked(signal::mask(&signal::Set::full()))
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        signal::mask(&self.0);
    }
}

/// Stays with `child` until it ends. Signals sent to this process are passed on; orphans that come to
/// this process are reaped; `terminal` is joined to the standard streams; what `notify` hears is passed on;
/// once `master` has ended, `child` is killed.
///
/// # Errors
/// Any error of waiting.
pub(crate) fn attend(
    child: &Child,
    terminal: Option<OwnedFd>,
    mut notify: Option<notify::Relay>,
    mut master: Option<OwnedFd>,
) -> Result<Exit> {
    let signals = SignalFd::new(&signal::Set::full()).context(|| "receive signals")?;
    let mut relay = terminal.map(Relay::new).transpose()?;
    loop {
        let idle = (child.pidfd.as_fd(), 0);
        let (main, input) =
            relay.as_ref().map_or((idle, idle), |r| (r.main_interest(idle), r.input_interest(idle)));
        let pause = relay.as_ref().filter(|r| r.hung_up).map(|_| PAUSE);
        let ready = notify.as_ref().map_or(idle, |n| (n.as_fd(), events::IN));
        let forsaken = master.as_ref().map_or(idle, |m| (m.as_fd(), events::IN));
        let end = (child.pidfd.as_fd(), events::IN);
        let entries = [end, (signals.as_fd(), events::IN), main, input, ready, forsaken];
        let [ended, signalled, main, input, ready, forsaken] = match poll(entries, pause) {
            Err(e) if e.errno() == errno::INTR => continue,
            other => other.context(|| "wait for the process")?,
        };
        if forsaken & events::IN != 0 && master.take().is_some() {
            ended::kill(child)?;
        }
        if (ready != 0 || ended != 0) && notify.as_ref().is_some_and(notify::Relay::pass_on) {
            notify = None;
        }
        if signalled != 0
            && let Some(exit) = pass_signals(&signals, child, relay.as_ref())?
        {
            return finish(relay, exit);
        }
        if let Some(relay) = &mut relay {
            relay.hung_up &= pause.is_some() && [ended, signalled, main, input, ready] != [0; 5];
            relay.carry(main, input)?;
        }
        if ended != 0 {
            let exit = process::wait_pidfd(child.pidfd.as_fd()).context(|| "wait for the process")?;
            return finish(relay, exit);
        }
    }
}

fn finish(relay: Option<Relay>, exit: Exit) -> Result<Exit> {
    if let Some(mut relay) = relay {
        relay.drain()?;
    }
    Ok(exit)
}

/// Passes on every signal that is meant for the process. Gives its end if reaping orphans met it.
fn pass_signals(signals: &SignalFd, child: &Child, relay: Option<&Relay>) -> Result<Option<Exit>> {
    while let Some(received) = signals.read().context(|| "receive signals")? {
        match received.signal {
            signal::SIGCHLD => {
                while let Some((pid, exit)) = process::reap_any().context(|| "reap orphans")? {
                    if pid == child.pid {
                        return Ok(Some(exit));
                    }
                }
            }
            signal::SIGWINCH if relay.is_some() => relay.into_iter().for_each(Relay::resize),
            // Ours: a reader of our output is gone; the kernel's note of urgent data.
            signal::SIGPIPE | signal::SIGURG => {}
            other => match process::pidfd_send_signal(child.pidfd.as_fd(), other) {
                // Gone already: its end is the next thing we hear of.
                Err(e) if e.errno() == errno::SRCH => {}
                sent => sent.context(|| format!("pass on {}", signal::name(other)))?,
            },
        }
    }
    Ok(None)
}

/// A pseudo-terminal's main side joined to standard input and output.
struct Relay {
    main: std::fs::File,
    /// Settings of our own terminal, put back at the end.
    settings: Option<tty::Settings>,
    /// What was read from standard input and not yet taken by the terminal.
    pending: Vec<u8>,
    input_open: bool,
    /// Nobody has the terminal open now; somebody may open /dev/console again.
    hung_up: bool,
    /// Standard output, without a buffer.
    output: std::fs::File,
}

impl Relay {
    fn new(main: OwnedFd) -> Result<Relay> {
        fd::set_nonblocking(main.as_fd(), true).context(|| "relay the terminal")?;
        let stdin = std::io::stdin();
        let settings = tty::settings(stdin.as_fd()).ok();
        if let Some(settings) = &settings {
            tty::apply(stdin.as_fd(), &settings.raw()).context(|| "make the terminal raw")?;
        }
        let output = std::io::stdout().as_fd().try_clone_to_owned().context(|| "relay the terminal")?;
        let relay = Relay {
            main: main.into(),
            settings,
            pending: Vec::new(),
            input_open: true,
            hung_up: false,
            output: output.into(),
        };
        relay.resize();
        Ok(relay)
    }

    /// Gives the container's terminal the size of ours, if ours is one.
    fn resize(&self) {
        if let Some(size) = own_size() {
            // The process may be gone; its terminal's size then matters to nobody.
            let _ = tty::resize(self.main.as_fd(), size);
        }
    }

    fn main_interest<'a>(&'a self, idle: (BorrowedFd<'a>, i16)) -> (BorrowedFd<'a>, i16) {
        if self.hung_up {
            return idle;
        }
        let write = if self.pending.is_empty() { 0 } else { events::OUT };
        (self.main.as_fd(), events::IN | write)
    }

    fn input_interest<'a>(&self, idle: (BorrowedFd<'a>, i16)) -> (BorrowedFd<'a>, i16) {
        if self.input_open && self.pending.is_empty() {
            return (stdin_fd(), events::IN);
        }
        idle
    }

    fn carry(&mut self, main: i16, input: i16) -> Result<()> {
        if input != 0 {
            let mut buffer = [0; CHUNK];
            match std::io::stdin().lock().read(&mut buffer) {
                // End of input: ^D, which the terminal's line discipline turns into an end of file.
                Ok(0) => {
                    self.input_open = false;
                    self.pending.push(4);
                }
                Ok(n) => self.pending.extend_from_slice(&buffer[..n]),
                Err(_) => self.input_open = false,
            }
        }
        if main & events::OUT != 0 || (!self.pending.is_empty() && input != 0) {
            match self.main.write(&self.pending) {
                Ok(n) => drop(self.pending.drain(..n)),
                Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => self.pending.clear(),
            }
        }
        if main & !events::OUT != 0 {
            self.carry_output()?;
        }
        Ok(())
    }

    /// Reads once from the terminal and writes that out. `false` if there was nothing.
    fn carry_output(&mut self) -> Result<bool> {
        let mut buffer = [0; CHUNK];
        match self.main.read(&mut buffer) {
            Ok(0) => self.hung_up = true,
            Ok(n) => {
                let written = self.write_out(&buffer[..n]);
                return written.map(|()| true).context(|| "write the terminal's output");
            }
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => return Ok(true),
            // EIO: the last process closed the terminal's other side.
            Err(_) => self.hung_up = true,
        }
        Ok(false)
    }

    /// All of it, also to an output that others made non-blocking: the flag is the open file's, not ours.
    fn write_out(&mut self, mut bytes: &[u8]) -> std::io::Result<()> {
        while !bytes.is_empty() {
            match self.output.write(bytes) {
                Ok(0) => return Err(std::io::ErrorKind::WriteZero.into()),
                Ok(n) => bytes = bytes.get(n..).unwrap_or_default(),
                Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {
                    poll([(self.output.as_fd(), events::OUT)], None)?;
                }
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// After the end: what the process wrote last.
    fn drain(&mut self) -> Result<()> {
        for _ in 0..LAST_CHUNKS {
            if !self.carry_output()? {
                break;
            }
        }
        Ok(())
    }
}

/// The size of this process's terminal, if its standard input is one.
pub(crate) fn own_size() -> Option<tty::Size> {
    tty::size(std::io::stdin().as_fd()).ok()
}

impl Drop for Relay {
    fn drop(&mut self) {
        if let Some(settings) = &self.settings {
            // There is nobody left to tell; the shell resets its terminal too.
            let _ = tty::apply(std::io::stdin().as_fd(), settings);
        }
    }
}

fn stdin_fd() -> BorrowedFd<'static> {
    static STDIN: std::sync::OnceLock<std::io::Stdin> = std::sync::OnceLock::new();
    STDIN.get_or_init(std::io::stdin).as_fd()
}
