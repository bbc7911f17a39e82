//! How far something that takes a while has come, told to whoever wants to show it.

use taru_oci::Digest;

/// What is being done with a piece of content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// It comes from a registry.
    Fetch,
    /// A layer becomes a directory.
    Unpack,
    /// It goes to a registry.
    Push,
}

/// Told of progress, from several threads.
pub trait Progress: Sync {
    /// `step` begins with the content `digest`, of `size` bytes.
    fn begin(&self, step: Step, digest: &Digest, size: u64);
    /// `bytes` more of it are done.
    fn advance(&self, step: Step, digest: &Digest, bytes: u64);
    /// It is done, or nothing was to be done (`already`).
    fn end(&self, step: Step, digest: &Digest, already: bool);
    /// A line for people.
    fn say(&self, line: &str);
}

/// Tells nobody.
#[derive(Debug)]
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _: Step, _: &Digest, _: u64) {}
    fn advance(&self, _: Step, _: &Digest, _: u64) {}
    fn end(&self, _: Step, _: &Digest, _: bool) {}
    fn say(&self, _: &str) {}
}
