//! The `taru-runtime` executable.

use std::process::ExitCode;

fn main() -> ExitCode {
    taru_runtime_cli::main(std::env::args_os().collect())
}
