//! `taru image`: what is in the store, and what can be done with it.

use std::process::ExitCode;

use clap::Subcommand;
use taru_stdx::Result;

use crate::options::Global;

mod bootstrap;
pub(super) mod history;
pub(super) mod import;
mod inspect;
pub(super) mod load;
pub(super) mod ls;
mod mount;
mod prune;
pub(super) mod rm;
pub(super) mod save;
pub(super) mod tag;
mod verify;

/// List, name, inspect, save, load, verify and remove images
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  taru image ls
  taru image history debian
  taru image tag debian localhost:5000/debian
  taru image save -o debian.tar debian
  taru image rm debian
  taru image prune --all           every image that no container uses")]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Bootstrap(bootstrap::Args),
    History(history::Args),
    Import(import::Args),
    Inspect(inspect::Args),
    Load(load::Args),
    #[command(visible_alias = "list")]
    Ls(ls::Args),
    Mount(mount::Args),
    Prune(prune::Args),
    #[command(visible_alias = "remove")]
    Rm(rm::Args),
    Save(save::Args),
    Tag(tag::Args),
    #[command(visible_alias = "umount")]
    Unmount(mount::UnmountArgs),
    Verify(verify::Args),
}

pub(super) fn run(args: &Args, global: &Global) -> Result<ExitCode> {
    match &args.verb {
        Verb::Bootstrap(args) => bootstrap::run(args, global),
        Verb::History(args) => history::run(args, global),
        Verb::Import(args) => import::run(args, global),
        Verb::Inspect(args) => inspect::run(args, global),
        Verb::Load(args) => load::run(args, global),
        Verb::Ls(args) => ls::run(args, global),
        Verb::Mount(args) => mount::run(args, global),
        Verb::Prune(args) => prune::run(args, global),
        Verb::Rm(args) => rm::run(args, global),
        Verb::Save(args) => save::run(args, global),
        Verb::Tag(args) => tag::run(args, global),
        Verb::Unmount(args) => mount::unmount(args, global),
        Verb::Verify(args) => verify::run(args, global),
    }
}
