//! The file that tells whether a container is well, and what its last checks said.
//!
//! ```text
//! BUNDLE/health     taru-health 1
//!                   state unhealthy                  starting, healthy, unhealthy
//!                   streak 3                         failures in a row that count
//!                   result 1795306171000000042 1795306171250000042 exited 1 9
//!                          └ begun             └ ended (ns since 1970)    │ └ bytes of output that follow
//!                                        exited STATUS, timed-out 0, not-run 0
//!                   no answer                        the output, any bytes, then a newline
//!                   result ..                        the oldest first, five at most
//! ```
//! It lies where the bundle does and goes with it. It is replaced whole: who reads it sees one check or the next.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use taru_stdx::fs::{Sync, read_bounded, replace};
use taru_stdx::{Error, Kind, Result};

/// The name of the file.
pub const HEALTH: &str = "health";

/// How much of what a check prints is kept, in bytes: the first, as Docker does.
pub const OUTPUT: usize = 4 << 10;

/// How many results are kept.
const RESULTS: usize = 5;

/// The largest file that is read: all the output and ample room for the lines between.
const FILE_LIMIT: u64 = (RESULTS * (OUTPUT + 256) + 256) as u64;

/// Whether a container is well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// No check has passed, and not enough have failed.
    Starting,
    /// The last check that counts passed, or too few failed since.
    Healthy,
    /// Too many failed in a row.
    Unhealthy,
}

impl State {
    /// Its word in the file, and for people.
    pub fn word(self) -> &'static str {
        match self {
            State::Starting => "starting",
            State::Healthy => "healthy",
            State::Unhealthy => "unhealthy",
        }
    }
}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// With this exit status; 128 + N if signal N killed it.
    Exited(u8),
    /// It was killed, as its time was over.
    TimedOut,
    /// It could not be executed; the output says why.
    NotRun,
}

/// What came of one check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// When it began.
    pub begun: SystemTime,
    /// When it ended, or was given up.
    pub ended: SystemTime,
    /// How.
    pub end: End,
    /// The first [`OUTPUT`] bytes of what it wrote to standard output and error.
    pub output: Vec<u8>,
}

/// Whether a container is well, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The verdict.
    pub state: State,
    /// How many checks failed in a row, of those that count.
    pub streak: u32,
    /// The last five, the oldest first.
    pub results: Vec<Outcome>,
}

impl Report {
    /// Of a container that was just started.
    pub(super) fn new() -> Report {
        Report { state: State::Starting, streak: 0, results: Vec::new() }
    }

    /// Takes in what came of a check. A failure that `counts` adds to the streak; `retries` of them make it unhealthy.
    pub(super) fn add(&mut self, outcome: Outcome, counts: bool, retries: u32) {
        if outcome.end == End::Exited(0) {
            (self.state, self.streak) = (State::Healthy, 0);
        } else if counts {
            self.streak = self.streak.saturating_add(1);
            if self.streak >= retries {
                self.state = State::Unhealthy;
            }
        }
        if self.results.len() == RESULTS {
            self.results.remove(0);
        }
        self.results.push(outcome);
    }

    /// Writes it into `bundle`.
    ///
    /// # Errors
    /// Any error of the file system.
    pub fn write(&self, bundle: &Path) -> Result<()> {
        replace(&bundle.join(HEALTH), &self.to_bytes(), 0o600, Sync::Atomic)
    }

