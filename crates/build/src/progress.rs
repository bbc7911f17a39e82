//! How far a build has come, told to whoever draws it.

use std::time::Duration;

use taru_oci::Digest;

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
