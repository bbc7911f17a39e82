//! `taru commit`: an image of what a container has become.

use std::error::Error;
use std::process::ExitCode;

use taru_engine::commit::{Options, commit};
use taru_oci::Reference;
use taru_stdx::Result;

use crate::commands::open;
use crate::options::{Global, LogLevel};
use crate::output;

/// Make an image of a container
///
/// The image has the layers of the container's own image and one more with what the container changed; it is run as
/// the container was. What is in volumes is not part of it. The container stands still meanwhile, if it has a control
/// group; without one it goes on, which a warning says. Prints the image's id.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  taru commit web web:patched
  taru commit -c 'USER www' -c 'WORKDIR /srv' web web:3
  taru commit -a 'Ada <ada@example.org>' -m 'fixed the configuration' web web:2")]
pub struct Args {
    /// Say who made the image
    #[arg(long, short, value_name = "NAME")]
    author: Option<String>,
    /// Say what was changed
    #[arg(long, short, value_name = "TEXT")]
    message: Option<String>,
    /// Change how the image wants to be run, by an instruction of a Dockerfile
    #[arg(long, short, value_name = "INSTRUCTION")]
    change: Vec<String>,
    /// Let the container go on meanwhile
    #[arg(long)]
    no_pause: bool,
    /// Name, id or beginning of an id
    container: String,
    /// What to call the image
    #[arg(value_name = "IMAGE")]
    name: Option<Reference>,
}

pub(super) fn run(args: &Args, global: &Global) -> Result<ExitCode> {
    let mut engine = open(global)?;
    let options = Options {
        name: args.name.clone(),
        author: args.author.clone(),
        message: args.message.clone(),
        changes: args.change.clone(),
        no_pause: args.no_pause,
    };
    let made = commit(&mut engine, &args.container, &options)?;
    if let Some(why) = made.went_on {
        // What the runtime said, without how it was called.
        let why = why.source().map_or_else(|| why.to_string(), ToString::to_string);
        let text = format!("`{}` went on while it was committed: {why}", args.container);
        output::note(global, LogLevel::Warn, &text);
    }
    output::line(&made.image.target.digest.to_string())?;
    Ok(ExitCode::SUCCESS)
}
