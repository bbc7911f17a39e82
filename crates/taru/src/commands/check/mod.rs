//! `taru check`: what this kernel and this user can do, found by trying it, and what to do about the rest.
//!
//! Nothing is concluded from a kernel's version or configuration file: each namespace is made (in a child
//! that ends), each file system opened, each link created (in a network namespace that ends).

mod host;
mod kernel;
mod network;

use std::process::ExitCode;

use serde::Serialize;
use taru_stdx::Result;

use crate::cli::{Format, Global};
use crate::output::{self, Table};

/// Show what this kernel and this user can do, and what to do about what is missing
///
/// Each feature is tried, in a child process that leaves no trace. The status is 1 when something is
/// missing that containers need, and 0 otherwise.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  taru check
  taru check --format json | jq '.[] | select(.state != \"yes\")'
  sudo -u alice taru check                what alice can do without root")]
pub struct Args {
    /// Print as a table or as JSON
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// How far a feature is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Yes,
    /// In part, or not for this user.
    Limited,
    No,
}

/// One line of the report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Finding {
    area: &'static str,
    feature: String,
    state: State,
    /// Whether containers need it.
    needed: bool,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
}

impl Finding {
    fn new(
        area: &'static str,
        feature: impl Into<String>,
        state: State,
        detail: impl Into<String>,
    ) -> Finding {
        let (feature, detail) = (feature.into(), detail.into());
        Finding { area, feature, state, needed: false, detail, advice: None }
    }

    fn yes(area: &'static str, feature: impl Into<String>, detail: impl Into<String>) -> Finding {
        Finding::new(area, feature, State::Yes, detail)
    }

    fn needed(mut self) -> Finding {
        self.needed = true;
        self
    }

    fn advice(mut self, advice: impl Into<String>) -> Finding {
        if self.state != State::Yes {
            self.advice = Some(advice.into());
        }
        self
    }
}

pub(super) fn run(args: &Args, _: &Global) -> Result<ExitCode> {
    let findings = [kernel::all()?, network::all(), host::all()].concat();
    match args.format {
        Format::Json => output::json(&findings)?,
        Format::Table => output::text(&report(&findings))?,
    }
    let lacks = findings.iter().any(|f| f.needed && f.state == State::No);
    Ok(ExitCode::from(u8::from(lacks)))
}

/// The table, then the advice, each once.
fn report(findings: &[Finding]) -> String {
    let mut table = Table::new(&["AREA", "FEATURE", "STATE", "DETAIL"]);
    let mut advice: Vec<(&str, Vec<&str>)> = Vec::new();
    for f in findings {
        let state = match (f.state, f.needed) {
            (State::Yes, _) => "yes",
            (State::Limited, _) => "limited",
            (State::No, false) => "no",
            (State::No, true) => "MISSING",
        };
        table.row(vec![f.area.to_owned(), f.feature.clone(), state.to_owned(), f.detail.clone()]);
        if let Some(text) = f.advice.as_deref() {
            match advice.iter_mut().find(|(known, _)| *known == text) {
                Some((_, features)) => features.push(&f.feature),
                None => advice.push((text, vec![&f.feature])),
            }
        }
    }
    let mut text = table.to_text();
    if !advice.is_empty() {
        text.push_str("\nWhat to do:\n");
        for (line, features) in advice {
            text.push_str(&format!("  {}: {line}\n", features.join(", ")));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_stands_once_with_all_it_is_for() {
        let no = |feature: &str| Finding::new("a", feature, State::No, "").advice("do this");
        let findings = [no("x").needed(), Finding::yes("a", "y", "ok").advice("never"), no("z")];
        assert_eq!(
            report(&findings),
            "AREA   FEATURE   STATE     DETAIL\na      x         MISSING\na      y         yes       ok\na      z         no\n\
             \nWhat to do:\n  x, z: do this\n"
        );
    }
}
