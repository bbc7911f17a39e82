//! The supervisor: one small process that starts a container and waits for its end.
//!
//! ```text
//! start      own session, subreaper ── executes `taru-runtime run --detach`, whose init becomes our child
//!            (that it watches is written down before)
//! report     "started PID" on standard output, which is then closed: whoever started us may go
//! watch      one poll(2): init's end, its output, its terminal, the control socket, its health checks
//! end        what is left of the output ── the exit file, synced ── `taru-runtime delete`
//! ```
//! It runs as long as the container does, and for most of that time nothing happens: it holds no
//! tables, no JSON, no thread, and gives what it needed for the start back before it waits.

use std::ffi::OsString;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use taru_runtime::state::Process;
use taru_stdx::{Context, Error, Kind, Result};
use taru_sys::idle::Program;
use taru_sys::poll::{events, poll_all};
use taru_sys::process::{self, Pid};
use taru_sys::signal::{self, SignalFd};
use taru_sys::{fd, socket};

use crate::control::{self, Control};
use crate::execute::spawn;
use crate::exit::Exit;
use crate::facts::Facts;
use crate::health;
use crate::log::{CHUNK, Limits, Writer};
use crate::streams::{Got, Streams};

/// What the supervisor is told.
#[derive(Debug)]
pub struct Options {
    /// The words of a call of the runtime up to its command: the executable and global options.
    pub runtime: Vec<OsString>,
    /// Where the runtime says, as JSON, why it fails.
    pub runtime_log: Option<PathBuf>,
    /// The container's id.
    pub id: String,
    /// The bundle; the facts and the control socket lie there too.
    pub bundle: PathBuf,
    /// Where the log and the exit file are written.
    pub dir: PathBuf,
    /// Whether the container has a terminal.
    pub tty: bool,
    /// Whether its standard input stays open for those who attach.
    pub interactive: bool,
    /// How large the log may become.
    pub limits: Limits,
    /// How to find out whether it is well, if that is asked for.
    pub health: Option<health::Check>,
}

/// The socket over which the runtime sends the terminal, below the bundle.
const CONSOLE: &str = "console";

/// Starts the container, reports on standard output whether that worked, and stays until it ended.
///
/// # Errors
/// The container cannot be started; nothing of it is left then. Once it was reported as started,
/// errors are those of recording its end.
pub fn run(options: &Options) -> Result<()> {
    // Fails only for the leader of a group, who has a session to lose; whoever started us sees to that.
    let _ = process::setsid();
    std::env::set_current_dir("/").context(|| "change to `/`")?;
    process::set_child_subreaper(true).context(|| "become the parent of orphans")?;
    let wanted = signal::Set::new(&[
        signal::SIGCHLD,
        signal::SIGHUP,
        signal::SIGINT,
        signal::SIGQUIT,
        signal::SIGTERM,
    ]);
    signal::block(&wanted);
    let signals = SignalFd::new(&wanted).context(|| "wait for signals")?;
    let log = Writer::open(&options.dir, options.limits)?;
    let mut facts =
        Facts { supervisor: Process::of_pid(process::getpid().0)?, init: None, started: SystemTime::now() };
    // Before there is a container, so that nobody who looks takes it for abandoned.
    facts.write(&options.bundle)?;
    let (init, streams) = start(options)?;
    let watched = Process::of_pid(init.0).and_then(|process| {
        facts.init = Some(process);
        facts.write(&options.bundle)?;
        Ok((Control::listen(&options.bundle)?, checks(options, init)?))
    });
    // What nobody could watch must not run.
    let (control, health) = watched.or_else(|e| delete(options).and(Err(e)))?;
    report(init)?;

    let mut watch = Watch { log, streams, control, signals, init, health, program: Program::this() };
    let status = watch.until_end();
    if let Some(health) = watch.health.take() {
        health.end();
    }
    watch.drain();
    let exit = Exit { status: u8::try_from(status).unwrap_or(255), finished: SystemTime::now() };
    let written = exit.write(&options.dir);
    watch.control.ended(exit.status);
    delete(options).and(written)
}

