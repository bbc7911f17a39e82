//! `taru idmap make`: a user namespace that stays, without a process.

use std::path::PathBuf;
use std::process::ExitCode;

use taru_mount::idmap;
use taru_rootdir::Proc;
use taru_stdx::{Context, Result};

use super::Typed;
use crate::cli::Global;
use crate::ns::persist;

/// Make a user namespace with a map and keep it at a file
///
/// `taru enter --user=FILE` and `taru idmap bind --userns FILE` use it; umount FILE ends it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  taru idmap make --map 0:100000:65536 /run/users
  taru enter --user=/run/users id
  umount /run/users && rm /run/users")]
pub(super) struct Args {
    #[command(flatten)]
    typed: Typed,
    /// Where to keep it; made if missing
    file: PathBuf,
}

pub(super) fn run(args: &Args, _: &Global) -> Result<ExitCode> {
    let maps = args.typed.maps()?;
    let userns = idmap::user_namespace(&Proc::open()?, &maps)?;
    persist::attach(&userns, &args.file)
        .context(|| format!("keep the user namespace at `{}`", args.file.display()))?;
    Ok(ExitCode::SUCCESS)
}
