//! `taru store gc`: away with what nothing needs.

use std::process::ExitCode;

use taru_engine::image::remove;
use taru_engine::prepare;
use taru_stdx::Result;

use crate::commands::open;
use crate::options::Global;
use crate::output;

/// Remove what no image, container or build needs any more
///
/// Left behind by a pull or a build that was killed, or by images that were replaced. Removing an image does it as
/// well. Nothing that is in use, or being fetched, is touched.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  taru store gc
  taru image rm debian && taru store gc
  taru store gc --builds             the next build of anything executes every step")]
pub(super) struct Args {
    /// Forget what steps of builds came to, and empty their cache mounts, too
    #[arg(long)]
    builds: bool,
}

pub(super) fn run(args: &Args, global: &Global) -> Result<ExitCode> {
    let mut engine = open(global)?;
    taru_build::clear(&mut engine)?;
    prepare::remove_unrecorded(&engine)?;
    let emptied = if args.builds { taru_build::forget(&engine)? } else { 0 };
    let freed = remove::collect(&engine)?;
    output::line(&format!(
        "removed {} and {}, {}",
        output::count(freed.blobs, "blob"),
        output::count(freed.layers, "layer"),
        output::bytes(freed.bytes.saturating_add(freed.layer_bytes))
    ))?;
    if emptied > 0 {
        output::line(&format!("emptied {}", output::count(emptied, "cache mount")))?;
    }
    Ok(ExitCode::SUCCESS)
}
