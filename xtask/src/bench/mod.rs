//! `xtask bench runtime`: taru-runtime beside crun and runc, in one run, on the same bundle.
//!
//! Runs are paired: every round runs each runtime once, so what disturbs the machine disturbs all alike; the
//! figures are medians, and what counts are the ratios. Everything happens in `tests/sandbox.sh`, without the
//! cgroup v2 mount that makes crun refuse a hybrid host; so no runtime is measured under easier conditions.

mod bundle;
mod measure;
mod memory;
mod table;

use std::env;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use taru_stdx::{Context, Error, Result};

use bundle::Bundle;
use measure::{Case, Measure, Sample};
use table::Row;

use crate::{dist, peers, sandbox, workspace};

/// Set to the list of what is measured where this program runs again in the sandbox.
const INSIDE: &str = "TARU_BENCH";

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// `runtime`, the only one there is
    #[arg(value_parser = ["runtime"])]
    what: String,
    /// Rounds of each measurement of time
    #[arg(long, default_value_t = 200)]
    runs: u32,
    /// How many containers are left running at once
    #[arg(long, default_value_t = 1000)]
    containers: u32,
    /// Leave runc out: it takes most of the time
    #[arg(long)]
    without_runc: bool,
}

/// A runtime, or the kernel's floor, under its name in the table.
struct Subject {
    name: &'static str,
    program: PathBuf,
}

/// Builds and fetches what is measured, then measures it in the sandbox.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    if let Some(programs) = env::var_os(INSIDE) {
        let programs: Vec<PathBuf> = env::split_paths(&programs).collect();
        return inside(arguments, &programs).map(|()| ExitCode::SUCCESS);
    }
    let [taru, runtime] = dist::run()?;
    let mut programs = vec![taru, runtime, peers::crun()?];
    if !arguments.without_runc {
        programs.push(peers::runc()?);
    }
    let list = env::join_paths(&programs).map_err(|_| Error::invalid("a path with a colon in it"))?;
    let this = env::current_exe().context(|| "find the path of this program")?;
    let mut command = sandbox::command(false);
    command.arg(this).args(env::args_os().skip(1)).env(INSIDE, list);
    Ok(workspace::exit_code(workspace::status(&mut command)?))
}

fn inside(arguments: &Arguments, programs: &[PathBuf]) -> Result<()> {
    let [taru, rest @ ..] = programs else {
        return Err(Error::invalid(format!("variable `{INSIDE}` names no program")));
    };
    let runtimes: Vec<Subject> = ["taru-runtime", "crun", "runc"]
        .into_iter()
        .zip(rest)
        .map(|(name, p)| Subject { name, program: p.clone() })
        .collect();
    let scratch = Path::new("/run/bench");
    let bundle = Bundle::create(scratch, &rest[rest.len() - 1])?;
    let measure = Measure::compile(scratch, arguments.runs)?;
    let floor = measure.floor(&bundle)?;

    println!("| | {} | floor |", runtimes.iter().map(|s| s.name).collect::<Vec<_>>().join(" | "));
    println!("|---|{}", "---|".repeat(runtimes.len() + 1));
    let mut cases: Vec<Case> = runtimes.iter().map(|s| run_case(s, &bundle)).collect();
    cases.push(floor);
    let samples = measure.run(&cases)?;
    table::print_times("`run` of a static `true`", &samples);
    let peaks: Vec<Row> = samples[..runtimes.len()].iter().map(|s| Row::kibibytes(s.peak())).collect();
    let lives: Vec<Case> = runtimes.iter().map(|s| life_case(s, &bundle)).collect();
    table::print_times("`create` + `start` + `delete`", &measure.run(&lives)?);
    table::print_times("`exec` of `true`", &measure_exec(&measure, &runtimes, &bundle)?);
    table::print("peak memory of `run`", &peaks);
    scale(arguments, &measure, &runtimes, &bundle)?;
    println!();
    memory::supervisor(taru, &runtimes[0].program, &bundle)?;
    whole_command(&measure, taru, &runtimes[0], &bundle)
}

