//! A test's own small world: the test function runs a second time, in namespaces of its own.
//!
//! ```text
//! test executable (libtest)                  the function calls sandbox(body)
//!   └─ unshare -m -n -p -u -i                util-linux; --kill-child: the world ends with the test
//!        └─ probe init                       pid 1: /proc, empty /run, loopback; reaps orphans
//!             └─ test executable --exact NAME   the same function; now sandbox(body) runs the body
//!                  └─ the runtime under test, attackers, ...
//! ```

use std::any::type_name;
use std::cell::Cell;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::process::JUDGES_WORDS;
use crate::{Bundle, Decoy, Family, Invocation, Leaks, Runtime, Snapshot, leak, outcome, probe, reach};

/// The sandbox's own directory, on the sandbox's own `/run`.
const DIR: &str = "/run/taru-test";

/// Set inside: `MARKER RUNTIME`.
const INSIDE: &str = "TARU_TEST_SANDBOX";

/// A whole test takes no longer than this, also on a machine with much else to do; one that does hangs.
const BOUND: Duration = Duration::from_secs(600);

/// The world a test body runs in.
#[derive(Debug)]
pub struct Sandbox {
    name: String,
    marker: String,
    runtime: Runtime,
    before: Snapshot,
    bundles: Cell<u32>,
}

impl Sandbox {
    /// The test's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The runtime under test.
    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// A text that everything of this test bears in its name, and nothing else does.
    pub fn marker(&self) -> &str {
        &self.marker
    }

    /// A directory for the test's own files (on a tmpfs); removed with the sandbox.
    pub fn dir(&self) -> PathBuf {
        let dir = Path::new(DIR).join("files");
        fs::create_dir_all(&dir).expect("make the test's directory");
        dir
    }

    /// A new bundle, its cgroup below this test's own.
    pub fn bundle(&self) -> Bundle {
        self.bundles.set(self.bundles.get() + 1);
        let number = self.bundles.get();
        let dir = Path::new(DIR).join(format!("bundle{number}"));
        Bundle::new(dir, &format!("/{0}/{0}-b{number}", self.marker))
    }

    /// A bundle named after a container, at the same place each time it is asked for.
    pub fn bundle_of(&self, id: &str) -> Bundle {
        let dir = Path::new(DIR).join(format!("bundle-{id}"));
        let _ = fs::remove_dir_all(&dir);
        Bundle::new(dir, &format!("/{0}/{id}", self.marker))
    }

    /// Says that the test cannot say anything here, for want of `feature`.
    pub fn skip(&self, feature: &str) {
        outcome::skip(&self.name, feature);
    }

    /// Whether the runtime under test is one of `families`, which is known to lack `feature`; noted as
    /// such. Never true of our own.
    pub fn peer_lacks(&self, families: &[Family], feature: &str) -> bool {
        let lacks = families.contains(&self.runtime.family());
        assert!(!(lacks && self.runtime.family() == Family::Taru), "our own gaps are failures");
        if lacks {
            outcome::peer_note(&format!("{:?} {}: lacks {feature}", self.runtime.family(), self.name));
        }
        lacks
    }

    /// What is left of the test at this moment.
    pub fn leaks_now(&self) -> Leaks {
        self.before.leaks(&self.snapshot())
    }

