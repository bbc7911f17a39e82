//! How many steps are done at a time.

use std::sync::{Condvar, Mutex, PoisonError};

/// So many steps at a time.
pub(super) struct Slots {
    free: Mutex<usize>,
    changed: Condvar,
}

/// The right to do a step, given back when dropped.
pub(super) struct Slot<'a>(&'a Slots);

impl Slots {
    /// As many as this host has processors.
    pub(super) fn of_host() -> Slots {
        let count = std::thread::available_parallelism().map_or(1, |n| n.get());
        Slots { free: Mutex::new(count), changed: Condvar::new() }
    }

    /// Waits for a free one.
    pub(super) fn take(&self) -> Slot<'_> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        while *free == 0 {
            free = self.changed.wait(free).unwrap_or_else(PoisonError::into_inner);
        }
        *free -= 1;
        Slot(self)
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.changed.notify_one();
    }
}
