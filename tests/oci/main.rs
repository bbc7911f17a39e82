//! Conformance: what the OCI runtime specification and its users expect of any runtime.
//! The same tests pass on runc and crun, but for what those are known to lack.

mod lifecycle;
