//! `taru build`: what it makes of Dockerfiles, beside buildah; caches, secrets, failures, attacks. Each in a sandbox.
#![allow(clippy::unwrap_used, reason = "the functions around the tests are tests too")]

#[path = "build/attacks.rs"]
mod attacks;
#[path = "build/attributes.rs"]
mod attributes;
#[path = "build/behaviour.rs"]
mod behaviour;
#[path = "build/drivers.rs"]
mod drivers;
#[path = "build/elsewhere.rs"]
mod elsewhere;
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
    /// `TARU_STORAGE_DRIVER`, if it is set.
    driver: Option<&'static str>,
}

impl<'a> World<'a> {
    fn new(sandbox: &'a Sandbox) -> World<'a> {
        let world = World { sandbox, user: false, driver: None };
        world.prepare();
        world
    }

    /// As an ordinary user.
    fn rootless(sandbox: &'a Sandbox) -> World<'a> {
        let world = World { sandbox, user: true, driver: None };
        world.prepare();
        for dir in [world.dir(), world.context()] {
            chown(dir, Some(USER), Some(USER)).unwrap();
        }
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

    /// Copies programs of the host, with the libraries they want, below `tools` of the context. `false`, with the skip told,
    /// where one is not installed.
    fn tools(&self, programs: &[&str], feature: &str) -> bool {
        for &program in programs {
            if !Path::new(program).exists() {
                taru_testkit::skip(self.sandbox.name(), feature);
                return false;
            }
            let listed = std::process::Command::new("ldd").arg(program).output().unwrap();
            let listed = String::from_utf8(listed.stdout).unwrap();
            let libraries = listed.split_whitespace().filter(|word| word.starts_with('/'));
            for path in std::iter::once(program).chain(libraries) {
                let to = self.context().join("tools").join(path.trim_start_matches('/'));
                fs::create_dir_all(to.parent().unwrap()).unwrap();
                fs::copy(path, to).unwrap();
            }
        }
        true
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
        let taru = Invocation::new(&output, argv).env("HOME", "/nonexistent").dir(self.context());
        match self.driver {
            Some(driver) => taru.env("TARU_STORAGE_DRIVER", driver),
            None => taru,
        }
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
