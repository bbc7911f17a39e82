//! The options that stand before the command, as typed.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{ArgAction, Args, ValueEnum};

/// Options that stand before the command.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// Log in detail; the same as --log-level debug
    #[arg(long)]
    pub debug: bool,
    /// Write errors and warnings to FILE too: a path, file:PATH, journald:NAME or syslog:NAME
    ///
    /// The file is appended to. Engines read the reason of a failure back from it.
    #[arg(long, value_name = "FILE", value_parser = clap::value_parser!(OsString))]
    pub log: Option<OsString>,
    /// How to write them
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub log_format: LogFormat,
    /// What to write: messages of this level and above
    #[arg(long, value_name = "LEVEL", default_value = "warning")]
    pub log_level: LogLevel,
    /// Keep the state of containers in DIR [default: /run/taru/runtime, or $XDG_RUNTIME_DIR/taru/runtime for an ordinary user]
    #[arg(long, value_name = "DIR")]
    pub root: Option<PathBuf>,
    /// Have systemd make the control groups; cgroupsPath is then slice:prefix:name
    #[arg(long)]
    pub systemd_cgroup: bool,
    /// Who makes the control groups [default: cgroupfs]
    #[arg(long, value_name = "WHO", conflicts_with = "systemd_cgroup")]
    pub cgroup_manager: Option<CgroupManager>,
    /// Whether refused control groups are passed over: true, false, or auto (as an ordinary user)
    #[arg(long, value_name = "BOOL", default_value = "auto", hide_possible_values = true,
          value_parser = PossibleValuesParser::new(["auto", "true", "false", "1", "0", "t", "f"]))]
    pub rootless: String,
    /// For checkpoint and restore, which this version does not have
    #[arg(long, value_name = "PATH", hide = true)]
    pub criu: Option<PathBuf>,
    /// Print the versions of the runtime and of the specification
    #[arg(short = 'v', long, visible_short_alias = 'V', action = ArgAction::SetTrue)]
    pub version: bool,
}

/// `--log-format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs, reason = "the names are the options' values")]
pub enum LogFormat {
    Text,
    Json,
}

/// `--log-level`, most urgent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
#[allow(missing_docs, reason = "the names are the options' values")]
pub enum LogLevel {
    Error,
    #[value(alias = "warn")]
    Warning,
    Info,
    Debug,
}

/// `--cgroup-manager`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs, reason = "the names are the options' values")]
pub enum CgroupManager {
    Cgroupfs,
    Systemd,
    Disabled,
}
