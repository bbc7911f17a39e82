//! `xtask tidy`: the rules of the code that no compiler checks. ARCHITECTURE.md lists them as invariants.
//!
//! * [`edges`]: which crate may depend on which; the table is the drawing of the layers.
//! * [`modules`]: modules inside a crate form no cycle.
//! * [`sources`]: what each file must or must not say.
//!
//! Each rule is also a test of this package, so `cargo test` holds it.

mod edges;
mod modules;
mod source;
mod sources;
mod tokens;

use std::process::ExitCode;

use taru_stdx::Result;

use crate::workspace;

/// Checks every rule and prints what breaks one; succeeds when nothing does.
pub(crate) fn run() -> Result<ExitCode> {
    let root = workspace::root();
    let sources = source::all_below(&root)?;
    let mut violations = edges::check(&root)?;
    violations.extend(modules::check(&sources));
    violations.extend(sources::check(&sources));
    for violation in &violations {
        eprintln!("tidy: {violation}");
    }
    for warning in sources::long_files(&sources) {
        eprintln!("tidy: warning: {warning}");
    }
    if violations.is_empty() {
        println!("tidy: {} files keep the rules", sources.len());
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("tidy: {} violations", violations.len());
    Ok(ExitCode::FAILURE)
}

#[cfg(test)]
mod tests {
    use super::source::Violation;
    use super::*;

    fn none(violations: &[Violation]) {
        assert!(violations.is_empty(), "{}", violations.join("\n"));
    }

    #[test]
    fn crate_edges_point_down() {
        none(&edges::check(&workspace::root()).unwrap());
    }

    #[test]
    fn modules_form_no_cycle() {
        none(&modules::check(&source::all_below(&workspace::root()).unwrap()));
    }

    #[test]
    fn unsafe_and_libc_stay_in_sys() {
        let sources = source::all_below(&workspace::root()).unwrap();
        none(&sources.iter().flat_map(sources::unsafe_outside_sys).collect::<Vec<_>>());
    }

    #[test]
    fn the_runtime_starts_no_thread() {
        let sources = source::all_below(&workspace::root()).unwrap();
        none(&sources.iter().flat_map(sources::threads).collect::<Vec<_>>());
    }

    #[test]
    fn every_file_opens_with_its_docs() {
        let sources = source::all_below(&workspace::root()).unwrap();
        none(&sources.iter().flat_map(sources::docs_missing).collect::<Vec<_>>());
    }

    #[test]
    fn nothing_is_left_unfinished() {
        let sources = source::all_below(&workspace::root()).unwrap();
        none(&sources.iter().flat_map(sources::unfinished).collect::<Vec<_>>());
    }

    #[test]
    fn names_are_of_the_field() {
        let sources = source::all_below(&workspace::root()).unwrap();
        none(&sources.iter().flat_map(sources::hollow_names).collect::<Vec<_>>());
    }

    #[test]
    fn no_path_of_one_machine() {
        let sources = source::all_below(&workspace::root()).unwrap();
        none(&sources::machine_paths(&sources));
    }
}
