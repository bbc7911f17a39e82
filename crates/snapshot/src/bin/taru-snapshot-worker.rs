//! The disposable child alone: what tests of libraries, whose `main` is the test harness's, give to
//! `Snapshots::with_worker`.

use std::process::ExitCode;

fn main() -> ExitCode {
    taru_snapshot::worker_main().unwrap_or(ExitCode::FAILURE)
}
