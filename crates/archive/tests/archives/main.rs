//! Images as files, against the tools that others write and read them with, and against those who mean harm.

#![allow(clippy::unwrap_used, reason = "a test")]

mod bootstrap;
mod hostile;
mod load;
mod memory;
mod pack;
mod peers;
mod root;
mod save;
mod world;
