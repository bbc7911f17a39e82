//! Engines that execute an OCI runtime run, exec, pause, measure, stop and remove their containers on ours:
//! dockerd, podman, and containerd through its runc shim. Debian's packages, no network.
//!
//! Each test starts its engine itself, with every state directory in the sandbox, and asks it through its own
//! command line. Run with `TARU_TEST_RUNTIME=/usr/sbin/runc` they test themselves.

mod containerd;
mod docker;
mod engine;
mod image;
mod podman;
