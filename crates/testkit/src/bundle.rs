//! A bundle: a root file system of static busybox and the probe, and a `config.json` that starts as
//! `runc spec`'s default and is changed as JSON, so that a test can also say what no typed form allows.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::probe;

const BASE: &str = include_str!("base.json");

/// Directories every root file system has.
const DIRECTORIES: &[&str] =
    &["bin", "dev", "etc", "home/user", "mnt", "proc", "root", "run", "sys", "tmp", "usr/bin", "var/tmp"];

/// A bundle on disk, and its specification in memory until [`Bundle::write`].
#[derive(Clone, Debug)]
pub struct Bundle {
    dir: PathBuf,
    /// The specification; change it freely.
    pub spec: Value,
}

impl Bundle {
    pub(crate) fn new(dir: PathBuf, cgroups_path: &str) -> Self {
        let mut spec: Value = serde_json::from_str(BASE).expect("the base specification is JSON");
        spec["linux"]["cgroupsPath"] = json!(cgroups_path);
        let bundle = Self { dir, spec };
        bundle.fill_rootfs();
        bundle
    }

    /// The bundle directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The directory of the root file system.
    pub fn rootfs(&self) -> PathBuf {
        self.dir.join("rootfs")
    }

    /// Writes `config.json`, as a whole: a container of the same bundle may be about to read it.
    ///
    /// # Panics
    /// When it cannot.
    pub fn write(&self) {
        let text = serde_json::to_vec_pretty(&self.spec).expect("JSON can be printed");
        let new = self.dir.join(format!("config.json.{:?}", std::thread::current().id()));
        fs::write(&new, text).expect("write config.json");
        fs::rename(&new, self.dir.join("config.json")).expect("put config.json in its place");
    }

    /// With this program.
    #[must_use]
    pub fn args(mut self, args: &[&str]) -> Self {
        self.spec["process"]["args"] = json!(args);
        self
    }

    /// With this shell script as its program.
    #[must_use]
    pub fn sh(self, script: &str) -> Self {
        self.args(&["/bin/sh", "-c", script])
    }

    /// A container that does nothing until killed (and dies by SIGTERM).
    #[must_use]
    pub fn idle(self) -> Self {
        self.sh("trap 'exit 0' TERM; while :; do sleep 1000 & wait $!; done")
    }

    /// Changed by `change`.
    #[must_use]
    pub fn edit(mut self, change: impl FnOnce(&mut Value)) -> Self {
        change(&mut self.spec);
        self
    }

    /// With the value at a JSON pointer (`/process/cwd`) replaced or added; missing objects on the way
    /// are made.
    #[must_use]
    pub fn put(mut self, pointer: &str, value: Value) -> Self {
        let mut place = &mut self.spec;
        for key in pointer.trim_start_matches('/').split('/') {
            place = match place {
                Value::Array(items) => &mut items[key.parse::<usize>().expect("an index into an array")],
                other => &mut other[key],
            };
        }
        *place = value;
        self
    }

    /// With the root file system writable.
    #[must_use]
    pub fn writable(self) -> Self {
        self.put("/root/readonly", json!(false))
    }

    /// With one mount more.
    #[must_use]
    pub fn mount(self, destination: &str, kind: &str, source: &str, options: &[&str]) -> Self {
        self.mount_json(json!({
            "destination": destination, "type": kind, "source": source, "options": options,
        }))
    }

    /// With one mount more, as JSON.
    #[must_use]
    pub fn mount_json(mut self, mount: Value) -> Self {
        self.spec["mounts"].as_array_mut().expect("mounts is an array").push(mount);
        self
    }

    /// Without the namespace of this type.
    #[must_use]
    pub fn without_namespace(mut self, kind: &str) -> Self {
        let list = self.spec["linux"]["namespaces"].as_array_mut().expect("namespaces is an array");
        list.retain(|namespace| namespace["type"] != kind);
        self
    }

    /// With one namespace more (or another of its type), new or by path.
    #[must_use]
    pub fn namespace(self, kind: &str, path: Option<&str>) -> Self {
        let mut bundle = self.without_namespace(kind);
        let mut namespace = json!({ "type": kind });
        if let Some(path) = path {
            namespace["path"] = json!(path);
        }
        let list = bundle.spec["linux"]["namespaces"].as_array_mut().expect("namespaces is an array");
        list.push(namespace);
        bundle
    }

    /// With a user namespace that maps container ids 0..65536 to the host's from `first`, and the root
    /// file system owned to fit.
    #[must_use]
    pub fn user_namespace(self, first: u32) -> Self {
        let map = json!([{ "containerID": 0, "hostID": first, "size": 65536 }]);
        let status = Command::new("chown")
            .args(["-R", "-h", &format!("{first}:{first}")])
            .arg(self.rootfs())
            .status()
            .expect("run chown");
        assert!(status.success(), "chown the root file system");
        self.namespace("user", None).put("/linux/uidMappings", map.clone()).put("/linux/gidMappings", map)
    }

    /// With these capabilities in every set but ambient and inheritable.
    #[must_use]
    pub fn capabilities(self, names: &[&str]) -> Self {
        self.put(
            "/process/capabilities",
            json!({ "bounding": names, "effective": names, "permitted": names }),
        )
    }

    /// With a file in the root file system.
    #[must_use]
    pub fn file(self, path: &str, content: &str, mode: u32) -> Self {
        let path = self.rootfs().join(path.trim_start_matches('/'));
        fs::create_dir_all(path.parent().expect("a file lies in a directory")).expect("make directories");
        fs::write(&path, content).expect("write a file of the root file system");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("set its mode");
        self
    }

    fn fill_rootfs(&self) {
        let rootfs = self.rootfs();
        for directory in DIRECTORIES {
            fs::create_dir_all(rootfs.join(directory)).expect("make the root file system");
        }
        for directory in ["tmp", "var/tmp"] {
            fs::set_permissions(rootfs.join(directory), fs::Permissions::from_mode(0o1777)).expect("chmod");
        }
        let (busybox, applets) = busybox();
        fs::copy(busybox, rootfs.join("bin/busybox")).expect("copy busybox");
        fs::copy(probe(), rootfs.join("bin/probe")).expect("copy the probe");
        for applet in applets {
            symlink("busybox", rootfs.join("bin").join(applet)).expect("link an applet");
        }
        let write = |path: &str, text: &str| fs::write(rootfs.join(path), text).expect("write a file");
        write("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/home/user:/bin/sh\n");
        write("etc/group", "root:x:0:\nuser:x:1000:\nstaff:x:50:user\n");
        let _ = std::os::unix::fs::chown(rootfs.join("home/user"), Some(1000), Some(1000));
    }
}

/// Static busybox and what it can be called as.
fn busybox() -> &'static (PathBuf, Vec<String>) {
    static BUSYBOX: OnceLock<(PathBuf, Vec<String>)> = OnceLock::new();
    BUSYBOX.get_or_init(|| {
        let path = PathBuf::from("/bin/busybox");
        assert!(path.exists(), "no /bin/busybox (Debian: apt-get install busybox-static)");
        let output = Command::new(&path).arg("--list").output().expect("run busybox");
        let names = String::from_utf8(output.stdout).expect("applet names are text");
        let applets = names.lines().filter(|name| *name != "busybox").map(str::to_owned).collect();
        (path, applets)
    })
}
