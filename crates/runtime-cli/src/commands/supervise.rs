//! `supervise`: the parent of one container, for whoever has no daemon to be it.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use taru_stdx::{Result, parse};
use taru_supervise::health::Check;
use taru_supervise::log::Limits;

use crate::commands::Verb;
use crate::settings::Settings;

/// Run a container and wait for its end: log its output, record its exit status, check its health
///
/// "started PID" on standard output says that the container runs; standard output is then closed. DIR gets
/// the log (`log`, `log.1`, ..) and at the end the file `exit`. With --health-cmd the bundle gets the file `health`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  taru-runtime supervise --bundle /b --dir /var/lib/web web")]
pub(crate) struct Supervise {
    /// The bundle
    #[arg(long, short, value_name = "DIR")]
    bundle: PathBuf,
    /// Where the log and the exit status are written
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// The container has a terminal
    #[arg(long, short)]
    tty: bool,
    /// Keep its standard input open for those who attach
    #[arg(long, short)]
    interactive: bool,
    /// Begin a new log file at this size
    #[arg(long, value_name = "SIZE", default_value = "10M", value_parser = size)]
    log_size: u64,
    /// Keep this many log files
    #[arg(long, value_name = "NUMBER", default_value_t = Limits::default().files, value_parser = clap::value_parser!(u32).range(1..=1000))]
    log_files: u32,
    /// Where the runtime says why it fails
    #[arg(long, value_name = "FILE")]
    runtime_log: Option<PathBuf>,
    /// A word of the program that is executed in the container to find out whether it is well; once for each word
    #[arg(long, value_name = "WORD", allow_hyphen_values = true)]
    health_cmd: Vec<String>,
    /// Wait so long between two checks
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration, requires = "health_cmd")]
    health_interval: Duration,
    /// Kill a check after so long
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration, requires = "health_cmd")]
    health_timeout: Duration,
    /// Do not count failures so long after the start
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = duration, requires = "health_cmd")]
    health_start_period: Duration,
    /// Wait so long between two checks in that time, until one passes
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = duration, requires = "health_cmd")]
    health_start_interval: Duration,
    /// Take it for unhealthy after so many failures in a row
    #[arg(long, value_name = "NUMBER", default_value_t = 3, requires = "health_cmd", value_parser = clap::value_parser!(u32).range(1..))]
    health_retries: u32,
    /// The OCI runtime to execute [default: this executable]
    #[arg(long, value_name = "PROGRAM")]
    runtime: Option<PathBuf>,
    /// The container
    id: String,
}

fn size(text: &str) -> std::result::Result<u64, String> {
    parse::size(text).map_err(|e| e.to_string())
}

fn duration(text: &str) -> std::result::Result<Duration, String> {
    /// Longer than any container runs; a clock cannot count much further.
    const LONGEST: Duration = Duration::from_secs(u32::MAX as u64);
    parse::duration(text).map(|d| d.min(LONGEST)).map_err(|e| e.to_string())
}

impl Verb for Supervise {
    fn run(self, settings: &Settings) -> Result<u8> {
        let program = self.runtime.unwrap_or_else(|| "/proc/self/exe".into());
        // A check that follows the last at once would be a loop that eats a processor.
        let apart = |interval: Duration| interval.max(Duration::from_millis(1));
        let check = Check {
            command: self.health_cmd,
            interval: apart(self.health_interval),
            timeout: self.health_timeout,
            start_period: self.health_start_period,
            start_interval: apart(self.health_start_interval),
            retries: self.health_retries,
        };
        taru_supervise::run(&taru_supervise::Options {
            runtime: vec![program.into(), "--root".into(), settings.store()?.root().into()],
            runtime_log: self.runtime_log,
            id: self.id,
            bundle: std::path::absolute(&self.bundle).unwrap_or(self.bundle),
            dir: std::path::absolute(&self.dir).unwrap_or(self.dir),
            tty: self.tty,
            interactive: self.interactive,
            limits: Limits { file_size: self.log_size, files: self.log_files },
            health: (!check.command.is_empty()).then_some(check),
        })?;
        Ok(0)
    }
}
