//! `xtask crun-suite`: crun's own test suite, run against any runtime, judged test by test.
//!
//! About an eighth of its tests pass with no runtime at all, so a sum says little. `tests/crun-suite/reference.tsv`
//! holds what crun, runc and no runtime at all reach on a host like CI's; a test that crun or runc passes
//! must pass on ours, unless `tests/crun-suite/exceptions.tsv` says why not.

mod results;
mod source;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};

use taru_stdx::{Context, Result};

use results::{Reference, Results};

use crate::totals::Totals;
use crate::{sandbox, workspace};

/// The suite is written for one program; it runs this many of its files at once.
const AT_ONCE: &str = "3";
/// A file of tests that has not ended by then has hung.
const SECONDS_PER_FILE: &str = "120";

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The runtime under test [default: taru-runtime, built]
    #[arg(long)]
    runtime: Option<PathBuf>,
    /// Write the results into the column NAME of the committed reference: crun, runc or none
    #[arg(long, value_name = "NAME")]
    record: Option<String>,
    /// Only the files whose name contains this
    #[arg(long, value_name = "PART", default_value = "")]
    only: String,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let runtime = match &arguments.runtime {
        Some(path) => path.canonicalize().context(|| format!("find `{}`", path.display()))?,
        None => built()?,
    };
    let results = results_of(&runtime, &arguments.only)?;
    println!("{}", results.summary());
    let mut reference = Reference::read()?;
    if let Some(column) = &arguments.record {
        reference.record(column, &results)?;
        return Ok(ExitCode::SUCCESS);
    }
    let judgement = reference.judge(&results, !arguments.only.is_empty());
    for line in &judgement.notes {
        println!("{line}");
    }
    for line in &judgement.regressions {
        eprintln!("crun-suite: {line}");
    }
    Ok(if judgement.regressions.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs the suite against our runtime for CI: each test that a peer passes and ours does not is a failure.
pub(crate) fn count(runtime: &Path, totals: &mut Totals) -> Result<()> {
    if let Err(error) = source::ensure() {
        totals.skip(&format!("crun-suite: {}", error.chain()));
        return Ok(());
    }
    let results = results_of(runtime, "")?;
    println!("{}", results.summary());
    let judgement = Reference::read()?.judge(&results, false);
    totals.add(
        results.passed(),
        judgement.regressions.into_iter().map(|r| format!("crun-suite: {r}")).collect(),
    );
    Ok(())
}

/// Runs the suite against `runtime` and returns the result of each test; they are also written below `target/`.
fn results_of(runtime: &Path, only: &str) -> Result<Results> {
    let suite = source::ensure()?;
    let name = runtime.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let out = workspace::target().join("crun-suite/results").join(&name);
    if out.exists() {
        fs::remove_dir_all(&out).context(|| format!("remove `{}`", out.display()))?;
    }
    fs::create_dir_all(&out).context(|| format!("create `{}`", out.display()))?;
    let runtime = match name.as_str() {
        "runc" => source::shim(runtime, include_str!("runc_shim.sh"))?,
        "taru-runtime" => source::shim(runtime, include_str!("taru_shim.sh"))?,
        _ => runtime.to_path_buf(),
    };
    let script = include_str!("run.sh");
    let mut command = sandbox::command(false);
    command
        .args(["sh", "-c", script, "run.sh", AT_ONCE, SECONDS_PER_FILE, only])
        .arg(&out)
        .arg(suite.join("tests"));
    command.arg(workspace::root().join("xtask/src/crun_suite/python"));
    command.env("OCI_RUNTIME", &runtime).env("INIT", suite.join("tests/init")).env_remove("XDG_RUNTIME_DIR");
    workspace::check(command.stdin(Stdio::null()))?;
    let results = Results::read(&out)?;
    let table = workspace::target().join("crun-suite").join(format!("{name}.tsv"));
    fs::write(&table, results.table()).context(|| format!("write `{}`", table.display()))?;
    Ok(results)
}

/// The runtime of this workspace as it is shipped, or the one that `TARU_TEST_RUNTIME` names.
fn built() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("TARU_TEST_RUNTIME") {
        return Ok(path.into());
    }
    workspace::check(workspace::cargo().args(["build", "--quiet", "--release", "-p", "taru-runtime-cli"]))?;
    workspace::executable("release", "taru-runtime")
}
