//! `taru export`: the root of a container as a tar.

use std::fs::File;
use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::ExitCode;

use taru_engine::export;
use taru_stdx::{Context, Error, Result};

use crate::commands::open;
use crate::options::Global;

/// Write the whole root of a container as a tar
///
/// With owners as the container sees them, extended attributes and devices; without its volumes and whatever else is
/// mounted in it. `taru import` makes an image of it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  taru export web > web.tar
  taru export -o web.tar web")]
pub struct Args {
    /// Write to FILE in place of standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Name, id or beginning of an id
    container: String,
}

pub(super) fn run(args: &Args, global: &Global) -> Result<ExitCode> {
    let mut engine = open(global)?;
    match &args.output {
        Some(path) => export::to_file(&mut engine, &args.container, path)?,
        None if std::io::stdout().is_terminal() => {
            return Err(Error::invalid("write a tar to a terminal")
                .hint(format!("taru export -o FILE {}", args.container)));
        }
        None => {
            let to = std::io::stdout().as_fd().try_clone_to_owned().map(File::from);
            export::to_stream(&mut engine, &args.container, &to.context(|| "open standard output")?)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
