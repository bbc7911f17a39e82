//! The last step of a tool: this process becomes the program, or waits for the child that did.

use std::ffi::OsString;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};

use taru_stdx::{Context, Error, Kind, Result};
use taru_sys::errno;
use taru_sys::process::{self, Child, Clone, Exit};
use taru_sys::signal;

/// Turns this process into the program, found in `PATH` as it is now; without one into the user's shell,
/// as a login shell. Returns only the failure: [`Kind::Exec`] with 127 or 126.
pub fn execute(command: &[OsString]) -> Error {
    let mut program = match command.split_first() {
        Some((program, arguments)) => {
            let mut command = Command::new(program);
            command.args(arguments);
            command
        }
        None => shell(),
    };
    let error = program.exec();
    let kind = Kind::Exec(if error.kind() == std::io::ErrorKind::NotFound { 127 } else { 126 });
    Error::new(kind, format!("execute `{}`", program.get_program().display())).because(error)
}

fn shell() -> Command {
    let shell = std::env::var_os("SHELL").filter(|s| !s.is_empty()).unwrap_or_else(|| "/bin/sh".into());
    let mut zeroth = OsString::from("-");
    zeroth.push(Path::new(&shell).file_name().unwrap_or(&shell));
    let mut command = Command::new(&shell);
    command.arg0(zeroth);
    command
}

/// Forks: `None` in the child, which goes on. The parent no longer heeds the signals in `held`: at a
/// terminal they reach the child too, and its end is the parent's.
///
/// # Errors
/// At a limit of processes; into a PID namespace that has ended.
pub fn fork(held: &[i32]) -> Result<Option<Child>> {
    let before = signal::block(&signal::Set::new(held));
    let forked = process::clone3(&Clone::default());
    if !matches!(forked, Ok(Some(_))) {
        signal::mask(&before);
    }
    let number = forked.as_ref().err().map(taru_sys::Error::errno);
    forked.map_err(|e| e.errno()).context(|| "fork").map_err(|e| match number {
        Some(errno::NOMEM) => {
            e.hint("perhaps the PID namespace's first process has ended: no other can come then")
        }
        _ => e,
    })
}

/// Waits for the child and ends as it did: with its status, or by its signal.
///
/// # Errors
/// Of waitid(2).
pub fn mirror(child: &Child) -> Result<ExitCode> {
    match process::wait_pidfd(child.pidfd.as_fd()).context(|| "wait for the program")? {
        Exit::Code(code) => Ok(ExitCode::from(u8::try_from(code).unwrap_or(1))),
        Exit::Signal(number) => {
            // Whoever waits for us shall see what happened to the program.
            signal::default_action(number);
            signal::mask(&signal::Set::new(&[]));
            if let Ok(own) = process::pidfd_open(process::getpid()) {
                let _ = process::pidfd_send_signal(own.as_fd(), number);
            }
            Ok(ExitCode::from(u8::try_from(128 + number).unwrap_or(255)))
        }
    }
}
