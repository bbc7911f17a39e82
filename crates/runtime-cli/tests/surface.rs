//! The surface that engines and people see, as far as it needs no container.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::fs;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// What one execution did.
struct Done {
    status: i32,
    out: String,
    err: String,
}

fn taru(args: &[&str]) -> Done {
    let output = Command::new(env!("CARGO_BIN_EXE_taru-runtime")).args(args).output().unwrap();
    Done {
        status: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A directory of this test alone, removed at its end.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Dir {
        let path = std::env::temp_dir().join(format!("taru-surface-{name}-{}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Dir(path)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn the_version_reads_as_engines_parse_it() {
    for flag in ["--version", "-v", "-V"] {
        let done = taru(&[flag]);
        assert_eq!((done.status, done.err.as_str()), (0, ""));
        // Three lines: older containerd counts them. Docker splits the first at `version`.
        let lines: Vec<&str> = done.out.lines().collect();
        assert_eq!(lines.len(), 3, "{}", done.out);
        assert_eq!(lines[0], format!("taru-runtime version {}", env!("CARGO_PKG_VERSION")));
        assert!(lines[1].strip_prefix("commit: ").is_some_and(|commit| !commit.is_empty()));
        assert_eq!(lines[2], "spec: 1.3.0");
    }
}

#[test]
fn mistakes_are_one_line_and_hints_with_runcs_statuses() {
    for (args, status, message) in [
        (&["lst"][..], 1, "unrecognized command `lst`"),
        (&["state"], 1, "the following required arguments were not provided: <ID>"),
        (&["state", "a", "b"], 1, "unexpected argument `b` found"),
        (&["list", "--root", "/x"], 1, "unexpected argument `--root` found"),
        (&["list", "-f", "x"], 1, "invalid value `x` for `--format <FORMAT>` [possible values: table, json]"),
        (&["--root"], 1, "a value is required for `--root <DIR>` but none was supplied"),
        (
            &["checkpoint", "c", "--image-path", "x"],
            1,
            "checkpoint a container: this version of taru-runtime cannot do it yet",
        ),
    ] {
        let done = taru(args);
        let lines: Vec<&str> = done.err.lines().collect();
        assert_eq!(lines[0], format!("taru-runtime: {message}"), "{args:?}");
        assert!(lines[1..].iter().all(|l| l.starts_with("hint: ")), "{}", done.err);
        assert_eq!((done.status, done.out.as_str()), (status, ""), "{args:?}");
    }
    assert!(taru(&["lst"]).err.contains("hint: a similar command exists: `list`\n"));
    assert!(taru(&["list", "--root", "/x"]).err.contains("hint: --root stands before the command"));
}

#[test]
fn help_is_data_on_standard_output() {
    for args in [&["--help"][..], &["-h"], &["help"], &[], &["help", "state"], &["state", "--help"]] {
        let done = taru(args);
        assert_eq!((done.status, done.err.as_str()), (0, ""), "{args:?}");
        assert!(done.out.contains("Usage: taru-runtime"), "{args:?}");
    }
    let out = taru(&["help"]).out;
    for command in ["state", "list", "spec", "checkpoint", "restore"] {
        assert!(out.lines().any(|l| l.trim_start().starts_with(command)), "{command}");
    }
}

#[test]
fn an_unknown_container_is_named_where_engines_look() {
    let dir = Dir::new("unknown");
    let root = dir.path("root");
    let done = taru(&["--root", &root, "state", "web"]);
    assert_eq!((done.status, done.out.as_str()), (1, ""));
    // containerd and podman look for `does not exist`.
    assert_eq!(
        done.err,
        format!(
            "taru-runtime: container `web` does not exist\nhint: `taru-runtime --root {root} list` shows which do\n"
        )
    );
    assert!(!fs::exists(&root).unwrap(), "asking makes nothing");

    let log = dir.path("log");
    let done = taru(&["--root", &root, "--log", &log, "--log-format", "json", "state", "web"]);
    assert_eq!(done.status, 1);
    assert!(done.err.starts_with("taru-runtime: container `web` does not exist\n"));
    // podman parses the whole file as one document.
    let entry: serde_json::Value = serde_json::from_str(&fs::read_to_string(&log).unwrap()).unwrap();
    assert_eq!(entry["level"], "error");
    assert_eq!(entry["msg"], "container `web` does not exist");
    assert_eq!(entry["time"].as_str().unwrap().len(), 20);

    let text = dir.path("text");
    taru(&["--root", &root, &format!("--log=file:{text}"), "state", "web"]);
    let line = fs::read_to_string(&text).unwrap();
    assert!(line.starts_with("time=\"20"), "{line}");
    assert!(line.ends_with("Z\" level=error msg=\"container `web` does not exist\"\n"), "{line}");

    // Also a command line that does not parse tells its reason in the log.
    let mistake = dir.path("mistake");
    taru(&["--log", &mistake, "--log-format", "json", "state", "--frob", "web"]);
    let entry: serde_json::Value = serde_json::from_str(&fs::read_to_string(&mistake).unwrap()).unwrap();
    assert_eq!(entry["msg"], "unexpected argument `--frob` found");

    let done = taru(&["--log", &dir.path("no/such/log"), "state", "web"]);
    assert_eq!(done.status, 1);
    assert!(done.err.contains("open the log"), "{}", done.err);
}

#[test]
fn the_last_of_repeated_options_holds() {
    let dir = Dir::new("repeated");
    let (first, last) = (dir.path("first"), dir.path("last"));
    let done = taru(&["--root", &first, "--debug", "--debug", "--root", &last, "state", "web"]);
    assert!(done.err.contains(&format!("hint: `taru-runtime --root {last} list`")), "{}", done.err);
    let done = taru(&["--root", &last, "list", "--format", "table", "--format", "json"]);
    assert_eq!((done.status, done.out.as_str()), (0, "[]\n"));
    // What adds up still does: both are looked at.
    let exec = ["--root", &last, "exec", "-e", "A=1", "-e", "B=2", "web", "env"];
    assert!(taru(&exec).err.contains("does not exist"));
}

#[test]
fn ids_are_checked_before_anything_is_touched() {
    let dir = Dir::new("ids");
    let root = dir.path("root");
    for id in ["..", "a/b", "a b", "", "\u{e4}", &"x".repeat(256)] {
        let done = taru(&["--root", &root, "state", id]);
        assert_eq!(done.status, 1, "{id}");
        assert!(done.err.starts_with("taru-runtime: invalid container ID format: "), "{}", done.err);
    }
}

#[test]
fn an_empty_list_has_runcs_heading_and_a_broken_record_hides_nothing() {
    let dir = Dir::new("list");
    let root = dir.path("root");
    let list = |args: &[&str]| {
        let done = taru(&[&["--root", &root, "list"], args].concat());
        assert_eq!(done.status, 0);
        (done.out, done.err)
    };
    let heading = "ID          PID         STATUS      BUNDLE      CREATED     OWNER\n";
    assert_eq!(list(&[]), (heading.into(), String::new()));
    assert_eq!(list(&["--format", "json"]), ("[]\n".into(), String::new()));
    assert_eq!(list(&["-q"]), (String::new(), String::new()));

    fs::create_dir_all(dir.0.join("root/torn")).unwrap();
    fs::write(dir.0.join("root/torn/state.json"), "{").unwrap();
    let (out, err) = list(&[]);
    assert_eq!(out, heading);
    assert!(err.starts_with("taru-runtime: warning: leave out container `torn`: read the state"), "{err}");
}

#[test]
fn the_starter_document_is_runcs_and_never_overwrites() {
    let dir = Dir::new("spec");
    let bundle = dir.0.to_str().unwrap();
    assert_eq!(taru(&["spec", "--bundle", bundle]).status, 0);
    let text = fs::read_to_string(dir.0.join("config.json")).unwrap();
    assert_eq!(taru(&["spec", "-f", "-"]).out, text);
    let again = taru(&["spec", "-b", bundle]);
    assert_eq!(again.status, 1);
    assert!(again.err.contains("config.json`: the file exists"), "{}", again.err);

    let ours: serde_json::Value = serde_json::from_str(&text).unwrap();
    let rootless: serde_json::Value =
        serde_json::from_str(&taru(&["spec", "--rootless", "-f", "-"]).out).unwrap();
    assert_eq!(rootless["linux"]["uidMappings"][0]["size"], 1);

    let peer = Dir::new("spec-peer");
    let runc = Command::new("runc").arg("spec").current_dir(&peer.0).status();
    if !runc.is_ok_and(|status| status.success()) {
        taru_testkit::skip("the_starter_document_is_runcs_and_never_overwrites", "runc");
        return;
    }
    let mut theirs: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(peer.0.join("config.json")).unwrap()).unwrap();
    // What differs on purpose: who we are, and what newer runc has left out or masked too.
    theirs["ociVersion"] = ours["ociVersion"].clone();
    theirs["hostname"] = ours["hostname"].clone();
    theirs["process"]["capabilities"].as_object_mut().unwrap().remove("ambient");
    theirs["linux"]["maskedPaths"] = ours["linux"]["maskedPaths"].clone();
    assert_eq!(ours, theirs);
}

#[test]
fn a_reader_that_went_away_is_no_failure_to_speak_of() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_taru-runtime"))
        .args(["spec", "-f", "-"])
        .stdout(Stdio::from(closed_pipe()))
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut err = String::new();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert_eq!((child.wait().unwrap().code(), err.as_str()), (Some(141), ""));
}

#[test]
fn no_file_becomes_a_standard_stream() {
    let dir = Dir::new("closed-streams");
    let log = dir.0.join("log");
    let status = Command::new("/bin/sh")
        .args(["-c", "exec \"$@\" 2>&-", "sh", env!("CARGO_BIN_EXE_taru-runtime"), "--log"])
        .arg(&log)
        .args(["state", "closed-streams"])
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(1));
    let log = fs::read_to_string(&log).unwrap();
    assert_eq!(log.lines().count(), 1, "what was for standard error is in the log: {log}");
    assert!(log.contains("level=error") && log.contains("`closed-streams` does not exist"), "{log}");
}

/// The writing end of a pipe that nobody reads.
fn closed_pipe() -> std::io::PipeWriter {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer
}

#[test]
fn a_full_disk_under_standard_output_is_said() {
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_taru-runtime"))
        .args(["spec", "-f", "-"])
        .stdout(full)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(err, "taru-runtime: write to standard output: No space left on device\n");
}

#[test]
fn features_hold_all_that_runc_has() {
    let ours: serde_json::Value = serde_json::from_str(&taru(&["features"]).out).unwrap();
    assert_eq!(
        (ours["ociVersionMin"].as_str(), ours["ociVersionMax"].as_str()),
        (Some("1.0.0"), Some("1.3.0"))
    );
    let Ok(theirs) = Command::new("runc").arg("features").output() else {
        taru_testkit::skip("features_hold_all_that_runc_has", "runc");
        return;
    };
    let theirs: serde_json::Value = serde_json::from_slice(&theirs.stdout).unwrap();
    for pointer in [
        "/hooks",
        "/mountOptions",
        "/linux/namespaces",
        "/linux/capabilities",
        "/linux/seccomp/actions",
        "/linux/seccomp/operators",
        "/linux/seccomp/archs",
    ] {
        let list = |of: &serde_json::Value| of.pointer(pointer).unwrap().as_array().unwrap().clone();
        let missing: Vec<_> = list(&theirs).into_iter().filter(|word| !list(&ours).contains(word)).collect();
        assert!(missing.is_empty(), "{pointer}: {missing:?}");
    }
}
