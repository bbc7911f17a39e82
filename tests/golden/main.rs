//! The messages of the commonest mistakes, word for word: `errors.txt`.
//!
//! Each is held to the house style: what was tried and on what, then the cause, once, on one line; advice
//! on lines of its own. `UPDATE_GOLDEN=1` writes the file anew; read the difference before it is committed.

mod cases;

use std::fs;
use std::path::PathBuf;

use taru_testkit::{Family, Output, Sandbox, sandbox};

/// Where the expected text lies.
fn golden() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden/errors.txt")
}

/// One case as text: its name, then standard error, then the exit status.
fn record(sandbox: &Sandbox, name: &str, output: &Output) -> String {
    let mut text = output.stderr.clone();
    if !output.stdout.is_empty() {
        text.push_str(&format!("(standard output) {}\n", output.stdout.trim_end()));
    }
    format!("# {name}\n{}[{}]\n", normal(sandbox, &text), output.status)
}

/// Without what differs from run to run.
fn normal(sandbox: &Sandbox, text: &str) -> String {
    let mut words = text.replace(&sandbox.runtime().root().display().to_string(), "ROOT");
    words = words.replace(&sandbox.dir().display().to_string(), "FILES");
    // A process id in `/proc/123/`.
    let pieces: Vec<&str> = words.split("/proc/").collect();
    let numberless = |piece: &&str| match piece.split_once('/') {
        Some((pid, rest)) if pid.parse::<u32>().is_ok() => format!("PID/{rest}"),
        _ => (*piece).to_owned(),
    };
    let joined = pieces.iter().map(numberless).collect::<Vec<_>>().join("/proc/");
    words = joined;
    let mut out = String::new();
    let mut rest = words.as_str();
    // `/run/taru-test/bundle12` is BUNDLE, `MARKER-c34` is ID, `/MARKER/MARKER-b12` is GROUP.
    let (bundle, group, id) = (
        "/run/taru-test/bundle".to_owned(),
        format!("/{0}/{0}-b", sandbox.marker()),
        format!("{}-c", sandbox.marker()),
    );
    'text: while !rest.is_empty() {
        for (prefix, name) in [(&bundle, "BUNDLE"), (&group, "/GROUP"), (&id, "ID")] {
            if let Some(after) = rest.strip_prefix(prefix.as_str()) {
                out.push_str(name);
                rest = after.trim_start_matches(|c: char| c.is_ascii_digit());
                continue 'text;
            }
        }
        let mut chars = rest.chars();
        out.extend(chars.next());
        rest = chars.as_str();
    }
    out
}

#[test]
fn messages() {
    sandbox(|sandbox| {
        if sandbox.runtime().family() != Family::Taru {
            return sandbox.skip("our own runtime: the words are its");
        }
        let mut seen = String::new();
        for (name, output) in cases::all(sandbox) {
            assert!(output.signal.is_none(), "{name}: {output:?}");
            assert!(!output.stderr.contains("os error"), "{name}: the number of an error: {}", output.stderr);
            seen.push_str(&record(sandbox, name, &output));
            seen.push('\n');
        }
        let path = golden();
        if std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1") {
            fs::write(&path, &seen).expect("write the golden file");
            return;
        }
        let expected = fs::read_to_string(&path).expect("the golden file");
        for (new, old) in seen.split("\n\n").zip(expected.split("\n\n")) {
            assert_eq!(new, old, "a message changed; UPDATE_GOLDEN=1 accepts it");
        }
        assert_eq!(seen, expected, "cases came or went; UPDATE_GOLDEN=1 accepts it");
    });
}
