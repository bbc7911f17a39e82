//! Conformance: what the OCI runtime specification and its users expect of any runtime.
//! The same tests pass on runc and crun, but for what those are known to lack.

mod at_once;
mod cgroup_mounts;
mod cgroups;
mod devices;
mod exec;
mod hooks;
mod identity;
mod invocation;
mod labels;
mod lifecycle;
mod mounts;
mod namespaces;
mod network;
mod process;
mod rootless;
mod seccomp;
mod state;
mod terminal;
