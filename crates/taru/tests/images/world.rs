//! `taru` in a state directory of its own, and images of busybox.

use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::{Value, json};
use taru_testkit::image::{Built, Image, Pack, Tar, digest, index};
use taru_testkit::{Disk, Invocation, Output, Sandbox};

/// The ordinary user's id. Nobody of this number needs to exist.
pub(crate) const USER: u32 = 1000;

/// What of busybox the tests use.
const APPLETS: [&str; 15] = [
    "sh", "true", "cat", "echo", "id", "ls", "env", "pwd", "sleep", "kill", "touch", "stat", "rm", "mkdir",
    "wc",
];

/// `taru`, as root or as an ordinary user.
pub(crate) struct Taru<'a> {
    pub(crate) sandbox: &'a Sandbox,
    pub(crate) user: bool,
    /// `TARU_STORAGE_DRIVER`, if it is set.
    pub(crate) driver: Option<&'static str>,
    state: PathBuf,
}

impl<'a> Taru<'a> {
    pub(crate) fn new(sandbox: &'a Sandbox) -> Taru<'a> {
        Taru::at(sandbox, false, "root")
    }

    pub(crate) fn user(sandbox: &'a Sandbox) -> Taru<'a> {
        Taru::at(sandbox, true, "user")
    }

    /// With everything of it on `disk`, for root.
    pub(crate) fn on(sandbox: &'a Sandbox, disk: &Disk) -> Taru<'a> {
        Taru::in_dir(sandbox, disk.path())
    }

    /// With everything of it below `dir`, for root.
    pub(crate) fn in_dir(sandbox: &'a Sandbox, dir: &Path) -> Taru<'a> {
        Taru::below(sandbox, false, dir.join("root"))
    }

    fn at(sandbox: &'a Sandbox, user: bool, name: &str) -> Taru<'a> {
        Taru::below(sandbox, user, sandbox.dir().join(name))
    }

    fn below(sandbox: &'a Sandbox, user: bool, state: PathBuf) -> Taru<'a> {
        let taru = Taru { sandbox, user, driver: None, state };
        for dir in [taru.state.clone(), taru.home(), taru.dir()] {
            fs::create_dir_all(&dir).unwrap();
            taru.give(&dir);
        }
        taru
    }

    /// The same, with layers kept by `driver`.
    pub(crate) fn with(self, driver: &'static str) -> Taru<'a> {
        Taru { driver: Some(driver), ..self }
    }

    /// Both users, one after the other; in the end nothing may be left.
    pub(crate) fn each(sandbox: &'a Sandbox, test: impl Fn(&Taru<'a>)) {
        for (user, name) in [(false, "root"), (true, "user")] {
            let taru = Taru::at(sandbox, user, name);
            test(&taru);
            taru.clear();
        }
    }

    /// The same user's, with nothing in it.
    pub(crate) fn another(&self, name: &str) -> Taru<'a> {
        Taru::at(self.sandbox, self.user, name)
    }

    pub(crate) fn state(&self) -> &Path {
        &self.state
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.state.with_extension("home")
    }

    /// Where its files are.
    pub(crate) fn dir(&self) -> PathBuf {
        self.state.with_extension("files")
    }

    /// Makes `path` this user's.
    pub(crate) fn give(&self, path: &Path) {
        if self.user {
            chown(path, Some(USER), Some(USER)).unwrap();
        }
    }

    /// Writes a file of this user's.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.dir().join(name);
        fs::write(&path, content).unwrap();
        self.give(&path);
        path
    }

    fn argv(&self, words: &[&str]) -> Vec<String> {
        let mut argv: Vec<String> = Vec::new();
        if self.user {
            argv.extend(["setpriv", "--clear-groups"].map(str::to_owned));
            argv.extend([format!("--reuid={USER}"), format!("--regid={USER}")]);
        }
        argv.extend([env!("CARGO_BIN_EXE_taru").to_owned(), "--root".to_owned()]);
        argv.push(self.state.display().to_string());
        argv.extend(words.iter().map(|&w| w.to_owned()));
        if words.first() == Some(&"run") {
            let at = argv.iter().position(|w| w == "run").unwrap() + 1;
            argv.insert(at, format!("--cgroup-parent=/{}", self.sandbox.marker()));
        }
        argv
    }

    /// `taru WORDS`, in the directory of its files.
    pub(crate) fn invoke_words(&self, words: &[&str]) -> Invocation {
        let output = self.sandbox.dir().join("output");
        fs::create_dir_all(&output).unwrap();
        let home = self.home();
        let taru = Invocation::new(&output, self.argv(words))
            .env("HOME", &home)
            .env("DOCKER_CONFIG", home)
            .dir(self.dir());
        match self.driver {
            Some(driver) => taru.env("TARU_STORAGE_DRIVER", driver),
            None => taru,
        }
    }

    /// `taru LINE`, its words separated by blanks.
    pub(crate) fn invoke(&self, line: &str) -> Invocation {
        self.invoke_words(&line.split_whitespace().collect::<Vec<_>>())
    }

    pub(crate) fn taru(&self, line: &str) -> Output {
        self.invoke(line).output()
    }

    /// `taru run OPTIONS IMAGE sh -c SCRIPT`.
    pub(crate) fn sh(&self, options: &str, image: &str, script: &str) -> Output {
        let mut words = vec!["run"];
        words.extend(options.split_whitespace());
        words.extend([image, "sh", "-c", script]);
        self.invoke_words(&words).output()
    }

    /// `taru LINE` with its output into the file `name`.
    pub(crate) fn redirected(&self, line: &str, name: &str) -> PathBuf {
        let path = self.dir().join(name);
        let file = fs::File::create(&path).unwrap();
        self.give(&path);
        let argv = self.argv(&line.split_whitespace().collect::<Vec<_>>());
        let driver = self.driver.map(|driver| ("TARU_STORAGE_DRIVER", driver));
        let status = Command::new(&argv[0]).args(&argv[1..]).envs(driver).stdout(file).status().unwrap();
        assert!(status.success(), "{line}");
        path
    }

    pub(crate) fn json(&self, line: &str) -> Value {
        serde_json::from_str(&self.taru(line).ok().stdout).unwrap()
    }

    /// The names of all images, sorted; `<none>` for those without.
    pub(crate) fn names(&self) -> Vec<String> {
        let list = self.json("images --format json");
        let name = |image: &Value| image["name"].as_str().unwrap_or("<none>").to_owned();
        let mut names: Vec<String> = list.as_array().unwrap().iter().map(name).collect();
        names.sort();
        names
    }

    /// The id that a name leads to.
    pub(crate) fn id(&self, name: &str) -> String {
        self.json(&format!("image inspect {name}"))[0]["id"].as_str().unwrap().to_owned()
    }

    /// Whether the blob is in the store.
    pub(crate) fn has_blob(&self, digest: &str) -> bool {
        self.blob(digest).exists()
    }

    pub(crate) fn blob(&self, digest: &str) -> PathBuf {
        self.state.join("content/blobs").join(digest.replace(':', "/"))
    }

    /// What lies in the stores: blobs, unfinished files, layers, roots of containers.
    pub(crate) fn stored(&self) -> Vec<String> {
        let mut found = Vec::new();
        for dir in [
            "content/blobs/sha256",
            "content/ingest",
            "snapshot/layers",
            "snapshot/staging",
            "snapshot/roots",
            "containers",
        ] {
            let there = fs::read_dir(self.state.join(dir)).into_iter().flatten().flatten();
            found.extend(there.map(|e| format!("{dir}/{}", e.file_name().display())));
        }
        found
    }

    /// Removes every container and image, and sees that nothing is left.
    #[track_caller]
    pub(crate) fn clear(&self) {
        let containers = self.json("ps -a --format json");
        for container in containers.as_array().unwrap() {
            self.taru(&format!("rm -f {}", container["id"].as_str().unwrap())).succeeds();
        }
        self.taru("image prune --all").succeeds();
        assert_eq!(self.stored(), Vec::<String>::new());
    }
}

/// busybox as a layer.
pub(crate) fn busybox() -> Tar {
    static PROGRAM: OnceLock<Vec<u8>> = OnceLock::new();
    let program = PROGRAM.get_or_init(|| fs::read("/bin/busybox").unwrap());
    let mut tar = Tar::new().dir("bin", 0o755).file("bin/busybox", program, 0o755).dir("tmp", 0o1777);
    for applet in APPLETS {
        tar = tar.symlink(&format!("bin/{applet}"), "busybox");
    }
    tar
}

/// An image of busybox, its upper layer with `/etc` and the file `/word`.
pub(crate) fn app(word: &str) -> Image {
    let etc = Tar::new()
        .dir("etc", 0o755)
        .file("etc/passwd", "root:x:0:0::/root:/bin/sh\nweb:x:33:33::/srv:/bin/sh\n", 0o644)
        .file("etc/group", "root:x:0:\nweb:x:33:\n", 0o644)
        .file("word", format!("{word}\n"), 0o644);
    Image::new()
        .layer_as(Pack::Zstd, busybox())
        .layer(etc)
        .config(|c| c["config"] = json!({"Cmd": ["cat", "/word"], "Env": ["PATH=/bin"]}))
}

/// Writes `images` as one index into the OCI layout `dir`, under `tag`; the index's digest.
pub(crate) fn write_index(dir: &Path, tag: &str, images: &[&Built]) -> String {
    for image in images {
        image.write_layout(dir, None);
    }
    let text = index(images.iter().map(|image| image.descriptor()).collect()).to_string();
    let id = digest(text.as_bytes());
    fs::write(dir.join("blobs").join(id.replace(':', "/")), &text).unwrap();
    let entry = json!({
        "mediaType": taru_testkit::image::INDEX, "digest": id, "size": text.len(),
        "annotations": {"org.opencontainers.image.ref.name": tag},
    });
    fs::write(dir.join("index.json"), index(vec![entry]).to_string()).unwrap();
    id
}

/// Puts an image into the registry, as `REPOSITORY:TAG`.
pub(crate) fn publish(
    sandbox: &Sandbox,
    registry: &taru_testkit::registry::Registry,
    built: &Built,
    name: &str,
) {
    static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let dir = sandbox.dir().join(format!("layout{number}"));
    built.write_layout(&dir, Some("it"));
    registry.copy(&format!("oci:{}:it", dir.display()), name);
    fs::remove_dir_all(dir).unwrap();
}

/// Whether a program is there; else the test says so.
pub(crate) fn has(sandbox: &Sandbox, program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let there = std::env::split_paths(&path).any(|dir| dir.join(program).is_file());
    if !there {
        sandbox.skip(program);
    }
    there
}

/// A disk whose power can be cut; else the test says what is missing.
pub(crate) fn disk(sandbox: &Sandbox) -> Option<Disk> {
    Disk::ext4(&sandbox.dir(), 256 << 20, &[]).map_err(|lack| sandbox.skip(&lack)).ok()
}

/// Runs a program of a peer and returns what it printed.
#[track_caller]
pub(crate) fn peer(dir: &Path, argv: &[&str]) -> String {
    let output = Command::new(argv[0])
        .args(&argv[1..])
        .current_dir(dir)
        .env("REGISTRY_AUTH_FILE", dir.join("no-auth.json"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{argv:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
