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
mod log;
mod output;
mod report;
mod settings;
mod table;

use std::ffi::OsString;
use std::process::ExitCode;

use arguments::Parsed;
use log::Log;
use settings::Settings;

/// Parses, acts, reports. `args` begins with the program's name.
pub fn main(args: Vec<OsString>) -> ExitCode {
    if enters_a_container(&args)
        && let Err(error) = taru_runtime::seal::seal_executable()
    {
        return report::finish(Err(error), None, "");
    }
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
    log.debug(&format!(
        "{name}: --root {:?}, control groups by {:?}, rootless {:?}",
        typed.global.root, settings.cgroup_manager, settings.rootless
    ));
    let result = (typed.entry.run)(&typed.matches, &settings);
    report::finish(result, Some(&log), name)
}

/// Whether one of the words is a command whose processes go into a container. One too many is no harm.
fn enters_a_container(args: &[OsString]) -> bool {
    args.iter().skip(1).any(|word| word == "create" || word == "run" || word == "exec")
}
