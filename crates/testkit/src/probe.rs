//! The probe program: compiled from `probe/probe.c` once per source text, beside the test executable.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

const SOURCE: &str = include_str!("../probe/probe.c");

/// The static probe executable. Needs a C compiler (as Rust itself does, to link) and static libc.
///
/// # Panics
/// When it cannot be compiled: no test that needs it can run.
pub fn probe() -> &'static Path {
    static PROBE: OnceLock<PathBuf> = OnceLock::new();
    PROBE.get_or_init(build)
}

fn build() -> PathBuf {
    let mut hasher = DefaultHasher::new();
    SOURCE.hash(&mut hasher);
    let test = std::env::current_exe().expect("the test's own path");
    let dir = test.parent().expect("a directory holds the test");
    let program = dir.join(format!("taru-probe-{:016x}", hasher.finish()));
    if program.exists() {
        return program;
    }
    // Several test executables may come here at once: each compiles its own file, and the rename is
    // atomic.
    let source = dir.join(format!("taru-probe-{}.c", std::process::id()));
    let unfinished = source.with_extension("unfinished");
    std::fs::write(&source, SOURCE).expect("write the probe's source");
    let status = Command::new("cc")
        .args(["-static", "-O1", "-o"])
        .arg(&unfinished)
        .arg(&source)
        .status()
        .expect("run `cc` (Debian: apt-get install gcc libc6-dev)");
    assert!(status.success(), "compile the probe: {status}");
    std::fs::rename(&unfinished, &program).expect("put the probe in place");
    let _ = std::fs::remove_file(&source);
    program
}
