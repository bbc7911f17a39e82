//! Compensation: every act registers beside itself how to take it back.

use crate::Error;

/// A stack of compensations. Dropped without [`Undo::commit`], it runs them, last registered first.
///
/// ```
/// # use taru_stdx::Undo;
/// let mut undo = Undo::new();
/// let dir = std::env::temp_dir().join(format!("undo-{}", std::process::id()));
/// std::fs::create_dir(&dir).unwrap();
/// let name = dir.clone();
/// undo.push(move || Ok(std::fs::remove_dir(&name).map_err(|e| taru_stdx::Error::invalid("rmdir").because(e))?));
/// drop(undo);
/// assert!(!dir.exists());
/// ```
#[derive(Default)]
pub struct Undo<'a> {
    steps: Vec<Box<dyn FnOnce() -> Result<(), Error> + 'a>>,
}

impl<'a> Undo<'a> {
    /// An empty stack.
    pub fn new() -> Undo<'a> {
        Undo { steps: Vec::new() }
    }

    /// Registers how to take back the act just done.
    pub fn push(&mut self, step: impl FnOnce() -> Result<(), Error> + 'a) {
        self.steps.push(Box::new(step));
    }

    /// All went well: nothing is taken back.
    pub fn commit(mut self) {
        self.steps.clear();
    }

    /// Takes everything back now, last first, past errors, and returns those errors.
    pub fn run(mut self) -> Vec<Error> {
        self.unwind()
    }

    fn unwind(&mut self) -> Vec<Error> {
        let mut errors = Vec::new();
        while let Some(step) = self.steps.pop() {
            if let Err(e) = step() {
                errors.push(e);
            }
        }
        errors
    }
}

impl Drop for Undo<'_> {
    fn drop(&mut self) {
        // The error that led here is the one to report; a failing compensation is found by the
        // next start's collection.
        let _ = self.unwind();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    #[test]
    fn runs_backwards_past_errors_unless_committed() {
        let seen = RefCell::new(Vec::new());
        let mut undo = Undo::new();
        undo.push(|| {
            seen.borrow_mut().push(1);
            Ok(())
        });
        undo.push(|| {
            seen.borrow_mut().push(2);
            Err(Error::invalid("no"))
        });
        assert_eq!(undo.run().len(), 1);
        assert_eq!(*seen.borrow(), [2, 1]);

        let mut undo = Undo::new();
        undo.push(|| {
            seen.borrow_mut().push(3);
            Ok(())
        });
        undo.commit();
        assert_eq!(*seen.borrow(), [2, 1]);
    }
}
