//! What a waiting supervisor keeps for itself.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use taru_stdx::{Context, Error, Kind, Result};

use super::bundle::Bundle;
use crate::workspace;

/// The container.
const NAME: &str = "supervised";
/// How long its supervisor is given to see that nothing happens, and to let go of what it needed for the start.
const SETTLES: Duration = Duration::from_secs(3);

/// Starts a container in the background and prints the private memory of its supervisor, clean pages of the executable
/// included: it is the only process that has any.
pub(super) fn supervisor(taru: &Path, runtime: &Path, bundle: &Bundle) -> Result<()> {
    let rootfs = bundle.rootfs();
    let run = ["--name", NAME, "--detach", "--rootfs", &rootfs, "/bin/wait"];
    workspace::check(Command::new(taru).arg("run").args(run).stdin(Stdio::null()).stdout(Stdio::null()))?;
    sleep(SETTLES);
    let kibibytes = private_kibibytes(runtime)?;
    workspace::check(Command::new(taru).args(["rm", "--force", NAME]).stdout(Stdio::null()))?;
    println!("private memory of a waiting supervisor, alone: {kibibytes} KiB");
    Ok(())
}

/// The private pages of the process that executes `runtime` as a supervisor; the sandbox has no other.
fn private_kibibytes(runtime: &Path) -> Result<u64> {
    for entry in fs::read_dir("/proc").context(|| "list `/proc`")?.flatten() {
        let dir = entry.path();
        let is_runtime = fs::read_link(dir.join("exe")).is_ok_and(|exe| exe == runtime);
        let command = fs::read(dir.join("cmdline")).unwrap_or_default();
        if is_runtime && command.split(|byte| *byte == 0).any(|word| word == b"supervise") {
            let rollup = dir.join("smaps_rollup");
            let text = fs::read_to_string(&rollup).context(|| format!("read `{}`", rollup.display()))?;
            let private = text.lines().filter(|line| line.starts_with("Private_"));
            return Ok(private.filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).sum());
        }
    }
    Err(Error::new(Kind::NotFound, "find the supervisor"))
}
