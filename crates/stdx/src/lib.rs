//! What the standard library lacks and every layer of taru needs.
//!
//! * [`Error`]: verb + `operand`, then its cause, once; a [`Kind`] for programs, hints for people.
//! * [`Undo`]: every act registers how to take it back.
//! * [`fs`]: files replaced as a whole or not at all.
//! * [`parse`]: sizes, ids and durations as people type them; [`time`]: points of time as documents write them.
//! * [`usage`]: what a parser of command lines says, in the words of all our messages.
//!
//! No word of containers stands in this crate.

mod error;
pub mod fs;
pub mod parse;
pub mod time;
mod undo;
pub mod usage;

pub use error::{Chain, Context, Errno, Error, Flat, Kind, Result};
pub use undo::Undo;
