//! `xtask vm test`: the integration tests that control groups matter to, in one boot, on cgroup v2.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use serde_json::Value;
use taru_stdx::{Context, Error, Kind, Result};

use crate::totals::Totals;
use crate::workspace;

/// The test executables that are about control groups, or use them all through. The others say nothing more on
/// another kernel, need what the guest has not (engines, a compiler), or would take the better part of an hour.
const ON_V2: &[&str] = &["cgroup", "events", "group", "limits", "oci", "state"];
/// Those that need systemd as the first process.
const UNDER_SYSTEMD: &[&str] = &["systemd"];
/// The packages that hold these, and what they execute.
const SYSTEMD_PACKAGES: &[&str] = &["-p=taru-tests", "-p=taru-cgroup", "-p=taru", "-p=taru-runtime-cli"];
/// Tests that User-mode Linux's kernel 6.1 cannot pass, and what it lacks. They run all the same; each that fails
/// is a skip.
const LACKS: &[(&str, &str)] = &[
    ("a_directory_is_the_root_and_stays_as_it_was_unless_asked", "id-mapped mounts of tmpfs (Linux 6.3)"),
    ("limits_are_in_the_kernel", "the controller cpuset"),
    ("the_options_of_a_process_arrive", "id-mapped mounts of tmpfs (Linux 6.3)"),
    ("mounts::idmapped_bind_mounts", "id-mapped mounts of tmpfs (Linux 6.3)"),
    ("mounts::idmap_option_uses_the_containers_user_namespace", "id-mapped mounts of tmpfs (Linux 6.3)"),
    ("namespaces::exec_joins_a_time_namespace_too", "time namespaces"),
    ("namespaces::time_offsets_apply", "time namespaces"),
    ("state::ps_shows_the_processes", "a boot time in /proc/stat, which ps(1) reads"),
];
/// One test executable that takes longer has hung. A system call costs ten times the host's.
const SECONDS_PER_TEST: u32 = 1200;

/// A test executable and the directory that cargo would run it in.
struct Test {
    executable: PathBuf,
    package: PathBuf,
}

/// Runs every test in one boot, with `options` for `xtask vm`, and prints the totals.
pub(super) fn run(options: &[OsString]) -> Result<ExitCode> {
    let mut totals = Totals::default();
    count(options, &mut totals)?;
    totals.print_names();
    println!("{totals}");
    Ok(if totals.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs every test in one boot and counts it.
pub(crate) fn count(options: &[OsString], totals: &mut Totals) -> Result<()> {
    let under_systemd = options.iter().any(|option| option == "--systemd");
    let tests =
        if under_systemd { tests(SYSTEMD_PACKAGES, UNDER_SYSTEMD)? } else { tests(&["--workspace"], ON_V2)? };
    // What the tests compile, they compile here: the guest has no compiler.
    workspace::check(workspace::cargo().args([
        "test",
        "--quiet",
        "-p",
        "taru-tests",
        "--test",
        "oci",
        "--",
        "run_passes_output",
    ]))?;
    let script = script(&tests);
    let this = env::current_exe().context(|| "find the path of this program")?;
    let mut in_guest = Totals::default();
    in_guest.count(Command::new(this).arg("vm").args(options).args(["--", "sh", "-c", &script]))?;
    for (test, lacking) in LACKS {
        in_guest.excuse(test, lacking);
    }
    totals.merge("vm", in_guest);
    Ok(())
}

/// Builds the integration tests of `packages` with the executables, and picks those called as in `names`.
fn tests(packages: &[&str], names: &[&str]) -> Result<Vec<Test>> {
    workspace::check(workspace::cargo().args(["build", "--quiet", "-p=taru", "-p=taru-runtime-cli"]))?;
    let mut command = workspace::cargo();
    command.arg("test").args(packages);
    let messages =
        workspace::output(command.args(["--quiet", "--no-run", "--tests", "--message-format=json"]))?;
    let mut tests = Vec::new();
    for line in messages.lines() {
        let message: Value =
            serde_json::from_str(line).context(|| "read what `cargo test --no-run` wrote")?;
        let target = &message["target"];
        let is_test = target["kind"].as_array().is_some_and(|kinds| kinds.iter().any(|kind| kind == "test"));
        let name = target["name"].as_str().unwrap_or_default();
        let manifest = message["manifest_path"].as_str().map(PathBuf::from);
        let is_wanted = is_test && names.contains(&name);
        if let (true, Some(executable), Some(manifest)) =
            (is_wanted, message["executable"].as_str(), manifest)
        {
            let package = manifest.parent().map(PathBuf::from).unwrap_or_default();
            tests.push(Test { executable: executable.into(), package });
        }
    }
    if tests.is_empty() {
        return Err(Error::new(Kind::NotFound, "find an integration test"));
    }
    Ok(tests)
}

/// What the guest runs: each executable as cargo would, then the skips, which the harness hides.
fn script(tests: &[Test]) -> String {
    let mut text = String::from(
        "export TARU_SKIP_LOG=/run/skips TARU_TEST_PEERS=0 RUST_BACKTRACE=0\n: > $TARU_SKIP_LOG\n",
    );
    for name in ["TARU", "TARU_TEST_RUNTIME"] {
        if let Ok(value) = env::var(name) {
            text.push_str(&format!("export {name}='{value}'\n"));
        }
    }
    for Test { executable, package } in tests {
        let name = executable.file_name().unwrap_or_default().to_string_lossy();
        let (executable, package) = (executable.display(), package.display());
        text.push_str(&format!(
            "cd '{package}' && echo '     Running {name}'\n\
             CARGO_MANIFEST_DIR='{package}' timeout -k 5 {SECONDS_PER_TEST} '{executable}' --show-output --test-threads=2\n\
             status=$?; [ $status = 0 ] || [ $status = 101 ] || echo \"test {name} ... FAILED\"\n\
             [ $status = 0 ] || [ $status = 101 ] || echo \"test result: FAILED. 0 passed; 1 failed; 0 filtered out; status $status\"\n"
        ));
    }
    text.push_str("cat $TARU_SKIP_LOG\n");
    text
}
