//! The commonest mistakes of somebody who types a first command: what is said, to the letter, and the exit status.
//!
//! Each is held to the house style: what was tried and on what, then the cause, once, on one line; advice on lines
//! of its own. `UPDATE_GOLDEN=1` accepts changed messages.
#![allow(clippy::unwrap_used, reason = "the functions around the tests are tests too")]

use std::fs;
use std::path::Path;

use taru_testkit::{Invocation, Output, Sandbox, sandbox};

/// A line of `taru`, and what is wrong with it.
const CASES: &[(&str, &str)] = &[
    ("a typo in a verb", "rnu host"),
    ("a typo in a verb below another", "image lss"),
    ("a verb of docker's that does not exist", "pause web"),
    ("a verb of docker's that has another name", "container ls"),
    ("a verb of util-linux", "nsenter -t 1 -n"),
    ("help for a verb that does not exist", "help nosuch"),
    ("the version as docker and podman have it", "-v"),
    ("a global option after the verb", "ps --root /x"),
    ("a typo in an option before an image", "run --memroy 64M tiny true"),
    ("an option of docker's that is not here yet", "run -p 8080:80 tiny"),
    ("a typo in an option before a program", "cgroup run --memroy 64M true"),
    ("an option of docker's that does not exist", "logs --until 5m web"),
    ("nothing to run", "run"),
    ("no program on the host", "run host"),
    ("an option after host", "run host -t bash"),
    ("no container", "stop"),
    ("no program for exec", "exec web"),
    ("two containers where one is wanted", "logs web db"),
    ("no such container", "logs web"),
    ("no such container for exec", "exec web true"),
    ("a variable without a name for exec", "exec -e =x web true"),
    ("a size without a unit that is one", "run --memory 64Q host -- true"),
    ("too little memory", "run --memory 1M host -- true"),
    ("no number of CPUs", "run --cpus many host -- true"),
    ("CPUs that are no list", "run --cpuset all host -- true"),
    ("processes that are no number", "run --pids many host -- true"),
    ("a weight out of range", "run --blkio-weight 5 host -- true"),
    ("a share out of range", "run --cpu-shares 1 host -- true"),
    ("no such network", "run --net bridge host -- true"),
    ("no such capability", "run --cap-add net_amdin host -- true"),
    ("a volume without a destination", "run -v /tmp host -- true"),
    ("a volume with a relative destination", "run -v /tmp:tmp host -- true"),
    ("a volume with an unknown option", "run -v /tmp:/tmp:rx host -- true"),
    ("a volume with a name", "run -v data:/data host -- true"),
    ("a volume that is not there", "run -v /nosuch:/data host -- true"),
    ("a name that is none", "run --name a/b host -- true"),
    ("an image that is none", "run Debian true"),
    ("no such root", "run --rootfs /nosuch true"),
    ("no such signal", "kill -s TREM web"),
    ("no such signal for a control group", "cgroup kill -s TREM demo"),
    ("a duration that is none", "stop -t soon web"),
    ("a time that is none", "logs --since yesterday web"),
    ("lines that are no number", "logs -n few web"),
    ("a copy between two paths of the host", "cp a b"),
    ("no such control group", "cgroup list nosuch"),
    ("a limit of a control group that is no size", "cgroup create demo --memory lots"),
    ("a process that is no number", "enter -t init true"),
    ("no such network namespace", "netns exec blue true"),
    ("no such network namespace to delete", "netns delete blue"),
    ("no such context", "build /nosuch"),
    ("a label without a name", "build --label =x ."),
    ("a kind of output that does not exist", "build --output type=zip ."),
    ("an entitlement that does not exist", "build --allow everything ."),
    ("a cache that does not exist", "build --cache-from type=tape ."),
];

fn taru(sandbox: &Sandbox, line: &str) -> Output {
    let mut words = vec![env!("CARGO_BIN_EXE_taru").to_owned(), "--root".to_owned()];
    words.push(sandbox.dir().join("state").display().to_string());
    words.extend(line.split_whitespace().map(str::to_owned));
    Invocation::new(&sandbox.dir(), words).output()
}

#[test]
fn messages_are_of_use() {
    sandbox(|sandbox| {
        let mut all = String::new();
        for (what, line) in CASES {
            let output = taru(sandbox, line);
            assert_eq!((output.stdout.as_str(), output.signal), ("", None), "{line}");
            for word in ["os error", "failed to", "error: "] {
                assert!(!output.stderr.contains(word), "{line}: {}", output.stderr);
            }
            all.push_str(&format!("# {what}: {line}\n{}[{}]\n\n", output.stderr, output.status));
        }
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/commands.txt");
        if std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1") {
            fs::write(&golden, &all).unwrap();
        }
        let wanted = fs::read_to_string(&golden).unwrap_or_default();
        for (new, old) in all.split("\n\n").zip(wanted.split("\n\n")) {
            assert_eq!(new, old, "hint: UPDATE_GOLDEN=1 accepts the change");
        }
        assert_eq!(all, wanted, "hint: UPDATE_GOLDEN=1 accepts the change");
    });
}

#[test]
fn help_is_a_verb_and_an_option() {
    sandbox(|sandbox| {
        assert_eq!(taru(sandbox, "help").ok().stdout, taru(sandbox, "--help").ok().stdout);
        assert_eq!(taru(sandbox, "help image ls").ok().stdout, taru(sandbox, "image ls --help").ok().stdout);
    });
}
