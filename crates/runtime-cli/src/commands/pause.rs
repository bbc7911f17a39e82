//! `pause` and `resume`: all processes of a container stop, and go on.

use clap::Args;
use taru_runtime::pause;
use taru_stdx::Result;

use crate::commands::Verb;
use crate::settings::Settings;

/// Stop all processes of a container where they are
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  taru-runtime pause web; taru-runtime resume web")]
pub(crate) struct Pause {
    /// The container
    id: String,
}

/// Let the processes of a paused container go on
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  taru-runtime resume web")]
pub(crate) struct Resume {
    /// The container
    id: String,
}

impl Verb for Pause {
    fn run(self, settings: &Settings) -> Result<u8> {
        pause::pause(&settings.store()?.load(&self.id)?)?;
        Ok(0)
    }
}

impl Verb for Resume {
    fn run(self, settings: &Settings) -> Result<u8> {
        pause::resume(&settings.store()?.load(&self.id)?)?;
        Ok(0)
    }
}
