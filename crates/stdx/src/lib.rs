//! What the standard library lacks and every layer of taru needs.
//!
//! * [`Error`]: verb + `operand`, then its cause, once; a [`Kind`] for programs, hints for people.
//! * [`Undo`]: every act registers how to take it back.
//! * [`fs`]: files replaced as a whole or not at all.
//! * [`parse`]: sizes, ids and durations as people type them; [`time`]: points of time as documents write them.
//!
//! No word of containers stands in this crate.

mod error;
pub mod fs;
pub mod parse;
pub mod time;
mod undo;

pub use error::{Chain, Context, Errno, Error, Flat, Kind, Result};
pub use undo::Undo;
