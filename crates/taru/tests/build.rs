//! `taru build`: what it makes of Dockerfiles, beside buildah; caches, secrets, failures, attacks. Each in a sandbox.
#![allow(clippy::unwrap_used)] // the functions around the tests are tests too

#[path = "build/attacks.rs"]
mod attacks;
#[path = "build/behaviour.rs"]
mod behaviour;
#[path = "build/image.rs"]
mod image;
#[path = "build/table.rs"]
mod table;

use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};

use taru_testkit::{Invocation, Output, Sandbox};

/// The ordinary user's id. Nobody of this number needs to exist.
const USER: u32 = 1000;

/// A context and a store of a test's own.
struct World<'a> {
    sandbox: &'a Sandbox,
    user: bool,
}

impl<'a> World<'a> {
    fn new(sandbox: &'a Sandbox) -> World<'a> {
        let world = World { sandbox, user: false };
        world.prepare();
        world
    }

    /// As an ordinary user.
    fn rootless(sandbox: &'a Sandbox) -> World<'a> {
        let world = World { sandbox, user: true };
        world.prepare();
        chown(world.dir(), Some(USER), Some(USER)).unwrap();
        world
    }

    fn prepare(&self) {
        fs::create_dir_all(self.dir()).unwrap();
        fs::create_dir_all(self.context()).unwrap();
        fs::copy("/bin/busybox", self.context().join("busybox")).unwrap();
    }

    fn dir(&self) -> PathBuf {
        self.sandbox.dir().join(if self.user { "user" } else { "root" })
    }

    fn context(&self) -> PathBuf {
        self.dir().join("context")
    }

    /// Writes a file of the context.
    fn file(&self, path: &str, content: &str) -> &Self {
        let path = self.context().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        self
    }

    fn taru(&self, words: &[&str]) -> Invocation {
        let mut argv: Vec<String> = Vec::new();
        if self.user {
            argv.extend(["setpriv", "--clear-groups"].map(str::to_owned));
            argv.extend([format!("--reuid={USER}"), format!("--regid={USER}")]);
        }
        argv.extend([env!("CARGO_BIN_EXE_taru").to_owned(), "--root".to_owned()]);
        argv.push(self.dir().join("state").display().to_string());
        argv.extend(words.iter().map(|&w| w.to_owned()));
        if matches!(words.first(), Some(&("run" | "build"))) {
            let at = argv.iter().position(|w| w == words[0]).unwrap() + 1;
            argv.insert(at, format!("--cgroup-parent=/{}", self.sandbox.marker()));
        }
        let output = self.sandbox.dir().join("output");
        fs::create_dir_all(&output).unwrap();
        Invocation::new(&output, argv).env("HOME", "/nonexistent").dir(self.context())
    }

    /// `taru build` of this Dockerfile, with further words.
    fn build(&self, dockerfile: &str, words: &[&str]) -> Output {
        self.file("Dockerfile", dockerfile);
        self.taru(&[&["build", "--progress", "plain"], words, &["."]].concat()).output()
    }

    /// A Dockerfile that begins with busybox, as the image of its stage `bb`.
    fn with_busybox(rest: &str) -> String {
        format!(
            "FROM scratch AS bb\nCOPY busybox /bin/\nRUN [\"/bin/busybox\", \"--install\", \"-s\", \"/bin\"]\n{rest}"
        )
    }

    fn store(&self) -> PathBuf {
        self.dir().join("state")
    }
}

/// How many files lie in a directory; none where there is no such directory.
fn count(dir: &Path) -> usize {
    fs::read_dir(dir).map_or(0, Iterator::count)
}
