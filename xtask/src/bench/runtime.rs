//! `xtask bench runtime`: taru-runtime beside crun and runc, on the same bundle.

use std::path::{Path, PathBuf};

use taru_stdx::{Error, Result};

use super::bundle::Bundle;
use super::measure::{Case, Measure, Sample};
use super::table::{self, Row};
use super::{INSIDE, memory};
use crate::{dist, peers};

#[derive(clap::Args)]
pub(super) struct Arguments {
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

/// Builds and fetches what is measured: taru, its runtime, and the peers.
pub(super) fn programs(arguments: &Arguments) -> Result<Vec<PathBuf>> {
    let [taru, runtime] = dist::run()?;
    let mut programs = vec![taru, runtime, peers::crun()?];
    if !arguments.without_runc {
        programs.push(peers::runc()?);
    }
    Ok(programs)
}

/// Measures them, in the sandbox.
pub(super) fn run(arguments: &Arguments, programs: &[PathBuf]) -> Result<()> {
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
