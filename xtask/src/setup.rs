//! `xtask setup`: the Debian packages that the tests need, each with its reason.
//!
//! Packages only: nothing is started, no file of the host is changed beside what the packages bring.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use taru_stdx::{Context, Error, Kind, Result};

use crate::workspace;

/// Every package that building or testing needs beyond Rust and git, with the reason.
const PACKAGES: &[(&str, &str)] = &[
    ("gcc", "the linker of Rust; compiles the probes of the tests that are not Rust"),
    ("libc6-dev", "the C library to link statically with"),
    ("busybox-static", "the content of every test container"),
    ("uidmap", "newuidmap and newgidmap: containers of ordinary users"),
    ("iproute2", "the peer of `taru netns` and `taru link`"),
    ("util-linux", "the peer of `taru unshare` and `taru enter`"),
    ("groff-base", "finds faults in the man pages"),
    ("zsh", "reads its completion script"),
    ("fish", "reads its completion script"),
    ("e2fsprogs", "small disks (ext4 on a loop device) that fill up and lose power"),
    ("strace", "counts and injects system calls in the tests of faults"),
    ("libseccomp-dev", "the peer of our seccomp compiler"),
    ("jq", "reads JSON in shell tests"),
    ("python3", "crun's test suite is written in it"),
    ("runc", "peer: the reference runtime"),
    ("crun", "peer: the fast runtime"),
    ("podman", "acceptance: an engine that executes runtimes"),
    ("conmon", "acceptance: podman's per-container parent"),
    ("docker.io", "acceptance: an engine that executes runtimes"),
    ("containerd", "acceptance: an engine that executes runtimes"),
    ("skopeo", "a peer that reads OCI image layouts"),
    ("buildah", "a peer that reads and writes image archives"),
    ("squashfs-tools", "makes the squashfs images that the reader is tested with"),
    ("debootstrap", "bootstraps an image where there is no mmdebstrap"),
    ("docker-registry", "the peer of our registry client; the tests start their own, on loopback"),
    ("apache2-utils", "htpasswd: passwords for that registry"),
    ("openssl", "certificates and signatures for the tests of the registry client"),
    ("btrfs-progs", "makes the file system of one driver's tests"),
    ("erofs-utils", "fsck.erofs: the peer of the writer of erofs images"),
    ("umoci", "a peer that unpacks layers and makes them of trees"),
    ("ca-certificates", "fetching over https"),
    ("dpkg-dev", "unpacks Debian source packages: crun's test suite"),
    ("patchelf", "binds the peers of a later Debian release to their own libraries"),
    ("mmdebstrap", "makes the root file system of the test machine; bootstraps images"),
    ("user-mode-linux", "the test machine: a kernel with cgroup v2 as a process"),
    ("cpio", "packs the test machine's initial file system"),
    ("kmod", "finds the modules of the test machine's kernel"),
    ("zstd", "a peer that unpacks layers"),
    ("xz-utils", "unpacks them; makes test files"),
];

/// Debian's convention: exit status 101 of this script keeps packages from starting their services.
const POLICY: &str = "/usr/sbin/policy-rc.d";

#[derive(clap::Args, Default)]
pub(crate) struct Arguments {
    /// List the packages and their reasons, install nothing
    #[arg(long)]
    list: bool,
}

/// Installs what is missing; quick when nothing is.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    if arguments.list {
        for (package, reason) in PACKAGES {
            println!("{package:<16} {reason}");
        }
        return Ok(());
    }
    let wanted: Vec<&str> = PACKAGES.iter().map(|(package, _)| *package).collect();
    install(&wanted)
}

/// Installs those of `packages` that are missing.
///
/// Needs root and Debian when any is missing; says how to do it by hand where it cannot.
pub(crate) fn install(packages: &[&str]) -> Result<()> {
    let missing = missing(packages)?;
    if missing.is_empty() {
        return Ok(());
    }
    if !workspace::is_root()? {
        return Err(Error::new(Kind::Permission, format!("install {}: this needs root", missing.join(" ")))
            .hint(format!(
                "sudo apt-get update && sudo apt-get install --no-install-recommends {}",
                missing.join(" ")
            )));
    }
    eprintln!("setup: installing {}", missing.join(" "));
    let _services_stay_down = ServicesStayDown::ensure()?;
    // Lists of other archives on this host may be out of reach; what counts is whether the install succeeds.
    workspace::status(apt().args(["update", "-qq"]))?;
    workspace::check(apt().args(["install", "-y", "-qq", "--no-install-recommends"]).args(&missing))
}

fn apt() -> Command {
    let mut apt = Command::new("apt-get");
    apt.args(["-o", "DPkg::Lock::Timeout=600", "-o", "Dpkg::Use-Pty=0"]);
    apt.env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null());
    // Apt's and dpkg's chatter would bury what the task itself says.
    apt.stdout(Stdio::null());
    apt
}

/// Which of `packages` dpkg does not know as installed.
fn missing<'a>(packages: &[&'a str]) -> Result<Vec<&'a str>> {
    let known = Command::new("dpkg-query")
        .args(["-W", "-f", "${Package} ${db:Status-Status}\n"])
        .args(packages)
        .stderr(Stdio::null())
        .output()
        .context(|| "ask `dpkg-query` for the installed packages")
        .map_err(|e| {
            e.hint(format!("on another system than Debian, install by hand: {}", packages.join(" ")))
        })?;
    let known = String::from_utf8_lossy(&known.stdout).into_owned();
    Ok(packages
        .iter()
        .copied()
        .filter(|p| !known.lines().any(|line| line == format!("{p} installed")))
        .collect())
}

/// While it lives, packages that are installed do not start their services: the tests start their own.
struct ServicesStayDown {
    ours: bool,
}

impl ServicesStayDown {
    fn ensure() -> Result<ServicesStayDown> {
        if Path::new(POLICY).exists() {
            return Ok(ServicesStayDown { ours: false });
        }
        taru_stdx::fs::replace(
            Path::new(POLICY),
            b"#!/bin/sh\nexit 101\n",
            0o755,
            taru_stdx::fs::Sync::Atomic,
        )?;
        Ok(ServicesStayDown { ours: true })
    }
}

impl Drop for ServicesStayDown {
    fn drop(&mut self) {
        if self.ours {
            let _ = fs::remove_file(POLICY);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::PACKAGES;

    #[test]
    fn every_package_stands_once_and_has_its_reason() {
        for (at, (package, reason)) in PACKAGES.iter().enumerate() {
            assert!(!reason.is_empty(), "{package}");
            assert!(PACKAGES[..at].iter().all(|(other, _)| other != package), "{package} stands twice");
        }
    }
}
