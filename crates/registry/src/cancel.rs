//! Giving up on request: a flag that is looked at between any two waits, none of which is longer than [`SLICE`].

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use taru_stdx::{Error, Kind, Result};

/// The longest wait after which the flag is looked at again.
pub(crate) const SLICE: Duration = Duration::from_millis(100);

/// The shared flag.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cancel(pub(crate) Arc<AtomicBool>);

impl Cancel {
    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Fails once the flag is set.
    pub(crate) fn check(&self) -> Result<()> {
        if self.is_set() { Err(Cancelled::error()) } else { Ok(()) }
    }

    /// Waits, but no longer than until the flag is set.
    pub(crate) fn sleep(&self, long: Duration) -> Result<()> {
        let until = Instant::now() + long;
        loop {
            self.check()?;
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            std::thread::sleep(left.min(SLICE));
        }
    }
}

/// What a read or write of a cancelled transfer fails with, inside of [`std::io::Error`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cancelled;

impl Cancelled {
    pub(crate) fn error() -> Error {
        Error::new(Kind::State, "cancelled")
    }
}

impl std::fmt::Display for Cancelled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("cancelled")
    }
}

impl std::error::Error for Cancelled {}
