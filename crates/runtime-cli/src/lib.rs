//! `taru-runtime`: an OCI runtime, a drop-in for runc and crun.
//!
//! ```text
//! main ── arguments (as typed) ── settings (where, how) ── commands::VERB ── taru_runtime
//!                                                              └── report (the one place that prints errors)
//! ```
//!
//! It is executed once for every act on a container, so it does little before the act: of the many
//! commands only the one that was typed is defined ([`arguments`]), nothing is read that the act does
//! not need, and no thread is ever started.

pub mod arguments;
mod commands;
pub mod global;
mod input;
mod log;
mod output;
mod report;
mod settings;
mod table;

use std::ffi::OsString;

use arguments::Parsed;
use log::Log;
use settings::Settings;
use taru_runtime::seal::seal_executable;

/// Parses this process's arguments, acts, reports; gives the exit status.
pub fn main() -> u8 {
    let args: Vec<OsString> = std::env::args_os().collect();
    // First of all: the rest is done again by the sealed copy.
    let sealed = if enters_a_container(&args) { seal_executable() } else { Ok(()) };
    let typed = match arguments::parse(&args) {
        Ok(Parsed::Command(typed)) => typed,
        Ok(Parsed::Text(text)) => return report::finish(output::text(&text).map(|()| 0), None, ""),
        Err(mistake) => return report::mistake(&args, &mistake),
    };
    let name = typed.entry.name;
    let log = match Log::open(&typed.global) {
        Ok(log) => log,
        Err(error) => return report::finish(Err(error), None, name),
    };
    let settings = Settings::new(&typed.global, &log);
    log.debug(&format!("{name}: {settings}"));
    let result = sealed.and_then(|()| (typed.entry.run)(&typed.matches, &settings));
    report::finish(result, Some(&log), name)
}

/// Whether the command is one whose processes go into a container.
fn enters_a_container(args: &[OsString]) -> bool {
    arguments::typed_command(args).is_some_and(|name| name == "create" || name == "run" || name == "exec")
}
