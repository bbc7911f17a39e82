//! The project tasks: ci, tidy, bench, vm, dist.

fn main() {}
