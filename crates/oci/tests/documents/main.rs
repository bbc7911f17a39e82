//! Documents as tools write them, and as attackers do.
#![allow(clippy::unwrap_used, reason = "the functions around the tests are tests too")]

mod hostile;
mod memory;
mod tools;
