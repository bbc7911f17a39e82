//! The project's own tasks. `cargo xtask` alone lists them.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use taru_stdx::Result;

mod archive;
mod bench;
mod ci;
mod crun_suite;
mod dist;
mod man;
mod peers;
mod sandbox;
mod setup;
mod taru;
mod tidy;
mod totals;
mod vm;
mod workspace;

/// The tasks of the taru workspace.
#[derive(Parser)]
#[command(name = "cargo xtask", arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Install what the tests need, then run every check and every test
    Ci(ci::Arguments),
    /// Check the rules of the code that no compiler checks
    Tidy,
    /// Install the Debian packages that the tests need
    Setup(setup::Arguments),
    /// Write the man pages, their catalog of translations, and the completion scripts
    Man,
    /// Build both executables as they are shipped and print their sizes
    Dist,
    /// Fetch today's crun and runc below target/peers
    Peers,
    /// Run crun's own test suite against a runtime and compare by name with crun and runc
    CrunSuite(crun_suite::Arguments),
    /// Run a command, or `test` for every integration test, on a kernel with all controllers on cgroup v2
    Vm(vm::Arguments),
    /// Measure taru beside its peers: runtimes, or engines of images
    Bench(bench::Arguments),
    /// Run a command in namespaces and control groups of its own
    Sandbox(sandbox::Arguments),
    /// Build taru and execute it: `cargo taru run host -- CMD`
    #[command(disable_help_flag = true)]
    Taru {
        /// What `taru` is given
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse().task) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {}", error.chain());
            for hint in error.hints() {
                eprintln!("hint: {hint}");
            }
            ExitCode::FAILURE
        }
    }
}

/// Runs one task; a task that executes another program ends with that program's status.
fn run(task: Task) -> Result<ExitCode> {
    match task {
        Task::Ci(arguments) => ci::run(&arguments),
        Task::Tidy => tidy::run(),
        Task::Setup(arguments) => setup::run(&arguments).map(|()| ExitCode::SUCCESS),
        Task::Man => man::run().map(|()| ExitCode::SUCCESS),
        Task::Dist => dist::run().map(|_| ExitCode::SUCCESS),
        Task::Peers => peers::run().map(|()| ExitCode::SUCCESS),
        Task::CrunSuite(arguments) => crun_suite::run(&arguments),
        Task::Bench(arguments) => bench::run(&arguments),
        Task::Vm(arguments) => vm::run(&arguments),
        Task::Sandbox(arguments) => sandbox::run(&arguments),
        Task::Taru { arguments } => taru::run(&arguments),
    }
}
