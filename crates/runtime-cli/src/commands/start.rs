//! `start`: the program of a created container.

use clap::Args;
use taru_runtime::start::start;
use taru_stdx::Result;

use crate::commands::Verb;
use crate::settings::Settings;

/// Start the program of a created container
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  taru-runtime create --bundle /srv/web web\n  taru-runtime start web")]
pub(crate) struct Start {
    /// The container
    id: String,
}

impl Verb for Start {
    fn run(self, settings: &Settings) -> Result<u8> {
        start(&settings.store()?, &self.id, settings.notify_socket.as_deref())?;
        Ok(0)
    }
}
