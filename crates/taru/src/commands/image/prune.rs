//! `taru image prune`: away with images that nobody uses.

use std::process::ExitCode;

use taru_engine::image::remove;
use taru_stdx::Result;

use super::rm;
use crate::commands::open;
use crate::options::Global;
use crate::output;

/// Remove images that have lost their name, and all that nothing needs any more
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  taru image prune
  taru image prune --all           every image that no container uses")]
pub(super) struct Args {
    /// Remove every image that no container uses, named or not
    #[arg(long, short)]
    all: bool,
}

pub(super) fn run(args: &Args, global: &Global) -> Result<ExitCode> {
    let engine = open(global)?;
    let removed = remove::prune(&engine, args.all)?;
    let freed = remove::collect(&engine)?;
    rm::print(&removed)?;
    output::line(&format!("freed {}", output::bytes(freed.bytes.saturating_add(freed.layer_bytes))))?;
    Ok(ExitCode::SUCCESS)
}
