//! Timing by `measure.c`: a small static program, so that nothing of this large one is in the figures.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use taru_stdx::{Context, Error, Kind, Result};

use super::bundle::Bundle;
use crate::workspace;

/// One or more commands that are timed together; `%n` in a word is the number of the round.
#[derive(Clone)]
pub(super) struct Case(Vec<Step>);

#[derive(Clone)]
enum Step {
    Timed(Vec<String>),
    Untimed(Vec<String>),
    Lap,
}

impl Case {
    pub(super) fn new(program: &Path, words: &[&str]) -> Case {
        let mut command = vec![program.display().to_string()];
        command.extend(words.iter().map(|word| (*word).to_owned()));
        Case(vec![Step::Timed(command)])
    }

    /// A script for the shell, which ends at its first command that fails.
    pub(super) fn shell(script: &str) -> Case {
        Case::new(Path::new("sh"), &["-euc", script])
    }

    /// The same, followed by another.
    pub(super) fn then(mut self, next: Case) -> Case {
        self.0.extend(next.0);
        self
    }

    /// The same, of which nothing counts.
    pub(super) fn untimed(self) -> Case {
        let quiet = |step| match step {
            Step::Timed(words) => Step::Untimed(words),
            other => other,
        };
        Case(self.0.into_iter().map(quiet).collect())
    }

    /// A sample of what was timed until here; another at the end includes it.
    pub(super) fn lap(mut self) -> Case {
        self.0.push(Step::Lap);
        self
    }

    fn samples(&self) -> usize {
        1 + self.0.iter().filter(|step| matches!(step, Step::Lap)).count()
    }

    /// As `measure` is told it.
    fn words(&self) -> Vec<String> {
        let mut all = Vec::new();
        for (at, step) in self.0.iter().enumerate() {
            let (mark, words) = match step {
                Step::Timed(words) => ((at > 0).then_some("-+"), words.as_slice()),
                Step::Untimed(words) => (Some("-~"), words.as_slice()),
                Step::Lap => (Some("-="), [].as_slice()),
            };
            all.extend(mark.map(str::to_owned));
            // The word that parts cases may be a word of a command too.
            all.extend(words.iter().map(|word| if word == "--" { "%-%-".to_owned() } else { word.clone() }));
        }
        all
    }
}

/// What the rounds of one case took.
pub(super) struct Sample {
    /// Milliseconds, in the order of the rounds.
    times: Vec<f64>,
    /// Peaks of resident memory, in KiB.
    peaks: Vec<f64>,
}

impl Sample {
    /// Milliseconds.
    pub(super) fn median(&self) -> f64 {
        median(&self.times)
    }

    /// The median of the peaks of resident memory, in KiB.
    pub(super) fn peak(&self) -> f64 {
        median(&self.peaks)
    }

    /// The median of the first tenth of the rounds, in milliseconds.
    pub(super) fn first_tenth(&self) -> f64 {
        median(&self.times[..self.tenth()])
    }

    /// The median of the last tenth of the rounds, in milliseconds.
    pub(super) fn last_tenth(&self) -> f64 {
        median(&self.times[self.times.len() - self.tenth()..])
    }

    fn tenth(&self) -> usize {
        self.times.len().div_ceil(10)
    }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The compiled program and how many rounds it is asked for.
pub(super) struct Measure {
    dir: PathBuf,
    rounds: u32,
}

impl Measure {
    /// Compiles the programs of the bench in `dir`.
    pub(super) fn compile(dir: &Path, rounds: u32) -> Result<Measure> {
        for name in ["measure", "floor"] {
            let source = workspace::root().join("xtask/src/bench").join(format!("{name}.c"));
            workspace::check(
                Command::new("cc").args(["-O2", "-static", "-o"]).arg(dir.join(name)).arg(source),
            )?;
        }
        Ok(Measure { dir: dir.to_path_buf(), rounds })
    }

    /// The same program asked for another number of rounds.
    pub(super) fn rounds(&self, rounds: u32) -> Measure {
        Measure { dir: self.dir.clone(), rounds }
    }

    /// How many rounds it is asked for.
    pub(super) fn count(&self) -> u32 {
        self.rounds
    }

    /// What the kernel alone charges, as a case beside the runtimes'.
    pub(super) fn floor(&self, bundle: &Bundle) -> Result<Case> {
        Ok(Case::new(&self.dir.join("floor"), &[&bundle.rootfs(), "floor-%n"]))
    }

    /// Runs all cases once a round, and returns a sample for each, and for each lap.
    pub(super) fn run(&self, cases: &[Case]) -> Result<Vec<Sample>> {
        let mut command = Command::new(self.dir.join("measure"));
        command.arg(self.rounds.to_string());
        for (n, case) in cases.iter().enumerate() {
            if n > 0 {
                command.arg("--");
            }
            command.args(case.words());
        }
        read(&workspace::output(&mut command)?, cases.iter().map(Case::samples).sum())
    }

    /// Runs a case once, for what it does.
    pub(super) fn once(&self, case: &Case) -> Result<()> {
        for step in &case.0 {
            let (Step::Timed(words) | Step::Untimed(words)) = step else { continue };
            // A container left running keeps what it was given open.
            let dull = || fs::File::options().read(true).write(true).open("/dev/null");
            let what = || "open `/dev/null`";
            let mut command = Command::new(&words[0]);
            command.args(&words[1..]).stdin(dull().context(what)?).stdout(dull().context(what)?);
            workspace::check(&mut command)?;
        }
        Ok(())
    }
}

/// Reads lines of `CASE NANOSECONDS KIBIBYTES`.
fn read(text: &str, cases: usize) -> Result<Vec<Sample>> {
    let mut samples: Vec<Sample> =
        (0..cases).map(|_| Sample { times: Vec::new(), peaks: Vec::new() }).collect();
    for line in text.lines() {
        let fields: Vec<f64> = line.split(' ').filter_map(|field| field.parse().ok()).collect();
        let [case, nanoseconds, kibibytes] = fields[..] else {
            return Err(Error::new(Kind::System, format!("read what `measure` wrote: `{line}`")));
        };
        if let Some(sample) = samples.get_mut(case as usize) {
            sample.times.push(nanoseconds / 1e6);
            sample.peaks.push(kibibytes);
        }
    }
    Ok(samples)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_read_by_case() {
        let samples =
            read("0 1000000 10\n1 5000000 20\n0 3000000 12\n1 7000000 22\n0 2000000 11\n1 6000000 21\n", 2)
                .unwrap();
        assert_eq!((samples[0].median(), samples[0].peak()), (2.0, 11.0));
        assert_eq!((samples[1].first_tenth(), samples[1].last_tenth()), (5.0, 6.0));
        assert!(read("nonsense", 1).is_err());
    }
}
