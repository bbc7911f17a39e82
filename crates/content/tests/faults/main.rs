//! Faults from outside: killed processes, power cuts, full disks, many at once.
//!
//! What is killed is this very executable: it runs the test `worker::act` alone, with what to do in its environment.
#![allow(clippy::unwrap_used, reason = "what tests share is a test, too")]

mod full;
mod kill;
mod many;
mod power;
mod worker;
