//! The engines: the command lines of each, with a store of its own.

use std::fs;
use std::path::{Path, PathBuf};

use super::super::measure::Case;
use super::disk;

/// Where stores are, and taru.
pub(super) struct Engines {
    pub(super) taru: PathBuf,
    /// Where stores live through the rounds.
    pub(super) lasting: PathBuf,
    /// Where stores of one round are.
    pub(super) cold: PathBuf,
}

/// Where sockets are, and what no engine needs to keep.
const RUN: &str = "/run/bench";

impl Engines {
    /// The directory of a store; one whose name has the round in it, `%n`, is among the cold ones.
    pub(super) fn store(&self, name: &str) -> String {
        self.place(name).join(name).display().to_string()
    }

    fn place(&self, name: &str) -> &Path {
        if name.contains("%n") { &self.cold } else { &self.lasting }
    }

    /// Where the engine with the store `name` keeps what it needs as long as it runs.
    pub(super) fn run(&self, name: &str) -> String {
        run(self.place(name), name)
    }

    /// `taru` on the store `name`.
    pub(super) fn taru(&self, name: &str, words: &[&str]) -> Case {
        let root = self.store(name);
        Case::new(&self.taru, &[&["--root", root.as_str()], words].concat())
    }

    /// `taru` on the store `name`, whose layers are kept by `driver`.
    pub(super) fn taru_with(&self, driver: &str, name: &str, words: &[&str]) -> Case {
        let (variable, taru, root) =
            (format!("TARU_STORAGE_DRIVER={driver}"), self.taru.display().to_string(), self.store(name));
        let all = [&[variable.as_str(), &taru, "--root", &root], words].concat();
        Case::new(Path::new("env"), &all)
    }

    /// `--root` puts what taru keeps while containers run beside what it stores; on a host it is in memory, below /run.
    pub(super) fn keep_run_in_memory(&self, name: &str) -> Case {
        let dir = self.store(name);
        Case::shell(&format!("mkdir -p {dir}/run && mount -t tmpfs -o mode=0711 run {dir}/run"))
    }

    /// `podman` on the store `name`.
    pub(super) fn podman(&self, name: &str, words: &[&str]) -> Case {
        let root = self.store(name);
        let run = self.run(name);
        let (run, tmp) = (format!("{run}.run"), format!("{run}.tmp"));
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
        let (root, run) = (self.store(name), format!("{}.run", self.run(name)));
        let options = ["--root", &root, "--runroot", &run, "--storage-driver", "overlay"];
        Case::new(Path::new("buildah"), &[&options[..], words].concat())
    }

    /// `ctr` to the daemon on the store `name`.
    pub(super) fn ctr(&self, name: &str, words: &[&str]) -> Case {
        let socket = format!("{}.sock", self.run(name));
        Case::new(Path::new("ctr"), &[&["--address", socket.as_str()], words].concat())
    }

    /// Starts a containerd on the store `name` and waits until it answers.
    pub(super) fn containerd(&self, name: &str) -> Case {
        let (root, run) = (self.store(name), self.run(name));
        let config = [
            "version = 2".to_owned(),
            format!("root = \"{root}/root\""),
            format!("state = \"{run}.state\""),
            "disabled_plugins = [\"io.containerd.grpc.v1.cri\", \"io.containerd.internal.v1.opt\"]"
                .to_owned(),
            format!("[grpc]\naddress = \"{run}.sock\""),
        ]
        .join("\n");
        Case::shell(&format!(
            "mkdir -p {root}
            echo '{config}' > {run}.toml
            containerd --config {run}.toml > {run}.log 2>&1 &
            echo $! > {run}.pid
            for i in $(seq 300); do
                ctr --address {run}.sock version > {run}.version 2>&1 && exit
                sleep 0.1
            done
            cat {run}.log >&2; exit 1"
        ))
        .untimed()
    }

    /// Ends that containerd, notes its peak of resident memory.
    pub(super) fn end_containerd(&self, name: &str) -> Case {
        let run = self.run(name);
        Case::shell(&format!(
            "pid=$(cat {run}.pid)
            sed -n 's/^VmHWM:[^0-9]*\\([0-9]*\\).*/\\1/p' /proc/$pid/status >> {RUN}/containerd.peaks
            kill $pid; while [ -e /proc/$pid ]; do sleep 0.05; done"
        ))
        .untimed()
    }

    /// The largest peak of a containerd since this was last asked, in KiB.
    pub(super) fn containerd_peak() -> Option<f64> {
        let path = format!("{RUN}/containerd.peaks");
        let text = fs::read_to_string(&path).ok()?;
        fs::remove_file(&path).ok()?;
        text.lines().filter_map(|line| line.parse().ok()).max_by(f64::total_cmp)
    }

    /// A new file system for the cold stores: nothing is in it, and nothing was.
    pub(super) fn fresh(&self) -> Case {
        self.renew(&self.cold).then(self.settle())
    }

    /// A new file system for the lasting stores.
    pub(super) fn empty(&self) -> Case {
        self.renew(&self.lasting)
    }

    fn renew(&self, place: &Path) -> Case {
        let run = run(place, "");
        Case::shell(&format!("{}; rm -rf {run}; mkdir -p {run}", disk::renew(place))).untimed()
    }

    /// Writes back what whoever it was has left, so that the next one does not wait for it.
    pub(super) fn settle(&self) -> Case {
        self.sync().untimed()
    }

    /// What a peer has written becomes durable, as everything is that taru acknowledges.
    pub(super) fn sync(&self) -> Case {
        let both = [&self.lasting, &self.cold].map(|dir| dir.display().to_string());
        Case::new(Path::new("sync"), &["-f", &both[0], &both[1]])
    }
}

/// Below where `place`'s engines keep their sockets.
fn run(place: &Path, name: &str) -> String {
    let place = place.file_name().unwrap_or_default();
    Path::new(RUN).join(place).join(name).display().to_string()
}
