//! The store's promises, on the real file system.
#![allow(clippy::unwrap_used, reason = "what tests share is a test, too")]

mod damage;
mod hostile;
mod names;
mod peers;
mod support;
mod writing;