/// Begins to watch over the container's health, if that is asked for. What the runtime says of a check is its result: a
/// log of the runtime's would only grow.
fn checks(options: &Options, init: Pid) -> Result<Option<health::Watch>> {
    let Some(check) = options.health.clone() else { return Ok(None) };
    let exec = options.runtime.clone();
    health::Watch::new(check, exec, &options.id, &options.bundle, init).map(Some)
}

/// Has the runtime remove the container.
fn delete(options: &Options) -> Result<()> {
    let words = words(options, &["delete", "--force", &options.id]);
    spawn(words, &[None, None, None], &[]).and_then(|child| {
        process::wait_pidfd(child.pidfd.as_fd()).context(|| "wait for the runtime").map(drop)
    })
}

/// Executes the runtime, and returns init's pid and our ends of its streams.
fn start(options: &Options) -> Result<(Pid, Streams)> {
    let pid_file = options.bundle.join("init.pid");
    let bundle = options.bundle.as_os_str();
    let mut words = words(options, &["run", "--detach", "--pid-file"]);
    words.extend([pid_file.as_os_str(), "--bundle".as_ref(), bundle].map(OsString::from));
    let (mut streams, theirs, listener) = if options.tty {
        let dir = File::open(&options.bundle).context(|| "open the bundle")?;
        let (listener, address) = control::listen(&dir, CONSOLE)?;
        words.extend(["--console-socket".into(), address.into()]);
        (Streams::default(), [None, None, None], Some((listener, dir)))
    } else {
        let (streams, theirs) = Streams::pipes(options.interactive)?;
        (streams, theirs, None)
    };
    words.push(options.id.clone().into());
    let child = spawn(words, &theirs, &[])?;
    // Our copies of its ends would keep its output open.
    drop(theirs);
    let exit = process::wait_pidfd(child.pidfd.as_fd()).context(|| "wait for the runtime")?;
    if exit.status() != 0 {
        return Err(Error::new(Kind::System, said(&streams.take_text(4096))));
    }
    if let Some((listener, _dir)) = listener {
        streams = Streams::terminal_of(receive_terminal(&listener)?)?;
        // Its only message has come.
        let _ = std::fs::remove_file(options.bundle.join(CONSOLE));
    }
    let text = taru_stdx::fs::read_bounded(&pid_file, 64)?;
    let pid = std::str::from_utf8(&text).ok().and_then(|t| t.trim().parse().ok());
    let pid = pid.ok_or_else(|| Error::invalid(format!("read `{}`: no pid", pid_file.display())))?;
    Ok((Pid(pid), streams))
}

/// What a runtime that failed wrote to the streams that were to be the container's, on one line.
fn said(text: &str) -> String {
    let line = text.lines().next().unwrap_or("the runtime failed");
    line.strip_prefix("taru-runtime: ").unwrap_or(line).to_owned()
}

/// The terminal that the runtime sends over the console socket.
fn receive_terminal(listener: &UnixListener) -> Result<OwnedFd> {
    let what = || "receive the container's terminal";
    // It does not block: the runtime connected before it ended, or did not.
    let (stream, _) = listener.accept().context(what)?;
    stream.set_nonblocking(true).context(what)?;
    let mut message = socket::receive_with_fds(stream.as_fd(), 4096).context(what)?;
    message.fds.pop().ok_or_else(|| Error::new(Kind::System, format!("{}: no descriptor came", what())))
}

fn words(options: &Options, command: &[&str]) -> Vec<OsString> {
    let mut words = options.runtime.clone();
    if let Some(log) = &options.runtime_log {
        words.extend(["--log".into(), log.into(), "--log-format".into(), "json".into()]);
    }
    words.extend(command.iter().map(OsString::from));
    words
}

/// Tells whoever started us, and lets go of them.
fn report(init: Pid) -> Result<()> {
    let mut out = std::io::stdout().lock();
    // They may have been killed meanwhile, which is no reason to end.
    let _ = out.write_all(format!("started {init}\n").as_bytes()).and_then(|()| out.flush());
    let null = File::options().read(true).write(true).open("/dev/null").context(|| "open `/dev/null`")?;
    for number in 0..3 {
        fd::replace_standard(null.as_fd(), number).context(|| "let go of the standard streams")?;
    }
    Ok(())
}

