//! `taru push`: images to a registry.

use std::process::ExitCode;

use taru_engine::image::push;
use taru_oci::Reference;
use taru_stdx::Result;

use crate::commands::open;
use crate::options::Global;
use crate::output;
use crate::progress::{Shown, Style};

/// Send an image to a registry
///
/// Only what the registry has not is sent. Prints the digest by which the registry knows the image.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  taru push localhost:5000/app:1.2
  taru push app localhost:5000/team/app:latest     under another name")]
pub struct Args {
    /// Choose how progress is shown
    #[arg(long, value_enum, default_value_t, value_name = "STYLE")]
    progress: Style,
    /// Show no progress
    #[arg(long, short, conflicts_with = "progress")]
    quiet: bool,
    /// Name of the image, or the beginning of its id
    image: String,
    /// Where to, if not to what its name says
    destination: Option<Reference>,
}

pub(super) fn run(args: &Args, global: &Global) -> Result<ExitCode> {
    let engine = open(global)?;
    let progress = Shown::new(if args.quiet { Style::Quiet } else { args.progress });
    let pushed = push::push(&engine, &args.image, args.destination.as_ref(), &progress)?;
    output::line(&pushed.digest.to_string())?;
    Ok(ExitCode::SUCCESS)
}
