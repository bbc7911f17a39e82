//! `taru cp`: files into and out of containers.

use std::process::ExitCode;

use taru_engine::copy::{End, Options, copy};
use taru_stdx::Result;

use crate::commands::open;
use crate::options::{Global, LogLevel};
use crate::output;

/// Copy files into or out of a container
///
/// One side is CONTAINER:PATH, the other a path of the host, or `-` for a tar on standard input or output. The
/// container may run or have ended. A directory is copied with all below it: into a directory that is there under
/// its own name, and with `/.` behind it its content alone. Whatever the container does meanwhile, nothing outside
/// it is read or written.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  taru cp web:/etc/nginx/nginx.conf .
  taru cp ./site/. web:/usr/share/nginx/html
  taru cp web:/var/log - | tar t
  taru cp -a web:/srv backup                       with the owners that the files have")]
pub struct Args {
    /// Keep owners; else what is copied into a container is root's there, and out of it the caller's
    #[arg(long, short)]
    archive: bool,
    /// If the source is a symbolic link, copy what it leads to
    #[arg(long, short = 'L')]
    follow_link: bool,
    /// CONTAINER:PATH, a path, or -
    source: String,
    /// CONTAINER:PATH, a path, or -
    destination: String,
}

pub(super) fn run(args: &Args, global: &Global) -> Result<ExitCode> {
    let mut engine = open(global)?;
    let options = Options { follow: args.follow_link, archive: args.archive };
    let left_out = copy(&mut engine, &End::parse(&args.source), &End::parse(&args.destination), options)?;
    if left_out > 0 {
        let text = format!("{left_out} sockets, devices or FIFOs were left out");
        output::note(global, LogLevel::Warn, &text);
    }
    Ok(ExitCode::SUCCESS)
}
