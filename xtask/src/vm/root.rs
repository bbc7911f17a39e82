//! The guest's root: Debian 12 with what the tests execute, made once by mmdebstrap, never changed by a guest.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use taru_stdx::{Context, Error, Kind, Result};

use crate::{archive, setup, workspace};

/// The release; the same as the host's that the project is tested on.
const SUITE: &str = "bookworm";
/// What the tests execute in the guest, and what lets systemd be its first process.
const PACKAGES: &[&str] = &[
    "apparmor",
    "busybox-static",
    "ca-certificates",
    "crun",
    "dbus",
    "dbus-user-session",
    "iproute2",
    "jq",
    "kmod",
    "libpam-systemd",
    "libseccomp2",
    "procps",
    "python3-minimal",
    "runc",
    "strace",
    "systemd",
    "systemd-sysv",
    "uidmap",
];

/// The directory of the root; made when it is not there, or made of other packages.
pub(super) fn ensure() -> Result<PathBuf> {
    let dir = workspace::target().join("vm");
    let (root, stamp) = (dir.join("root"), dir.join("root.packages"));
    let wanted = PACKAGES.join(",");
    if fs::read_to_string(&stamp).is_ok_and(|made_of| made_of == wanted) {
        return Ok(root);
    }
    if !workspace::is_root()? {
        return Err(Error::new(Kind::Permission, "make the root of the test machine: this needs root"));
    }
    setup::install(&["mmdebstrap"])?;
    if root.exists() {
        fs::remove_dir_all(&root).context(|| format!("remove `{}`", root.display()))?;
    }
    fs::create_dir_all(&dir).context(|| format!("create `{}`", dir.display()))?;
    eprintln!("vm: making {}", root.display());
    workspace::check(
        Command::new("mmdebstrap")
            .args(["--quiet", "--mode=root", "--variant=minbase", "--format=directory"])
            .arg(format!("--include={wanted}"))
            .arg(SUITE)
            .arg(&root)
            .arg(archive::mirror()?)
            .stdin(Stdio::null())
            .stdout(Stdio::null()),
    )?;
    fs::write(&stamp, wanted).context(|| format!("write `{}`", stamp.display()))?;
    Ok(root)
}