    /// Reads it from `bundle`; `None` if nobody checks, or nobody does any more.
    ///
    /// # Errors
    /// Any other error of reading; [`Kind::Invalid`] for a file of another format.
    pub fn read(bundle: &Path) -> Result<Option<Report>> {
        let path = bundle.join(HEALTH);
        match read_bounded(&path, FILE_LIMIT) {
            Ok(bytes) => match parse(&bytes) {
                Some(report) => Ok(Some(report)),
                None => Err(Error::invalid(format!("parse `{}`: unknown format", path.display()))),
            },
            Err(e) if e.kind() == Kind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    fn to_bytes(&self) -> Vec<u8> {
        let nanoseconds = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let head = format!("taru-health 1\nstate {}\nstreak {}\n", self.state.word(), self.streak);
        let mut bytes = head.into_bytes();
        for Outcome { begun, ended, end, output } in &self.results {
            let (word, status) = match end {
                End::Exited(status) => ("exited", *status),
                End::TimedOut => ("timed-out", 0),
                End::NotRun => ("not-run", 0),
            };
            let (begun, ended) = (nanoseconds(*begun), nanoseconds(*ended));
            let length = output.len();
            bytes.extend_from_slice(format!("result {begun} {ended} {word} {status} {length}\n").as_bytes());
            bytes.extend_from_slice(output);
            bytes.push(b'\n');
        }
        bytes
    }
}

fn parse(bytes: &[u8]) -> Option<Report> {
    let mut rest = bytes;
    if line(&mut rest)? != "taru-health 1" {
        return None;
    }
    let state = match line(&mut rest)?.strip_prefix("state ")? {
        "starting" => State::Starting,
        "healthy" => State::Healthy,
        "unhealthy" => State::Unhealthy,
        _ => return None,
    };
    let streak = line(&mut rest)?.strip_prefix("streak ")?.parse().ok()?;
    let mut results = Vec::new();
    while !rest.is_empty() {
        if results.len() == RESULTS {
            return None;
        }
        results.push(outcome(&mut rest)?);
    }
    Some(Report { state, streak, results })
}

/// Takes the first line off `rest`.
fn line<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    let end = rest.iter().position(|&b| b == b'\n')?;
    let (line, after) = rest.split_at_checked(end)?;
    *rest = after.get(1..)?;
    std::str::from_utf8(line).ok()
}

/// Takes the first result off `rest`.
fn outcome(rest: &mut &[u8]) -> Option<Outcome> {
    let mut words = line(rest)?.strip_prefix("result ")?.split(' ');
    let mut time = || {
        let nanoseconds: u64 = words.next()?.parse().ok()?;
        Some(UNIX_EPOCH + Duration::from_nanos(nanoseconds))
    };
    let (begun, ended) = (time()?, time()?);
    let word = words.next()?;
    let status = words.next()?.parse().ok()?;
    let end = match word {
        "exited" => End::Exited(status),
        "timed-out" => End::TimedOut,
        "not-run" => End::NotRun,
        _ => return None,
    };
    let length: usize = words.next()?.parse().ok()?;
    let (output, after) = rest.split_at_checked(length).filter(|_| length <= OUTPUT)?;
    *rest = after.strip_prefix(b"\n")?;
    Some(Outcome { begun, ended, end, output: output.to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(end: End, output: &[u8]) -> Outcome {
        let begun = UNIX_EPOCH + Duration::from_nanos(1_795_306_171_000_000_042);
        Outcome { begun, ended: begun + Duration::from_millis(250), end, output: output.to_vec() }
    }

    #[test]
    fn failures_in_a_row_are_counted_and_a_pass_forgives_them() {
        let mut report = Report::new();
        let mut after = |end, counts| {
            report.add(result(end, b""), counts, 2);
            (report.state, report.streak, report.results.len())
        };
        assert_eq!(after(End::Exited(1), false), (State::Starting, 0, 1), "does not count");
        assert_eq!(after(End::Exited(137), true), (State::Starting, 1, 2));
        assert_eq!(after(End::Exited(0), true), (State::Healthy, 0, 3));
        assert_eq!(after(End::TimedOut, true), (State::Healthy, 1, 4));
        assert_eq!(after(End::NotRun, true), (State::Unhealthy, 2, 5));
        assert_eq!(after(End::Exited(2), true), (State::Unhealthy, 3, 5), "five are kept");
        assert_eq!(after(End::Exited(0), false), (State::Healthy, 0, 5));
    }

    #[test]
    fn any_output_is_kept_and_other_files_are_told_apart() {
        let mut report = Report::new();
        for (end, output) in [
            (End::Exited(0), &b""[..]),
            (End::Exited(255), b"\n\nresult 1 2 exited 0 0\n\xff\0"),
            (End::TimedOut, &[b'x'; OUTPUT]),
            (End::NotRun, b"no newline"),
        ] {
            report.add(result(end, output), true, 3);
        }
        let bytes = report.to_bytes();
        assert!(bytes.len() as u64 <= FILE_LIMIT);
        assert_eq!(parse(&bytes), Some(report));
        for length in 0..bytes.len() {
            let part = parse(&bytes[..length]);
            assert!(part.is_none_or(|p| p.results.len() < 4), "cut to {length}");
        }
        for bad in [
            &b""[..],
            b"taru-health 2\nstate healthy\nstreak 0\n",
            b"taru-health 1\nstate well\nstreak 0\n",
            b"taru-health 1\nstate healthy\nstreak -1\n",
            b"taru-health 1\nstate healthy\nstreak 0\nresult 1 2 exited 256 0\n\n",
            b"taru-health 1\nstate healthy\nstreak 0\nresult 1 2 exited 1 99999999999\n\n",
            b"taru-health 1\nstate healthy\nstreak 0\nresult 1 2 exited 1 5000\n\n",
        ] {
            assert_eq!(parse(bad), None, "{}", String::from_utf8_lossy(bad));
        }
    }
}
