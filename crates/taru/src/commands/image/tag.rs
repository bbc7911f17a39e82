//! `taru image tag`: one more name for an image.

use std::process::ExitCode;

use taru_engine::image::remove;
use taru_oci::Reference;
use taru_stdx::Result;

use crate::commands::open;
use crate::options::Global;

/// Give an image one more name
///
/// A name that another image has moves to this one.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  taru image tag debian localhost:5000/debian:12
  taru image tag 0123abcd app:latest")]
pub struct Args {
    /// Name, id or beginning of an id
    image: String,
    /// The new name
    #[arg(required = true, value_name = "NAME")]
    names: Vec<Reference>,
}

pub(crate) fn run(args: &Args, global: &Global) -> Result<ExitCode> {
    let engine = open(global)?;
    for name in &args.names {
        remove::tag(engine.images()?, &args.image, name)?;
    }
    Ok(ExitCode::SUCCESS)
}
