//! `features`: what this program can do.

use clap::Args;
use taru_stdx::Result;

use crate::commands::Verb;
use crate::output;
use crate::settings::Settings;

/// Print what this runtime can do, as JSON
///
/// The document is the specification's features.md. It tells of the program, not of the kernel below it.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  taru-runtime features | jq .linux.cgroup")]
pub(crate) struct Features {}

impl Verb for Features {
    fn run(self, _: &Settings) -> Result<u8> {
        output::json(&taru_runtime::features::features(), "    ")?;
        Ok(0)
    }
}
