//! What the threads of stages tell each other: which stage came to what, and that one failed.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use taru_stdx::{Error, Kind, Result};

use crate::root::Root;

/// The stages that are finished.
#[derive(Default)]
pub(super) struct Finished {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    roots: BTreeMap<usize, Root>,
    /// Of the stage that failed first: the others fail because of it.
    error: Option<Error>,
}

impl State {
    fn check(&self) -> Result<()> {
        match self.error {
            Some(_) => Err(Error::new(Kind::State, "another stage failed")),
            None => Ok(()),
        }
    }
}

impl Finished {
    /// Tells what a stage came to.
    pub(super) fn tell(&self, stage: usize, root: Result<Root>) {
        let mut state = self.lock();
        match root {
            Ok(root) => drop(state.roots.insert(stage, root)),
            Err(e) => drop(state.error.get_or_insert(e)),
        }
        self.changed.notify_all();
    }

    /// Whether it is worth going on.
    ///
    /// # Errors
    /// [`Kind::State`] if another stage failed.
    pub(super) fn check(&self) -> Result<()> {
        self.lock().check()
    }

    /// Waits for what a stage comes to.
    ///
    /// # Errors
    /// As [`Finished::check`].
    pub(super) fn wait(&self, stage: usize) -> Result<Root> {
        let mut state = self.lock();
        loop {
            if let Some(root) = state.roots.get(&stage) {
                return Ok(root.clone());
            }
            state.check()?;
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// All of them, after the last thread.
    ///
    /// # Errors
    /// The first of any stage.
    pub(super) fn into_roots(self) -> Result<BTreeMap<usize, Root>> {
        let state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        state.error.map_or(Ok(state.roots), Err)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
