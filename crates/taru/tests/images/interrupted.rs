//! Commands that are killed, every other time with the power cut right behind (R02): what they make is whole or absent, what
//! they reported is there, and the next command works and leaves nothing.

use std::collections::BTreeMap;
use std::fs;

use taru_testkit::image::Tar;
use taru_testkit::registry::Registry;
use taru_testkit::{Disk, Invocation, Sandbox, sandbox};

use crate::world::{Taru, app, disk, has, publish};

/// Calls that change what others see: a process that is killed at any other leaves what it left at the one before.
const CALLS: &str = "fsync,fdatasync,syncfs,rename,renameat,renameat2,pwrite64,clone,clone3,linkat,unlink,unlinkat,mkdir,mkdirat,\
    fallocate,ftruncate,exit_group";

/// A command that makes something.
struct Act<'t> {
    line: &'t str,
    stdin: Vec<u8>,
    /// Whether what it makes is there; what is there has to be whole.
    is_there: &'t dyn Fn(&Taru<'_>) -> bool,
    /// Takes it away.
    undo: &'t dyn Fn(&Taru<'_>),
}

/// An image of that name, whose `/word` says `word`.
fn is_image(taru: &Taru<'_>, name: &str, word: &str) -> bool {
    let is_named = taru.names().iter().any(|there| there.ends_with(name));
    if is_named {
        assert_eq!(taru.taru(&format!("run {name} cat /word")).ok().stdout, word);
    }
    is_named
}

/// What lies in the stores, without the names of what differs from one time to the next.
fn left(taru: &Taru<'_>) -> Vec<String> {
    let mut left = taru.stored();
    let temporary = fs::read_dir(taru.state().join("build/tmp")).into_iter().flatten().flatten();
    left.extend(temporary.map(|entry| format!("build/tmp/{}", entry.file_name().display())));
    let files = fs::read_dir(taru.dir()).unwrap().flatten();
    left.extend(files.map(|entry| format!("files/{}", entry.file_name().display())));
    left.sort();
    left
}

fn sweep(sandbox: &Sandbox, ready: impl FnOnce(&Taru<'_>, &Disk) -> bool, act: &Act<'_>) {
    let Some(disk) = disk(sandbox) else { return };
    let taru = Taru::on(sandbox, &disk);
    if !has(sandbox, "strace") || !ready(&taru, &disk) {
        return;
    }
    let command = || -> Invocation { taru.invoke(act.line).stdin(act.stdin.clone()) };
    let make = || {
        command().output().succeeds();
        assert!((act.is_there)(&taru));
    };
    let clear = || {
        (act.undo)(&taru);
        taru.taru("store gc").succeeds();
    };
    make();
    clear();
    let before = left(&taru);
    let points = points(sandbox, command());
    clear();
    let mut killed = 0;
    for (number, (call, when)) in points.iter().enumerate() {
        let at = format!("{} killed at {call} {when}", act.line);
        let inject = format!("inject={call}:signal=SIGKILL:when={when}");
        let trace = format!("trace={call}");
        let under = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject];
        let is_done = command().under(under).output().status == 0;
        if number % 2 == 0 {
            disk.cut_power();
        }
        let check = taru.taru("store check");
        assert_eq!(check.status, 0, "{at}: {}{}", check.stdout, check.stderr);
        let is_there = (act.is_there)(&taru);
        assert!(is_there || !is_done, "{at}: what was reported is not there");
        if is_there {
            (act.undo)(&taru);
        }
        taru.taru("store gc").succeeds();
        assert_eq!(left(&taru), before, "{at}");
        if !is_done {
            killed += 1;
            make();
            clear();
            assert_eq!(left(&taru), before, "made after: {at}");
        }
    }
    assert!(killed >= 3, "killed {killed} times only");
}

