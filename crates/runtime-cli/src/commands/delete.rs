//! `delete`: what a container holds is given back.

use clap::Args;
use taru_runtime::delete::delete;
use taru_stdx::Result;

use crate::commands::{Verb, each, matching};
use crate::settings::Settings;

/// Delete a container and all it holds
///
/// A running container is only deleted with --force, which kills it. With --force it is no failure if
/// there is no such container.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  taru-runtime delete web\n  taru-runtime delete --force web")]
pub(crate) struct Delete {
    /// The container
    id: String,
    /// Kill it first if it runs
    #[arg(short, long)]
    force: bool,
    /// Take ID as an extended regular expression: delete all containers whose id it matches
    #[arg(short, long)]
    regex: bool,
}

impl Verb for Delete {
    fn run(self, settings: &Settings) -> Result<u8> {
        let store = settings.store()?;
        let ids = if self.regex { matching(&store, &self.id)? } else { vec![self.id] };
        each(&ids, |id| {
            settings.warn(&delete(&store, id, self.force)?);
            Ok(())
        })?;
        Ok(0)
    }
}
