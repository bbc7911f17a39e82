//! The verbs, one file each: `Args` (as typed, with its help and examples) and `run`.
//!
//! To add a verb: its file, its `mod` line, its variant and its line in [`Command::run`], each in
//! alphabetical order.

use std::process::ExitCode;

use clap::Subcommand;
use taru_stdx::Result;

use crate::cli::Global;
use crate::output::Edge;

mod link;
mod netns;
mod version;

/// The verbs.
#[derive(Debug, Subcommand)]
#[allow(missing_docs)] // the help of a verb stands on its `Args`
pub enum Command {
    Link(link::Args),
    Netns(netns::Args),
    Version(version::Args),
}

impl Command {
    /// Does it.
    ///
    /// # Errors
    /// What the verb fails with; printed by the caller.
    pub fn run(self, global: &Global) -> Result<ExitCode> {
        match self {
            Command::Link(args) => link::run(&args, global),
            Command::Netns(args) => netns::run(&args, global),
            Command::Version(args) => version::run(&args, global),
        }
    }

    /// Which convention of exit statuses the verb follows.
    pub fn edge(&self) -> Edge {
        match self {
            Command::Netns(args) => args.edge(),
            Command::Link(_) | Command::Version(_) => Edge::Plain,
        }
    }
}
