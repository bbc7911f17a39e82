//! The OCI container life cycle as a library: what runc's libcontainer is to Go.

pub mod events;
pub mod features;
pub mod pause;
pub mod spec;
pub mod spec_template;
pub mod state;
