//! Starting a container: in the foreground as this process's child, or detached under a supervisor.
//!
//! ```text
//! foreground   taru ── taru-runtime run ── init        standard streams are the caller's; signals are handed on
//!               └─ document ─▲                         through a pipe, so that the one begins while the other writes
//! detached     taru ── (ends)
//!              taru-runtime supervise ── init          streams go to the log; it outlives taru
//! ```

use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::SystemTime;

use taru_runtime::state::Process;
use taru_stdx::{Context, Error, Kind, Result};
use taru_supervise::facts::Facts;
use taru_sys::fd;
use taru_sys::poll::{events, poll};
use taru_sys::process::{
    Child, Clone, Pid, Program, clone3, exit_now, getpid, pidfd_open, pidfd_send_signal, try_wait_pidfd,
    wait_pidfd,
};
use taru_sys::signal::{self, SignalFd};

use crate::config::ContainerConfig;
use crate::image::tree;
use crate::record::{Ended, Record};
use crate::store::New;
use crate::told::{self, Detail};
use crate::{Engine, names, prepare, reconcile, runtime};

/// What a child exits with that could not become the runtime, as Docker has it.
const OWN_FAILURE: i32 = 125;

/// Where the runtime says why it failed, below the bundle.
pub(crate) const RUNTIME_LOG: &str = "runtime.log";

/// How a program in the foreground came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It ran, and this is its exit status.
    Exited(u8),
    /// It never ran. The runtime, which has the same standard error, has said why.
    Refused(Kind),
}

/// Runs a container in the foreground, to its end.
///
/// # Errors
/// [`Kind::Exec`] if the program cannot be executed; anything that fails before it runs.
pub fn foreground(engine: &mut Engine, mut config: ContainerConfig, name: Option<&str>) -> Result<Outcome> {
    config.remove = !config.keep;
    let record = begin(engine, &config, name, config.keep)?;
    let bundle = engine.dirs.bundle(&record.id);
    let log = bundle.join(RUNTIME_LOG);
    let ran = prepare::place(engine, &bundle).and_then(|()| in_bundle(engine, &record, &bundle, &log));
    let ran = ran.map(|status| (status, runtime::failure(&log)));
    match ran {
        Ok((status, None)) => {
            (engine.say)(Detail::Main, &format!("container `{}` ended, its status is {status}", record.name));
            let ended =
                Ended { status: Some(status), finished: Some(SystemTime::now()), reason: String::new() };
            // A runtime that was killed has left the container running.
            reconcile::tidy(engine, &record)?;
            prepare::filled(engine, &record)?;
            reconcile::end(engine, &record, &ended)?;
            Ok(Outcome::Exited(status))
        }
        Ok((_, Some(error))) => {
            forget(engine, &record)?;
            Ok(Outcome::Refused(error.kind()))
        }
        Err(error) => {
            // The first error is the one to report; what cannot be removed now is at the next command.
            let _ = forget(engine, &record);
            Err(error)
        }
    }
}

/// Runs the container in its still empty bundle. Our runtime is executed first: by the time that it asks for the document,
/// which it waits for, that is nearly written.
fn in_bundle(engine: &Engine, record: &Record, bundle: &Path, log: &Path) -> Result<u8> {
    let facts = |supervisor| Facts { supervisor, init: None, started: SystemTime::now() }.write(bundle);
    // Before signals are held back: it can take long.
    let tree = prepare::root_of_image(engine, record)?;
    let (document, writer) = std::io::pipe().context(|| "make a pipe")?;
    let Some(words) = engine.runtime.run_ahead(bundle, log, document.as_raw_fd(), &record.id) else {
        prepare::fill(engine, record, bundle, &record.id, tree)?;
        let words = engine.runtime.run(bundle, log, &record.id);
        (engine.say)(Detail::Every, &format!("execute {}", told::line(&words)));
        return follow(words, engine.report, || facts(Process::of_pid(getpid().0)?));
    };
    (engine.say)(Detail::Every, &format!("execute {}", told::line(&words)));
    fd::keep_inherited(document.as_raw_fd()).context(|| "hand on a pipe")?;
    let start = || spawn(&words);
    // Where this fails it stays open until the runtime is killed, which would take its end for a document, and complain.
    let mut writer = Some(writer);
    watch(start, |child| {
        drop(document);
        let text = prepare::fill(engine, record, bundle, &record.id, tree)?;
        // Written before it has the document: what runs is known, even if this process is killed at once; and not before
        // there is something to run: until then it is starting.
        facts(Process::of_pid(child.pid.0)?)?;
        match writer.as_mut().map_or(Ok(()), |writer| writer.write_all(&text)) {
            // It has ended already, and said why.
            Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => {}
            written => written.context(|| "hand the document to the runtime")?,
        }
        writer = None;
        engine.store.write_back();
        Ok(())
    })
}

