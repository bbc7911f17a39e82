//! `taru image rm`: away with names, and with images that have none left.

use std::process::ExitCode;

use taru_engine::image::remove::{self, Removed};
use taru_stdx::Result;

use crate::commands::open;
use crate::options::Global;
use crate::output;

/// Remove images
///
/// A name takes the name away; an id the image. What no name, container or build needs any more is deleted
/// from the disk at once, shared layers only with the last image that has them.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  taru image rm debian
  taru image rm $(taru images -q)
  taru image rm -f 0123abcd        with all its names, and although a container uses it")]
pub struct Args {
    /// Remove an image that has several names, or that a container uses: that one goes on
    #[arg(long, short)]
    force: bool,
    /// Names, ids or beginnings of ids
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
}

pub(crate) fn run(args: &Args, global: &Global) -> Result<ExitCode> {
    let engine = open(global)?;
    let code = output::each(&args.images, |key| print(&remove::remove(&engine, key, args.force)?))?;
    // Once, however many were named.
    remove::collect(&engine)?;
    Ok(code)
}

/// Says what went, a line each.
pub(super) fn print(removed: &Removed) -> Result<()> {
    for name in &removed.untagged {
        output::line(&format!("untagged {name}"))?;
    }
    for id in &removed.deleted {
        output::line(&format!("deleted {id}"))?;
    }
    Ok(())
}
