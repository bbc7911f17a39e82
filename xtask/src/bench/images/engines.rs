//! The engines: the command lines of each, with a store of its own.

use std::fs;
use std::path::{Path, PathBuf};

use super::super::measure::Case;

/// Where stores are, and taru.
pub(super) struct Engines {
    pub(super) taru: PathBuf,
    /// On a real disk.
    pub(super) stores: PathBuf,
}

/// Where sockets are, and what no engine needs to keep.
const RUN: &str = "/run/bench";

impl Engines {
    /// The directory of a store. In `name`, `%n` is the round.
    pub(super) fn store(&self, name: &str) -> String {
        self.stores.join(name).display().to_string()
    }

    /// `taru` on the store `name`.
    pub(super) fn taru(&self, name: &str, words: &[&str]) -> Case {
        let root = self.store(name);
        Case::new(&self.taru, &[&["--root", root.as_str()], words].concat())
    }

    /// `podman` on the store `name`.
    pub(super) fn podman(&self, name: &str, words: &[&str]) -> Case {
        let root = self.store(name);
        let (run, tmp) = (format!("{RUN}/{name}.run"), format!("{RUN}/{name}.tmp"));
        let mut all = vec!["--root", root.as_str(), "--runroot", &run, "--tmpdir", &tmp];
        all.extend([
            "--storage-driver",
            "overlay",
            "--cgroup-manager",
            "cgroupfs",
            "--events-backend",
            "none",
        ]);
        all.extend(words);
        Case::new(Path::new("podman"), &all)
    }

    /// `buildah` on the store `name`.
    pub(super) fn buildah(&self, name: &str, words: &[&str]) -> Case {
        let (root, run) = (self.store(name), format!("{RUN}/{name}.run"));
        let options = ["--root", &root, "--runroot", &run, "--storage-driver", "overlay"];
        Case::new(Path::new("buildah"), &[&options[..], words].concat())
    }

    /// `ctr` to the daemon on the store `name`.
    pub(super) fn ctr(&self, name: &str, words: &[&str]) -> Case {
        let socket = format!("{RUN}/{name}.sock");
        Case::new(Path::new("ctr"), &[&["--address", socket.as_str()], words].concat())
    }

    /// Starts a containerd on the store `name` and waits until it answers.
    pub(super) fn containerd(&self, name: &str) -> Case {
        let root = self.store(name);
        let config = [
            "version = 2".to_owned(),
            format!("root = \"{root}/root\""),
            format!("state = \"{RUN}/{name}.state\""),
            "disabled_plugins = [\"io.containerd.grpc.v1.cri\", \"io.containerd.internal.v1.opt\"]"
                .to_owned(),
            format!("[grpc]\naddress = \"{RUN}/{name}.sock\""),
        ]
        .join("\n");
        Case::shell(&format!(
            "mkdir -p {root} {RUN}
            echo '{config}' > {RUN}/{name}.toml
            containerd --config {RUN}/{name}.toml > {RUN}/{name}.log 2>&1 &
            echo $! > {RUN}/{name}.pid
            for i in $(seq 300); do
                ctr --address {RUN}/{name}.sock version > {RUN}/{name}.version 2>&1 && exit
                sleep 0.1
            done
            cat {RUN}/{name}.log >&2; exit 1"
        ))
        .untimed()
    }

    /// Ends that containerd, notes its peak of resident memory, and removes its store.
    pub(super) fn end_containerd(&self, name: &str) -> Case {
        Case::shell(&format!(
            "pid=$(cat {RUN}/{name}.pid)
            sed -n 's/^VmHWM:[^0-9]*\\([0-9]*\\).*/\\1/p' /proc/$pid/status >> {RUN}/containerd.peaks
            kill $pid; while [ -e /proc/$pid ]; do sleep 0.05; done"
        ))
        .untimed()
        .then(self.remove(name))
    }

    /// The largest peak of a containerd since this was last asked, in KiB.
    pub(super) fn containerd_peak() -> Option<f64> {
        let path = format!("{RUN}/containerd.peaks");
        let text = fs::read_to_string(&path).ok()?;
        fs::remove_file(&path).ok()?;
        text.lines().filter_map(|line| line.parse().ok()).max_by(f64::total_cmp)
    }

    /// Removes the store `name`. Podman binds a directory of it onto itself.
    pub(super) fn remove(&self, name: &str) -> Case {
        let dir = self.store(name);
        let script = format!(
            "umount -R {dir}/overlay 2>/dev/null || true
            rm -rf {dir} {RUN}/{name}.run {RUN}/{name}.tmp"
        );
        Case::shell(&script).untimed()
    }

    /// Writes back what whoever it was has left, so that the next one does not wait for it.
    pub(super) fn settle(&self) -> Case {
        self.sync().untimed()
    }

    /// What a peer has written becomes durable, as everything is that taru acknowledges.
    pub(super) fn sync(&self) -> Case {
        Case::new(Path::new("sync"), &["-f", &self.stores.display().to_string()])
    }
}