    /// What is left of the test by now; waits a little for what ends by itself (reaped processes). A peer's leaks are many, and
    /// not judged: for them it does not wait long.
    pub fn leaks(&self) -> Leaks {
        let is_own = self.runtime.family() == Family::Taru;
        let deadline = Instant::now() + Duration::from_secs(if is_own { 30 } else { 3 });
        loop {
            let leaks = self.leaks_now();
            if leaks.lines.is_empty() || Instant::now() > deadline {
                return leaks;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Asserts that nothing is left.
    ///
    /// # Panics
    /// When something is, with the list.
    #[track_caller]
    pub fn assert_no_leaks(&self) {
        let leaks = self.leaks();
        assert!(leaks.lines.is_empty(), "left behind (+) or gone (-):\n{}", leaks.lines.join("\n"));
    }

    /// How many times to try what succeeds by chance, or how many points of a sweep to take: `few`,
    /// bounded for every day, or `all` with `TARU_TEST_FULL=1`. A peer always gets few.
    pub fn tries(&self, few: usize, all: usize) -> usize {
        match self.runtime.family() {
            Family::Runc | Family::Crun => few.div_ceil(4),
            _ if is_full() => all,
            _ => few,
        }
    }

    /// A decoy for an attack, in the test's directory.
    pub fn decoy(&self) -> Decoy {
        Decoy::new(self.dir().join("decoy"))
    }

    /// Removes what [`Sandbox::leaks`] found, so that a sweep can go on and report all its points.
    pub fn clear_leaks(&self) {
        leak::thaw_cgroups(&self.marker);
        for line in self.before.leaks(&self.snapshot()).lines {
            let mut words = line.split(' ').skip(1);
            match (words.next(), words.next()) {
                (Some("process"), Some(pid)) => {
                    self.runtime.beside(["kill", "-9", pid]).output();
                }
                (Some("file"), Some(path)) => {
                    let _ = fs::remove_dir_all(path).or_else(|_| fs::remove_file(path));
                }
                _ => {}
            }
        }
        leak::remove_cgroups(&self.marker);
    }

    fn snapshot(&self) -> Snapshot {
        take_snapshot(&self.marker, self.runtime.root())
    }
}

/// What is watched: all of `/run` but the test's own directory, and the runtime's state.
fn take_snapshot(marker: &str, root: &Path) -> Snapshot {
    let mut watched = vec![root.to_owned()];
    for entry in fs::read_dir("/run").into_iter().flatten().flatten() {
        if entry.path() != Path::new(DIR) {
            watched.push(entry.path());
        }
    }
    for place in ["/tmp", "/dev/shm", "/dev/mqueue"] {
        // Only where it is the sandbox's own: others work on the host's.
        if is_private(place) {
            watched.push(place.into());
        }
    }
    Snapshot::take(marker, &watched)
}

/// `/tmp` is the sandbox's own unless the test executable itself lies there.
fn is_private(place: &str) -> bool {
    place == "/tmp" && !lies_in_tmp()
}

fn lies_in_tmp() -> bool {
    std::env::current_exe().is_ok_and(|path| path.starts_with("/tmp"))
}

/// Runs `body` in a sandbox with the runtime under test, then the leak check. Call it once, as the
/// whole of a `#[test]` function.
///
/// # Panics
/// When the body does, when something is left behind, or when the runtime is not there.
#[track_caller]
pub fn sandbox<F: FnOnce(&Sandbox)>(body: F) {
    enter(body, false);
}

/// As [`sandbox()`], and afterwards the same body against runc and crun where installed: what they do is
/// reported (`PEER`), not judged. `TARU_TEST_PEERS=0` leaves them out.
///
/// # Panics
/// As [`sandbox()`]; never for a peer.
#[track_caller]
pub fn sandbox_with_peers<F: FnOnce(&Sandbox)>(body: F) {
    enter(body, true);
}

fn enter<F: FnOnce(&Sandbox)>(body: F, with_peers: bool) {
    let name = test_name::<F>();
    if let Ok(inside) = std::env::var(INSIDE) {
        return run_body(body, &name, &inside);
    }
    if !is_root() {
        return outcome::skip(&name, "root (the tests make namespaces and cgroups)");
    }
    let subject = runtime_under_test();
    if let Err(report) = run_sandboxed(&name, &subject) {
        panic!("{report}");
    }
    if !with_peers
        || Family::of(&subject) != Family::Taru
        || std::env::var_os("TARU_TEST_PEERS").is_some_and(|v| v == "0")
    {
        return;
    }
    for peer in ["runc", "crun"].into_iter().filter_map(find_in_path) {
        let verdict = match run_sandboxed(&name, &peer) {
            Ok(()) => "passes".to_owned(),
            Err(report) => format!("FAILS: {}", summary(&report)),
        };
        outcome::peer_note(&format!("{} {name}: {verdict}", peer.display()));
    }
}

/// `crate::module::test::{{closure}}` as libtest knows it: `module::test`.
fn test_name<F>() -> String {
    let full = type_name::<F>();
    let path = full.split_once("::").map_or(full, |(_, rest)| rest);
    path.trim_end_matches("::{{closure}}").to_owned()
}

/// The line of a report that says most: the panic's message.
fn summary(report: &str) -> String {
    let mut lines = report.lines().skip_while(|line| !line.contains("panicked at")).skip(1);
    let words: Vec<&str> = lines.by_ref().take(3).collect();
    let text =
        if words.is_empty() { report.lines().last().unwrap_or("").to_owned() } else { words.join(" | ") };
    text.chars().take(300).collect()
}

/// The outer half: starts the inner one and judges how it ended.
fn run_sandboxed(name: &str, runtime: &Path) -> Result<(), String> {
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    // No marker is the beginning of another: what bears one is frozen, thawed and removed with its test.
    let marker = format!("tt{:x}x{:x}z", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed));
    let scratch = std::env::temp_dir().join(&marker);
    fs::create_dir_all(&scratch).map_err(|error| format!("make `{}`: {error}", scratch.display()))?;
    let mut argv: Vec<PathBuf> =
        ["unshare", "--mount", "--net", "--pid", "--uts", "--ipc", "--fork", "--kill-child"]
            .map(PathBuf::from)
            .to_vec();
    argv.extend([probe().to_owned(), "init".into()]);
    if Family::of(runtime) == Family::Crun {
        // crun refuses a cgroup2 hierarchy with controllers beside v1; without it this is plain v1.
        argv.push("no-unified".into());
    }
    if !lies_in_tmp() {
        argv.push("tmp".into());
    }
    argv.extend(["--".into(), std::env::current_exe().map_err(|error| error.to_string())?]);
    argv.extend([name, "--exact", "--nocapture", "--test-threads=1"].map(PathBuf::from));
    let invocation = Invocation::new(&scratch, argv)
        .env(INSIDE, format!("{marker} {}", runtime.display()))
        .env("TMPDIR", "/run")
        .env("RUST_BACKTRACE", "0")
        .bound(if is_full() { BOUND * 10 } else { BOUND });
    let output = catch_unwind(AssertUnwindSafe(|| invocation.output()));
    leak::thaw_cgroups(&marker);
    leak::remove_cgroups(&marker);
    let _ = fs::remove_dir_all(&scratch);
    let output = match output {
        Ok(output) => output,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map_or("the sandbox did not start", String::as_str);
            return Err(text.to_owned());
        }
    };
    for line in output.stderr.lines().filter(|line| line.starts_with("SKIP ") || line.starts_with("PEER ")) {
        eprintln!("{line}");
    }
    let ran = output.stdout.contains("1 passed");
    match output.status {
        0 if ran => Ok(()),
        0 => Err(format!("no test is called `{name}`: the sandbox must be the whole of a test")),
        _ => {
            Err(format!("in the sandbox, with `{}`:\n{}{}", runtime.display(), output.stdout, output.stderr))
        }
    }
}

/// The inner half: the body, then the leak check.
fn run_body<F: FnOnce(&Sandbox)>(body: F, name: &str, inside: &str) {
    let (marker, program) = inside.split_once(' ').expect("MARKER RUNTIME");
    reach::open_way();
    for dir in ["output", "root"] {
        fs::create_dir_all(Path::new(DIR).join(dir)).expect("make the sandbox's directories");
    }
    let runtime = Runtime::new(program.into(), Path::new(DIR), marker);
    JUDGES_WORDS.store(runtime.family() == Family::Taru, Ordering::Relaxed);
    let before = take_snapshot(marker, runtime.root());
    let sandbox =
        Sandbox { name: name.to_owned(), marker: marker.to_owned(), runtime, before, bundles: Cell::new(0) };
    let result = catch_unwind(AssertUnwindSafe(|| body(&sandbox)));
    // A frozen process cannot be killed, and the sandbox could not end.
    leak::thaw_cgroups(marker);
    if let Err(panic) = result {
        resume_unwind(panic);
    }
    sandbox.assert_no_leaks();
}

/// Whether sweeps and races are to take all the time they need.
fn is_full() -> bool {
    std::env::var_os("TARU_TEST_FULL").is_some_and(|value| value == "1")
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// `TARU_TEST_RUNTIME`, or `taru-runtime` of the same build.
fn runtime_under_test() -> PathBuf {
    if let Some(named) = std::env::var_os("TARU_TEST_RUNTIME").filter(|named| !named.is_empty()) {
        let path = PathBuf::from(&named);
        let found =
            if path.components().count() > 1 { fs::canonicalize(&path).ok() } else { find_in_path(&path) };
        return found.unwrap_or_else(|| panic!("TARU_TEST_RUNTIME: no program `{}`", path.display()));
    }
    let test = std::env::current_exe().expect("the test's own path");
    // target/TRIPLE/debug/deps/oci-HASH -> target/TRIPLE/debug/taru-runtime
    let built = test.ancestors().nth(2).expect("a target directory").join("taru-runtime");
    assert!(
        built.exists(),
        "no runtime to test at `{}`\nhint: cargo build -p taru-runtime-cli, or set TARU_TEST_RUNTIME=runc",
        built.display()
    );
    built
}

fn find_in_path(name: impl AsRef<Path>) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let mut places: Vec<PathBuf> = std::env::split_paths(&path).collect();
    places.extend(["/usr/sbin".into(), "/usr/bin".into()]);
    places.into_iter().map(|dir| dir.join(name.as_ref())).find(|candidate| candidate.is_file())
}
