//! `taru image mount` and `unmount`: the files of an image, looked at from outside.

use std::path::PathBuf;
use std::process::ExitCode;

use taru_engine::image::mount;
use taru_oci::Platform;
use taru_stdx::Result;

use crate::commands::open;
use crate::options::Global;
use crate::progress::{Shown, Style};

/// Show the files of an image at a directory, read-only
///
/// Only root can. The image stays in the store as long as it is mounted.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  taru image mount debian /mnt
  taru image unmount /mnt")]
pub(super) struct Args {
    /// Of an image for several platforms, show this one
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    platform: Option<Platform>,
    /// Name, id or beginning of an id
    image: String,
    /// Where to
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

pub(super) fn run(args: &Args, global: &Global) -> Result<ExitCode> {
    let engine = open(global)?;
    mount::mount(&engine, &args.image, args.platform.as_ref(), &args.dir, &Shown::new(Style::Auto))?;
    Ok(ExitCode::SUCCESS)
}

/// Take an image that was mounted away from a directory
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  taru image unmount /mnt")]
pub(super) struct UnmountArgs {
    /// Where it is mounted
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

pub(super) fn unmount(args: &UnmountArgs, global: &Global) -> Result<ExitCode> {
    mount::unmount(&open(global)?, &args.dir)?;
    Ok(ExitCode::SUCCESS)
}