/// Where the command may be killed: the `when`th call of its kind in one of its threads, or of its children's; all of them
/// with `TARU_TEST_FULL=1`, else some, evenly spread.
fn points(sandbox: &Sandbox, command: Invocation) -> Vec<(String, usize)> {
    let log = sandbox.dir().join("trace");
    let trace = format!("trace={CALLS}");
    let under = ["strace", "-f", "-qq", "-o", log.to_str().unwrap(), "-e", &trace];
    command.under(under).output().succeeds();
    // strace(1) counts by thread.
    let mut counts: BTreeMap<(String, String), usize> = BTreeMap::new();
    for line in String::from_utf8_lossy(&fs::read(log).unwrap()).lines() {
        let Some((thread, call)) = line.split_once(' ') else { continue };
        let Some((name, _)) = call.trim_start().split_once('(') else { continue };
        *counts.entry((name.to_owned(), thread.to_owned())).or_default() += 1;
    }
    let mut most: BTreeMap<String, usize> = BTreeMap::new();
    for ((name, _), count) in counts {
        let entry = most.entry(name).or_default();
        *entry = (*entry).max(count);
    }
    let all: Vec<_> = most
        .into_iter()
        .flat_map(|(name, count)| (1..=count).map(move |when| (name.clone(), when)))
        .collect();
    let step = all.len().div_ceil(sandbox.tries(5, all.len())).max(1);
    all.into_iter().step_by(step).collect()
}

fn load_base(taru: &Taru<'_>) {
    let base = app("base").build().oci_archive(&["docker.io/library/base:1"]);
    taru.invoke("load -q").stdin(base).output().succeeds();
}

fn remove(taru: &Taru<'_>, name: &str) {
    taru.taru(&format!("rmi -f {name}")).succeeds();
}

#[test]
fn a_load_is_whole_or_absent() {
    sandbox(|sandbox| {
        let act = Act {
            line: "load -q",
            stdin: app("loaded").build().oci_archive(&["docker.io/library/app:1"]),
            is_there: &|taru| is_image(taru, "app:1", "loaded\n"),
            undo: &|taru| remove(taru, "app:1"),
        };
        sweep(
            sandbox,
            |taru, _| {
                load_base(taru);
                true
            },
            &act,
        );
    });
}

#[test]
fn a_pull_is_whole_or_absent() {
    sandbox(|sandbox| {
        let Some(registry) = Registry::start() else { return };
        let built = app("pulled").layer(Tar::new().file("large", vec![7; 3 << 20], 0o600)).build();
        publish(sandbox, &registry, &built, "app:1");
        let name = registry.name("app:1");
        let act = Act {
            line: &format!("pull -q {name}"),
            stdin: Vec::new(),
            is_there: &|taru| is_image(taru, &name, "pulled\n"),
            undo: &|taru| remove(taru, &name),
        };
        sweep(sandbox, |_, _| true, &act);
    });
}

#[test]
fn a_build_is_whole_or_absent() {
    sandbox(|sandbox| {
        let act = Act {
            line: "build -q --no-cache --build-arg SOURCE_DATE_EPOCH=1700000000 -t app:1 context",
            stdin: Vec::new(),
            is_there: &|taru| is_image(taru, "app:1", "built\n"),
            undo: &|taru| remove(taru, "app:1"),
        };
        sweep(
            sandbox,
            |taru, _| {
                load_base(taru);
                fs::create_dir(taru.dir().join("context")).unwrap();
                taru.file("context/copied", "copied\n");
                let text = "FROM base:1\nCOPY copied /\nRUN mkdir /made && echo built > /word\n";
                taru.file("context/Dockerfile", text);
                true
            },
            &act,
        );
    });
}

#[test]
fn a_commit_is_whole_or_absent() {
    sandbox(|sandbox| {
        let act = Act {
            line: "commit box app:1",
            stdin: Vec::new(),
            is_there: &|taru| is_image(taru, "app:1", "committed\n"),
            undo: &|taru| remove(taru, "app:1"),
        };
        sweep(
            sandbox,
            |taru, disk| {
                load_base(taru);
                taru.sh("-d --name box", "base:1", "echo committed > /word && sync").succeeds();
                taru.taru("wait box").succeeds();
                disk.cut_power();
                true
            },
            &act,
        );
    });
}

#[test]
fn a_saved_file_is_whole_or_absent() {
    sandbox(|sandbox| {
        let act = Act {
            line: "save -o saved.tar base:1",
            stdin: Vec::new(),
            is_there: &|taru| {
                let file = taru.dir().join("saved.tar");
                if file.exists() {
                    let other = taru.another("other");
                    other.taru(&format!("load -q -i {}", file.display())).succeeds();
                    assert!(is_image(&other, "base:1", "base\n"));
                    other.clear();
                }
                file.exists()
            },
            undo: &|taru| fs::remove_file(taru.dir().join("saved.tar")).unwrap(),
        };
        sweep(
            sandbox,
            |taru, _| {
                load_base(taru);
                true
            },
            &act,
        );
    });
}