/// Starts a container in the background; it runs when this returns.
///
/// # Errors
/// As [`foreground`]. Nothing of it is left then.
pub fn detached(engine: &mut Engine, config: ContainerConfig, name: Option<&str>) -> Result<Record> {
    let record = begin(engine, &config, name, true)?;
    match supervise(engine, &record) {
        Ok(()) => Ok(record),
        Err(e) => {
            // The first error is the one to report; what cannot be removed now is at the next command.
            let _ = forget(engine, &record);
            Err(e)
        }
    }
}

/// Starts an ended container again in the background.
///
/// # Errors
/// As [`detached`]; [`Kind::State`] if it has not ended.
pub fn again(engine: &mut Engine, record: &Record) -> Result<()> {
    let config = record.config()?;
    let own_ids = prepare::needs_own_ids(engine, config);
    // The old exit file must not be taken for the new run's.
    let exit = engine.dirs.container(&record.id).join(taru_supervise::exit::EXIT);
    // Nobody has its files open, or starts it as well.
    let _lock = match config.keep {
        true => Some(prepare::lock(engine, record)?),
        false => None,
    };
    prepare::remove_made(engine, record)?;
    let starter = engine.starter.clone();
    let record = engine.store.begin_again(&record.id, &starter, own_ids)?;
    match std::fs::remove_file(&exit) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            return Err(e).context(|| format!("remove `{}`", exit.display()));
        }
        _ => {}
    }
    supervise(engine, &record).inspect_err(|e| {
        // What runs of it by now is not watched as it should be.
        if engine.dirs.runtime().join(&record.id).exists() {
            let _ = engine.runtime.call(&["delete", "--force", &record.id]);
        }
        let ended = Ended { status: None, finished: Some(SystemTime::now()), reason: e.chain().to_string() };
        let _ = reconcile::end(engine, &record, &ended);
    })
}

/// Records a container that is about to start.
pub(crate) fn begin(
    engine: &mut Engine,
    config: &ContainerConfig,
    name: Option<&str>,
    durable: bool,
) -> Result<Record> {
    let own_ids = prepare::needs_own_ids(engine, config);
    let id = names::new_id()?;
    let starter = engine.starter.clone();
    let new = New { id: &id, name, config, starter: &starter, own_ids, durable };
    let inserted = match engine.store.insert(&new) {
        // The name may be that of a container that is gone: looking at it tells.
        Err(e) if e.kind() == Kind::Exists => match name.map(|name| reconcile::one(engine, name)) {
            Some(Err(found)) if found.kind() == Kind::NotFound => engine.store.insert(&new),
            _ => Err(e),
        },
        other => other,
    };
    let record = inserted?;
    (engine.say)(Detail::Main, &format!("container `{}` is {}", record.name, record.id));
    match tree::hold(engine, &record, durable) {
        Ok(()) => Ok(record),
        // The first error is the one to report.
        Err(e) => forget(engine, &record).and(Err(e)),
    }
}

/// Removes all of a container that never ran.
pub(crate) fn forget(engine: &mut Engine, record: &Record) -> Result<()> {
    engine.store.removing(record)?;
    if engine.dirs.runtime().join(&record.id).exists() {
        engine.runtime.call(&["delete", "--force", &record.id])?;
    }
    prepare::remove_all(engine, record)?;
    engine.delete(record, false)
}

/// Starts a container under a supervisor and waits until it runs or failed to.
fn supervise(engine: &Engine, record: &Record) -> Result<()> {
    let config = record.config()?;
    let dir = prepare::kept_dir(engine, &record.id)?;
    let bundle = prepare::bundle(engine, record)?;
    let log = bundle.join(RUNTIME_LOG);
    let mut command = engine.runtime.supervise();
    command.arg("--bundle").arg(&bundle).arg("--dir").arg(&dir).arg("--runtime-log").arg(&log);
    if config.tty {
        command.arg("--tty");
    }
    if config.interactive {
        command.arg("--interactive");
    }
    if let Some(size) = config.log.file_size {
        command.arg("--log-size").arg(size.to_string());
    }
    if let Some(files) = config.log.files {
        command.arg("--log-files").arg(files.to_string());
    }
    if let Some(health) = &config.health {
        command.args(health.options());
    }
    command.arg(&record.id);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    engine.runtime.tell(&command);
    let what = || format!("start the supervisor of `{}`", record.name);
    let mut child = command.spawn().context(what)?;
    let mut said = String::new();
    // It closes its output once the container runs, or ends.
    if let Some(output) = child.stdout.take() {
        output.take(4096).read_to_string(&mut said).context(what)?;
    }
    if said.starts_with("started ") {
        (engine.say)(Detail::Main, &format!("container `{}` runs", record.name));
        return prepare::filled(engine, record);
    }
    let mut errors = String::new();
    if let Some(output) = child.stderr.take() {
        output.take(64 << 10).read_to_string(&mut errors).context(what)?;
    }
    child.wait().context(what)?;
    Err(runtime::failure(&log).unwrap_or_else(|| runtime::said_error(&errors, Kind::System)))
}

