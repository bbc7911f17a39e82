//! `events`: what a container uses, and when it runs out of memory.

use std::time::Duration;

use clap::Args;
use taru_runtime::events::Watch;
use taru_stdx::Result;

use crate::commands::Verb;
use crate::output;
use crate::settings::Settings;

/// Print what a container uses, as JSON, and when it runs out of memory
///
/// Each line is one event: `{"type": "stats", "id": ..., "data": {...}}` every interval, and `{"type": "oom",
/// "id": ...}` when the container ran out of memory. It ends with the container.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  taru-runtime events --stats web | jq .data.memory.usage.usage
  taru-runtime events --interval 10s web")]
pub(crate) struct Events {
    /// The container
    id: String,
    /// Print the usage once and end
    #[arg(long)]
    stats: bool,
    /// Time from one line of usage to the next
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = interval)]
    interval: Duration,
}

impl Verb for Events {
    fn run(self, settings: &Settings) -> Result<u8> {
        let record = settings.store()?.load(&self.id)?;
        let watch = Watch::new(&record)?;
        if self.stats {
            output::json_line(&watch.usage()?)?;
            return Ok(0);
        }
        let oom = watch
            .oom()
            .inspect_err(|e| settings.log.warning(&format!("lack of memory is not told: {}", e.chain())));
        watch.follow(self.interval, oom.ok(), |event| output::json_line(&event))?;
        Ok(0)
    }
}

fn interval(text: &str) -> std::result::Result<Duration, String> {
    let interval = taru_stdx::parse::duration(text).map_err(|e| e.to_string())?;
    if interval.is_zero() { Err("the interval must be greater than 0".into()) } else { Ok(interval) }
}
