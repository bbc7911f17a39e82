//! The `taru-runtime` executable.

#![no_main]

taru_sys::c_main!(taru_runtime_cli::main);
