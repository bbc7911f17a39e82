//! How far a build has come, told to whoever draws it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use taru_oci::Digest;
use taru_stdx::Error;

/// What happens. Steps are numbered over the whole build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event<'a> {
    /// A step begins: its number, its name as people read it (`[stage 2/5] RUN make`).
    Begin(usize, &'a str),
    /// A line that a step wrote.
    Line(usize, &'a str),
    /// A step is done: whether its result was there already, and how long it took.
    Done(usize, bool, Duration),
    /// A step failed.
    Failed(usize, &'a str),
    /// Something that should be known.
    Warning(&'a str),
    /// The image is whole.
    Image(&'a Digest),
    /// A name was given.
    Tagged(&'a str),
}

/// Told of a build, from several threads.
pub trait Progress: Sync {
    /// Something happened.
    fn event(&self, event: &Event<'_>);
}

/// Tells nobody.
#[derive(Debug)]
pub struct Silent;

impl Progress for Silent {
    fn event(&self, _: &Event<'_>) {}
}

/// Numbers the steps of a build as they begin, in any thread.
pub(crate) struct Steps<'a> {
    progress: &'a dyn Progress,
    begun: AtomicUsize,
}

/// A step that has begun, and is told of to its end.
pub(crate) struct Begun<'a> {
    progress: &'a dyn Progress,
    number: usize,
    since: Instant,
}

impl<'a> Steps<'a> {
    /// Of a build that `progress` is told of.
    pub(crate) fn new(progress: &'a dyn Progress) -> Steps<'a> {
        Steps { progress, begun: AtomicUsize::new(0) }
    }

    /// A step begins.
    pub(crate) fn begin(&self, name: &str) -> Begun<'a> {
        let begun = Begun { number: self.begun.fetch_add(1, Ordering::Relaxed) + 1, ..self.aside() };
        self.progress.event(&Event::Begin(begun.number, name));
        begun
    }

    /// What is no step of its own, but may have something to say.
    pub(crate) fn aside(&self) -> Begun<'a> {
        Begun { progress: self.progress, number: 0, since: Instant::now() }
    }

    /// Something should be known.
    pub(crate) fn warn(&self, text: &str) {
        self.progress.event(&Event::Warning(text));
    }
}

impl Begun<'_> {
    /// It wrote a line.
    pub(crate) fn line(&self, text: &str) {
        self.progress.event(&Event::Line(self.number, text));
    }

    /// It is done; `was_there` if its result was.
    pub(crate) fn done(&self, was_there: bool) {
        self.progress.event(&Event::Done(self.number, was_there, self.since.elapsed()));
    }

    /// It failed.
    pub(crate) fn failed(&self, why: &Error) {
        self.progress.event(&Event::Failed(self.number, &why.chain().to_string()));
    }
}
