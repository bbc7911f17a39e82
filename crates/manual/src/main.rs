//! Writes the manual: `cargo xtask man`.

use std::path::Path;
use std::process::ExitCode;

use taru_stdx::Result;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("manual: {}", error.chain());
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let manual = taru_manual::manual(&root)?;
    let changed = taru_manual::write(&manual, &root)?;
    println!("{} files, {changed} changed", manual.files.len());
    for text in &manual.untranslated {
        println!("to translate in {}: {text}", taru_manual::CATALOG);
    }
    Ok(())
}