/// Executes `words` as a child with this process's standard streams, hands signals on to it, and
/// returns its exit status. `before` is done, and `report` told if it fails, by the child, which then becomes the program: what it writes down
/// of itself is true even if this process is killed at once.
///
/// # Errors
/// The child cannot be made or waited for.
pub fn follow(words: Vec<OsString>, report: fn(&Error), before: impl FnOnce() -> Result<()>) -> Result<u8> {
    let env = std::env::vars_os().map(|(name, value)| [name, value].join(&OsString::from("=")).into_vec());
    let path = words[0].clone();
    let program = Program::new(path.into_vec(), words.into_iter().map(OsString::into_vec), env)
        .context_as(Kind::Invalid, || "start the runtime")?;
    let own = signal::block(&signal::Set::new(&[]));
    let start = || {
        if let Some(child) = clone3(&Clone::default()).context(|| "start the runtime")? {
            return Ok(child);
        }
        signal::mask(&own);
        signal::default_action(signal::SIGPIPE);
        let error = match before() {
            Ok(()) => Error::new(Kind::System, "execute the runtime").because(program.execve()),
            Err(error) => error,
        };
        report(&error);
        exit_now(OWN_FAILURE)
    };
    watch(start, |_| Ok(()))
}

/// Executes `words` as a child with this process's standard streams.
fn spawn(words: &[OsString]) -> Result<Child> {
    let (program, arguments) =
        words.split_first().ok_or_else(|| Error::invalid("start the runtime: no words"))?;
    // Shares this process's memory until it is executed, where a copy would have to be made of that.
    let child = Command::new(program).args(arguments).spawn().context(|| "start the runtime")?;
    let pid = Pid(child.id().cast_signed());
    // Our child, which nobody has reaped: the number is its.
    let pidfd = pidfd_open(pid).context(|| "start the runtime")?;
    Ok(Child { pid, pidfd })
}

/// Starts a child, does `meanwhile`, hands signals on to it, and returns its exit status. Whatever fails, it is ended.
///
/// # Errors
/// The child cannot be made or waited for; what `meanwhile` fails with.
fn watch(start: impl FnOnce() -> Result<Child>, meanwhile: impl FnOnce(&Child) -> Result<()>) -> Result<u8> {
    // Blocked before there is a child, so that no signal ends this process and leaves it alone.
    let handed_on = signal::Set::new(&[
        signal::SIGHUP,
        signal::SIGINT,
        signal::SIGQUIT,
        signal::SIGTERM,
        signal::SIGUSR1,
        signal::SIGUSR2,
        signal::SIGWINCH,
    ]);
    let old = signal::block(&handed_on);
    let watched = SignalFd::new(&handed_on).context(|| "wait for signals").and_then(|signals| {
        let child = start()?;
        let ended = meanwhile(&child).and_then(|()| wait(&signals, &child.pidfd));
        if ended.is_err() {
            let _ = pidfd_send_signal(child.pidfd.as_fd(), signal::SIGKILL);
            let _ = wait_pidfd(child.pidfd.as_fd());
        }
        ended
    });
    signal::mask(&old);
    watched
}

/// Waits for the child to end and hands signals on to it meanwhile.
fn wait(signals: &SignalFd, pidfd: &OwnedFd) -> Result<u8> {
    loop {
        poll([(signals.as_fd(), events::IN), (pidfd.as_fd(), events::IN)], None)
            .context(|| "wait for the runtime")?;
        while let Some(received) = signals.read().context(|| "wait for signals")? {
            // The terminal's own (Ctrl-C) come from the kernel, and the runtime, of the same group, has had it.
            if received.pid != 0 {
                let _ = pidfd_send_signal(pidfd.as_fd(), received.signal);
            }
        }
        if let Some(exit) = try_wait_pidfd(pidfd.as_fd()).context(|| "wait for the runtime")? {
            return Ok(u8::try_from(exit.status()).unwrap_or(255));
        }
    }
}
