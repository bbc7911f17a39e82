//! The `taru` command as a library: its definition ([`cli`]), from which help, man pages and
//! completions are generated, and its verbs ([`commands`]).
//!
//! ```text
//! main ── cli (as typed) ── commands::VERB ── the layers below
//!                              ├── options (what verbs share)
//!                              └── output (tables, JSON, errors: the only place that prints them)
//! ```

pub mod cli;
pub mod commands;
mod elsewhere;
mod mistakes;
pub mod ns;
pub mod options;
pub mod output;
pub mod progress;
pub mod prompt;
pub mod steps;
