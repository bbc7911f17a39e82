//! `supervise`: the parent of one container, for whoever has no daemon to be it.

use std::path::PathBuf;

use clap::Args;
use taru_stdx::{Result, parse};
use taru_supervise::log::Limits;

use crate::commands::Verb;
use crate::settings::Settings;

/// Run a container and wait for its end: log its output, record its exit status
///
/// "started PID" on standard output says that the container runs; standard output is then closed. DIR gets
/// the log (`log`, `log.1`, ..) and at the end the file `exit`.
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
    /// The OCI runtime to execute [default: this executable]
    #[arg(long, value_name = "PROGRAM")]
    runtime: Option<PathBuf>,
    /// The container
    id: String,
}

fn size(text: &str) -> std::result::Result<u64, String> {
    parse::size(text).map_err(|e| e.to_string())
}

impl Verb for Supervise {
    fn run(self, settings: &Settings) -> Result<u8> {
        let program = self.runtime.unwrap_or_else(|| "/proc/self/exe".into());
        let mut runtime = vec![program.into(), "--root".into(), settings.store()?.root().into()];
        if let Some(log) = &self.runtime_log {
            runtime.extend(["--log".into(), log.into(), "--log-format".into(), "json".into()]);
        }
        taru_supervise::run(&taru_supervise::Options {
            runtime,
            id: self.id,
            bundle: std::path::absolute(&self.bundle).unwrap_or(self.bundle),
            dir: std::path::absolute(&self.dir).unwrap_or(self.dir),
            tty: self.tty,
            interactive: self.interactive,
            limits: Limits { file_size: self.log_size, files: self.log_files },
        })?;
        Ok(0)
    }
}
