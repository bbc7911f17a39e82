//! What is on the disk and on the wire around a measurement.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use taru_stdx::{Context, Error, Kind, Result};

use crate::workspace;

/// Where all stores are: two file systems of their own, on the real disk; dropped, they are removed.
///
/// ext4 avoids an inode for minutes after its file was removed, and searches for another one by one: whoever unpacks
/// right after a store was removed needs ten times as long, and the figures would tell of the round before. So a store
/// that begins empty begins on a new file system.
pub(super) struct Stores {
    path: PathBuf,
}

/// Bytes of each file system: sparse, only what is written takes room.
const SIZE: u64 = 12 << 30;

impl Stores {
    /// An empty one below `dir`. Until the sandbox ends, what the peers keep for all stores of a host (which blobs they have
    /// seen where) is in memory, so that nobody finds anything of a round before, or of this host.
    pub(super) fn make(dir: &Path) -> Result<Stores> {
        let stores = Stores { path: dir.join("stores") };
        stores.remove();
        for one in [stores.lasting(), stores.cold()] {
            fs::create_dir_all(&one).context(|| format!("create `{}`", one.display()))?;
            workspace::check(Command::new("sh").arg("-c").arg(renew(&one)))?;
        }
        // Where there is no such directory podman makes one.
        for shared in ["/var/lib/containers", "/var/tmp"] {
            fs::create_dir_all(shared).context(|| format!("create `{shared}`"))?;
        }
        workspace::check(Command::new("mount").args(["-t", "tmpfs", "cache", "/var/lib/containers"]))?;
        // Blobs on their way lie in /var/tmp: on the same disk as the store, and not this host's.
        let tmp = stores.path.join("tmp");
        fs::create_dir_all(&tmp).context(|| format!("create `{}`", tmp.display()))?;
        workspace::check(Command::new("mount").arg("--bind").arg(&tmp).arg("/var/tmp"))?;
        Ok(stores)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Of stores that live through the rounds.
    pub(super) fn lasting(&self) -> PathBuf {
        self.path.join("lasting")
    }

    /// Of stores of one round.
    pub(super) fn cold(&self) -> PathBuf {
        self.path.join("cold")
    }

    fn remove(&self) {
        for mounted in [Path::new("/var/tmp"), &self.cold(), &self.lasting()] {
            let _ = Command::new("umount").arg("-R").arg(mounted).stderr(Stdio::null()).status();
        }
        let _ = Command::new("rm").arg("-rf").arg(&self.path).status();
    }
}

impl Drop for Stores {
    fn drop(&mut self) {
        self.remove();
    }
}

/// A script that mounts a new file system on `dir`, in the place of the one that was there. The loop device passes the
/// page cache by, so that what is written is written once, and goes with the mount.
pub(super) fn renew(dir: &Path) -> String {
    let dir = dir.display();
    format!(
        "if mountpoint -q {dir}; then umount -R {dir}; fi
        rm -f {dir}.img && truncate -s {SIZE} {dir}.img && mkfs.ext4 -q {dir}.img
        loop=$(losetup --find --show --direct-io=on {dir}.img) && mount $loop {dir} && losetup -d $loop"
    )
}

/// Bytes that came over the loopback of this network namespace so far.
pub(super) fn received() -> Result<u64> {
    let what = || "read `/proc/net/dev`";
    let text = fs::read_to_string("/proc/net/dev").context(what)?;
    let mut counts = text.lines().filter_map(|line| line.trim().strip_prefix("lo:"));
    counts
        .find_map(|rest| rest.split_whitespace().next()?.parse().ok())
        .ok_or_else(|| Error::new(Kind::System, what()))
}

/// Bytes that a directory takes on the disk.
pub(super) fn used(dir: &str) -> Result<u64> {
    workspace::check(Command::new("sync").args(["-f", dir]))?;
    let text = workspace::output(Command::new("du").args(["-s", "-x", "-B1", dir]))?;
    let number = text.split_whitespace().next().and_then(|n| n.parse().ok());
    number.ok_or_else(|| Error::new(Kind::System, format!("read what `du` says of `{dir}`")))
}

/// A directory to build from: a Dockerfile of ten steps over the image `base`, and the files of `added`.
pub(super) fn context(base: &str, added: &Path, dir: PathBuf) -> Result<String> {
    fs::create_dir_all(&dir).context(|| format!("create `{}`", dir.display()))?;
    workspace::check(Command::new("cp").arg("-r").arg(added).arg(dir.join("added")))?;
    let mut text = format!("FROM {base}\nENV A=1\nWORKDIR /srv\nCOPY added /opt/added\n");
    for step in 0..5 {
        text.push_str(&format!("RUN mkdir -p /srv/{step} && echo {step} > /srv/{step}/file\n"));
    }
    text.push_str("COPY Dockerfile /opt/Dockerfile\nCMD [\"/bin/true\"]\n");
    let file = dir.join("Dockerfile");
    fs::write(&file, text).context(|| format!("write `{}`", file.display()))?;
    Ok(dir.display().to_string())
}
