//! How a build shows itself on standard error: `tty` keeps a line for each running step and the last of what it wrote,
//! `plain` writes every line.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use taru_build::{Event, Progress};

pub use crate::progress::Style;
use crate::progress::line;

/// How many of the last lines of a step that failed are shown.
const LAST: usize = 20;

/// Shows a build.
pub struct Steps {
    bars: Option<MultiProgress>,
    quiet: bool,
    state: Mutex<BTreeMap<usize, Running>>,
}

struct Running {
    name: String,
    bar: Option<ProgressBar>,
    /// The last lines it wrote, for the case that it fails.
    last: VecDeque<String>,
}

impl Steps {
    /// In this style.
    pub fn new(style: Style) -> Steps {
        Steps { bars: style.bars(), quiet: style == Style::Quiet, state: Mutex::default() }
    }

    /// Takes away what is drawn.
    pub fn end(&self) {
        if let Some(bars) = &self.bars {
            // A terminal that is gone is no failure.
            let _ = bars.clear();
        }
    }

    fn say(&self, text: &str) {
        line(self.bars.as_ref(), text);
    }
}

impl Progress for Steps {
    fn event(&self, event: &Event<'_>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Begin(number, name) => {
                let name = first_line(name);
                let bar = self.bars.as_ref().map(|bars| {
                    let bar = bars.add(ProgressBar::new_spinner());
                    if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix}  {wide_msg:.dim}") {
                        bar.set_style(style);
                    }
                    bar.set_prefix(format!("#{number} {name}"));
                    bar.enable_steady_tick(Duration::from_millis(200));
                    bar
                });
                if bar.is_none() && !self.quiet {
                    self.say(&format!("#{number} {name}"));
                }
                state.insert(*number, Running { name, bar, last: VecDeque::new() });
            }
            Event::Line(number, line) => {
                let line = printable(line);
                if let Some(running) = state.get_mut(number) {
                    if running.last.len() == LAST {
                        running.last.pop_front();
                    }
                    running.last.push_back(line.clone());
                    if let Some(bar) = &running.bar {
                        bar.set_message(line.clone());
                    }
                }
                if self.bars.is_none() && !self.quiet {
                    self.say(&format!("#{number} | {line}"));
                }
            }
            Event::Done(number, was_there, took) => {
                let Some(running) = state.remove(number) else { return };
                if let Some(bar) = &running.bar {
                    bar.finish_and_clear();
                }
                let how =
                    if *was_there { "CACHED".to_owned() } else { format!("DONE {:.1}s", took.as_secs_f64()) };
                match (&self.bars, self.quiet) {
                    (_, true) => {}
                    (Some(_), _) => self.say(&format!("#{number} {}  {how}", running.name)),
                    (None, _) => self.say(&format!("#{number} {how}")),
                }
            }
            Event::Failed(number, why) => {
                let Some(running) = state.remove(number) else { return };
                if let Some(bar) = &running.bar {
                    bar.finish_and_clear();
                }
                // Where every line was written as it came, they are there already.
                if self.bars.is_some() || self.quiet {
                    self.say(&format!("#{number} {}", running.name));
                    running.last.iter().for_each(|line| self.say(&format!("#{number} | {line}")));
                }
                self.say(&format!("#{number} FAILED: {}", printable(why)));
            }
            Event::Warning(text) => {
                if !self.quiet {
                    self.say(&format!("warning: {}", printable(text)));
                }
            }
            Event::Tagged(name) => {
                if !self.quiet {
                    self.say(&format!("named {name}"));
                }
            }
            Event::Image(_) => {}
        }
    }
}

fn first_line(text: &str) -> String {
    let text = printable(text.lines().next().unwrap_or_default());
    match text.char_indices().nth(160) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

/// Without control characters: what a program writes must not steer the terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c == '\t' { ' ' } else { c }).filter(|c| !c.is_control()).collect()
}
