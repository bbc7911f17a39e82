//! `taru logout`: away with credentials.

use std::process::ExitCode;

use taru_engine::image::login;
use taru_stdx::Result;

use crate::commands::open;
use crate::options::Global;
use crate::output;

/// Forget the credentials for a registry
///
/// In every file where taru, docker or podman keep them for you.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  taru logout                      docker.io
  taru logout quay.io")]
pub struct Args {
    /// The registry [default: docker.io]
    #[arg(value_name = "REGISTRY")]
    registry: Option<String>,
}

pub(super) fn run(args: &Args, global: &Global) -> Result<ExitCode> {
    let registry = login::registry(args.registry.as_deref());
    let engine = open(global)?;
    let did = match engine.registry()?.logout(registry)? {
        true => "logged out of",
        false => "was not logged in to",
    };
    output::line(&format!("{did} {registry}"))?;
    Ok(ExitCode::SUCCESS)
}
