//! All problems of a document at once: a reader who has three mistakes hears of three.

use taru_stdx::{Error, Kind, Result};

/// The problems found so far, and what is worth a warning.
#[derive(Default)]
pub struct Problems {
    errors: Vec<Error>,
    warnings: Vec<String>,
}

impl Problems {
    /// Notes a mistake in the document.
    pub fn invalid(&mut self, message: impl Into<String>) {
        self.errors.push(Error::invalid(message));
    }

    /// Notes something that this host or this version cannot do.
    pub fn unsupported(&mut self, message: impl Into<String>) {
        self.errors.push(Error::new(Kind::Unsupported, message));
    }

    /// Notes an error.
    pub fn error(&mut self, error: Error) {
        self.errors.push(error);
    }

    /// Takes the value out of a result, or notes its error.
    pub fn ok<T>(&mut self, result: Result<T>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                self.errors.push(error);
                None
            }
        }
    }

    /// Notes what is passed over and worth a line.
    pub fn warn(&mut self, message: impl Into<String>) {
        self.warnings.push(message.into());
    }

    /// All problems as one error, or the warnings.
    pub fn finish(self) -> Result<Vec<String>> {
        match Error::all(self.errors) {
            Some(error) => Err(error),
            None => Ok(self.warnings),
        }
    }
}
