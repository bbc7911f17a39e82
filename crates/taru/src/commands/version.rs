//! `taru version`: the versions of taru and of what it runs on.

use std::process::ExitCode;

use serde::Serialize;
use taru_stdx::{Context, Result};

use crate::options::{Format, Global};
use crate::output;

/// Show the versions of taru and of the kernel
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  taru version
  taru version --format json")]
pub struct Args {
    /// Print as a table or as JSON
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Serialize)]
struct Version {
    taru: &'static str,
    kernel: String,
}

pub(super) fn run(args: &Args, _: &Global) -> Result<ExitCode> {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease")
        .context(|| "read `/proc/sys/kernel/osrelease`")?;
    let version = Version { taru: env!("CARGO_PKG_VERSION"), kernel: kernel.trim_end().to_owned() };
    match args.format {
        Format::Json => output::json(&version)?,
        Format::Table => {
            output::line(&format!("taru {}", version.taru))?;
            output::line(&format!("kernel {}", version.kernel))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
