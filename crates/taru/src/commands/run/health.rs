//! `taru run --health-*`: how to find out whether a container is well.

use std::time::Duration;

use taru_engine::health::Wish;
use taru_stdx::{Result, parse};

/// The options.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Health of the container")]
pub(super) struct HealthArgs {
    /// Check with this line for the shell whether the container is well; with --detach: in the foreground nobody checks
    #[arg(long, value_name = "COMMAND", allow_hyphen_values = true)]
    health_cmd: Option<String>,
    /// Wait so long between two checks [default: 30s]
    #[arg(long, value_name = "DURATION")]
    health_interval: Option<String>,
    /// Kill a check after so long, which then failed [default: 30s]
    #[arg(long, value_name = "DURATION")]
    health_timeout: Option<String>,
    /// Do not count failures so long after the start [default: 0s]
    #[arg(long, value_name = "DURATION")]
    health_start_period: Option<String>,
    /// Wait so long between two checks in that time, until one passes [default: 5s]
    #[arg(long, value_name = "DURATION")]
    health_start_interval: Option<String>,
    /// Take the container for unhealthy after so many failures in a row [default: 3]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    health_retries: Option<u32>,
    /// Do not check, whatever the image says
    #[arg(long, conflicts_with_all = [
        "health_cmd", "health_interval", "health_timeout", "health_start_period", "health_start_interval",
        "health_retries",
    ])]
    no_healthcheck: bool,
}

impl HealthArgs {
    /// What is asked for.
    ///
    /// # Errors
    /// A time that is none.
    pub(super) fn wish(&self) -> Result<Wish> {
        let time = |text: &Option<String>| -> Result<Option<Duration>> {
            text.as_deref().map(parse::duration).transpose()
        };
        Ok(Wish {
            disabled: self.no_healthcheck,
            command: self.health_cmd.clone(),
            interval: time(&self.health_interval)?,
            timeout: time(&self.health_timeout)?,
            start_period: time(&self.health_start_period)?,
            start_interval: time(&self.health_start_interval)?,
            retries: self.health_retries,
        })
    }
}
