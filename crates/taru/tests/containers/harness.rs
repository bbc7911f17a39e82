//! `taru` in a sandbox, as root or as an ordinary user.

use std::fs;
use std::os::unix::fs::{chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use taru_testkit::{Invocation, Output, Sandbox};

/// The ordinary user's id. Nobody of this number needs to exist.
pub(crate) const USER: u32 = 1000;

/// `taru` in a state directory of its own.
pub(crate) struct Taru<'a> {
    pub(crate) sandbox: &'a Sandbox,
    pub(crate) user: bool,
}

impl<'a> Taru<'a> {
    pub(crate) fn new(sandbox: &'a Sandbox) -> Taru<'a> {
        Taru { sandbox, user: false }
    }

    /// As an ordinary user.
    pub(crate) fn rootless(sandbox: &'a Sandbox) -> Taru<'a> {
        let taru = Taru { sandbox, user: true };
        fs::create_dir_all(taru.state()).unwrap();
        chown(taru.state(), Some(USER), Some(USER)).unwrap();
        taru
    }

    /// Both, one after the other.
    pub(crate) fn each(sandbox: &'a Sandbox, test: impl Fn(&Taru<'a>)) {
        for taru in [Taru::new(sandbox), Taru::rootless(sandbox)] {
            test(&taru);
            taru.assert_clean();
        }
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.sandbox.dir().join(if self.user { "user" } else { "root" })
    }

    /// `taru LINE`, its words separated by blanks; `run` gets a cgroup below this test's own.
    pub(crate) fn invoke(&self, line: &str) -> Invocation {
        self.invoke_words(&line.split_whitespace().collect::<Vec<_>>())
    }

    pub(crate) fn invoke_words(&self, words: &[&str]) -> Invocation {
        self.invoke_by(&[], words)
    }

    /// As [`Taru::invoke_words`], executed by another program that `by` is the command line of.
    pub(crate) fn invoke_by(&self, by: &[&str], words: &[&str]) -> Invocation {
        let mut argv: Vec<String> = by.iter().map(|&w| w.to_owned()).collect();
        if self.user {
            argv.extend(["setpriv", "--clear-groups"].map(str::to_owned));
            argv.extend([format!("--reuid={USER}"), format!("--regid={USER}")]);
        }
        argv.extend([env!("CARGO_BIN_EXE_taru").to_owned(), "--root".to_owned()]);
        argv.push(self.state().display().to_string());
        argv.extend(words.iter().map(|&w| w.to_owned()));
        if words.first() == Some(&"run") {
            let at = argv.iter().position(|w| w == "run").unwrap() + 1;
            argv.insert(at, format!("--cgroup-parent=/{}", self.sandbox.marker()));
        }
        let output = self.sandbox.dir().join("output");
        fs::create_dir_all(&output).unwrap();
        Invocation::new(&output, argv).env("HOME", "/nonexistent")
    }

    pub(crate) fn taru(&self, line: &str) -> Output {
        self.invoke(line).output()
    }

    /// Runs a shell script in the `host` root, with options.
    pub(crate) fn sh(&self, options: &str, script: &str) -> Output {
        let mut words = vec!["run"];
        words.extend(options.split_whitespace());
        words.extend(["host", "--", "sh", "-c", script]);
        self.invoke_words(&words).output()
    }

    /// Starts a shell script in the background and returns its container's id.
    pub(crate) fn start(&self, options: &str, script: &str) -> String {
        let output = self.sh(&format!("-d {options}"), script).ok();
        let id = output.stdout.trim().to_owned();
        assert!(id.len() == 64 && id.bytes().all(|b| b.is_ascii_hexdigit()), "{id}");
        id
    }

    pub(crate) fn inspect(&self, name: &str) -> Value {
        serde_json::from_str::<Value>(&self.taru(&format!("inspect {name}")).ok().stdout).unwrap()[0].take()
    }

    pub(crate) fn ps(&self) -> Vec<Value> {
        serde_json::from_str(&self.taru("ps -a --format json").ok().stdout).unwrap()
    }

    /// Nothing is recorded, nothing lies about, and no control group is left.
    #[track_caller]
    pub(crate) fn assert_clean(&self) {
        assert_eq!(self.ps(), Vec::<Value>::new());
        for dir in ["containers", "run/containers", "run/runtime"] {
            let there = fs::read_dir(self.state().join(dir)).into_iter().flatten().flatten();
            // The runtime's cache of compiled filters stays.
            let left: Vec<_> = there.filter(|e| e.file_name() != "@seccomp").collect();
            assert!(left.is_empty(), "{dir}: {left:?}");
        }
        for hierarchy in fs::read_dir("/sys/fs/cgroup").unwrap().flatten() {
            let own = hierarchy.path().join(self.sandbox.marker());
            let children = fs::read_dir(own).into_iter().flatten().flatten();
            let left: Vec<_> = children.filter(|c| c.path().is_dir()).collect();
            assert!(left.is_empty(), "{left:?}");
        }
    }

    /// A root file system whose programs are this host's, with `--ro /usr`.
    pub(crate) fn rootfs(&self) -> PathBuf {
        let root = self.sandbox.dir().join(if self.user { "rootfs-user" } else { "rootfs" });
        for dir in ["usr", "etc", "proc", "sys", "dev", "tmp"] {
            fs::create_dir_all(root.join(dir)).unwrap();
        }
        for link in ["bin", "sbin", "lib", "lib64"] {
            let _ = symlink(Path::new("usr").join(link), root.join(link));
        }
        fs::write(root.join("etc/passwd"), "root:x:0:0::/root:/bin/sh\nweb:x:33:33::/srv:/bin/sh\n").unwrap();
        fs::write(root.join("etc/kept"), "as it was\n").unwrap();
        let owner = if self.user { USER } else { 0 };
        walk(&root, &mut |path| std::os::unix::fs::lchown(path, Some(owner), Some(owner)).unwrap());
        root
    }
}

pub(crate) fn walk(path: &Path, act: &mut impl FnMut(&Path)) {
    act(path);
    if path.is_dir() && !path.is_symlink() {
        fs::read_dir(path).unwrap().flatten().for_each(|e| walk(&e.path(), act));
    }
}

pub(crate) fn kill(pid: u32, signal: &str) -> bool {
    Command::new("kill").args(["-s", signal, &pid.to_string()]).status().unwrap().success()
}
