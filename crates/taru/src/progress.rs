//! How far a pull, a push or a build has come, on standard error: bars on a terminal, a line for each finished
//! step elsewhere.

use std::collections::{HashMap, HashSet};
use std::io::{IsTerminal, Write};
use std::sync::{Mutex, PoisonError};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use taru_engine::image::progress::{Progress, Step};
use taru_oci::Digest;

/// How progress is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Style {
    /// Bars on a terminal, lines elsewhere
    #[default]
    Auto,
    /// Bars
    Tty,
    /// A line for each finished step
    Plain,
    /// Nothing
    Quiet,
}

impl Style {
    /// Where bars are drawn, if they are.
    pub(crate) fn bars(self) -> Option<MultiProgress> {
        let on_terminal = match self {
            // A terminal that cannot move its cursor gets lines.
            Style::Auto => {
                std::io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
            }
            Style::Tty => true,
            Style::Plain | Style::Quiet => false,
        };
        on_terminal.then(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10)))
    }
}

/// Writes a line: above the bars, if there are. A terminal that is gone is no failure.
pub(crate) fn line(bars: Option<&MultiProgress>, text: &str) {
    match bars {
        Some(bars) => drop(bars.println(text)),
        None => drop(writeln!(std::io::stderr().lock(), "{text}")),
    }
}

/// Shows progress on standard error.
pub struct Shown {
    bars: Option<MultiProgress>,
    quiet: bool,
    running: Mutex<HashMap<(u8, Digest), ProgressBar>>,
    /// What was said to be here already: neither fetched nor unpacked, it would be said twice.
    here: Mutex<HashSet<Digest>>,
}

impl Shown {
    /// In this style.
    pub fn new(style: Style) -> Shown {
        Shown {
            bars: style.bars(),
            quiet: style == Style::Quiet,
            running: Mutex::default(),
            here: Mutex::default(),
        }
    }

    fn line(&self, text: &str) {
        if !self.quiet {
            line(self.bars.as_ref(), text);
        }
    }

    fn running(&self) -> std::sync::MutexGuard<'_, HashMap<(u8, Digest), ProgressBar>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Progress for Shown {
    fn begin(&self, step: Step, digest: &Digest, size: u64) {
        let Some(bars) = &self.bars else { return };
        let style =
            ProgressStyle::with_template("{prefix}  {msg:<10} [{bar:30}] {bytes:>10} / {total_bytes}")
                .unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = bars.add(ProgressBar::new(size).with_style(style.progress_chars("=> ")));
        bar.set_prefix(digest.short().to_owned());
        bar.set_message(word(step));
        self.running().insert((step as u8, digest.clone()), bar);
    }

    fn advance(&self, step: Step, digest: &Digest, bytes: u64) {
        if self.bars.is_some()
            && let Some(bar) = self.running().get(&(step as u8, digest.clone()))
        {
            bar.inc(bytes);
        }
    }

    fn end(&self, step: Step, digest: &Digest, already: bool) {
        if let Some(bar) = self.running().remove(&(step as u8, digest.clone())) {
            bar.finish_and_clear();
        }
        if already && !self.here.lock().unwrap_or_else(PoisonError::into_inner).insert(digest.clone()) {
            return;
        }
        let done = match (step, already) {
            (Step::Fetch, false) => "fetched",
            (Step::Unpack, false) => "unpacked",
            (Step::Push, false) => "pushed",
            (Step::Push, true) => "there already",
            (_, true) => "here already",
        };
        self.line(&format!("{}  {done}", digest.short()));
    }

    fn say(&self, line: &str) {
        self.line(line);
    }
}

fn word(step: Step) -> &'static str {
    match step {
        Step::Fetch => "fetching",
        Step::Unpack => "unpacking",
        Step::Push => "pushing",
    }
}
