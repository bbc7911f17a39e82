//! `taru image`: what is in the store, and what can be done with it.

use std::process::ExitCode;

use clap::Subcommand;
use taru_stdx::Result;

use crate::options::Global;

mod history;
mod inspect;
pub(super) mod ls;
mod prune;
pub(super) mod rm;
mod tag;

/// List, name, inspect and remove images
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  taru image ls
  taru image history debian
  taru image tag debian localhost:5000/debian
  taru image rm debian
  taru image prune --all           every image that no container uses")]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    History(history::Args),
    Inspect(inspect::Args),
    #[command(visible_alias = "list")]
    Ls(ls::Args),
    Prune(prune::Args),
    #[command(visible_alias = "remove")]
    Rm(rm::Args),
    Tag(tag::Args),
}

pub(super) fn run(args: &Args, global: &Global) -> Result<ExitCode> {
    match &args.verb {
        Verb::History(args) => history::run(args, global),
        Verb::Inspect(args) => inspect::run(args, global),
        Verb::Ls(args) => ls::run(args, global),
        Verb::Prune(args) => prune::run(args, global),
        Verb::Rm(args) => rm::run(args, global),
        Verb::Tag(args) => tag::run(args, global),
    }
}
