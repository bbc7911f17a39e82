//! What `taru` prints: data on standard output, errors and warnings on standard error, and the one
//! table of exit statuses.

use std::io::{ErrorKind, Write};
use std::process::ExitCode;
use std::sync::OnceLock;
use std::time::SystemTime;

use serde::Serialize;
use taru_engine::run::Outcome;
use taru_engine::told::Detail;
use taru_stdx::{Context, Error, Kind, Result};

use crate::options::{Global, LogLevel};

/// The status of `taru` when it cannot start the program it was asked to run, as Docker has it.
pub const OWN_FAILURE: u8 = 125;
/// The status of a command line that cannot be understood.
pub const USAGE: u8 = 2;

/// Whose statuses a verb returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edge {
    /// Its own: 0, 1, and 2 for a bad command line.
    Plain,
    /// The program's; its own failures are 125, 126 (cannot be executed) and 127 (not found).
    Program,
}

/// The exit status of a failure: the only place where a [`Kind`] becomes a number.
pub fn exit_code(kind: Kind, edge: Edge) -> ExitCode {
    ExitCode::from(exit_number(kind, edge))
}

/// As [`exit_code`], as a number.
fn exit_number(kind: Kind, edge: Edge) -> u8 {
    match (edge, kind) {
        (_, Kind::Exec(number)) => u8::try_from(number).unwrap_or(126),
        (Edge::Program, _) => OWN_FAILURE,
        (Edge::Plain, Kind::Invalid) => USAGE,
        (Edge::Plain, _) => 1,
    }
}

/// The exit status of a program that was waited for.
pub fn outcome(outcome: Outcome) -> ExitCode {
    match outcome {
        Outcome::Exited(status) => ExitCode::from(status),
        Outcome::Refused(kind) => exit_code(kind, Edge::Program),
    }
}

/// Prints a failure: its chain on one line, then its hints.
pub fn report(error: &Error) {
    let mut text = format!("taru: {}\n", error.chain());
    for hint in error.hints() {
        text.push_str(&format!("hint: {hint}\n"));
    }
    let text = tame(&text);
    // One write, so that the lines of two processes do not mix; nothing is left to tell a failure to.
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// Text that may quote foreign words, without what a terminal would take for more than text.
fn tame(text: &str) -> String {
    let is_steering = |c: char| {
        c.is_control() && c != '\n' || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if is_steering(c) { '\u{fffd}' } else { c }).collect()
}

/// Does `act` for each of `keys`, past failures, which are reported one by one.
///
/// # Errors
/// None; the status is that of the first failure.
pub fn each(keys: &[String], mut act: impl FnMut(&str) -> Result<()>) -> Result<ExitCode> {
    let mut code = ExitCode::SUCCESS;
    let mut failed = false;
    for key in keys {
        if let Err(error) = act(key) {
            report(&error);
            if !std::mem::replace(&mut failed, true) {
                code = exit_code(error.kind(), Edge::Plain);
            }
        }
    }
    Ok(code)
}

/// Prints a note on standard error if `--log-level` asks for `level`.
pub fn note(global: &Global, level: LogLevel, text: &str) {
    note_from(global.log_level, level, text);
}

fn note_from(wanted: LogLevel, level: LogLevel, text: &str) {
    if wanted >= level {
        let word = match level {
            LogLevel::Error => "error",
            LogLevel::Warn => "warning",
            LogLevel::Info => "info",
            LogLevel::Debug => "debug",
        };
        let _ = writeln!(std::io::stderr().lock(), "taru: {word}: {}", tame(text));
    }
}

/// From which level up the engine's steps are printed: a function that it is given has no state of its own.
static LEVEL: OnceLock<LogLevel> = OnceLock::new();

/// Chooses from which level up the engine's steps are printed. The first choice counts.
pub fn choose_level(level: LogLevel) {
    let _ = LEVEL.set(level);
}

/// Prints a step of the engine's if `--log-level` asks for such.
pub fn step(detail: Detail, text: &str) {
    let level = match detail {
        Detail::Main => LogLevel::Info,
        Detail::Every => LogLevel::Debug,
    };
    note_from(LEVEL.get().copied().unwrap_or(LogLevel::Warn), level, text);
}

/// Writes `text` to standard output. A reader that has gone (`taru ps | head -1`) is no failure.
///
/// # Errors
/// Any other error of writing, such as a full disk.
pub fn text(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other.context(|| "write to standard output"),
    }
}

/// Writes one line to standard output.
///
/// # Errors
/// As [`text`].
pub fn line(line: &str) -> Result<()> {
    text(&format!("{line}\n"))
}

/// Writes `value` to standard output as an indented JSON document.
///
/// # Errors
/// As [`text`].
pub fn json(value: &impl Serialize) -> Result<()> {
    line(&serde_json::to_string_pretty(value).context(|| "write JSON")?)
}

