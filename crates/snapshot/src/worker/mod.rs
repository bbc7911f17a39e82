//! The disposable child: whatever reads what strangers wrote, or walks what containers left, does so in a process that
//! can do nothing else.
//!
//! ```text
//! taru ── executes itself ──> stage ── clone3 ──> worker
//!   │                          user namespace       own mount, network, pid, ipc and uts namespaces
//!   │                          (ordinary users)     the directory in question is its root, nothing lies above
//!   │                                               six capabilities, no_new_privs, Landlock, seccomp, rlimits
//!   │  Job + descriptors ─────────>│                        │
//!   │  <──── NeedsMaps (users) ────│                        │
//!   │  Go ────────────────────────>│                        │
//!   │  <──────────────── Progress, Done or Failed ──────────│
//! ```
//! Both die with their parents. The conversation is over one SOCK_SEQPACKET socket, the child's standard input;
//! messages are JSON, descriptors come with the first one.

mod confine;
mod launch;
mod run;
mod wire;
mod workers;

use std::process::ExitCode;

pub(crate) use launch::{Root, WorkerIds};
pub(crate) use wire::{Compared, ImageOf, Job, Output, Report};
pub use workers::Workers;

/// The zeroth argument that the child is executed with.
const ARGV0: &str = "taru-snapshot-worker";

/// To be called first in `main` of every program that unpacks layers: where the program was executed as the disposable
/// child, does that work, and returns how the process is to end; `None` in any other process.
pub fn worker_main() -> Option<ExitCode> {
    let is_worker = std::env::args_os().next().is_some_and(|argument| argument == ARGV0);
    is_worker.then(run::run)
}
