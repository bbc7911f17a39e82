//! The client against registries that lie, stall, flood and lead astray: each case ends, within bounds, with an error that says why.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod broken;
mod cancel;
mod downloads;
mod floods;
mod leads;
mod lists;
mod mirrors;
mod proxies;
mod push;
mod server;
mod tls;
mod tokens;
