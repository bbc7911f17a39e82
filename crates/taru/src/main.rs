//! The `taru` executable: parse, run the verb, report an error once.

use std::process::ExitCode;

fn main() -> ExitCode {
    // Layers are unpacked by this very executable, as a child that can do nothing else.
    if let Some(code) = taru_snapshot::worker_main() {
        return code;
    }
    let cli = match taru::cli::parse(std::env::args_os()) {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    let edge = cli.command.edge();
    match cli.command.run(&cli.global) {
        Ok(code) => code,
        Err(error) => {
            taru::output::report(&error);
            taru::output::exit_code(error.kind(), edge)
        }
    }
}