fn run_case(subject: &Subject, bundle: &Bundle) -> Case {
    subject.command(&["run", "--bundle", &bundle.once(), "run-%n"])
}

fn life_case(subject: &Subject, bundle: &Bundle) -> Case {
    subject
        .command(&["create", "--bundle", &bundle.once(), "life-%n"])
        .then(subject.command(&["start", "life-%n"]))
        .then(subject.command(&["delete", "--force", "life-%n"]))
}

fn measure_exec(measure: &Measure, runtimes: &[Subject], bundle: &Bundle) -> Result<Vec<Sample>> {
    // The container's name is that of its control group too, so each runtime's has another.
    for subject in runtimes {
        measure.once(&subject.command(&["run", "--detach", "--bundle", &bundle.waiting(), subject.name]))?;
    }
    let cases: Vec<Case> = runtimes.iter().map(|s| s.command(&["exec", s.name, "/bin/true"])).collect();
    let samples = measure.run(&cases)?;
    for subject in runtimes {
        measure.once(&subject.command(&["delete", "--force", subject.name]))?;
    }
    Ok(samples)
}

/// Many containers started one after another and left running, and removed; some of each runtime's at once, listed.
fn scale(arguments: &Arguments, measure: &Measure, runtimes: &[Subject], bundle: &Bundle) -> Result<()> {
    let many = measure.rounds(arguments.containers);
    let (mut starts, mut grown, mut deletes) = (Vec::new(), Vec::new(), Vec::new());
    for subject in runtimes {
        let start =
            many.run(&[subject.command(&["run", "--detach", "--bundle", &bundle.waiting(), "many-%n"])])?;
        let delete = many.run(&[subject.command(&["delete", "--force", "many-%n"])])?;
        grown.extend(start.iter().map(|s| Row::growth(s.last_tenth() / s.first_tenth())));
        starts.extend(start);
        deletes.extend(delete);
    }
    let n = arguments.containers;
    table::print_times(&format!("`run --detach`, {n} times over"), &starts);
    table::print("the last tenth of them beside the first", &grown);
    table::print_times(&format!("`delete --force` of each of {n}"), &deletes);
    list_together(n.min(LISTED), measure, runtimes, bundle)
}

/// How many containers of each runtime are listed: all are there at once, so that the lists can be paired.
const LISTED: u32 = 300;

fn list_together(n: u32, measure: &Measure, runtimes: &[Subject], bundle: &Bundle) -> Result<()> {
    let many = measure.rounds(n);
    let name = |subject: &Subject| format!("{}-%n", subject.name);
    for subject in runtimes {
        many.run(&[subject.command(&["run", "--detach", "--bundle", &bundle.waiting(), &name(subject)])])?;
    }
    let lists: Vec<Case> = runtimes.iter().map(|subject| subject.command(&["list"])).collect();
    table::print_times(&format!("`list` of {n}"), &measure.run(&lists)?);
    for subject in runtimes {
        many.run(&[subject.command(&["delete", "--force", &name(subject)])])?;
    }
    Ok(())
}

/// `taru run host -- true` beside the runtime alone.
fn whole_command(measure: &Measure, taru: &Path, runtime: &Subject, bundle: &Bundle) -> Result<()> {
    let whole = Case::new(taru, &["run", "host", "--", "true"]);
    let samples = measure.run(&[whole, run_case(runtime, bundle)])?;
    println!(
        "`taru run host -- true`: {}; `taru-runtime run`: {}; ratio {:.2}",
        Row::time(&samples[0]),
        Row::time(&samples[1]),
        samples[0].median() / samples[1].median()
    );
    Ok(())
}

impl Subject {
    /// One command of the runtime, its state in a directory of its own.
    fn command(&self, words: &[&str]) -> Case {
        let root = format!("/run/bench/state-{}", self.name);
        let mut all = vec!["--root", root.as_str()];
        all.extend(words);
        Case::new(&self.program, &all)
    }
}
