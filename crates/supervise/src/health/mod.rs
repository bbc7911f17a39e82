//! Whether a container is well: a program that is executed in it from time to time, and what came of it.
//!
//! ```text
//! supervisor ── executes `taru-runtime exec --detach`, whose process becomes our child (probe)
//!            ── takes its output, kills its process group when it ended or its time is over
//!            ── judges, and writes down: BUNDLE/health (report)
//! ```
//! The rules are Docker's, so that an image means the same here:
//!
//! * The first check begins one interval after the start, each further one an interval after the end of the last.
//! * It passes with exit status 0. `retries` failures in a row make the container unhealthy, one pass healthy.
//! * Until it first passed, failures of checks that begin in the start period do not count, and in that time the
//!   start interval is the interval.
//! * While the container is frozen no check begins, and the time of one that runs stands still.
//!
//! All times are measured by the monotonic clock; the report has the time of day only for people.

mod probe;
mod report;
mod watch;

use std::time::Duration;

pub use report::{End, HEALTH, OUTPUT, Outcome, Report, State};
pub(crate) use watch::Watch;

/// What is executed in the container, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Between the end of a check and the next.
    pub interval: Duration,
    /// How long one may take.
    pub timeout: Duration,
    /// How long after the start failures do not count.
    pub start_period: Duration,
    /// The interval in that time, until a check passes.
    pub start_interval: Duration,
    /// How many failures in a row make the container unhealthy.
    pub retries: u32,
}

impl Check {
    /// How long after this moment, `since` the start, the next check begins.
    fn pause(&self, since: Duration, state: State) -> Duration {
        let starting = state == State::Starting && since < self.start_period;
        if starting { self.start_interval } else { self.interval }
    }

    /// Whether a failure of a check that began `since` the start counts.
    fn counts(&self, since: Duration, state: State) -> bool {
        state != State::Starting || since >= self.start_period
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_period_ends_with_time_or_with_the_first_pass() {
        let second = Duration::from_secs;
        let check = Check {
            command: vec!["true".into()],
            interval: second(30),
            timeout: second(30),
            start_period: second(60),
            start_interval: second(5),
            retries: 3,
        };
        for (since, state, pause, counts) in [
            (0, State::Starting, 5, false),
            (59, State::Starting, 5, false),
            (60, State::Starting, 30, true),
            (1, State::Healthy, 30, true),
            (1, State::Unhealthy, 30, true),
        ] {
            assert_eq!(check.pause(second(since), state), second(pause), "{since} {state:?}");
            assert_eq!(check.counts(second(since), state), counts, "{since} {state:?}");
        }
    }
}
