//! The OCI container life cycle as a library: what runc's libcontainer is to Go.

mod attend;
mod clocks;
pub mod create;
pub mod delete;
mod ended;
pub mod events;
pub mod exec;
pub mod features;
pub mod group;
mod hooks;
pub mod host;
mod idmap;
mod init;
pub mod kill;
mod listener;
pub mod pause;
pub mod plan;
pub mod ps;
pub mod run;
pub mod seal;
mod sources;
pub mod spec;
pub mod spec_template;
pub mod start;
pub mod state;
pub mod update;
mod wire;
