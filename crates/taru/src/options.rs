//! Options that several verbs share. They know no verb, so that every verb may know them.

use std::path::PathBuf;

use clap::ValueEnum;

/// The options every verb takes. They stand before it; all but `--root` may also stand after it.
#[derive(Debug, Clone, clap::Args)]
pub struct Global {
    /// Keep taru's state below DIR [default: /var/lib/taru, or ~/.local/share/taru for an ordinary user]
    // Before the verb only: `unshare` and `enter` have util-linux's `--root` of their own.
    #[arg(long, value_name = "DIR", env = "TARU_ROOT", hide_env = true, help_heading = "Global options")]
    pub root: Option<PathBuf>,
    /// Say on standard error what is being done, from this level up
    #[arg(
        long,
        value_name = "LEVEL",
        global = true,
        default_value = "warn",
        help_heading = "Global options"
    )]
    pub log_level: LogLevel,
}

/// How much `taru` says on standard error besides errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum LogLevel {
    /// Errors only
    Error,
    /// What was done otherwise than asked
    #[value(alias = "warning")]
    Warn,
    /// The main steps
    Info,
    /// Every step
    Debug,
}

/// `--format`, for the verbs that list something.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Columns for people
    #[default]
    Table,
    /// One JSON document for programs
    Json,
}
