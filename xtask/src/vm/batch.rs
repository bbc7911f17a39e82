//! `xtask vm test`: the integration tests that control groups matter to, on cgroup v2, shared out between two guests.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::thread;

use serde_json::Value;
use taru_stdx::{Context, Error, Kind, Result};

use super::uml;
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
/// Guests of User-mode Linux at a time: one has a single CPU, which its tests keep busy.
const GUESTS: usize = 2;

/// A test executable, the directory that cargo would run it in, and its tests.
struct Executable {
    path: PathBuf,
    package: PathBuf,
    tests: Vec<String>,
}

/// Runs every test, with `options` for `xtask vm`, and prints the totals.
pub(super) fn run(options: &[OsString]) -> Result<ExitCode> {
    let mut totals = Totals::default();
    count(options, &mut totals)?;
    totals.print_names();
    println!("{totals}");
    Ok(if totals.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs every test and counts it.
pub(crate) fn count(options: &[OsString], totals: &mut Totals) -> Result<()> {
    let has = |name: &str| options.iter().any(|option| option == name);
    let under_systemd = has("--systemd");
    let executables = match under_systemd {
        true => executables(SYSTEMD_PACKAGES, UNDER_SYSTEMD)?,
        false => executables(&["--workspace"], ON_V2)?,
    };
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
    let guests = if under_systemd || has("--qemu") { 1 } else { GUESTS };
    if guests > 1 {
        // Once, before they would do it side by side.
        uml::prepare()?;
    }
    let mut in_guests = Totals::default();
    for counted in side_by_side(options, &executables, guests) {
        in_guests.merge(counted?);
    }
    for (test, lacking) in LACKS {
        in_guests.excuse(test, lacking);
    }
    totals.merge(in_guests.within("vm"));
    Ok(())
}

/// Every guest runs its share at the same time.
fn side_by_side(options: &[OsString], executables: &[Executable], guests: usize) -> Vec<Result<Totals>> {
    let count = |guest: usize| {
        let this = env::current_exe().context(|| "find the path of this program")?;
        let script = script(executables, guest, guests);
        let mut totals = Totals::default();
        // The script itself succeeds whatever becomes of the tests.
        if !totals.count(Command::new(this).arg("vm").args(options).args(["--", "sh", "-c", &script]))? {
            totals.add(0, vec![format!("guest {} of {guests}, which ended before its tests", guest + 1)]);
        }
        Ok(totals)
    };
    thread::scope(|scope| {
        let running: Vec<_> = (0..guests).map(|guest| scope.spawn(move || count(guest))).collect();
        let lost = |_| Err(Error::new(Kind::System, "run a guest's tests: the thread panicked"));
        running.into_iter().map(|guest| guest.join().unwrap_or_else(lost)).collect()
    })
}

/// Builds the integration tests of `packages` with the executables, and picks those called as in `names`.
fn executables(packages: &[&str], names: &[&str]) -> Result<Vec<Executable>> {
    workspace::check(workspace::cargo().args(["build", "--quiet", "-p=taru", "-p=taru-runtime-cli"]))?;
    let mut command = workspace::cargo();
    command.arg("test").args(packages);
    let messages =
        workspace::output(command.args(["--quiet", "--no-run", "--tests", "--message-format=json"]))?;
    let mut executables = Vec::new();
    for line in messages.lines() {
        let message: Value =
            serde_json::from_str(line).context(|| "read what `cargo test --no-run` wrote")?;
        let target = &message["target"];
        let is_test = target["kind"].as_array().is_some_and(|kinds| kinds.iter().any(|kind| kind == "test"));
        let name = target["name"].as_str().unwrap_or_default();
        let manifest = message["manifest_path"].as_str().map(PathBuf::from);
        let is_wanted = is_test && names.contains(&name);
        if let (true, Some(path), Some(manifest)) = (is_wanted, message["executable"].as_str(), manifest) {
            let package = manifest.parent().map(PathBuf::from).unwrap_or_default();
            // `NAME: test`
            let list = workspace::output(Command::new(path).args(["--list", "--format=terse"]))?;
            let tests =
                list.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect();
            executables.push(Executable { path: path.into(), package, tests });
        }
    }
    if executables.iter().all(|executable| executable.tests.is_empty()) {
        return Err(Error::new(Kind::NotFound, "find an integration test"));
    }
    Ok(executables)
}

/// What a guest of so many runs: its share of each executable's tests as cargo would, then the skips, which the harness hides.
fn script(executables: &[Executable], guest: usize, guests: usize) -> String {
    let mut text = String::from(
        "export TARU_SKIP_LOG=/run/skips TARU_TEST_PEERS=0 RUST_BACKTRACE=0\n: > $TARU_SKIP_LOG\n",
    );
    for name in ["TARU", "TARU_TEST_RUNTIME"] {
        if let Ok(value) = env::var(name) {
            text.push_str(&format!("export {name}='{value}'\n"));
        }
    }
    for Executable { path, package, tests } in executables {
        // Turn by turn: neighbours are of one kind, and take about as long.
        let share: Vec<&str> = tests.iter().skip(guest).step_by(guests).map(String::as_str).collect();
        if share.is_empty() {
            continue;
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let (path, package, share) = (path.display(), package.display(), share.join(" "));
        text.push_str(&format!(
            "cd '{package}' && echo '     Running {name}'\n\
             CARGO_MANIFEST_DIR='{package}' timeout -k 5 {SECONDS_PER_TEST} '{path}' --show-output --test-threads=2 --exact {share}\n\
             status=$?; [ $status = 0 ] || [ $status = 101 ] || printf '%s\\n' 'running 1 test' \
             'test {name} ... FAILED' \"test result: FAILED. 0 passed; 1 failed; status $status\"\n"
        ));
    }
    text.push_str("cat $TARU_SKIP_LOG\n");
    text
}
