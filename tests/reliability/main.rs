//! Faults, each by its number in docs/security.md (R..): what is left when the runtime is killed,
//! stopped, or asked about things that are stuck. What counts is the leak check.

mod check;
mod killed;
mod leftovers;
mod stuck;
mod threads;
