//! The parent of one container: terminal, log, exit status, health.
//!
//! [`run`] is the supervisor itself. The modules that are public are its formats, each with its reader,
//! for those who watch from outside.

pub mod control;
mod execute;
pub mod exit;
pub mod facts;
pub mod health;
pub mod log;
mod streams;
mod supervise;

pub use supervise::{Options, run};