/// All that is watched.
struct Watch {
    log: Writer,
    streams: Streams,
    control: Control,
    signals: SignalFd,
    init: Pid,
    health: Option<health::Watch>,
    program: Program,
}

/// For how long nothing may have happened before the supervisor lets go of the pages of its program. Most of them were
/// for starting; those that waiting takes come back by themselves.
const SETTLED: Duration = Duration::from_secs(1);

impl Watch {
    /// Waits until one of `wanted` shows something or `pause` has passed; what each shows, none if nothing could be found
    /// out (EINTR, no memory), which the next round tries again.
    fn wait(&self, wanted: &[(BorrowedFd<'_>, i16)], pause: Option<Duration>) -> Vec<i16> {
        if pause.is_some_and(|pause| pause <= SETTLED) {
            return poll_all(wanted, pause).unwrap_or_default();
        }
        match poll_all(wanted, Some(SETTLED)) {
            Ok(seen) if seen.iter().all(|s| *s == 0) => {
                self.program.poll(wanted, pause.map(|pause| pause - SETTLED)).unwrap_or_default()
            }
            other => other.unwrap_or_default(),
        }
    }

    /// Handles what happens until init ended; returns its exit status.
    fn until_end(&mut self) -> i32 {
        loop {
            let mut wanted: Vec<(BorrowedFd<'_>, i16)> = vec![(self.signals.as_fd(), events::IN)];
            wanted.extend(self.streams.outputs().map(|fd| (fd, events::IN)));
            let outputs = wanted.len() - 1;
            wanted.extend(self.health.as_ref().and_then(|h| h.output()).map(|fd| (fd, events::IN)));
            let probes = wanted.len() - 1 - outputs;
            self.control.wanted(&self.streams, &mut wanted);
            let pause = self.health.as_ref().and_then(health::Watch::pause);
            let seen = self.wait(&wanted, pause);
            drop(wanted);
            if seen.first().is_some_and(|s| *s != 0)
                && let Some(status) = self.signalled()
            {
                return status;
            }
            self.control.handle(&mut self.streams, seen.get(1 + outputs + probes..).unwrap_or_default());
            if let Some(health) = &mut self.health {
                if seen.get(1 + outputs).is_some_and(|s| *s != 0 && probes > 0) {
                    health.read_output();
                }
                health.act();
            }
            for n in (0..outputs).rev() {
                if seen.get(1 + n).is_some_and(|s| *s != 0) {
                    self.read_output(n);
                }
            }
        }
    }

    /// Takes the signals that came. A polite end asked of the supervisor is the container's to give.
    fn signalled(&mut self) -> Option<i32> {
        while let Ok(Some(received)) = self.signals.read() {
            if received.signal == signal::SIGTERM
                && let Ok(init) = process::pidfd_open(self.init)
            {
                // It is our child and not reaped: the pid is still its own.
                let _ = process::pidfd_send_signal(init.as_fd(), signal::SIGTERM);
            }
        }
        let mut status = None;
        // Orphans of the container's that outlived a shared pid namespace come to us as well.
        while let Ok(Some(pid)) = process::ended_any() {
            if let Some(health) = &mut self.health {
                health.reaping(pid);
            }
            let Ok(Some(exit)) = process::reap(pid) else { break };
            if pid == self.init {
                status = Some(exit.status());
            } else if let Some(health) = &mut self.health {
                health.reaped(pid, exit);
            }
        }
        status
    }

    /// Reads what output `n` has, logs it and sends it on; whether there was something.
    fn read_output(&mut self, n: usize) -> bool {
        let mut chunk = [0u8; CHUNK];
        let Got::Bytes(length, stream) = self.streams.read(n, &mut chunk) else { return false };
        let read = chunk.get(..length).unwrap_or_default();
        // A disk that is full must not stop the container: what cannot be written is lost.
        let _ = self.log.write(stream, read, SystemTime::now());
        self.control.output(stream, read);
        true
    }

    /// Reads what is left once init ended. What another process holds open and still writes to is not waited for.
    fn drain(&mut self) {
        /// More than all pipes and terminals hold.
        const MOST: usize = 1024;
        let outputs = self.streams.outputs().len();
        for n in (0..outputs).rev() {
            for _ in 0..MOST {
                if !self.read_output(n) {
                    break;
                }
            }
        }
    }
}
