//! `taru pull`: images from a registry.

use std::process::ExitCode;

use taru_engine::image::start::{self, Pull, Wanted};
use taru_engine::image::wishes::Wishes;
use taru_oci::Platform;
use taru_stdx::Result;

use crate::commands::open;
use crate::options::Global;
use crate::output;
use crate::progress::{Shown, Style};

/// Fetch images from a registry
///
/// A name without a registry is one of docker.io: `debian` is `docker.io/library/debian:latest`. What is said to
/// be here survives a power cut. A pull that was interrupted goes on where it was. Prints the id of each image.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  taru pull debian
  taru pull localhost:5000/app:1.2 quay.io/prometheus/busybox
  taru pull debian@sha256:0123...            exactly that one
  taru pull --platform linux/arm64 debian")]
pub struct Args {
    /// Fetch for this platform in place of this host's
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    platform: Option<Platform>,
    /// Choose how progress is shown
    #[arg(long, value_enum, default_value_t, value_name = "STYLE")]
    progress: Style,
    /// Show no progress
    #[arg(long, short, conflicts_with = "progress")]
    quiet: bool,
    /// Names of images
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
}

pub(super) fn run(args: &Args, global: &Global) -> Result<ExitCode> {
    let engine = open(global)?;
    let progress = Shown::new(if args.quiet { Style::Quiet } else { args.progress });
    output::each(&args.images, |name| {
        let wanted =
            Wanted { name, platform: args.platform.as_ref(), pull: Pull::Always, wishes: &Wishes::default() };
        let found = start::obtain(&engine, &wanted, &progress)?;
        output::line(&found.target.digest.to_string())
    })
}