/// How long ago `then` was, in its largest unit.
pub fn age(then: SystemTime, now: SystemTime) -> String {
    let seconds = now.duration_since(then).unwrap_or_default().as_secs();
    let (number, unit) = match seconds {
        0..60 => (seconds, "second"),
        60..3_600 => (seconds / 60, "minute"),
        3_600..86_400 => (seconds / 3_600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    count(number, unit)
}

/// `1 layer`, `2 layers`, `0 processes`.
pub fn count(number: u64, one: &str) -> String {
    let ending = match number {
        1 => "",
        _ if one.ends_with('s') => "es",
        _ => "s",
    };
    format!("{number} {one}{ending}")
}

/// A number of bytes, in its largest unit.
pub fn bytes(number: u64) -> String {
    indicatif::HumanBytes(number).to_string()
}

/// Columns that line up: a heading, then rows of as many cells.
#[derive(Debug)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with the given heading.
    pub fn new(heading: &[&str]) -> Table {
        Table { rows: vec![heading.iter().map(|&h| h.to_owned()).collect()] }
    }

    /// Adds a row. Missing cells are empty.
    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// Writes the table to standard output.
    ///
    /// # Errors
    /// As [`text`].
    pub fn print(&self) -> Result<()> {
        text(&self.to_text())
    }

    /// The table as text: cells padded to their column, three spaces between, none at the end of a
    /// line. Control characters in a cell are replaced, so that foreign text cannot drive a terminal.
    pub fn to_text(&self) -> String {
        let clean = |cell: &String| -> String {
            cell.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
        };
        let rows: Vec<Vec<String>> = self.rows.iter().map(|r| r.iter().map(clean).collect()).collect();
        let mut widths = Vec::new();
        for row in &rows {
            widths.resize(widths.len().max(row.len()), 0);
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(columns(cell));
            }
        }
        let mut text = String::new();
        for row in &rows {
            let mut line = String::new();
            for (cell, &width) in row.iter().zip(&widths) {
                line.push_str(cell);
                line.extend(std::iter::repeat_n(' ', width - columns(cell) + 3));
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// How many columns of a terminal `text` takes: Chinese, Japanese and Korean letters and most pictures take two,
/// marks that combine with the letter before them none.
fn columns(text: &str) -> usize {
    let of = |c: char| match c {
        '\u{300}'..='\u{36f}' | '\u{200b}'..='\u{200f}' | '\u{fe00}'..='\u{fe0f}' => 0,
        '\u{1100}'..='\u{115f}' | '\u{2e80}'..='\u{a4cf}' | '\u{ac00}'..='\u{d7a3}' => 2,
        '\u{f900}'..='\u{faff}' | '\u{fe30}'..='\u{fe6f}' | '\u{ff00}'..='\u{ff60}' => 2,
        '\u{ffe0}'..='\u{ffe6}' | '\u{1f300}'..='\u{1faff}' | '\u{20000}'..='\u{3fffd}' => 2,
        _ => 1,
    };
    text.chars().map(of).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_foreign_text_is_tame() {
        let mut table = Table::new(&["NAME", "STATUS"]);
        table.row(vec!["a".into(), "running".into()]);
        table.row(vec!["longer\u{1b}[2J".into(), String::new()]);
        assert_eq!(table.to_text(), "NAME         STATUS\na            running\nlonger\u{fffd}[2J\n");
    }

    #[test]
    fn letters_of_two_columns_keep_columns_in_line() {
        let mut table = Table::new(&["COMMAND", "STATUS"]);
        table.row(vec!["echo 日本".into(), "up".into()]);
        table.row(vec!["echo e\u{301}".into(), "up".into()]);
        assert_eq!(table.to_text(), "COMMAND     STATUS\necho 日本   up\necho e\u{301}      up\n");
    }

    #[test]
    fn statuses_follow_the_convention() {
        let is = |kind, edge, number: u8| {
            assert_eq!(exit_code(kind, edge), ExitCode::from(number), "{kind:?} {edge:?}");
        };
        is(Kind::Exec(127), Edge::Program, 127);
        is(Kind::Exec(126), Edge::Plain, 126);
        is(Kind::Invalid, Edge::Program, 125);
        is(Kind::Invalid, Edge::Plain, 2);
        is(Kind::NotFound, Edge::Plain, 1);
    }

    #[test]
    fn one_is_singular() {
        assert_eq!((count(0, "blob"), count(1, "blob")), ("0 blobs".to_owned(), "1 blob".to_owned()));
        assert_eq!(
            (count(1, "process"), count(2, "process")),
            ("1 process".to_owned(), "2 processes".to_owned())
        );
    }

    #[test]
    fn ages_have_one_unit() {
        let then = SystemTime::UNIX_EPOCH;
        for (seconds, text) in
            [(0, "0 seconds"), (1, "1 second"), (119, "1 minute"), (7_200, "2 hours"), (90_000, "1 day")]
        {
            assert_eq!(age(then, then + std::time::Duration::from_secs(seconds)), text);
        }
        assert_eq!(
            age(then + std::time::Duration::from_secs(5), then),
            "0 seconds",
            "a clock that was set back"
        );
    }
}
