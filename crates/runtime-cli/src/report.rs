//! How a command ends: the one place that prints errors and the one table of exit statuses.

use std::ffi::OsString;
use std::io::Write;

use taru_stdx::{Error, Result, usage};

use crate::arguments::{GLOBAL, typed_command, typed_value};
use crate::commands::COMMANDS;
use crate::global::{LogFormat, LogLevel};
use crate::log::Log;
use crate::output;

/// runc's statuses, which engines know: whatever fails is 1; but `exec`, whose statuses are the
/// program's, fails with 255. The class of the failure is in its text, not in its number.
fn status(command: &str) -> u8 {
    if command == "exec" { 255 } else { 1 }
}

/// Reports the result of `command` and gives its exit status.
pub(crate) fn finish(result: Result<u8>, log: Option<&Log>, command: &str) -> u8 {
    let error = match result {
        Ok(status) => return status,
        Err(error) if output::is_closed(&error) => return output::SIGPIPE,
        Err(error) => error,
    };
    failure(&error, log);
    status(command)
}

/// Prints a failure, and logs it where a log was asked for.
fn failure(error: &Error, log: Option<&Log>) {
    if let Some(log) = log.filter(|log| !log.is_plain()) {
        log.error(error);
        if log.is_stderr() {
            return;
        }
    }
    print(error);
}

/// Prints a failure and its hints on standard error. One write, so that the lines of two processes do
/// not mix; nothing is left to tell a failure to.
fn print(error: &Error) {
    let mut text = format!("taru-runtime: {}\n", error.chain());
    for hint in error.hints() {
        text.push_str(&format!("hint: {hint}\n"));
    }
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// Reports a command line that was not understood, or prints the help that was asked for.
pub(crate) fn mistake(args: &[OsString], mistake: &clap::Error) -> u8 {
    let text = mistake.render().to_string();
    if !mistake.use_stderr() {
        return finish(output::text(&text).map(|()| 0), None, "");
    }
    let error = explain(&text, args);
    // The options did not parse as a whole; an engine still wants to read why where it said.
    if let Some(target) = typed_value(args, "--log") {
        let json = typed_value(args, "--log-format").is_some_and(|v| v == "json");
        let format = if json { LogFormat::Json } else { LogFormat::Text };
        if let Ok(log) = Log::new(Some(target), format, LogLevel::Error) {
            log.error(&error);
        }
    }
    print(&error);
    let command = typed_command(args).and_then(|name| name.to_str()).unwrap_or_default();
    status(command)
}

/// clap's text as an error of ours.
fn explain(text: &str, args: &[OsString]) -> Error {
    let said = usage::explain(text, args);
    let problem = said.to_string();
    let mut hints: Vec<String> = said.hints().into_iter().map(str::to_owned).collect();
    let command = typed_command(args).map(|name| name.to_string_lossy()).unwrap_or_default();
    let misplaced = GLOBAL.iter().find(|option| problem == format!("unexpected argument `{option}` found"));
    if let Some(option) = misplaced {
        hints.insert(0, format!("{option} stands before the command: taru-runtime {option} ... {command}"));
    }
    let known = COMMANDS.iter().any(|entry| entry.name == command);
    hints.push(
        format!("`taru-runtime {} --help` tells more", if known { &command } else { "" }).replace("  ", " "),
    );
    hints.into_iter().fold(Error::invalid(problem), Error::hint)
}
