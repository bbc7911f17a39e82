//! `kill`: a signal to a container.

use clap::Args;
use taru_runtime::kill::kill;
use taru_stdx::{Error, Result};
use taru_sys::signal;

use crate::commands::{Verb, each, matching};
use crate::settings::Settings;

/// Send a signal to the first process of a container
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  taru-runtime kill web              asks it to end (TERM)
  taru-runtime kill web KILL
  taru-runtime kill --all web 9      all its processes")]
pub(crate) struct Kill {
    /// The container
    id: String,
    /// The signal, by name or number
    #[arg(default_value = "TERM", allow_hyphen_values = true)]
    signal: String,
    /// Send it to every process of the container
    #[arg(short, long)]
    all: bool,
    /// Take ID as an extended regular expression: signal all containers whose id it matches
    #[arg(short, long)]
    regex: bool,
}

impl Verb for Kill {
    fn run(self, settings: &Settings) -> Result<u8> {
        let signal = number(&self.signal)?;
        let store = settings.store()?;
        let ids = if self.regex { matching(&store, &self.id)? } else { vec![self.id] };
        each(&ids, |id| kill(&store.load(id)?, signal, self.all))?;
        Ok(0)
    }
}

/// The number of a signal, by name or number: `TERM`, `SIGTERM`, `15`.
fn number(text: &str) -> Result<i32> {
    signal::parse(text).ok_or_else(|| {
        Error::invalid(format!("unknown signal `{text}`"))
            .hint("a signal is a name or a number: TERM, SIGTERM, 15")
    })
}
