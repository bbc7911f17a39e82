//! What a test says besides pass and fail: a counted skip, and what a peer was seen to do.

use std::fs::OpenOptions;
use std::io::Write;

/// Says that test `name` did not run because this machine or runtime lacks `feature`.
///
/// Prints `SKIP name: feature` on the real standard error (past the test harness's capture) and adds
/// the same line to the file named by `TARU_SKIP_LOG`, if any, so that a run can be held to a known
/// number of skips.
pub fn skip(name: &str, feature: &str) {
    note("SKIP", "TARU_SKIP_LOG", &format!("{name}: {feature}"));
}

/// Records what another runtime did with a test: `PEER text`, also to `TARU_PEER_LOG`. A peer's
/// failure is worth knowing (it tests the test) but is not a failure of ours.
pub fn peer_note(text: &str) {
    note("PEER", "TARU_PEER_LOG", text);
}

fn note(label: &str, log: &str, text: &str) {
    let line = format!("{label} {text}\n");
    // `print!` would be captured and shown for failed tests only.
    let _ = std::io::stderr().write_all(line.as_bytes());
    if let Some(path) = std::env::var_os(log) {
        // One write of one short line: appends of several tests do not mix.
        if let Ok(mut file) = OpenOptions::new().append(true).create(true).open(path) {
            let _ = file.write_all(line.as_bytes());
        }
    }
}
