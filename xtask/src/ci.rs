//! `xtask ci`: every check and every test, on a machine that has only Rust, git and Debian's packages.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use taru_stdx::{Context, Result};

use crate::totals::Totals;
use crate::{crun_suite, dist, setup, tidy, vm, workspace};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only what is quick: formatting, lints, tidy, and the tests against a debug build
    #[arg(long)]
    quick: bool,
}

/// Runs the steps in order. A failed check ends the run; failed tests are counted to the end.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let begun = Instant::now();
    let mut totals = Totals::default();
    step("setup", || setup::run(&setup::Arguments::default()))?;
    lint(&mut totals)?;
    let is_tidy = step("tidy", tidy::run)? == ExitCode::SUCCESS;
    deny(&mut totals)?;
    let mut tests = workspace::cargo();
    tests.args(["test", "--workspace", "--no-fail-fast"]);
    let shipped = if arguments.quick { None } else { Some(step("build", dist::run)?) };
    if let Some([taru, runtime]) = &shipped {
        // What is shipped is what is tested.
        tests.env("TARU", taru).env("TARU_TEST_RUNTIME", runtime);
    }
    tests.args(["--", "--show-output"]).env("RUST_BACKTRACE", "0");
    let skips = SkipLog::begin(&mut tests)?;
    let status = step("test", || totals.count(&mut tests))?;
    skips.read(&mut totals)?;
    if let Some([_, runtime]) = &shipped {
        step("crun-suite", || crun_suite::count(runtime, &mut totals))?;
        step("vm", || vm::count(&[], &mut totals))?;
    }
    totals.print_names();
    let seconds = begun.elapsed().as_secs();
    println!("ci took {} min {} s", seconds / 60, seconds % 60);
    println!("{totals}");
    Ok(if totals.is_good() && status && is_tidy { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs one step under its name, and says how long it took.
fn step<T>(name: &str, act: impl FnOnce() -> Result<T>) -> Result<T> {
    println!("== {name}");
    let begun = Instant::now();
    let done = act().context(|| format!("ci: {name}"));
    println!("== {name}: {:.1} s", begun.elapsed().as_secs_f64());
    done
}

fn lint(totals: &mut Totals) -> Result<()> {
    // A toolchain of the minimal profile has neither.
    if has_component("fmt")? {
        step("fmt", || workspace::check(workspace::cargo().args(["fmt", "--all", "--check"])))?;
    } else {
        totals.skip("fmt: rustfmt is not part of this toolchain");
    }
    if has_component("clippy")? {
        let arguments = ["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"];
        step("clippy", || workspace::check(workspace::cargo().args(arguments)))?;
    } else {
        totals.skip("clippy: clippy is not part of this toolchain");
    }
    Ok(())
}

/// Licences, sources and doubled versions of the dependencies, as deny.toml has them.
fn deny(totals: &mut Totals) -> Result<()> {
    if !has_component("deny")? {
        totals.skip("deny: cargo-deny is not installed");
        return Ok(());
    }
    step("deny", || {
        workspace::check(workspace::cargo().args([
            "deny",
            "--offline",
            "check",
            "bans",
            "licenses",
            "sources",
        ]))
    })
}

fn has_component(name: &str) -> Result<bool> {
    let mut command = workspace::cargo();
    Ok(workspace::status(command.args([name, "--version"]).stdout(Stdio::null()).stderr(Stdio::null()))?
        .success())
}

/// The file that `taru_testkit::skip` adds a line to for each skip: the harness hides what passing tests print.
struct SkipLog(PathBuf);

impl SkipLog {
    fn begin(tests: &mut Command) -> Result<SkipLog> {
        let path = workspace::target().join("skips");
        fs::write(&path, "").context(|| format!("write `{}`", path.display()))?;
        tests.env("TARU_SKIP_LOG", &path);
        Ok(SkipLog(path))
    }

    fn read(&self, totals: &mut Totals) -> Result<()> {
        let text = fs::read_to_string(&self.0).context(|| format!("read `{}`", self.0.display()))?;
        for line in text.lines() {
            totals.skip(line.strip_prefix("SKIP ").unwrap_or(line));
        }
        Ok(())
    }
}
