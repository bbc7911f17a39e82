//! The taru command: containers, namespaces and control groups.

fn main() {}
