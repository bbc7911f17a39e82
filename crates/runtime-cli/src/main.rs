//! taru-runtime: an OCI runtime, a drop-in for runc and crun.

fn main() {}
