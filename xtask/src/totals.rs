//! What Rust's test harness prints, counted: passed, failed, and each skip with its reason.

use std::fmt;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use taru_stdx::{Context, Result};

/// The sums over several test executables.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    passed: u64,
    failed: u64,
    ignored: u64,
    skips: Vec<String>,
    failures: Vec<String>,
    /// How many tests the harness said it runs, until it tells how they ended.
    running: Option<u64>,
    /// In the part that shows what tests printed, which may be what an inner run of the harness did.
    in_report: bool,
    /// In the part of it that shows what passing tests printed.
    in_successes: bool,
}

impl Totals {
    /// Runs a command that prints what Rust's test harness prints, and counts it. Returns whether it succeeded.
    pub(crate) fn count(&mut self, command: &mut Command) -> Result<bool> {
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context(|| "run the tests")?;
        if let Some(stdout) = child.stdout.take() {
            for line in BufReader::new(stdout).split(b'\n') {
                let line = line.context(|| "read what the tests print")?;
                let line = String::from_utf8_lossy(&line);
                if self.read(&line) {
                    println!("{line}");
                }
            }
        }
        Ok(child.wait().context(|| "wait for the tests")?.success())
    }

    /// Takes in one line of output; returns whether a person wants to see it.
    ///
    /// A test that skips something prints `SKIP name: feature` and goes on or ends: it has passed what it did not skip.
    pub(crate) fn read(&mut self, line: &str) -> bool {
        if let Some(skip) = line.trim_start().strip_prefix("SKIP ") {
            self.skip(skip);
            return false;
        }
        if let Some(number) = line.strip_prefix("running ").filter(|_| !self.in_report) {
            self.running = number.split(' ').next().and_then(|number| number.parse().ok());
        }
        if let Some(result) = line.strip_prefix("test result: ") {
            let counts = ["passed", "failed", "ignored"].map(|word| count(result, word));
            // A test that failed may show the harness's words of an inner run of itself.
            if self.running.is_some_and(|running| running != counts.iter().sum::<u64>()) {
                return false;
            }
            (self.running, self.in_report, self.in_successes) = (None, false, false);
            self.passed += counts[0];
            self.failed += counts[1];
            self.ignored += counts[2];
            return true;
        }
        let failed = line.strip_prefix("test ").and_then(|rest| rest.strip_suffix(" ... FAILED"));
        if let Some(name) = failed.filter(|name| !self.failures.iter().any(|known| known == name)) {
            self.failures.push(name.to_owned());
        }
        if ["successes:", "failures:"].contains(&line) {
            (self.in_report, self.in_successes) = (true, line == "successes:");
        }
        let is_dull = line.is_empty()
            || line.starts_with("running ")
            || line.starts_with("test ") && !line.ends_with("FAILED");
        !self.in_successes && !is_dull
    }

    /// Counts something that this machine or toolchain cannot check.
    pub(crate) fn skip(&mut self, what: &str) {
        if !self.skips.iter().any(|known| known == what) {
            self.skips.push(what.to_owned());
        }
    }

    /// Counts tests that another harness ran: how many passed, and the names of those that failed.
    pub(crate) fn add(&mut self, passed: usize, failures: Vec<String>) {
        self.passed += passed as u64;
        self.failed += failures.len() as u64;
        self.failures.extend(failures);
    }

    /// Makes the failure of `test`, if it failed, a skip for want of `feature`.
    pub(crate) fn excuse(&mut self, test: &str, feature: &str) {
        let before = self.failures.len();
        self.failures.retain(|name| name != test);
        if self.failures.len() < before {
            self.failed = self.failed.saturating_sub(1);
            self.skip(&format!("{test}: {feature}"));
        }
    }

    /// Adds what was counted elsewhere.
    pub(crate) fn merge(&mut self, other: Totals) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
        other.skips.iter().for_each(|skip| self.skip(skip));
        self.failures.extend(other.failures);
    }

    /// Itself, its names marked with where it was counted.
    pub(crate) fn within(mut self, place: &str) -> Totals {
        let names = self.skips.iter_mut().chain(&mut self.failures);
        names.for_each(|name| *name = format!("{place}: {name}"));
        self
    }

    /// Whether something was tested and nothing failed.
    pub(crate) fn is_good(&self) -> bool {
        self.failed == 0 && self.failures.is_empty() && self.passed > 0
    }

    /// Prints every skip and every failure by name.
    pub(crate) fn print_names(&self) {
        for skip in &self.skips {
            println!("SKIP {skip}");
        }
        for failure in &self.failures {
            println!("FAILED {failure}");
        }
    }
}

/// The closing line: `ci: N passed, N failed, N skipped`.
impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let skipped = self.skips.len() as u64;
        write!(f, "ci: {} passed, {} failed, {} skipped", self.passed, self.failed, skipped + self.ignored)
    }
}

/// The number before `word` in `ok. 3 passed; 0 failed; ...`.
fn count(result: &str, word: &str) -> u64 {
    let words: Vec<&str> = result.split([' ', ';']).filter(|w| !w.is_empty()).collect();
    words.windows(2).find(|pair| pair[1] == word).and_then(|pair| pair[0].parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_the_harness_prints() {
        let mut totals = Totals::default();
        let shown: Vec<&str> = [
            "running 4 tests",
            "test a ... ok",
            "test b ... FAILED",
            "",
            "successes:",
            "---- a stdout ----",
            "SKIP a: time namespaces",
            "chatter",
            "failures:",
            "---- b stdout ----",
            "running 1 test",
            "left != right",
            "test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 5 filtered out; finished in 0.01s",
            "test result: FAILED. 2 passed; 1 failed; 1 ignored; 0 measured; 2 filtered out; finished in 0.01s",
            // One that is killed, and the next.
            "running 7 tests",
            "running 1 test",
            "test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s",
        ]
        .into_iter()
        .filter(|line| totals.read(line))
        .collect();
        assert_eq!(totals.to_string(), "ci: 3 passed, 1 failed, 2 skipped");
        assert!(shown.contains(&"left != right") && !shown.contains(&"chatter"), "{shown:?}");
        assert_eq!(totals.failures, ["b"]);
        assert!(!totals.is_good());
        totals.excuse("a", "not failed");
        totals.excuse("b", "time namespaces");
        assert_eq!(totals.to_string(), "ci: 3 passed, 0 failed, 3 skipped");
        assert!(totals.is_good());
    }
}
