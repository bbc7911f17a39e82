//! `xtask bench`: taru beside its peers, in one run.
//!
//! Runs are paired: every round does each thing once with each program, so what disturbs the machine disturbs all
//! alike; the figures are medians, and what counts are the ratios. Everything happens in `tests/sandbox.sh`, without
//! the cgroup v2 mount that makes crun refuse a hybrid host; so nobody is measured under easier conditions.

mod bundle;
mod images;
mod measure;
mod memory;
mod runtime;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;
use std::{env, fs, io};

use taru_stdx::{Context, Error, Result};

use crate::{sandbox, workspace};

/// Set to the list of what is measured where this program runs again in the sandbox.
const INSIDE: &str = "TARU_BENCH";

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// taru-runtime beside crun and runc, on the same bundle
    Runtime(runtime::Arguments),
    /// taru beside podman, containerd and buildah, on the same images
    Images(images::Arguments),
}

/// Builds and fetches what is measured, then measures it in the sandbox.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let Some(programs) = env::var_os(INSIDE) else {
        return enter(&match &arguments.what {
            What::Runtime(arguments) => runtime::programs(arguments)?,
            What::Images(arguments) => images::programs(arguments)?,
        });
    };
    let programs: Vec<PathBuf> = env::split_paths(&programs).collect();
    match &arguments.what {
        What::Runtime(arguments) => runtime::run(arguments, &programs)?,
        What::Images(arguments) => images::run(arguments, &programs)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Copies what is measured, as an installation does: a file that was written from its beginning to its end lies in the page
/// cache in larger pieces than one that a linker wrote here and there, and is mapped with fewer faults.
fn install(programs: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let dir = workspace::root().join("target/bench/installed");
    let what = || format!("install the programs in `{}`", dir.display());
    fs::create_dir_all(&dir).context(what)?;
    let copy = |program: &PathBuf| {
        let to = dir.join(program.file_name().unwrap_or_default());
        // Not over one that may be running.
        match fs::remove_file(&to) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e).context(what),
            _ => {}
        }
        fs::copy(program, &to).context(what)?;
        Ok(to)
    };
    programs.iter().map(copy).collect()
}

/// Runs this very command again in the sandbox, which knows from the list of programs that it is there.
fn enter(programs: &[PathBuf]) -> Result<ExitCode> {
    let list =
        env::join_paths(install(programs)?).map_err(|_| Error::invalid("a path with a colon in it"))?;
    let this = env::current_exe().context(|| "find the path of this program")?;
    let mut command = sandbox::command(false);
    command.arg(this).args(env::args_os().skip(1)).env(INSIDE, list);
    Ok(workspace::exit_code(workspace::status(&mut command)?))
}
