//! The manual is what the definitions say, wholly translated, and groff understands it.

use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn what_is_committed_is_current() {
    let manual = taru_manual::manual(&root()).expect("make the manual");
    let stale = taru_manual::stale(&manual, &root()).expect("compare the manual");
    assert!(stale.is_empty(), "stale: {stale:?}\nhint: run `cargo xtask man` and commit what it writes");
}

#[test]
fn everything_is_translated() {
    let manual = taru_manual::manual(&root()).expect("make the manual");
    assert!(
        manual.untranslated.is_empty(),
        "to translate:\n{}\nhint: run `cargo xtask man`, then fill in `{}` and take the `fuzzy` marks away",
        manual.untranslated.join("\n"),
        taru_manual::CATALOG
    );
}

#[test]
fn groff_finds_no_fault_in_any_page() {
    let manual = taru_manual::manual(&root()).expect("make the manual");
    for (dir, language) in [("docs/man/man1", None), ("docs/man/ja/man1", Some("-mja"))] {
        let pages = manual.files.iter().map(|file| &file.path).filter(|path| path.starts_with(dir));
        let output = Command::new("groff")
            .args(["-man", "-ww", "-Kutf8", "-Tutf8", "-z"])
            .args(language)
            .args(pages.map(|path| root().join(path)))
            .output();
        match output {
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr);
                assert!(output.status.success() && said.is_empty(), "{said}");
            }
            Err(_) => return taru_testkit::skip("groff_finds_no_fault_in_any_page", "groff"),
        }
    }
}

#[test]
fn every_shell_can_read_its_scripts() {
    let manual = taru_manual::manual(&root()).expect("make the manual");
    for shell in ["bash", "zsh", "fish"] {
        let dir = Path::new("docs/completion").join(shell);
        for file in manual.files.iter().filter(|file| file.path.starts_with(&dir)) {
            match Command::new(shell).arg("-n").arg(root().join(&file.path)).status() {
                Ok(status) => assert!(status.success(), "{}", file.path.display()),
                Err(_) => taru_testkit::skip("every_shell_can_read_its_scripts", shell),
            }
        }
    }
}
