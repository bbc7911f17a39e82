//! `checkpoint` and `restore`: named, so that an engine learns why it cannot have them.

use std::ffi::OsString;

use clap::Args;
use taru_stdx::{Error, Kind, Result};

use crate::commands::Verb;
use crate::settings::Settings;

/// Save a running container to disk (not in this version)
///
/// taru-runtime cannot checkpoint yet. The command is here so that a program that tries it is told so.
#[derive(Debug, Args)]
pub(crate) struct Checkpoint {
    #[arg(hide = true, trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<OsString>,
}

/// Continue a checkpointed container (not in this version)
///
/// taru-runtime cannot restore yet. The command is here so that a program that tries it is told so.
#[derive(Debug, Args)]
pub(crate) struct Restore {
    #[arg(hide = true, trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<OsString>,
}

impl Verb for Checkpoint {
    fn run(self, _: &Settings) -> Result<u8> {
        Err(not_yet("checkpoint a container"))
    }
}

impl Verb for Restore {
    fn run(self, _: &Settings) -> Result<u8> {
        Err(not_yet("restore a container"))
    }
}

fn not_yet(what: &str) -> Error {
    Error::new(Kind::Unsupported, format!("{what}: this version of taru-runtime cannot do it yet"))
        .hint("runc and crun can, with CRIU, for containers that they made")
}
