//! `start`, `kill` and `delete`: one act on a container that is there.

use clap::Args;
use taru_runtime::{delete, kill, start};
use taru_stdx::{Error, Result};
use taru_sys::signal;

use crate::commands::Verb;
use crate::settings::Settings;

/// Execute the program of a created container
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  taru-runtime start web")]
pub(crate) struct Start {
    /// The container
    id: String,
}

/// Send a signal to the container's first process
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  taru-runtime kill web\n  taru-runtime kill web KILL")]
pub(crate) struct Kill {
    /// The container
    id: String,
    /// The signal: TERM, SIGTERM, 15
    #[arg(default_value = "SIGTERM")]
    signal: String,
    /// Send it to all processes of the container
    #[arg(short, long)]
    all: bool,
}

/// Delete a container and all it has on the host
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  taru-runtime delete web\n  taru-runtime delete --force web")]
pub(crate) struct Delete {
    /// The container
    id: String,
    /// Kill it first if it runs; that it does not exist is no error
    #[arg(short, long)]
    force: bool,
}

impl Verb for Start {
    fn run(self, settings: &Settings) -> Result<u8> {
        let warnings = start::start(&settings.store()?, &self.id)?;
        settings.warn(&warnings);
        Ok(0)
    }
}

impl Verb for Kill {
    fn run(self, settings: &Settings) -> Result<u8> {
        let number = signal::parse(&self.signal).ok_or_else(|| {
            Error::invalid(format!("unknown signal `{}`", self.signal))
                .hint("name one as TERM, SIGTERM or 15")
        })?;
        kill::kill(&settings.store()?.load(&self.id)?, number, self.all)?;
        Ok(0)
    }
}

impl Verb for Delete {
    fn run(self, settings: &Settings) -> Result<u8> {
        let warnings = delete::delete(&settings.store()?, &self.id, self.force)?;
        settings.warn(&warnings);
        Ok(0)
    }
}
